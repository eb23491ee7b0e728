//! What a browser offers.

use floe_core::voice::MediaError;
use str0m::change::SdpOffer;
use str0m::media::{MediaKind, Mid, Rid};

use crate::config::Config;
use crate::video::LAYERS_MAX;

/// What a browser offers.
#[derive(Debug)]
pub struct Offer {
    /// All of it but the candidates: the server never sends anywhere but to where somebody has proved
    /// to be.
    pub sdp: SdpOffer,
    /// The browser's certificate.
    pub fingerprint: Box<str>,
    /// The media for sound and pictures, in order.
    pub sections: Vec<(Mid, MediaKind)>,
    /// The forms in which pictures are sent at once, by medium.
    pub layers: Vec<(Mid, Vec<Rid>)>,
}

impl Offer {
    /// Reads an offer.
    ///
    /// # Errors
    /// Where it is malformed, or more than what is allowed.
    pub fn read(sdp: &str, config: &Config) -> Result<Self, MediaError> {
        let refuse = |why: &str| MediaError::Signal(why.into());
        let limit = |message: String| Err(MediaError::Limit(message.into()));
        let (bytes_max, sections_max) = (config.sdp_bytes_max, config.sections_max);
        if sdp.len() > bytes_max {
            return limit(format!("an offer has at most {bytes_max} bytes"));
        }
        let mut kept = String::with_capacity(sdp.len());
        let mut fingerprint = None;
        let mut sections = Vec::new();
        let mut layers = Vec::new();
        let mut offered = 0;
        let mut medium = "";
        let mut kind = None;
        let mut sending = Sending::default();
        for line in sdp.lines() {
            // Voices are not worth being told of the arrival of each packet.
            let is_about_arrival = || line.contains("transport-cc") || line.contains(ARRIVAL);
            let is_of_voice = line.starts_with("a=") && medium == "audio";
            if line.starts_with("a=candidate:") || is_of_voice && is_about_arrival() {
                continue;
            }
            if let Some(said) = line.strip_prefix("m=") {
                offered += 1;
                sending.section(said);
                medium = said.split(' ').next().unwrap_or_default();
                kind = match medium {
                    "audio" => Some(MediaKind::Audio),
                    "video" => Some(MediaKind::Video),
                    _ => None,
                };
            } else if let Some(said) = line.strip_prefix("a=mid:") {
                // A medium has one name.
                sections.extend(kind.take().map(|kind| (Mid::from(said.trim()), kind)));
            } else if let Some(said) = line.strip_prefix("a=fingerprint:") {
                fingerprint = fingerprint.or(Some(said.trim()));
            } else if let Some(said) = line.strip_prefix("a=simulcast:")
                && let Some((mid, _)) = sections.last()
            {
                layers.push((*mid, layers_of(said)));
            } else {
                sending.line(line.trim_end());
            }
            kept.push_str(line);
            kept.push_str("\r\n");
        }
        if offered > sections_max {
            return limit(format!("an offer has at most {sections_max} media"));
        }
        let tracks_max = config.tracks_max;
        if sending.count() > tracks_max {
            return limit(format!("a browser sends at most {tracks_max} tracks"));
        }
        let fingerprint = fingerprint.ok_or_else(|| refuse("there is no fingerprint"))?;
        let sdp = SdpOffer::from_sdp_string(&kept).map_err(|error| refuse(&error.to_string()))?;
        Ok(Self {
            sdp,
            fingerprint: fingerprint.into(),
            sections,
            layers,
        })
    }

    /// Whether something of it is for pictures.
    pub fn has_pictures(&self) -> bool {
        let mut kinds = self.sections.iter();
        kinds.any(|(_, kind)| *kind == MediaKind::Video)
    }
}

/// Part of the address of the header extension that numbers the packets of a transport.
const ARRIVAL: &str = "transport-wide-cc";

/// Returns what a browser calls the forms that it sends at once (RFC 8853); the first of what is
/// alternative, and at most so many as are of use.
fn layers_of(said: &str) -> Vec<Rid> {
    let mut words = said.split_whitespace();
    let sent = words.find(|word| *word == "send").and(words.next());
    let names = sent.unwrap_or_default().split(';');
    let names = names.filter_map(|name| name.split(',').next());
    let names = names.filter(|name| !name.is_empty());
    let names = names.map(|name| Rid::from(name.trim_start_matches('~')));
    names.take(LAYERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_those_that_the_browser_sends() {
        let names = |said| {
            let layers = layers_of(said);
            layers.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(names("send low;medium;high"), ["low", "medium", "high"]);
        assert_eq!(names("recv x send a,b;~c"), ["a", "c"]);
        assert_eq!(names("recv x"), Vec::<String>::new());
        assert_eq!(names("send"), Vec::<String>::new());
    }
}

/// Counts the media of an offer by which a browser would send.
#[derive(Debug, Default)]
struct Sending {
    count: usize,
    /// Whether the medium that is read is one, as far as it was read.
    is_one: bool,
}

impl Sending {
    fn section(&mut self, said: &str) {
        self.count = self.count();
        let [kind, port] = [0, 1].map(|at| said.split(' ').nth(at).unwrap_or_default());
        // Port 0 is a medium that is given up; without a word about it, a medium goes both ways (RFC 8866).
        self.is_one = matches!(kind, "audio" | "video") && port != "0";
    }

    fn line(&mut self, line: &str) {
        if matches!(line, "a=recvonly" | "a=inactive") {
            self.is_one = false;
        }
    }

    fn count(&self) -> usize {
        self.count + usize::from(self.is_one)
    }
}
