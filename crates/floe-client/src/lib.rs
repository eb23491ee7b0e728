//! Rust SDK for Floe: durable streams over HTTP, and rooms over a [WebSocket](live).
//!
//! A [`Client`] stands for a server, a [`Stream`] for one stream on it. Both are cheap to clone and
//! share one pool of connections. It speaks HTTP/1.1, over TLS where the URL says `https` or, for
//! live rooms, `wss`, with the certificates that the system trusts (`SSL_CERT_FILE` names others).
//!
//! ```no_run
//! use floe_client::{Client, CreateOptions, Follow, Offset};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new("http://127.0.0.1:4437")?;
//! let notes = client.stream("notes").with_content_type("text/plain");
//! notes.create(&CreateOptions::default()).await?;
//!
//! // A producer's appends are written once, however often they had to be sent.
//! let mut producer = notes.producer("laptop", 0);
//! producer.append("first\n").await?;
//! producer.append("second\n").await?;
//!
//! // What is there, then what comes; drops of the connection do not show.
//! let mut follower = notes.follow(Offset::START, Follow::Auto);
//! while let Some(chunk) = follower.next().await? {
//!     print!("{}", String::from_utf8_lossy(&chunk.data));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Contract
//! - Offsets are opaque: keep them, compare them as bytes, hand them back.
//! - What is safe to send twice is tried again after a failure that may pass, as
//!   [`RetryPolicy`] says. A plain [`Stream::append`] is not, so it is sent once; a [`Producer`]
//!   makes it safe.
//! - Every error of a server carries its stable code and says whether trying again can help.
//! - Every future may be dropped: a reader goes on where it was, a producer first settles the
//!   append that was dropped.

mod admin;
mod client;
mod error;
mod follow;
mod offset;
mod producer;
mod read;
mod retry;
mod sse;
mod stream;
mod tls;
mod transport;

pub mod live;
#[cfg(feature = "load")]
pub mod load;
pub mod rooms;

pub use admin::{Admin, AdminError};
pub use client::{Client, UrlError};
pub use error::{
    AppendError, CreateError, DeleteError, HeadError, ProducerError, ReadError, Refusal,
    Unreachable,
};
pub use floe_proto::Retry;
pub use follow::{Follow, Follower};
pub use offset::Offset;
pub use producer::{Appended, Producer};
pub use read::{Chunk, Reader};
pub use retry::RetryPolicy;
pub use stream::{CreateOptions, Created, Stream, StreamInfo};
