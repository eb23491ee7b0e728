//! `floe tail`: a stream on stdout.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use floe_client::{Chunk, Follow, Offset, RetryPolicy, Stream};
use serde_json::json;

/// Print a stream, and then what comes.
///
/// A JSON stream is printed as one value a line, any other as it is.
#[derive(Debug, Args)]
pub struct TailArguments {
    /// The stream, such as http://127.0.0.1:4437/v1/stream/notes
    url: String,
    /// API key or token to show.
    #[arg(long, env = "FLOE_BEARER", value_name = "KEY", hide_env_values = true)]
    bearer: Option<String>,
    /// Where to begin: an offset that a server named, -1 for the start or `now` for what comes.
    #[arg(long, default_value = "-1", allow_hyphen_values = true)]
    offset: String,
    /// End at the tail instead of waiting for more.
    #[arg(long)]
    no_follow: bool,
    /// How to hear of new data.
    #[arg(long, value_enum, default_value_t = Live::Auto)]
    live: Live,
    /// Print one JSON object per piece: its data as `values`, `text` or `bytes`, and `next_offset`
    /// to go on from.
    #[arg(long)]
    json: bool,
}

/// How to hear of new data.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Live {
    /// Server-sent events for JSON, long-poll for all else.
    Auto,
    /// Server-sent events; line ends of text become line feeds.
    Sse,
    /// Long-poll; bytes stay as they are.
    LongPoll,
}

/// Shows an API key or token with all that is asked of a stream.
pub fn bearing(stream: Stream, bearer: Option<&str>) -> anyhow::Result<Stream> {
    match bearer {
        Some(bearer) => stream
            .with_bearer(bearer)
            .context("--bearer cannot stand in a header"),
        None => Ok(stream),
    }
}

/// Prints the stream until it ends, or until its tail.
pub async fn run(arguments: &TailArguments) -> anyhow::Result<()> {
    let stream = bearing(Stream::at(&arguments.url)?, arguments.bearer.as_deref())?;
    let info = stream
        .clone()
        .with_retry_policy(FIRST_CONTACT)
        .head()
        .await
        .with_context(|| format!("cannot read {}", arguments.url))?;
    let printer = Printer {
        is_json_stream: info.content_type.starts_with("application/json"),
        as_objects: arguments.json,
    };
    let offset = Offset::from(arguments.offset.as_str());
    if arguments.no_follow {
        return print_to_tail(&stream, offset, &printer).await;
    }
    let how = match arguments.live {
        Live::Auto => Follow::Auto,
        Live::Sse => Follow::Events,
        Live::LongPoll => Follow::LongPoll,
    };
    let mut follower = stream.follow(offset, how);
    while let Some(chunk) = follower.next().await? {
        printer.print(&chunk)?;
    }
    if io::stderr().is_terminal() {
        eprintln!("floe: the stream is closed");
    }
    Ok(())
}

/// Somebody who mistyped an address wants to know at once.
pub const FIRST_CONTACT: RetryPolicy = RetryPolicy {
    tries_max: 2,
    delay_first: Duration::from_millis(100),
    delay_max: Duration::from_millis(100),
    answer_timeout: Duration::from_secs(10),
};

async fn print_to_tail(stream: &Stream, offset: Offset, printer: &Printer) -> anyhow::Result<()> {
    let mut reader = stream.read(offset);
    while let Some(chunk) = reader.next().await? {
        printer.print(&chunk)?;
    }
    Ok(())
}

/// How chunks look on stdout.
#[derive(Debug)]
struct Printer {
    is_json_stream: bool,
    as_objects: bool,
}

impl Printer {
    fn print(&self, chunk: &Chunk) -> anyhow::Result<()> {
        if chunk.is_empty() {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        out.write_all(&self.format(chunk)?)?;
        out.flush()?;
        Ok(())
    }

    fn format(&self, chunk: &Chunk) -> anyhow::Result<Vec<u8>> {
        let mut text = Vec::new();
        if self.as_objects {
            serde_json::to_writer(&mut text, &self.object(chunk)?)?;
            text.push(b'\n');
        } else if self.is_json_stream {
            for value in chunk.json_values().context("the server sent no array")? {
                text.extend_from_slice(value.get().as_bytes());
                text.push(b'\n');
            }
        } else {
            text.extend_from_slice(&chunk.data);
        }
        Ok(text)
    }

    fn object(&self, chunk: &Chunk) -> anyhow::Result<serde_json::Value> {
        let next_offset = chunk.next_offset.as_str();
        if self.is_json_stream {
            let values: serde_json::Value = serde_json::from_slice(&chunk.data)?;
            return Ok(json!({"values": values, "next_offset": next_offset}));
        }
        Ok(match std::str::from_utf8(&chunk.data) {
            Ok(text) => json!({"text": text, "next_offset": next_offset}),
            Err(_) => json!({"bytes": &chunk.data[..], "next_offset": next_offset}),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_values_are_printed_as_they_were_written() {
        let values = chunk(br#"[{"a": 1.0},2 , "x"]"#);
        assert_eq!(print(&values, true, false), "{\"a\": 1.0}\n2\n\"x\"\n");
    }

    #[test]
    fn other_bytes_are_printed_as_they_are() {
        assert_eq!(print(&chunk(b"a\r\nb"), false, false), "a\r\nb");
    }

    #[test]
    fn objects_say_where_to_go_on() {
        assert_eq!(
            print(&chunk(b"a\n"), false, true),
            "{\"next_offset\":\"07\",\"text\":\"a\\n\"}\n"
        );
        assert_eq!(
            print(&chunk(b"\xff"), false, true),
            "{\"bytes\":[255],\"next_offset\":\"07\"}\n"
        );
        assert_eq!(
            print(&chunk(b"[1]"), true, true),
            "{\"next_offset\":\"07\",\"values\":[1]}\n"
        );
    }

    fn print(chunk: &Chunk, is_json_stream: bool, as_objects: bool) -> String {
        let printer = Printer {
            is_json_stream,
            as_objects,
        };
        String::from_utf8(printer.format(chunk).unwrap()).unwrap()
    }

    fn chunk(data: &'static [u8]) -> Chunk {
        Chunk {
            data: data.into(),
            next_offset: "07".into(),
            is_up_to_date: true,
            is_closed: false,
        }
    }
}
