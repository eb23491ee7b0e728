//! `floe views rebuild`: from the log to a new file, and then that file for the old one.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use floe_core::Room;
use floe_log::{DirDisk, View};
use floe_proto::{ChannelMeta, RoomId};
use floe_server::shard::{CoreFold, read_parts};
use floe_views::{Change, Folder, Options, Projector};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Bytes of events in one batch, about.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// A channel as the log has it.
struct Channel {
    room: RoomId,
    meta: ChannelMeta,
}

/// Rebuilds the view of a data folder and publishes it.
pub fn run(data: &Path, options: &Options) -> anyhow::Result<()> {
    let disk =
        DirDisk::existing(data).with_context(|| format!("cannot open {}", data.display()))?;
    let (log, _) = View::open(disk, Arc::new(CoreFold))?;
    let channels = channels(&log)?;
    let events = channels.iter().map(|channel| count(&channel.meta)).sum();
    let bar = ProgressBar::with_draw_target(Some(events), ProgressDrawTarget::stderr());
    let style = "{wide_bar} {human_pos} of {human_len} events, {per_sec}, {eta} left";
    bar.set_style(ProgressStyle::with_template(style)?);

    let folder = Folder::new(data.join("view"));
    let mut projector = Projector::open(folder.begin()?, options)?;
    let mut batch = Vec::new();
    let mut bytes = 0;
    for channel in &channels {
        let mut next = channel.meta.start - 1;
        loop {
            let chunk = log.read(channel.room, next, channel.meta.head, BATCH_BYTES_MAX)?;
            let mut events = Vec::new();
            read_parts(&chunk.parts, &mut events)?;
            bytes += events.len();
            batch.push((channel.meta.clone(), next + 1, events));
            bar.inc(chunk.next.max(next) - next);
            if bytes >= BATCH_BYTES_MAX {
                apply(&mut projector, &mut batch)?;
                bytes = 0;
            }
            if chunk.next >= channel.meta.head || chunk.next <= next {
                break;
            }
            next = chunk.next;
        }
    }
    apply(&mut projector, &mut batch)?;
    // Closed, it is one file with nothing beside it.
    drop(projector);
    folder.publish()?;
    bar.finish_and_clear();
    eprintln!("rebuilt: {} channels, {events} events", channels.len());
    Ok(())
}

fn channels(log: &View<DirDisk>) -> anyhow::Result<Vec<Channel>> {
    let mut channels = Vec::new();
    for (_, room) in log.rooms() {
        let state = Room::decode(room, &log.state(room)?.state)
            .with_context(|| format!("the state of room {} does not decode", room.0))?;
        channels.extend(state.channel_meta().map(|meta| Channel { room, meta }));
    }
    Ok(channels)
}

fn count(meta: &ChannelMeta) -> u64 {
    (meta.head + 1).saturating_sub(meta.start)
}

fn apply(
    projector: &mut Projector,
    batch: &mut Vec<(ChannelMeta, u64, Vec<u8>)>,
) -> anyhow::Result<()> {
    let changes = batch.iter().map(|(meta, first_seq, events)| Change {
        meta: meta.clone(),
        first_seq: *first_seq,
        events,
        purged: false,
    });
    let changes: Vec<_> = changes.collect();
    projector.apply(&changes)?;
    batch.clear();
    Ok(())
}
