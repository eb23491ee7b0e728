//! Requests that are read from their path and query.

use std::borrow::Cow;

use floe_proto::{ChannelId, SearchMode};

use super::{
    Ask, Fields, Filter, Found, List, Place, Presences, Read, Seek, WaitFor, channel, chars,
    event_seq, limit, namespace, page,
};
use crate::channels::bounds::Bounds;
use crate::channels::params::{Params, whole};
use crate::channels::reject::Fault;
use crate::channels::route::{Form, Matched, Operation};

/// Reads a GET.
pub(super) fn read<'a>(
    form: Form,
    matched: &Matched<'a>,
    query: &'a str,
    fields: &mut Fields<'a>,
    bounds: &Bounds,
) -> Result<Ask<'a>, Fault> {
    let endpoint = matched.endpoint;
    let mut params = Params::read(query, endpoint.params, form.is_kept())?;
    let [id, seq, _] = matched.captures;
    let params = &mut params;
    Ok(match endpoint.operation {
        Operation::Ping => Ask::Ping,
        Operation::OpenApi => Ask::OpenApi,
        Operation::Limits => Ask::Limits,
        Operation::Subscribe => subscribe(form, id, params, fields)?,
        Operation::Poll => {
            let channel = channel(id)?;
            fields.credentials.query_token(params.text("token"));
            Ask::Poll {
                channel,
                after_seq: params.whole("afterSeq")?.unwrap_or(0),
                limit: limit_of(params, bounds)?,
            }
        }
        Operation::Read => Ask::Read(
            channel(id)?,
            Read {
                after_seq: params.whole("afterSeq")?,
                before_seq: params.whole("beforeSeq")?,
                limit: limit_of(params, bounds)?,
                newest_first: newest_first(params)?,
            },
        ),
        Operation::Event => {
            let channel = channel(id)?;
            Ask::Event {
                channel,
                seq: event_seq("seq", whole("seq", seq)?)?,
                wait_for: wait_for(params, Some(channel))?,
            }
        }
        Operation::Describe => Ask::Describe(channel(id)?),
        Operation::Realtime => Ask::Realtime(channel(id)?),
        Operation::Presence => Ask::Presence(
            channel(id)?,
            Presences {
                limit: limit_of(params, bounds)?,
                after: bounded(params, "after", bounds.author_chars_max)?,
            },
        ),
        Operation::List => Ask::List(List {
            namespace: namespace_of(params, bounds)?,
            limit: limit_of(params, bounds)?,
            page: page(params.text("page"), bounds)?,
        }),
        Operation::Query => filter(Place::Channel(channel(id)?), params, bounds)?,
        Operation::QueryAll => filter(
            Place::Namespace(namespace_of(params, bounds)?),
            params,
            bounds,
        )?,
        Operation::Search => seek(Place::Channel(channel(id)?), params, bounds)?,
        Operation::SearchAll => seek(
            Place::Namespace(namespace_of(params, bounds)?),
            params,
            bounds,
        )?,
        Operation::Create
        | Operation::Change
        | Operation::Remove
        | Operation::Append
        | Operation::Edit
        | Operation::React
        | Operation::Unreact
        | Operation::Delete
        | Operation::Token
        | Operation::Secret
        | Operation::Message(_)
        | Operation::Reads => return Err(super::not_allowed()),
    })
}

/// A browser that comes back asks with the address of the first time, so the event it saw last
/// goes before what the address says.
fn subscribe<'a>(
    form: Form,
    id: &str,
    params: &mut Params<'a>,
    fields: &mut Fields<'a>,
) -> Result<Ask<'a>, Fault> {
    let channel = if form.is_kept() {
        let name = form.id_name();
        let id = params.text(name).ok_or_else(|| Fault::missing(name))?;
        channel(&id)?
    } else {
        channel(id)?
    };
    fields.credentials.query_token(params.text("token"));
    let asked = params.whole("afterSeq")?;
    let seen = fields
        .last_event_id
        .map(|id| whole("Last-Event-ID", id))
        .transpose()?;
    Ok(Ask::Subscribe {
        channel,
        after_seq: seen.or(asked).unwrap_or(0),
    })
}

fn filter<'a>(place: Place, params: &mut Params<'a>, bounds: &Bounds) -> Result<Ask<'a>, Fault> {
    let wait_for = wait_for(params, place.channel())?;
    let what = Filter {
        after_seq: params.whole("afterSeq")?,
        before_seq: params.whole("beforeSeq")?,
        author_id: bounded(params, "authorId", bounds.author_chars_max)?,
        content_contains: bounded(params, "contentContains", bounds.query_chars_max)?,
        after_date: params.moment("afterDate")?,
        before_date: params.moment("beforeDate")?,
        newest_first: newest_first(params)?,
        limit: limit_of(params, bounds)?,
        page: page(params.text("page"), bounds)?,
    };
    Ok(Ask::Query(Found {
        place,
        what,
        wait_for,
    }))
}

fn seek<'a>(place: Place, params: &mut Params<'a>, bounds: &Bounds) -> Result<Ask<'a>, Fault> {
    let text = bounded(params, "q", bounds.query_chars_max)?.ok_or_else(|| Fault::missing("q"))?;
    let mode = match params.text("mode").as_deref() {
        None | Some("words") => SearchMode::Words,
        Some("substring") => SearchMode::Substring,
        Some(_) => return Err(Fault::invalid("mode is neither words nor substring")),
    };
    let wait_for = wait_for(params, place.channel())?;
    let what = Seek {
        text,
        mode,
        limit: limit_of(params, bounds)?,
        page: page(params.text("page"), bounds)?,
    };
    Ok(Ask::Search(Found {
        place,
        what,
        wait_for,
    }))
}

pub(in crate::channels) fn bounded(
    params: &mut Params<'_>,
    name: &str,
    max: usize,
) -> Result<Option<Box<str>>, Fault> {
    let text = params.text(name).map(|text| chars(name, text, max));
    Ok(text.transpose()?.map(Cow::into))
}

fn namespace_of(params: &mut Params<'_>, bounds: &Bounds) -> Result<Option<Box<str>>, Fault> {
    let text = params.text("namespace").map(|text| namespace(text, bounds));
    Ok(text.transpose()?.map(Cow::into))
}

pub(in crate::channels) fn limit_of(
    params: &mut Params<'_>,
    bounds: &Bounds,
) -> Result<u32, Fault> {
    limit(
        params.whole("limit")?,
        bounds.limit_default,
        bounds.limit_max,
    )
}

fn newest_first(params: &mut Params<'_>) -> Result<bool, Fault> {
    match params.text("order").as_deref() {
        None | Some("asc") => Ok(false),
        Some("desc") => Ok(true),
        Some(_) => Err(Fault::invalid("order is neither asc nor desc")),
    }
}

/// Reads the event to wait for: a sequence number where the channel is known, or an event's id.
pub(in crate::channels) fn wait_for(
    params: &mut Params<'_>,
    known: Option<ChannelId>,
) -> Result<Option<WaitFor>, Fault> {
    let Some(text) = params.text("waitFor") else {
        return Ok(None);
    };
    let (channel, seq) = match (text.split_once('-'), known) {
        (Some((id, seq)), None) => (channel(id)?, seq),
        (Some((id, seq)), Some(known)) if channel(id)? == known => (known, seq),
        (Some(_), Some(_)) => {
            return Err(Fault::invalid("waitFor is an event of another channel"));
        }
        (None, Some(known)) => (known, &*text),
        (None, None) => {
            return Err(Fault::invalid(
                "waitFor is not an event's id, as it must be across channels",
            ));
        }
    };
    let seq = whole("waitFor", seq)?;
    Ok(Some(WaitFor { channel, seq }))
}
