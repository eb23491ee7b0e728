//! Live rooms over one WebSocket: channels and streams, both ways, that survive its drops.
//!
//! A [`Live`] stands for a connection that comes back by itself, a [`Room`] for one room that it
//! has joined. After a drop every room is joined again after the last event that it was sent, so
//! nothing is missing and nothing comes twice; appends to channels that were not acknowledged are
//! sent again with their key, so they are written once.
//!
//! ```no_run
//! use floe_client::live::{Join, Live, News};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let live = Live::new("http://127.0.0.1:4437")?;
//! let join = Join::channel("5ae3f09c11d2").from_start().as_member("ann");
//! let mut room = live.join(join).await?;
//! let ack = room.append("hello").await?;
//!
//! // What is there, then what comes.
//! while let Some(news) = room.next().await? {
//!     match news {
//!         News::Events(events) => {
//!             for event in events.channel_events()? {
//!                 println!("{} {}", event.seq, event.content.unwrap_or_default());
//!             }
//!             if events.next >= ack.seq {
//!                 break;
//!             }
//!         }
//!         News::Presence(presence) => println!("{} are here", presence.count),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Contract
//! - Of a room that nobody takes news from no more are asked for once [`QUEUED_BYTES_MAX`] wait,
//!   until they are taken: a slow reader holds up nobody, and loses nothing of the events. Presence
//!   and memory come whole then. Who only writes says so: [`Join::without_events`].
//! - The connection is made with the first use and ends with the last handle. A room is left when
//!   it is dropped.
//! - Every future may be dropped. A dropped append may have been written.

mod frames;
mod room;
mod session;
mod socket;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{mpsc, oneshot};

use crate::client::UrlError;
use crate::retry::RetryPolicy;

pub use frames::{Ack, ChannelEvent, Entry, Events, Member, Memory, News, Presence};
pub use room::{Join, Room, SetMemory};
use session::{Inbox, Order, Session, Settings};
pub use session::{LiveError, QUEUED_BYTES_MAX};

/// A connection that comes back by itself; clones share it.
#[derive(Debug, Clone)]
pub struct Live {
    orders: mpsc::UnboundedSender<Order>,
}

impl Live {
    /// Makes a connection to the server at `http://host:port`, or `https://`, `ws://` or `wss://`; it
    /// is opened with the first use.
    ///
    /// # Panics
    /// Outside of a Tokio runtime, which it runs on.
    pub fn new(url: &str) -> Result<Self, UrlError> {
        LiveOptions::default().open(url)
    }

    /// Joins a room and waits for the server's answer.
    ///
    /// # Errors
    /// [`LiveError::Refused`] says why not; [`LiveError::Unreachable`] that the tries of the
    /// policy are used up, and [`LiveError::Ended`] that the server wants no more of us.
    pub async fn join(&self, join: Join) -> Result<Room, LiveError> {
        let (answer, answered) = oneshot::channel();
        let (news, inbox) = mpsc::unbounded_channel();
        let room = Room {
            orders: self.orders.clone(),
            name: join.room.clone(),
            number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
            inbox,
            level: Arc::default(),
        };
        let order = Order::Join {
            join: Box::new(join),
            inbox: Inbox {
                number: room.number,
                news,
                level: Arc::clone(&room.level),
            },
            answer,
        };
        self.orders.send(order).map_err(|_| LiveError::Gone)?;
        // Whoever drops this future drops the room, which is then left.
        answered.await.map_err(|_| LiveError::Gone)??;
        Ok(room)
    }
}

static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1);

/// How a [`Live`] connects.
#[derive(Debug, Clone, Default)]
pub struct LiveOptions {
    /// The API key that is shown, if any.
    pub api_key: Option<String>,
    /// How long to wait between tries, and how many of them may fail one after the other.
    pub retry: RetryPolicy,
}

impl LiveOptions {
    /// Makes a connection as [`Live::new`] does.
    ///
    /// # Panics
    /// Outside of a Tokio runtime, which it runs on.
    pub fn open(self, url: &str) -> Result<Live, UrlError> {
        let address = crate::client::address(url)?;
        let (orders, inbox) = mpsc::unbounded_channel();
        let settings = Settings {
            address,
            options: self,
        };
        tokio::spawn(Session::new(settings, inbox).run());
        Ok(Live { orders })
    }
}
