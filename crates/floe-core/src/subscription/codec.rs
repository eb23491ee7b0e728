//! The bytes of one subscription's durable state.

use std::collections::{BTreeMap, BTreeSet};

use floe_proto::Millis;
use floe_proto::codec::{Put, Reader};

use super::config::{Config, Target};
use super::link::{Link, Links, TailKnown};
use super::one::Subscription;
use super::pattern::Pattern;
use super::wake::{State, Wake};

const VERSION: u8 = 1;

const WEBHOOK: u8 = 1;
const PULL_WAKE: u8 = 2;

const LINK_EXPLICIT: u8 = 1;
const LINK_ASKED: u8 = 2;

const UNCLAIMED: u8 = 1;
const CLAIMED: u8 = 2;
const SENDING: u8 = 3;
const DELIVERED: u8 = 4;
const RETRYING: u8 = 5;

impl Subscription {
    /// Returns the bytes that [`Subscription::decode`] reads.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_u8(VERSION);
        out.put_bytes(self.id.as_bytes());
        out.put_u64(self.created_at.0);
        put_u128(self.secret, &mut out);
        encode_config(&self.config, &mut out);
        out.put_u8(u8::from(self.backfilled));
        out.put_varint(self.generation);
        out.put_varint(u64::from(self.failures));
        encode_links(&self.links, &mut out);
        out.put_u8(u8::from(self.wake.is_some()));
        if let Some(wake) = &self.wake {
            encode_wake(wake, &mut out);
        }
        out
    }

    /// Reads a subscription back; `None` when the bytes are not one.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != VERSION {
            return None;
        }
        let one = Self {
            id: reader.str()?.into(),
            created_at: Millis(reader.u64()?),
            secret: take_u128(&mut reader)?,
            config: decode_config(&mut reader)?,
            backfilled: flag(&mut reader)?,
            generation: reader.varint()?,
            failures: u32::try_from(reader.varint()?).ok()?,
            links: decode_links(&mut reader)?,
            wake: match flag(&mut reader)? {
                true => Some(decode_wake(&mut reader)?),
                false => None,
            },
            dirty: false,
            scheduled: None,
        };
        reader.is_empty().then_some(one)
    }
}

fn encode_config(config: &Config, out: &mut Vec<u8>) {
    match &config.target {
        Target::Webhook { url, base } => {
            out.put_u8(WEBHOOK);
            out.put_bytes(url.as_bytes());
            out.put_bytes(base.as_bytes());
        }
        Target::PullWake { wake_stream } => {
            out.put_u8(PULL_WAKE);
            out.put_bytes(wake_stream.as_bytes());
        }
    }
    put_text(config.pattern.as_ref().map(Pattern::as_str), out);
    out.put_varint(config.streams.len() as u64);
    for path in &config.streams {
        out.put_bytes(path.as_bytes());
    }
    out.put_varint(config.lease_ms);
    put_text(config.description.as_deref(), out);
}

fn decode_config(reader: &mut Reader<'_>) -> Option<Config> {
    let target = match reader.u8()? {
        WEBHOOK => Target::Webhook {
            url: reader.str()?.into(),
            base: reader.str()?.into(),
        },
        PULL_WAKE => Target::PullWake {
            wake_stream: reader.str()?.into(),
        },
        _ => return None,
    };
    let pattern = match text(reader)? {
        Some(pattern) => Some(Pattern::new(pattern).ok()?),
        None => None,
    };
    let mut streams = BTreeSet::new();
    for _ in 0..reader.varint()? {
        streams.insert(reader.str()?.into());
    }
    Some(Config {
        target,
        pattern,
        streams,
        lease_ms: reader.varint()?,
        description: text(reader)?.map(Into::into),
    })
}

fn encode_links(links: &Links, out: &mut Vec<u8>) {
    out.put_varint(links.refused);
    out.put_varint(links.len() as u64);
    for (path, link) in links.iter() {
        let asked = link.tail_known == TailKnown::Never;
        out.put_bytes(path.as_bytes());
        out.put_u8(
            if link.explicit { LINK_EXPLICIT } else { 0 } | if asked { LINK_ASKED } else { 0 },
        );
        out.put_varint(link.acked);
        out.put_varint(link.tail);
    }
}

fn decode_links(reader: &mut Reader<'_>) -> Option<Links> {
    let mut links = Links::default();
    links.refused = reader.varint()?;
    for _ in 0..reader.varint()? {
        let path = reader.str()?;
        let flags = reader.u8()?;
        let mut link = Link::new(
            flags & LINK_EXPLICIT != 0,
            reader.varint()?,
            reader.varint()?,
        );
        link.tail_known = match flags & LINK_ASKED {
            0 => TailKnown::Once,
            _ => TailKnown::Never,
        };
        if flags & !(LINK_EXPLICIT | LINK_ASKED) != 0 {
            return None;
        }
        link.stored = true;
        links.insert(path, link);
    }
    Some(links)
}

fn encode_wake(wake: &Wake, out: &mut Vec<u8>) {
    put_u128(wake.id, out);
    put_u128(wake.token, out);
    out.put_varint(wake.snapshot.len() as u64);
    for (path, tail) in &wake.snapshot {
        out.put_bytes(path.as_bytes());
        out.put_varint(*tail);
    }
    let (tag, time) = match &wake.state {
        State::Unclaimed => (UNCLAIMED, None),
        State::Claimed { until, .. } => (CLAIMED, Some(until)),
        State::Sending { until } => (SENDING, Some(until)),
        State::Delivered { until } => (DELIVERED, Some(until)),
        State::Retrying { at } => (RETRYING, Some(at)),
    };
    out.put_u8(tag);
    if let Some(time) = time {
        out.put_u64(time.0);
    }
    if let State::Claimed { worker, .. } = &wake.state {
        out.put_bytes(worker.as_bytes());
    }
}

fn decode_wake(reader: &mut Reader<'_>) -> Option<Wake> {
    let id = take_u128(reader)?;
    let token = take_u128(reader)?;
    let mut snapshot = BTreeMap::new();
    for _ in 0..reader.varint()? {
        snapshot.insert(reader.str()?.into(), reader.varint()?);
    }
    let tag = reader.u8()?;
    let time = match tag {
        UNCLAIMED => Millis::default(),
        _ => Millis(reader.u64()?),
    };
    let state = match tag {
        UNCLAIMED => State::Unclaimed,
        CLAIMED => State::Claimed {
            until: time,
            worker: reader.str()?.into(),
        },
        SENDING => State::Sending { until: time },
        DELIVERED => State::Delivered { until: time },
        RETRYING => State::Retrying { at: time },
        _ => return None,
    };
    Some(Wake {
        id,
        token,
        snapshot,
        state,
    })
}

fn put_text(text: Option<&str>, out: &mut Vec<u8>) {
    out.put_u8(u8::from(text.is_some()));
    if let Some(text) = text {
        out.put_bytes(text.as_bytes());
    }
}

fn text<'a>(reader: &mut Reader<'a>) -> Option<Option<&'a str>> {
    match flag(reader)? {
        true => reader.str().map(Some),
        false => Some(None),
    }
}

fn put_u128(value: u128, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn take_u128(reader: &mut Reader<'_>) -> Option<u128> {
    let bytes = reader.take(16)?;
    Some(u128::from_le_bytes(bytes.try_into().ok()?))
}

fn flag(reader: &mut Reader<'_>) -> Option<bool> {
    match reader.u8()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}
