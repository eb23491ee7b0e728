//! Reading the write-ahead log back after a start.

use std::io;

use bytes::Bytes;

use crate::disk::{Disk, DiskFile};
use crate::error::{Corrupt, OpenError};
use crate::frame::{ALIGN, Frame, HEADER_LEN, Header, Kind};
use crate::lsn::Lsn;
use crate::wal;

/// Bytes read at a time; more where one frame is larger.
const WINDOW_BYTES: u64 = 1 << 20;

/// Where reading a segment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// At a seal: the log goes on in the segment of this number.
    Sealed { next: u32 },
    /// Where no whole frame follows.
    Stopped { at: u32 },
}

/// Takes what replay finds, in order.
pub(crate) trait Sink {
    /// Takes a frame that lies at `at` in the window that follows.
    fn frame(&mut self, frame: Frame<'_>, at: u32) -> Result<(), &'static str>;
    /// Takes the window in which the last frames lay.
    fn window(&mut self, window: Bytes);
}

/// Reads frames of one segment from `at` until none follows.
pub(crate) fn read_segment<F: DiskFile>(
    file: &F,
    number: u32,
    mut at: u32,
    sink: &mut impl Sink,
) -> Result<End, OpenError> {
    let file_len = file.len()?.min(u64::from(u32::MAX));
    if file_len < u64::from(at) {
        return Err(corrupt(number, file_len, "the file is cut short"));
    }
    let mut wanted = WINDOW_BYTES;
    loop {
        let len = wanted.min(file_len - u64::from(at));
        let mut bytes = vec![0; len as usize];
        file.read_exact_at(&mut bytes, u64::from(at))?;
        let last = u64::from(at) + len == file_len;
        let (used, step) = read_window(&bytes, Lsn::new(number, at), sink).map_err(|bad| {
            let at = u64::from(at) + bad.at as u64;
            corrupt(number, at, bad.what)
        })?;
        if used > 0 {
            let whole = used * 2 > bytes.len();
            sink.window(match whole {
                true => Bytes::from(bytes).slice(..used),
                // A mostly empty window is not kept alive for a few frames.
                false => Bytes::copy_from_slice(&bytes[..used]),
            });
        }
        at += used as u32;
        wanted = match step {
            Step::Sealed { next } => return Ok(End::Sealed { next }),
            Step::Stopped => return Ok(End::Stopped { at }),
            Step::More { .. } if last => return Ok(End::Stopped { at }),
            Step::More { bytes } => WINDOW_BYTES.max(bytes as u64),
        };
    }
}

struct BadFrame {
    at: usize,
    what: &'static str,
}

enum Step {
    /// The next frame needs this many bytes.
    More {
        bytes: usize,
    },
    Sealed {
        next: u32,
    },
    Stopped,
}

fn read_window(window: &[u8], start: Lsn, sink: &mut impl Sink) -> Result<(usize, Step), BadFrame> {
    let mut at = 0;
    loop {
        let rest = &window[at..];
        if rest.len() < HEADER_LEN {
            let step = Step::More { bytes: HEADER_LEN };
            return Ok((at, step));
        }
        let Some(header) = Header::check(rest, start.plus(at as u32)) else {
            return Ok((at, Step::Stopped));
        };
        if rest.len() < header.frame_len() {
            let bytes = header.frame_len();
            return Ok((at, Step::More { bytes }));
        }
        let Some(frame) = Frame::check(rest, header) else {
            return Ok((at, Step::Stopped));
        };
        if header.kind == Kind::Seal {
            let next = u32::try_from(header.first).map_err(|_| BadFrame {
                at,
                what: "the seal names no segment",
            })?;
            return Ok((at, Step::Sealed { next }));
        }
        sink.frame(frame, at as u32)
            .map_err(|what| BadFrame { at, what })?;
        at += header.frame_len();
    }
}

/// What lies behind the end of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Remains {
    /// The furthest position that a frame found there says was durable.
    pub(crate) durable: Lsn,
    /// Bytes from the end of the log to the last trace of a frame in the same segment.
    pub(crate) bytes: u64,
    /// Whether there are traces in segments that follow.
    pub(crate) later: bool,
}

/// Looks for traces of frames from `end` on, in its segment and in all that follow.
pub(crate) fn find_remains<D: Disk>(disk: &D, end: Lsn) -> Result<Remains, OpenError> {
    let mut remains = Remains::default();
    for name in disk.list()? {
        let Some(number) = wal::file_number(&name) else {
            continue;
        };
        if number < end.segment() {
            continue;
        }
        let first = number == end.segment();
        let start = if first { end.at() } else { 0 };
        let file = disk.open_read(&name)?;
        let found = find_in_segment(&file, Lsn::new(number, start))?;
        remains.durable = remains.durable.max(found.durable);
        if first {
            remains.bytes = found.bytes;
        } else {
            remains.later |= found.bytes > 0;
        }
    }
    Ok(remains)
}

fn find_in_segment<F: DiskFile>(file: &F, start: Lsn) -> io::Result<Remains> {
    let mut remains = Remains::default();
    let file_len = file.len()?.min(u64::from(u32::MAX));
    let mut window = vec![0; WINDOW_BYTES as usize + HEADER_LEN];
    let mut at = u64::from(start.at());
    while at < file_len {
        let len = (file_len - at).min(window.len() as u64) as usize;
        file.read_exact_at(&mut window[..len], at)?;
        let lsn = Lsn::new(start.segment(), at as u32);
        let mut note = |offset: usize| {
            let rest = &window[offset..len];
            let mut frame_len = HEADER_LEN as u64;
            if let Some(header) = Header::check(rest, lsn.plus(offset as u32)) {
                remains.durable = remains.durable.max(header.durable);
                frame_len = header.frame_len() as u64;
            }
            let end = (at + offset as u64 + frame_len).min(file_len);
            remains.bytes = remains.bytes.max(end - u64::from(start.at()));
        };
        if lsn == start && Header::is_remnant(&window[..len], lsn) {
            note(0);
        }
        find_names(&window[..len.min(WINDOW_BYTES as usize + 16)], lsn, note);
        at += WINDOW_BYTES;
    }
    Ok(remains)
}

/// Finds where headers may be that name their own place; `window` lies at `lsn`.
fn find_names(window: &[u8], lsn: Lsn, mut note: impl FnMut(usize)) {
    /// Words compared at once, which the compiler does with wide instructions.
    const BLOCK: usize = 64;
    let names = window.get(8..).unwrap_or_default();
    let (words, _) = names.as_chunks::<ALIGN>();
    for (index, block) in words.chunks(BLOCK).enumerate() {
        let first = lsn.0 + (index * BLOCK * ALIGN) as u64;
        let is_name = |(at, word): (usize, &[u8; ALIGN])| {
            u64::from_le_bytes(*word) == first + (at * ALIGN) as u64
        };
        let mut found = false;
        for word in block.iter().enumerate() {
            found |= is_name(word);
        }
        if found {
            let at = (0..block.len()).filter(|&at| is_name((at, &block[at])));
            at.for_each(|at| note((index * BLOCK + at) * ALIGN));
        }
    }
}

pub(crate) fn corrupt(number: u32, at: u64, what: &'static str) -> OpenError {
    OpenError::Corrupt(Corrupt {
        file: wal::file_name(number),
        at,
        what,
    })
}
