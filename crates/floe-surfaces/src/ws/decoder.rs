//! Bytes in, messages out.

use std::str;

use super::deflate::{COMPRESSED, Deflate, inflate};
use super::frame::{CONTROL_BYTES_MAX, FIN, LEN_16, LEN_64, MASKED, Opcode};
use super::mask::apply_mask;

/// Which end of the connection we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Takes masked frames only.
    Server,
    /// Takes unmasked frames only.
    Client,
}

/// What the peer sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
    /// A ping; a pong with the same payload answers it.
    Ping(&'a [u8]),
    /// A pong.
    Pong(&'a [u8]),
    /// The last frame: a close frame with the same code answers it, and then the connection ends.
    Close(Option<(u16, &'a str)>),
}

/// What one call to [`Decoder::next`] did.
#[derive(Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// Bytes taken from the front of the input.
    pub used: usize,
    /// What ends with these bytes; `None` once the input is used up.
    pub item: Option<Item<'a>>,
}

/// Why a connection has to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WsError {
    /// The peer broke the rules of the protocol.
    #[error("{0}")]
    Protocol(&'static str),
    /// A text or close reason is not UTF-8.
    #[error("text is not UTF-8")]
    NotUtf8,
    /// What should be a compressed message is none.
    #[error("message is not compressed as agreed")]
    NotDeflate,
    /// A message is longer than allowed.
    #[error("message is longer than {message_bytes_max} bytes")]
    TooLarge {
        /// The bound.
        message_bytes_max: u32,
    },
}

impl WsError {
    /// Returns the code of the close frame that tells the peer.
    #[must_use]
    pub const fn close_code(self) -> u16 {
        match self {
            Self::Protocol(_) => 1002,
            Self::NotUtf8 | Self::NotDeflate => 1007,
            Self::TooLarge { .. } => 1009,
        }
    }
}

/// Reads one direction of a connection.
///
/// It takes whatever bytes have come and keeps what it needs of them, so that a host can read all
/// its sockets into one buffer. A message that lies whole in the input is handed out from there,
/// without a copy; memory is owned only while a message is incomplete. Text is checked as it
/// comes, and a wrong byte is refused before its message is complete.
#[derive(Debug)]
pub struct Decoder {
    /// What belongs to messages and frames that have begun elsewhere than in the input.
    partial: Option<Box<Partial>>,
    /// Most bytes of one message.
    message_bytes_max: u32,
    /// Payload of the frame under way that is yet to come.
    left: u32,
    /// Payload of the frame under way that has come.
    came: u32,
    key: [u8; 4],
    /// The head of a frame as far as it has come.
    head: [u8; HEAD_BYTES_MAX],
    head_len: u8,
    /// First byte of the frame under way, while there is one.
    frame: Option<u8>,
    /// Opcode of the message under way, while there is one.
    message: Option<Opcode>,
    role: Role,
    state: State,
    /// Whether messages may be compressed.
    deflate: bool,
    /// Whether the message under way is compressed.
    compressed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing in `partial` has been handed out.
    Reading,
    /// The message in `partial` has been handed out.
    MessageTaken,
    /// The control frame in `partial` has been handed out.
    ControlTaken,
    /// The close frame has come, or an error: no more is read.
    Closed,
}

#[derive(Debug, Default)]
struct Partial {
    /// Payload of the message under way.
    message: Vec<u8>,
    /// How much of it is known to be UTF-8.
    checked: usize,
    /// Payload of the control frame under way.
    control: Vec<u8>,
}

/// Where a complete item lies.
enum Found {
    /// In the input, at its end so far, with this length.
    Input(Opcode, usize),
    Message(Opcode),
    Control(Opcode),
}

/// Two bytes, eight of length, four of mask.
const HEAD_BYTES_MAX: usize = 14;
const CONTINUATION: u8 = 0;
const OPCODE: u8 = 0x0f;
const RESERVED: u8 = 0x70;

impl Decoder {
    /// Starts after the handshake. A message may have `message_bytes_max` bytes.
    #[must_use]
    pub const fn new(role: Role, message_bytes_max: u32) -> Self {
        Self {
            partial: None,
            message_bytes_max,
            left: 0,
            came: 0,
            key: [0; 4],
            head: [0; HEAD_BYTES_MAX],
            head_len: 0,
            frame: None,
            message: None,
            role,
            state: State::Reading,
            deflate: false,
            compressed: false,
        }
    }

    /// Takes compressed messages, too, as the handshake agreed. The bound of a message holds for
    /// both of its sizes.
    #[must_use]
    pub const fn with_deflate(mut self, agreed: Option<Deflate>) -> Self {
        self.deflate = agreed.is_some();
        self
    }

    /// Returns whether no frame and no message is under way.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.head_len == 0 && self.frame.is_none() && self.message.is_none()
    }

    /// Returns the bytes this decoder owns besides itself.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| {
            size_of::<Partial>() + partial.message.capacity() + partial.control.capacity()
        })
    }

    /// Reads on: up to the end of the next item or of the input, whichever comes first.
    ///
    /// Call again with the rest of the input until there is no item; then all of it is used, and
    /// nothing of it need be kept. The input's bytes are unmasked in place. After a close frame
    /// whatever follows is dropped.
    ///
    /// # Errors
    /// The connection must be closed with the error's code; whatever follows is dropped.
    pub fn next<'a>(&'a mut self, input: &'a mut [u8]) -> Result<Step<'a>, WsError> {
        self.forget_taken();
        if self.state == State::Closed {
            return Ok(Step {
                used: input.len(),
                item: None,
            });
        }
        let mut used = 0;
        let found = match self.advance(input, &mut used) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(Step { used, item: None }),
            Err(error) => {
                self.close();
                return Err(error);
            }
        };
        let item = match found {
            Found::Input(opcode, len) => {
                let item = item(opcode, &input[used - len..used]);
                if let Ok(Item::Close(_)) | Err(_) = &item {
                    self.close();
                }
                item?
            }
            Found::Message(opcode) => {
                self.state = State::MessageTaken;
                item(opcode, &self.partial().message)?
            }
            Found::Control(opcode) => {
                if let Err(error) = item(opcode, &self.partial().control) {
                    self.close();
                    return Err(error);
                }
                self.state = if opcode == Opcode::Close {
                    State::Closed
                } else {
                    State::ControlTaken
                };
                item(opcode, &self.partial().control)?
            }
        };
        Ok(Step {
            used,
            item: Some(item),
        })
    }

    /// Drops what the last call handed out.
    fn forget_taken(&mut self) {
        match self.state {
            State::Reading => return,
            State::Closed => {
                self.partial = None;
                return;
            }
            State::MessageTaken => self.partial = None,
            State::ControlTaken => match (&mut self.partial, self.message) {
                (Some(partial), Some(_)) => partial.control = Vec::new(),
                (partial, _) => *partial = None,
            },
        }
        self.state = State::Reading;
    }

    /// Reads no more.
    fn close(&mut self) {
        self.state = State::Closed;
        self.partial = None;
    }

    fn partial(&mut self) -> &mut Partial {
        self.partial.get_or_insert_default()
    }

    /// Takes frames from the input until one ends an item.
    fn advance(&mut self, input: &mut [u8], used: &mut usize) -> Result<Option<Found>, WsError> {
        loop {
            let first = match self.frame {
                Some(first) => first,
                None => match self.read_head(input, used)? {
                    Some(first) => first,
                    None => return Ok(None),
                },
            };
            let rest = &mut input[*used..];
            let len = rest.len().min(self.left as usize);
            let payload = &mut rest[..len];
            if self.role == Role::Server {
                apply_mask(payload, self.key, u64::from(self.came));
            }
            *used += len;
            let complete = len == self.left as usize;
            let control = control_opcode(first);
            let alone = self.came == 0
                && complete
                && (control.is_some() || (first & FIN != 0 && first & OPCODE != CONTINUATION));
            if alone && control.is_none() && self.compressed {
                let message = inflate(payload, self.message_bytes_max)?;
                self.frame = None;
                self.partial().message = message;
                return self.end_message().map(Some);
            }
            if alone {
                self.frame = None;
                let opcode = control.or_else(|| self.message.take());
                return Ok(opcode.map(|opcode| Found::Input(opcode, len)));
            }
            self.keep(control.is_some(), payload)?;
            // A frame's payload fits its length, and that is a `u32`.
            self.left -= len as u32;
            self.came += len as u32;
            if !complete {
                return Ok(None);
            }
            self.frame = None;
            match control {
                Some(opcode) => return Ok(Some(Found::Control(opcode))),
                None if first & FIN != 0 => {
                    if self.compressed {
                        let message_bytes_max = self.message_bytes_max;
                        let partial = self.partial();
                        partial.message = inflate(&partial.message, message_bytes_max)?;
                    }
                    return self.end_message().map(Some);
                }
                None => {}
            }
        }
    }

    /// Keeps the payload of a message or control frame that is incomplete.
    fn keep(&mut self, control: bool, payload: &[u8]) -> Result<(), WsError> {
        if payload.is_empty() {
            return Ok(());
        }
        let text = self.message == Some(Opcode::Text) && !self.compressed;
        let partial = self.partial();
        if control {
            partial.control.extend_from_slice(payload);
            return Ok(());
        }
        partial.message.extend_from_slice(payload);
        if text {
            partial.check()?;
        }
        Ok(())
    }

    /// Ends the message under way; refuses a text that ends within a character.
    fn end_message(&mut self) -> Result<Found, WsError> {
        // A frame without a message to belong to was refused by its head.
        let opcode = self.message.take().unwrap_or(Opcode::Binary);
        let partial = self.partial();
        if opcode == Opcode::Text {
            partial.check()?;
            if partial.checked != partial.message.len() {
                return Err(WsError::NotUtf8);
            }
        }
        Ok(Found::Message(opcode))
    }

    /// Reads the head of a frame; `None` while it is incomplete. Returns its first byte.
    fn read_head(&mut self, input: &[u8], used: &mut usize) -> Result<Option<u8>, WsError> {
        loop {
            let wanted = self.head_wanted();
            if self.head_len >= wanted {
                return self.end_head().map(Some);
            }
            let Some(byte) = input.get(*used) else {
                return Ok(None);
            };
            self.head[usize::from(self.head_len)] = *byte;
            self.head_len += 1;
            *used += 1;
            if self.head_len == 2 {
                self.check_head()?;
            }
        }
    }

    /// Bytes of the head, as far as is known by now.
    const fn head_wanted(&self) -> u8 {
        if self.head_len < 2 {
            return 2;
        }
        let length = match self.head[1] & !MASKED {
            LEN_16 => 2,
            LEN_64 => 8,
            _ => 0,
        };
        2 + length + if self.head[1] & MASKED != 0 { 4 } else { 0 }
    }

    /// Refuses what the first two bytes of a head may not say.
    fn check_head(&self) -> Result<(), WsError> {
        let [first, second, ..] = self.head;
        let begins = matches!(first & OPCODE, 1 | 2);
        let reserved = first & RESERVED;
        if reserved != 0 && !(self.deflate && begins && reserved == COMPRESSED) {
            return Err(WsError::Protocol("a reserved bit is set"));
        }
        match (self.role, second & MASKED != 0) {
            (Role::Server, false) => return Err(WsError::Protocol("a client's frame is unmasked")),
            (Role::Client, true) => return Err(WsError::Protocol("a server's frame is masked")),
            (Role::Server, true) | (Role::Client, false) => {}
        }
        if control_opcode(first).is_some() {
            if first & FIN == 0 {
                return Err(WsError::Protocol("a control frame is fragmented"));
            }
            if usize::from(second & !MASKED) > CONTROL_BYTES_MAX {
                return Err(WsError::Protocol("a control frame is too long"));
            }
            return Ok(());
        }
        match (first & OPCODE, self.message) {
            (CONTINUATION, None) => Err(WsError::Protocol("no message is there to continue")),
            (1 | 2, Some(_)) => Err(WsError::Protocol("a message begins within another")),
            (CONTINUATION, Some(_)) | (1 | 2, None) => Ok(()),
            _ => Err(WsError::Protocol("a reserved opcode is used")),
        }
    }

    /// Reads a complete head; a frame is under way from here on.
    fn end_head(&mut self) -> Result<u8, WsError> {
        let [first, second, rest @ ..] = self.head;
        let (len, key_at) = match second & !MASKED {
            LEN_16 => (u64::from(u16::from_be_bytes([rest[0], rest[1]])), 2),
            LEN_64 => {
                let [a, b, c, d, e, f, g, h, ..] = rest;
                (u64::from_be_bytes([a, b, c, d, e, f, g, h]), 8)
            }
            len => (u64::from(len), 0),
        };
        if len >> 63 != 0 {
            return Err(WsError::Protocol("a length has its highest bit set"));
        }
        let kept = match (&self.partial, control_opcode(first)) {
            (Some(partial), None) => partial.message.len() as u64,
            (Some(_), Some(_)) | (None, _) => 0,
        };
        let message_bytes_max = self.message_bytes_max;
        self.left = match u32::try_from(len) {
            // A control frame has its own bound, and is taken whatever a message may have.
            Ok(len) if control_opcode(first).is_some() => len,
            Ok(len) if kept + u64::from(len) <= u64::from(message_bytes_max) => len,
            Ok(_) | Err(_) => return Err(WsError::TooLarge { message_bytes_max }),
        };
        if second & MASKED != 0 {
            self.key.copy_from_slice(&rest[key_at..key_at + 4]);
        }
        match first & OPCODE {
            1 => self.message = Some(Opcode::Text),
            2 => self.message = Some(Opcode::Binary),
            _ => {}
        }
        if matches!(first & OPCODE, 1 | 2) {
            self.compressed = first & COMPRESSED != 0;
        }
        self.came = 0;
        self.head_len = 0;
        self.frame = Some(first);
        Ok(first)
    }
}

impl Partial {
    /// Checks what has come of a text since the last check.
    fn check(&mut self) -> Result<(), WsError> {
        match str::from_utf8(&self.message[self.checked..]) {
            Ok(_) => self.checked = self.message.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(WsError::NotUtf8),
        }
        Ok(())
    }
}

/// Returns which control frame begins with `first`, if it is one.
const fn control_opcode(first: u8) -> Option<Opcode> {
    match first & OPCODE {
        8 => Some(Opcode::Close),
        9 => Some(Opcode::Ping),
        10 => Some(Opcode::Pong),
        _ => None,
    }
}

fn item(opcode: Opcode, payload: &[u8]) -> Result<Item<'_>, WsError> {
    let text = |bytes| str::from_utf8(bytes).map_err(|_| WsError::NotUtf8);
    Ok(match opcode {
        Opcode::Text => Item::Text(text(payload)?),
        Opcode::Binary => Item::Binary(payload),
        Opcode::Ping => Item::Ping(payload),
        Opcode::Pong => Item::Pong(payload),
        Opcode::Close => Item::Close(match payload {
            [] => None,
            [_] => return Err(WsError::Protocol("a close frame has half a code")),
            [high, low, reason @ ..] => {
                let code = u16::from_be_bytes([*high, *low]);
                if !may_be_sent(code) {
                    return Err(WsError::Protocol("a close frame has a reserved code"));
                }
                Some((code, text(reason)?))
            }
        }),
    })
}

/// Returns whether a close frame may carry the code.
const fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
