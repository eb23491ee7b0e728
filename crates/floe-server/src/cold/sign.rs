//! Signing requests to an S3-compatible store (AWS Signature Version 4, in header fields).
//!
//! It is here because it is short and `ring` has all that it needs. It signs what the cold tier
//! sends and no more: paths are taken as they are, so they may only hold characters that need no
//! percent signs.

use std::fmt::Write as _;

use aws_lc_rs::{digest, hmac};

/// What requests are signed with. It is never shown.
#[derive(Clone)]
pub(super) struct Secrets {
    pub key: String,
    pub secret: String,
    pub token: Option<String>,
}

/// What is signed of a request.
pub(super) struct Unsigned<'a> {
    pub method: &'static str,
    /// Host, and port unless it is the scheme's own.
    pub host: &'a str,
    pub path: &'a str,
    /// Names and values as they are.
    pub query: &'a [(&'static str, &'a str)],
    pub body: &'a [u8],
    pub region: &'a str,
    /// Seconds since 1970.
    pub now_s: u64,
}

impl Unsigned<'_> {
    /// Returns the header fields that make the request a signed one.
    pub fn sign(&self, secrets: &Secrets) -> Vec<(&'static str, String)> {
        let time = amz_time(self.now_s);
        let (date, _) = time.split_at(8);
        let hash = hex(digest::digest(&digest::SHA256, self.body).as_ref());
        let mut fields = vec![
            ("host", self.host.to_owned()),
            ("x-amz-content-sha256", hash.clone()),
            ("x-amz-date", time.clone()),
        ];
        if let Some(token) = &secrets.token {
            fields.push(("x-amz-security-token", token.clone()));
        }
        let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let mut canonical = format!("{}\n{}\n{}\n", self.method, self.path, self.query());
        for (name, value) in &fields {
            // Writing to a string cannot fail.
            let _ = writeln!(canonical, "{name}:{value}");
        }
        let _ = write!(canonical, "\n{names}\n{hash}");
        let scope = format!("{date}/{}/s3/aws4_request", self.region);
        let canonical = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{canonical}");
        let mut key = mac(format!("AWS4{}", secrets.secret).as_bytes(), date);
        for word in [self.region, "s3", "aws4_request"] {
            key = mac(key.as_ref(), word);
        }
        let signature = hex(mac(key.as_ref(), &text).as_ref());
        // The client adds the host itself.
        fields.remove(0);
        let key = &secrets.key;
        fields.push((
            "authorization",
            format!(
                "AWS4-HMAC-SHA256 Credential={key}/{scope},SignedHeaders={names},Signature={signature}"
            ),
        ));
        fields
    }

    /// Returns the query as it is sent and signed.
    pub fn query(&self) -> String {
        let pairs = self.query.iter();
        let mut pairs: Vec<String> = pairs
            .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
            .collect();
        pairs.sort();
        pairs.join("&")
    }
}

fn mac(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(byte.into());
            }
            byte => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// Writes a time like `20130524T000000Z`.
fn amz_time(now_s: u64) -> String {
    let (days, second) = (now_s / 86_400, now_s % 86_400);
    // Years begin in March here, so that a leap day is the last of its year.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = year + era * 400 + later;
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    let second = second % 60;
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Secrets {
        Secrets {
            key: "AKIAIOSFODNN7EXAMPLE".into(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            token: None,
        }
    }

    fn signature(unsigned: &Unsigned<'_>) -> String {
        let fields = unsigned.sign(&example());
        let (_, value) = fields.last().unwrap();
        value.rsplit_once('=').unwrap().1.to_owned()
    }

    /// The example "GET Bucket (List Objects)" of Amazon's documentation of the signature.
    #[test]
    fn a_listing_is_signed_as_in_the_documentation() {
        let unsigned = Unsigned {
            method: "GET",
            host: "examplebucket.s3.amazonaws.com",
            path: "/",
            query: &[("prefix", "J"), ("max-keys", "2")],
            body: b"",
            region: "us-east-1",
            now_s: 1_369_353_600,
        };
        assert_eq!(
            signature(&unsigned),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        );
    }

    #[test]
    fn a_token_is_signed_and_sent() {
        let unsigned = Unsigned {
            method: "PUT",
            host: "127.0.0.1:9000",
            path: "/bucket/key",
            query: &[],
            body: b"hello",
            region: "us-east-1",
            now_s: 0,
        };
        let with_token = Secrets {
            token: Some("a-token".into()),
            ..example()
        };
        let fields = unsigned.sign(&with_token);
        assert!(fields.contains(&("x-amz-security-token", "a-token".into())));
        let (name, value) = fields.last().unwrap();
        assert_eq!(*name, "authorization");
        assert!(
            value.contains("x-amz-date;x-amz-security-token,"),
            "{value}"
        );
        assert!(!value.contains(&with_token.secret));
    }

    #[test]
    fn times_and_queries_are_written_as_they_are_signed() {
        for (now_s, time) in [
            (0, "19700101T000000Z"),
            (1_369_353_600, "20130524T000000Z"),
            (1_709_251_199, "20240229T235959Z"),
            (1_709_251_200, "20240301T000000Z"),
            (4_102_444_799, "20991231T235959Z"),
        ] {
            assert_eq!(amz_time(now_s), time);
        }
        let unsigned = Unsigned {
            method: "GET",
            host: "host",
            path: "/",
            query: &[("prefix", "a/b c"), ("list-type", "2")],
            body: b"",
            region: "r",
            now_s: 0,
        };
        assert_eq!(unsigned.query(), "list-type=2&prefix=a%2Fb%20c");
    }
}
