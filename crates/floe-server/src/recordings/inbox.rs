//! What the recorder is to do, in the order in which it was said.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use floe_media::recording::Recorded;
use floe_proto::RoomId;

/// A queue between the threads that say and the one that records.
#[derive(Debug, Default)]
pub struct Inbox {
    queue: Mutex<Queue>,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    commands: VecDeque<Command>,
    /// How many of them are packets.
    packets: usize,
    /// Packets that there was no room for, by recording.
    dropped: BTreeMap<Arc<str>, u64>,
}

/// What the recorder is to do.
#[derive(Debug)]
pub enum Command {
    /// Begin a recording.
    Begin {
        room: RoomId,
        /// The room's full name.
        name: Box<[u8]>,
        recording: Arc<str>,
    },
    /// Write a packet.
    Packet(Recorded),
    /// End a recording in a moment, unless that is said before.
    Linger { room: RoomId, recording: Arc<str> },
    /// End a recording, if it is under way.
    End { room: RoomId, recording: Arc<str> },
    /// End all recordings, and the thread.
    Stop,
}

/// Packets that wait; above, new ones are dropped.
const PACKETS_MAX: usize = 16_384;
/// Packets for which nobody is woken yet.
const PACKETS_STEP: usize = 256;

impl Inbox {
    /// Adds something to do; `false` for a packet that there is no room for.
    pub fn push(&self, command: Command) -> bool {
        let mut queue = self.lock();
        let is_packet = match &command {
            Command::Packet(packet) if queue.packets == PACKETS_MAX => {
                let recording = Arc::clone(&packet.recording);
                *queue.dropped.entry(recording).or_default() += 1;
                return false;
            }
            Command::Packet(_) => true,
            Command::Begin { .. }
            | Command::Linger { .. }
            | Command::End { .. }
            | Command::Stop => false,
        };
        queue.packets += usize::from(is_packet);
        queue.commands.push_back(command);
        if !is_packet || queue.packets == PACKETS_STEP {
            self.filled.notify_one();
        }
        true
    }

    /// Takes all that there is to do, and how many packets were dropped since; waits for `patience` at
    /// most, and no longer than until something is more than packets.
    pub fn take(&self, patience: Duration) -> (VecDeque<Command>, BTreeMap<Arc<str>, u64>) {
        let idle = |queue: &mut Queue| {
            queue.packets == queue.commands.len() && queue.packets < PACKETS_STEP
        };
        let waited = self.filled.wait_timeout_while(self.lock(), patience, idle);
        let (mut queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        queue.packets = 0;
        (
            std::mem::take(&mut queue.commands),
            std::mem::take(&mut queue.dropped),
        )
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
