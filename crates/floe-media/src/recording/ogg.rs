//! Ogg (RFC 3533) around one stream of Opus (RFC 7845).

use super::opus::RATE;

/// Gathers packets into pages. Each packet begins and ends in one page.
#[derive(Debug)]
pub struct Pages {
    serial: u32,
    /// The number of the next page.
    sequence: u32,
    /// Samples in all packets so far.
    granule: u64,
    /// Samples in the packets of this page.
    filled: u64,
    /// The lengths of this page's packets, in segments.
    segments: Vec<u8>,
    body: Vec<u8>,
}

/// What a decoder leaves out at the beginning: what encoders of browsers are behind, in samples.
pub const PRE_SKIP: u16 = 312;
/// Bytes of a packet, at most.
pub const PACKET_BYTES_MAX: usize = 4_096;

/// Segments of a page.
const SEGMENTS_MAX: usize = 255;
/// Bytes of a page's header without its segments.
const HEADER: usize = 27;
/// How long a page is, about: one second is what a crash may take.
const PAGE_SAMPLES: u64 = RATE;
const CAPTURE: &[u8; 4] = b"OggS";
const FIRST: u8 = 2;
const LAST: u8 = 4;

impl Pages {
    /// Begins a stream, which is told from others by its serial number.
    pub const fn new(serial: u32) -> Self {
        Self {
            serial,
            sequence: 0,
            granule: 0,
            filled: 0,
            segments: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Returns the two pages that a stream begins with. Of the comments, those that fit are said.
    pub fn begin(&mut self, channels: u8, comments: &[(&str, &str)]) -> Vec<u8> {
        let mut head = b"OpusHead\x01".to_vec();
        head.push(channels);
        head.extend(PRE_SKIP.to_le_bytes());
        head.extend(48_000_u32.to_le_bytes());
        // No gain, and the order of channels that needs no table.
        head.extend([0, 0, 0]);
        self.gather(&head);
        let mut bytes = self.take(FIRST);
        self.gather(&tags(comments));
        bytes.extend(self.take(0));
        bytes
    }

    /// Whether a packet of so many bytes has a place in this page.
    pub fn fits(&self, bytes: usize) -> bool {
        self.filled < PAGE_SAMPLES && self.segments.len() + bytes / 255 < SEGMENTS_MAX
    }

    /// Adds a packet that [fits](Self::fits).
    pub fn push(&mut self, packet: &[u8], samples: u32) {
        self.gather(packet);
        self.filled += u64::from(samples);
        self.granule += u64::from(samples);
    }

    /// Returns this page, and begins the next.
    pub fn next(&mut self) -> Vec<u8> {
        self.take(0)
    }

    /// Returns the last page, which may hold nothing but that it is.
    pub fn last(&mut self) -> Vec<u8> {
        self.take(LAST)
    }

    /// Samples in all packets so far.
    pub const fn samples(&self) -> u64 {
        self.granule
    }

    fn gather(&mut self, packet: &[u8]) {
        let mut rest = packet.len();
        while let Some(less) = rest.checked_sub(255) {
            self.segments.push(255);
            rest = less;
        }
        // Less than 255 by now.
        self.segments.push((rest & 0xFF) as u8);
        self.body.extend(packet);
    }

    fn take(&mut self, flags: u8) -> Vec<u8> {
        let mut page = Vec::with_capacity(HEADER + self.segments.len() + self.body.len());
        page.extend(CAPTURE);
        page.extend([0, flags]);
        page.extend(self.granule.to_le_bytes());
        page.extend(self.serial.to_le_bytes());
        page.extend(self.sequence.to_le_bytes());
        page.extend([0; 4]);
        page.push((self.segments.len() & 0xFF) as u8);
        page.append(&mut self.segments);
        page.append(&mut self.body);
        let sum = checksum(&page);
        page[22..26].copy_from_slice(&sum.to_le_bytes());
        self.sequence += 1;
        self.filled = 0;
        page
    }
}

/// Finds where a file that was not finished is still whole, page by page.
#[derive(Debug, Default)]
pub struct Whole {
    /// Bytes of all pages so far.
    bytes: u64,
    serial: u32,
    pages: u32,
    granule: u64,
    is_ended: bool,
}

/// Bytes of a page that must be known to know how many there are.
pub const PAGE_HEADER: usize = HEADER;
/// Bytes of the longest page.
pub const PAGE_BYTES_MAX: usize = HEADER + SEGMENTS_MAX + SEGMENTS_MAX * 255;

impl Whole {
    /// Returns how many bytes the header of a page has with its segments, by its first
    /// [`PAGE_HEADER`]; `None` for what begins no page.
    #[must_use]
    pub fn header_len(header: &[u8]) -> Option<usize> {
        let is_page = header.starts_with(CAPTURE);
        let segments = usize::from(*header.get(HEADER - 1)?);
        is_page.then_some(HEADER + segments)
    }

    /// Returns how many bytes a page has, by its whole header.
    #[must_use]
    pub fn page_len(header: &[u8]) -> usize {
        let segments = header.get(HEADER..).unwrap_or_default();
        let body: usize = segments.iter().map(|bytes| usize::from(*bytes)).sum();
        header.len() + body
    }

    /// Takes the next page in; `false` where it is not whole, or not the next of the stream.
    pub fn page(&mut self, page: &[u8]) -> bool {
        let Some(sum) = page.get(22..26) else {
            return false;
        };
        let mut zeroed = page.to_vec();
        zeroed[22..26].fill(0);
        let serial = number(page, 14);
        let follows = number(page, 18) == self.pages && (self.pages == 0 || serial == self.serial);
        if checksum(&zeroed).to_le_bytes() != sum || !follows || self.is_ended {
            return false;
        }
        self.serial = serial;
        self.pages += 1;
        self.bytes += page.len() as u64;
        self.granule = u64::from(number(page, 6)) | u64::from(number(page, 10)) << 32;
        self.is_ended = page[5] & LAST != 0;
        true
    }

    /// Bytes of the pages that are whole.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How long they sound.
    #[must_use]
    pub fn duration_ms(&self) -> u64 {
        sounds_ms(self.granule)
    }

    /// Whether there is anything to be heard.
    #[must_use]
    pub const fn is_heard(&self) -> bool {
        self.granule > 0
    }

    /// Returns the page that is to follow, where none of them was the last.
    #[must_use]
    pub fn end(&self) -> Option<Vec<u8>> {
        let mut pages = Pages {
            sequence: self.pages,
            granule: self.granule,
            ..Pages::new(self.serial)
        };
        (!self.is_ended).then(|| pages.last())
    }
}

/// Returns how long a stream of so many samples sounds, in milliseconds.
pub fn sounds_ms(samples: u64) -> u64 {
    samples.saturating_sub(PRE_SKIP.into()) / (RATE / 1_000)
}

fn tags(comments: &[(&str, &str)]) -> Vec<u8> {
    /// Bytes of all comments, so that they are one page.
    const BYTES_MAX: usize = 16 * 1_024;
    let mut said = 0_u32;
    let mut list = Vec::new();
    for (name, value) in comments {
        let comment = format!("{name}={value}");
        if list.len() + comment.len() <= BYTES_MAX
            && let Ok(len) = u32::try_from(comment.len())
        {
            said += 1;
            list.extend(len.to_le_bytes());
            list.extend(comment.as_bytes());
        }
    }
    let mut tags = b"OpusTags\x04\0\0\0floe".to_vec();
    tags.extend(said.to_le_bytes());
    tags.append(&mut list);
    tags
}

fn number(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes.get(at..).and_then(|bytes| bytes.first_chunk());
    bytes.copied().map_or(0, u32::from_le_bytes)
}

/// Sums up a page whose sum is zero so far.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum, byte| {
        let at = (sum >> 24) as u8 ^ byte;
        sum << 8 ^ SUMS[usize::from(at)]
    })
}

const SUMS: [u32; 256] = {
    let mut sums = [0; 256];
    let mut at = 0;
    while at < 256 {
        let mut sum = (at as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum >> 31 == 1 {
                sum << 1 ^ 0x04C1_1DB7
            } else {
                sum << 1
            };
            bit += 1;
        }
        sums[at] = sum;
        at += 1;
    }
    sums
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_begins_and_ends_with_these_bytes() {
        let mut pages = Pages::new(0x0102_0304);
        let begin = pages.begin(1, &[("ARTIST", "ann")]);
        let (head, tags) = begin.split_at(27 + 1 + 19);
        let mut expected = b"OggS\0\x02\0\0\0\0\0\0\0\0\x04\x03\x02\x01\0\0\0\0".to_vec();
        expected.extend(&head[22..26]);
        expected.extend(b"\x01\x13OpusHead\x01\x01\x38\x01\x80\xBB\0\0\0\0\0");
        assert_eq!(head, expected);
        assert!(tags.ends_with(b"OpusTags\x04\0\0\0floe\x01\0\0\0\x0A\0\0\0ARTIST=ann"));
        pages.push(&[7; 255], 960);
        let last = pages.last();
        assert_eq!(last[..6], *b"OggS\0\x04");
        assert_eq!(last[6..14], 960_u64.to_le_bytes());
        assert_eq!(last[26..29], [2, 255, 0]);
        assert_eq!(last.len(), 27 + 2 + 255);
    }

    #[test]
    fn the_checksum_is_the_one_of_ogg() {
        // The check value of CRC-32 with this polynomial, not reflected, from zero and not inverted.
        assert_eq!(checksum(b"123456789"), 0x89A1_897F);
    }

    #[test]
    fn what_a_crash_left_is_whole_up_to_a_page_and_can_be_ended_there() {
        let mut pages = Pages::new(9);
        let mut file = pages.begin(1, &[]);
        for _ in 0..3 {
            pages.push(&[0xF8, 0xFF, 0xFE], 960);
            file.extend(pages.next());
        }
        let whole_bytes = file.len();
        pages.push(&[0xF8, 0xFF, 0xFE], 960);
        let torn = pages.next();
        file.extend(&torn[..torn.len() - 1]);
        let mut whole = Whole::default();
        let mut rest = &file[..];
        while let Some(len) = rest.get(..PAGE_HEADER).and_then(Whole::header_len)
            && let Some(header) = rest.get(..len)
            && let Some(page) = rest.get(..Whole::page_len(header))
            && whole.page(page)
        {
            rest = &rest[page.len()..];
        }
        assert_eq!(whole.bytes(), whole_bytes as u64);
        assert_eq!(whole.duration_ms(), (3 * 960 - 312) / 48);
        let end = whole.end().unwrap();
        assert!(whole.page(&end));
        assert_eq!(whole.end(), None);
        assert!(!whole.page(&torn), "after the end");
        assert!(!Whole::default().page(&torn), "not the first");
        assert!(!Whole::default().page(&[]));
    }
}
