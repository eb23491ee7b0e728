//! One participant: a peer connection over a socket of its own.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Instant;

use mio::net::UdpSocket;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::media::{Direction, MediaKind, Mid};
use str0m::net::{DatagramRecv, Protocol, Receive};
use str0m::rtp::{ExtensionValues, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc};

use super::media::Tally;
use super::order::Order;
use super::said::Said;

/// Who a participant is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Who {
    /// The room, by its number in the run.
    pub(crate) room: u32,
    /// The participant, by its number in the run.
    pub(crate) number: u32,
    /// Whether it speaks.
    pub(crate) speaks: bool,
    /// Whether what it hears is decrypted and looked at.
    pub(crate) is_checked: bool,
    /// When it set out.
    pub(crate) since: Instant,
}

/// A participant that waits for the server's answer.
pub(crate) struct Agreeing {
    participant: Participant,
    pending: SdpPendingOffer,
}

/// A participant whose connection is agreed on.
pub(crate) struct Participant {
    pub(super) who: Who,
    pub(super) socket: UdpSocket,
    /// When its connection wants to be woken.
    pub(super) due: Instant,
    /// When it is looked at: no later.
    pub(super) looked_at: Option<Instant>,
    pub(super) is_connected: bool,
    rtc: Rtc,
    local: SocketAddr,
    microphone: Mid,
    /// Packets said so far.
    said: u64,
    payload: Vec<u8>,
    streams: Vec<Order>,
}

impl Agreeing {
    /// Sets out from the address `local`, with media for `slots` voices; returns the offer, too.
    pub(crate) fn offer(who: Who, local: SocketAddr, slots: u16) -> io::Result<(Self, String)> {
        let socket = UdpSocket::bind(local)?;
        let local = socket.local_addr()?;
        let mut rtc = Rtc::builder()
            .set_rtp_mode(true)
            .clear_codecs()
            .enable_opus(true, false)
            .build(who.since);
        let candidate = Candidate::host(local, "udp").map_err(io::Error::other)?;
        rtc.add_local_candidate(candidate);
        let mut api = rtc.sdp_api();
        let microphone = api.add_media(MediaKind::Audio, Direction::SendOnly, None, None, None);
        for _ in 0..slots {
            api.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
        }
        let (offer, pending) = api.apply().ok_or(ErrorKind::InvalidInput)?;
        let participant = Participant {
            who,
            socket,
            due: who.since,
            looked_at: None,
            is_connected: false,
            rtc,
            local,
            microphone,
            said: 0,
            payload: Vec::new(),
            streams: Vec::new(),
        };
        let agreeing = Self {
            participant,
            pending,
        };
        Ok((agreeing, offer.to_sdp_string()))
    }

    /// Takes the server's answer.
    pub(crate) fn agree(self, answer: &str) -> Result<Participant, String> {
        let Self {
            mut participant,
            pending,
        } = self;
        let answer = SdpAnswer::from_sdp_string(answer).map_err(|error| error.to_string())?;
        let api = participant.rtc.sdp_api();
        api.accept_answer(pending, answer)
            .map_err(|error| error.to_string())?;
        Ok(participant)
    }
}

impl Participant {
    /// Takes what has come, until there is no more.
    pub(super) fn receive(&mut self, buffer: &mut [u8], tally: &mut Tally) -> Result<(), String> {
        loop {
            let (len, source) = match self.socket.recv_from(buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(format!("receive: {}", error.kind())),
            };
            let datagram = &buffer[..len];
            let is_for_rtc = match voice_of(datagram) {
                Some((ssrc, sequence)) => {
                    tally.bytes += len as u64;
                    self.note(ssrc, sequence);
                    self.who.is_checked
                }
                None => true,
            };
            if is_for_rtc {
                self.take(datagram, source, tally)?;
            }
        }
    }

    /// Does what its time has come for.
    pub(super) fn wake(&mut self, now: Instant, tally: &mut Tally) -> Result<(), String> {
        self.hand(Input::Timeout(now))?;
        self.drain(now, tally)
    }

    /// Says something of `bytes`.
    pub(super) fn speak(
        &mut self,
        now: Instant,
        bytes: usize,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let Some(media) = self.rtc.media(self.microphone) else {
            return Err("the voice is not taken".to_owned());
        };
        let Some(pt) = media.remote_pts().first().copied() else {
            return Err("no way to send a voice was agreed on".to_owned());
        };
        self.said += 1;
        self.payload.resize(bytes.max(Said::LEN), 0);
        let said = Said {
            room: self.who.room,
            speaker: self.who.number,
            sent_ns: tally.nanos(now),
        };
        said.put(&mut self.payload);
        let time = (self.said * TICKS) as u32;
        let write = RtpWrite::new(pt, self.said.into(), time, now, &self.payload[..]).ext_vals(
            ExtensionValues {
                audio_level: Some(LEVEL),
                voice_activity: Some(true),
                ..ExtensionValues::default()
            },
        );
        let mut api = self.rtc.direct_api();
        let Some(stream) = api.stream_tx_by_mid(self.microphone, None) else {
            return Err("there is no stream for the voice".to_owned());
        };
        stream.write_rtp(write);
        tally.sent += 1;
        self.wake(now, tally)
    }

    /// Counts from here on.
    pub(super) fn begin(&mut self) {
        self.streams.iter_mut().for_each(Order::begin);
    }

    /// Adds up what came.
    pub(super) fn add_to(&self, tally: &mut Tally) {
        for stream in &self.streams {
            let counted = stream.counted();
            tally.received += counted.received;
            tally.duplicates += counted.duplicates;
            tally.out_of_order += counted.out_of_order;
            tally.lost += stream.lost();
            tally.streams += u64::from(counted.received > 0);
        }
    }

    fn note(&mut self, ssrc: u32, sequence: u16) {
        match self.streams.iter_mut().find(|stream| stream.ssrc == ssrc) {
            Some(stream) => stream.note(sequence),
            None => self.streams.push(Order::new(ssrc, sequence)),
        }
    }

    fn take(
        &mut self,
        datagram: &[u8],
        source: SocketAddr,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let now = Instant::now();
        let Ok(contents) = DatagramRecv::try_from(datagram) else {
            return Err("a datagram of no kind that is known".to_owned());
        };
        let receive = Receive {
            proto: Protocol::Udp,
            source,
            destination: self.local,
            contents,
        };
        self.hand(Input::Receive(now, receive))?;
        self.drain(now, tally)
    }

    fn hand(&mut self, input: Input<'_>) -> Result<(), String> {
        self.rtc
            .handle_input(input)
            .map_err(|error| format!("media: {error}"))
    }

    fn drain(&mut self, now: Instant, tally: &mut Tally) -> Result<(), String> {
        loop {
            let output = self.rtc.poll_output();
            match output.map_err(|error| format!("media: {error}"))? {
                Output::Timeout(due) => {
                    self.due = due;
                    return match self.rtc.is_alive() {
                        true => Ok(()),
                        false => Err("a connection for media ended".to_owned()),
                    };
                }
                Output::Transmit(transmit) => {
                    let sent = self
                        .socket
                        .send_to(&transmit.contents, transmit.destination);
                    if let Err(error) = sent {
                        tally.note_error(&format!("send: {}", error.kind()));
                    }
                }
                Output::Event(Event::Connected) => self.is_connected = true,
                Output::Event(Event::RtpPacket(packet)) => self.check(now, &packet.payload, tally),
                Output::Event(_) => {}
            }
        }
    }

    /// Looks whether what is heard was said by another of the same room.
    fn check(&self, now: Instant, payload: &[u8], tally: &mut Tally) {
        match Said::read(payload) {
            Some(said) if said.room == self.who.room && said.speaker != self.who.number => {
                tally.heard(tally.nanos(now).saturating_sub(said.sent_ns));
            }
            Some(_) => tally.note_error("a voice came to whom it was not for"),
            None => tally.note_error("what came was said by nobody"),
        }
    }
}

/// Returns stream and number of a packet of RTP, of which these stand in clear (RFC 3711).
fn voice_of(datagram: &[u8]) -> Option<(u32, u16)> {
    let header = datagram.first_chunk::<12>()?;
    let is_rtp = header[0] >> 6 == 2 && !(192..224).contains(&header[1]);
    let [_, _, high, low, _, _, _, _, ssrc @ ..] = *header;
    is_rtp.then(|| (u32::from_be_bytes(ssrc), u16::from_be_bytes([high, low])))
}

/// Ticks of Opus' clock in one packet.
const TICKS: u64 = 960;
/// How loud everybody speaks, in dBov.
const LEVEL: i8 = -30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_voices_are_told_from_the_rest() {
        let mut datagram = [0x80, 111, 1, 2, 0, 0, 0, 0, 0, 0, 1, 7, 9];
        assert_eq!(voice_of(&datagram), Some((263, 258)));
        datagram[1] = 200;
        assert_eq!(voice_of(&datagram), None);
        datagram[1] = 111 | 0x80;
        assert_eq!(voice_of(&datagram), Some((263, 258)));
        datagram[0] = 1;
        assert_eq!(voice_of(&datagram), None);
        assert_eq!(voice_of(&datagram[..11]), None);
    }
}
