//! `floe append`: stdin into a stream.

mod split;

use std::io::{self, IsTerminal, Write};

use anyhow::{Context, bail};
use clap::Args;
use floe_client::{CreateError, CreateOptions, HeadError, Producer, Stream};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::tail::{FIRST_CONTACT, bearing};
use split::{Split, Splitter};

/// Append stdin to a stream.
///
/// Appends as an idempotent producer, so that a retry never writes anything twice. Prints the
/// stream's tail when all is written.
#[derive(Debug, Args)]
pub struct AppendArguments {
    /// The stream, such as http://127.0.0.1:4437/v1/stream/notes
    url: String,
    /// API key or token to show.
    #[arg(long, env = "FLOE_BEARER", value_name = "KEY", hide_env_values = true)]
    bearer: Option<String>,
    /// Each line of stdin is a message of its own, appended as soon as it is read; in a JSON
    /// stream it becomes a string.
    #[arg(long, conflicts_with = "json")]
    lines: bool,
    /// Each line of stdin is a JSON value.
    #[arg(long)]
    json: bool,
    /// Create the stream if it is not there.
    #[arg(long)]
    create: bool,
    /// Content type to create it with; application/json with --json, text/plain with --lines, else
    /// application/octet-stream.
    #[arg(long, requires = "create")]
    content_type: Option<String>,
    /// Close the stream when all is written.
    #[arg(long)]
    close: bool,
    /// Largest append in bytes; small lines share one.
    #[arg(long, default_value_t = 1 << 20, value_name = "BYTES",
          value_parser = clap::value_parser!(u64).range(1..))]
    batch_bytes: u64,
}

/// Appends stdin and prints the tail.
pub async fn run(arguments: &AppendArguments) -> anyhow::Result<()> {
    let (stream, content_type) = open(arguments).await?;
    let is_json = content_type.starts_with("application/json");
    let split = match (arguments.lines, arguments.json, is_json) {
        (true, _, true) => Split::LinesAsStrings,
        (true, _, false) => Split::Lines,
        (_, true, true) => Split::JsonLines,
        (_, true, false) => bail!("--json needs a JSON stream, this one is {content_type}"),
        (false, false, true) => Split::Whole,
        (false, false, false) => Split::Bytes,
    };
    let id = format!("floe-append-{:016x}", random_number());
    let mut producer = stream.with_content_type(content_type).producer(id, 0);
    let splitter = Splitter::new(split, arguments.batch_bytes as usize);
    let written = append_all(&mut producer, tokio::io::stdin(), splitter).await?;
    let tail = match (arguments.close, written.tail) {
        (true, _) => producer.close("").await?.next_offset.to_string(),
        (false, Some(tail)) => tail,
        (false, None) => bail!("stdin was empty: nothing to append"),
    };
    if io::stderr().is_terminal() {
        let Written { appends, bytes, .. } = written;
        eprintln!("floe: {bytes} bytes in {appends} appends");
    }
    writeln!(io::stdout(), "{tail}")?;
    Ok(())
}

/// What has been appended.
#[derive(Debug, Default)]
struct Written {
    appends: u64,
    bytes: u64,
    tail: Option<String>,
}

/// Appends what comes from `input`, as soon as it comes.
async fn append_all(
    producer: &mut Producer,
    mut input: impl AsyncRead + Unpin,
    mut splitter: Splitter,
) -> anyhow::Result<Written> {
    let mut written = Written::default();
    let mut buffer = vec![0; READ_BYTES];
    let mut is_end = false;
    while !is_end {
        let len = input.read(&mut buffer).await.context("cannot read stdin")?;
        is_end = len == 0;
        splitter.feed(&buffer[..len]);
        while let Some(body) = splitter.poll_body(is_end)? {
            written.appends += 1;
            written.bytes += body.len() as u64;
            let appended = producer.append(body).await?;
            written.tail = Some(appended.next_offset.to_string());
        }
    }
    Ok(written)
}

/// Returns the stream and its content type, creating it if that was asked for.
async fn open(arguments: &AppendArguments) -> anyhow::Result<(Stream, String)> {
    let stream = bearing(Stream::at(&arguments.url)?, arguments.bearer.as_deref())?;
    let first = stream.clone().with_retry_policy(FIRST_CONTACT);
    let url = &arguments.url;
    if arguments.create {
        let default = match (arguments.json, arguments.lines) {
            (true, _) => "application/json",
            (false, true) => "text/plain",
            (false, false) => "application/octet-stream",
        };
        let content_type = arguments.content_type.as_deref().unwrap_or(default);
        let creating = first.clone().with_content_type(content_type);
        match creating.create(&CreateOptions::default()).await {
            Ok(_) => return Ok((stream, content_type.to_owned())),
            // Another configuration is no matter, as long as nobody asked for this one.
            Err(CreateError::Exists(_)) if arguments.content_type.is_none() => {}
            Err(error) => return Err(error).with_context(|| format!("cannot create {url}")),
        }
    }
    match first.head().await {
        Ok(info) => Ok((stream, info.content_type)),
        Err(HeadError::Missing) => bail!("there is no stream at {url}; --create makes it"),
        Err(error) => Err(error).with_context(|| format!("cannot append to {url}")),
    }
}

const READ_BYTES: usize = 64 << 10;

/// Returns a number that no other run draws.
pub fn random_number() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}
