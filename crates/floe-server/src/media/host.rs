//! The event loop's end of the media.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use floe_core::voice::{Features, Media, MediaError, MediaInput, MediaOutput, NoMedia};
use floe_proto::Millis;
use mio::Waker;

use super::bound::Bound;
use super::link::{Link, MediaTotals};
use super::worker::Worker;

/// What carries the media of all voice rooms, or does not.
///
/// The thread that does ends when this is dropped.
#[derive(Debug, Default)]
pub struct MediaHost {
    running: Option<Running>,
    /// What carries them in its place.
    other: Option<Box<dyn Media>>,
}

#[derive(Debug)]
struct Running {
    link: Arc<Link>,
    features: Features,
    heard: VecDeque<MediaOutput>,
    thread: Option<JoinHandle<()>>,
}

impl MediaHost {
    /// Starts the thread; it wakes the event loop through `waker` when there is something to hear.
    ///
    /// # Errors
    /// The operating system's.
    pub fn start(bound: Bound, waker: &Arc<Waker>) -> io::Result<Self> {
        let (worker, link, features) = Worker::new(bound, waker)?;
        let thread = std::thread::Builder::new()
            .name("floe-media".to_owned())
            .spawn(move || worker.run())?;
        Ok(Self {
            running: Some(Running {
                link,
                features,
                heard: VecDeque::new(),
                thread: Some(thread),
            }),
            other: None,
        })
    }

    /// Has another machine carry them, which has no thread here.
    pub fn other(media: Box<dyn Media>) -> Self {
        Self {
            running: None,
            other: Some(media),
        }
    }
}

impl MediaHost {
    /// Returns whether there is a thread that takes connections over.
    pub fn is_running(&self) -> bool {
        let running = self.running.as_ref();
        running.is_some_and(|running| !running.link.has_ended())
    }

    /// Takes over a connection that brings media, of which `first` has been read.
    pub fn take_over(&self, socket: std::net::TcpStream, first: &[u8]) {
        if let Some(running) = &self.running {
            running.link.hand((socket, first.to_vec()));
        }
    }

    /// Returns what the thread has done, and how it is.
    pub fn totals(&self) -> MediaTotals {
        let running = self.running.as_ref();
        running.map_or_else(MediaTotals::default, |running| running.link.totals())
    }
}

impl Media for MediaHost {
    fn features(&self) -> Features {
        if let Some(other) = &self.other {
            return other.features();
        }
        match &self.running {
            Some(running) if !running.link.has_ended() => running.features,
            Some(_) | None => NoMedia.features(),
        }
    }

    fn handle(&mut self, now: Millis, input: MediaInput) -> Result<(), MediaError> {
        if let Some(other) = &mut self.other {
            return other.handle(now, input);
        }
        match &self.running {
            Some(running) => running.link.tell(input),
            None => NoMedia.handle(now, input),
        }
    }

    fn poll_output(&mut self) -> Option<MediaOutput> {
        if let Some(other) = &mut self.other {
            return other.poll_output();
        }
        let running = self.running.as_mut()?;
        if running.heard.is_empty() {
            running.heard = running.link.hear();
        }
        running.heard.pop_front()
    }

    /// The thread has a clock of its own.
    fn poll_timeout(&self) -> Option<Millis> {
        self.other.as_ref().and_then(|other| other.poll_timeout())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.link.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread for media failed");
        }
    }
}
