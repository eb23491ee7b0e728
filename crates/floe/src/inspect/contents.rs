//! What a data folder holds, as plain data.

use std::io::{self, Write};
use std::sync::Arc;

use floe_core::Room;
use floe_log::{DirDisk, View};
use floe_proto::{Offset, RoomId};
use floe_server::shard::CoreFold;
use serde::Serialize;

/// What a folder holds.
#[derive(Debug, Serialize)]
pub struct Contents {
    /// Streams that are there, soft-deleted ones included.
    stream_count: usize,
    /// Bytes of the write-ahead log, spare segments included.
    wal_bytes: u64,
    /// Bytes of it that a start would read.
    wal_live_bytes: u64,
    /// Bytes of all segments.
    segment_bytes: u64,
    /// Bytes of cold segments in the object store.
    object_bytes: u64,
    /// Bytes of segments that are of no use any more.
    dead_bytes: u64,
    /// What a start would cut off the end of the log.
    cut: Option<String>,
    segments: Vec<Segment>,
    /// The oldest streams, as many as were asked for.
    streams: Vec<Stream>,
}

#[derive(Debug, Serialize)]
struct Segment {
    file: String,
    /// Bytes of the file in the folder.
    bytes: u64,
    /// Bytes in the object store, if the segment is cold.
    object_bytes: Option<u64>,
    streams: u32,
    dead_bytes: u64,
}

#[derive(Debug, Serialize)]
struct Stream {
    name: String,
    content_type: String,
    oldest_offset: String,
    newest_offset: String,
    /// Bytes in segments; what is only in the write-ahead log is not counted.
    segment_bytes: u64,
    /// Records that only the write-ahead log holds.
    wal_records: usize,
    is_closed: bool,
    is_deleted: bool,
}

impl Contents {
    /// Reads the figures of the folder and of up to `streams_max` streams.
    pub fn read(disk: DirDisk, streams_max: usize) -> anyhow::Result<Self> {
        let (view, recovery) = View::open(disk, Arc::new(CoreFold))?;
        let stats = view.stats();
        let segments = view.segments();
        let object_bytes = segments.iter().filter_map(|segment| segment.object_bytes);
        let object_bytes = object_bytes.sum();
        let segments = segments.into_iter().map(|segment| Segment {
            file: segment.file,
            bytes: segment.bytes,
            object_bytes: segment.object_bytes,
            streams: segment.rooms,
            dead_bytes: segment.dead_bytes,
        });
        let rooms = view.rooms();
        let streams = rooms.iter().take(streams_max);
        Ok(Self {
            stream_count: stats.rooms,
            wal_bytes: stats.wal_bytes,
            wal_live_bytes: stats.wal_live_bytes,
            segment_bytes: stats.segment_bytes,
            object_bytes,
            dead_bytes: stats.dead_bytes,
            cut: recovery
                .cut
                .map(|cut| format!("{} after byte {}", cut.file, cut.at)),
            segments: segments.collect(),
            streams: streams
                .map(|&(_, room)| Stream::read(&view, room))
                .collect::<anyhow::Result<_>>()?,
        })
    }

    /// Prints it for people.
    pub fn print(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "streams          {}", self.stream_count)?;
        writeln!(
            out,
            "write-ahead log  {} bytes, {} to read at a start",
            self.wal_bytes, self.wal_live_bytes
        )?;
        writeln!(
            out,
            "segments         {}, {} bytes, {} of no more use",
            self.segments.len(),
            self.segment_bytes,
            self.dead_bytes
        )?;
        if self.object_bytes > 0 {
            writeln!(out, "in the store     {} bytes", self.object_bytes)?;
        }
        if let Some(cut) = &self.cut {
            writeln!(out, "interrupted write at the end: {cut}")?;
        }
        self.print_segments(out)?;
        self.print_streams(out)
    }

    fn print_segments(&self, out: &mut impl Write) -> io::Result<()> {
        if self.segments.is_empty() {
            return Ok(());
        }
        writeln!(
            out,
            "\n{:<28} {:>14} {:>14} {:>10} {:>14}",
            "segment", "bytes", "in the store", "streams", "of no more use"
        )?;
        for segment in &self.segments {
            writeln!(
                out,
                "{:<28} {:>14} {:>14} {:>10} {:>14}",
                segment.file,
                segment.bytes,
                segment
                    .object_bytes
                    .map_or("-".to_owned(), |bytes| bytes.to_string()),
                segment.streams,
                segment.dead_bytes
            )?;
        }
        Ok(())
    }

    fn print_streams(&self, out: &mut impl Write) -> io::Result<()> {
        if self.streams.is_empty() {
            return Ok(());
        }
        writeln!(
            out,
            "\n{:<16} {:<16} {:>12} {:>8}  {:<24} stream",
            "oldest offset", "newest offset", "in segments", "in log", "content type"
        )?;
        for stream in &self.streams {
            let mark = match (stream.is_deleted, stream.is_closed) {
                (true, _) => " (deleted, kept for forks)",
                (false, true) => " (closed)",
                (false, false) => "",
            };
            writeln!(
                out,
                "{:<16} {:<16} {:>12} {:>8}  {:<24} {}{mark}",
                stream.oldest_offset,
                stream.newest_offset,
                stream.segment_bytes,
                stream.wal_records,
                stream.content_type,
                stream.name.escape_debug()
            )?;
        }
        let rest = self.stream_count.saturating_sub(self.streams.len());
        match rest {
            0 => Ok(()),
            rest => writeln!(out, "and {rest} more; --streams N lists more"),
        }
    }
}

impl Stream {
    fn read(view: &View<DirDisk>, id: RoomId) -> anyhow::Result<Self> {
        let info = view.room(id)?;
        let state = view.state(id)?.state;
        let room = Room::decode(id, &state)
            .ok_or_else(|| anyhow::anyhow!("the state of room {} does not decode", id.0))?;
        Ok(Self {
            name: String::from_utf8_lossy(room.name()).into_owned(),
            content_type: room.content_type().as_str().to_owned(),
            oldest_offset: Offset(room.start()).to_string(),
            newest_offset: Offset(room.visible().tail).to_string(),
            segment_bytes: info.payload_bytes,
            wal_records: info.unflushed_records,
            is_closed: room.visible().closed,
            is_deleted: room.is_deleted(),
        })
    }
}
