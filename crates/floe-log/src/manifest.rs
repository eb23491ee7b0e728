//! The file that says which segments are live and where replay starts.

use std::io;
use std::num::NonZeroU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

use floe_proto::Millis;
use floe_proto::codec::{Put, Reader};

use crate::disk::{Disk, DiskFile};
use crate::error::{Corrupt, OpenError};
use crate::lsn::Lsn;
use crate::segment;

/// Name of the live manifest.
pub(crate) const MANIFEST: &str = "MANIFEST";
const MANIFEST_NEW: &str = "MANIFEST.new";
const MAGIC: &[u8; 8] = b"floe-man";
const VERSION: u32 = 2;
/// A version that knows no cold segments.
const VERSION_HOT: u32 = 1;
/// A manifest larger than this is no manifest; one segment takes 32 bytes.
const BYTES_MAX: u64 = 64 << 20;

/// What a log starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// Key of the name hash.
    pub(crate) hash_key: [u8; 16],
    /// Every room ever made before the replay position has a smaller number.
    pub(crate) next_room: u64,
    /// Every segment file ever made has a smaller number.
    pub(crate) next_segment: u32,
    /// Records from here on are not in segments.
    pub(crate) replay: Lsn,
    /// Records before this are known to be durable, so they must all be found.
    pub(crate) durable: Lsn,
    /// Live segments, oldest data first.
    pub(crate) segments: Vec<SegmentId>,
}

/// One live segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentId {
    pub(crate) number: u32,
    /// Bytes of its file in the folder.
    pub(crate) bytes: u64,
    /// Checksum of the file's trailer, so that a file of another time is not taken for it.
    pub(crate) crc: u32,
    /// When the youngest of its records was staged.
    pub(crate) newest: Millis,
    /// The object that holds its payload; nothing while the file does.
    pub(crate) object: Option<ObjectId>,
}

/// Tells what was stored for a segment from what any other try has stored for it; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ObjectId(pub(crate) NonZeroU64);

impl SegmentId {
    /// Returns the name of its file in the folder.
    pub(crate) fn file_name(&self) -> String {
        match self.object {
            None => segment::file_name(self.number),
            Some(_) => segment::stub_name(self.number),
        }
    }
}

/// A folder that a log has to itself, held by the log and by all of its jobs.
///
/// A job that outlives its log still keeps others out.
#[derive(Debug)]
pub(crate) struct Home<L> {
    /// The manifest as it is on disk; held while the file is replaced.
    ///
    /// Background jobs alone take this lock, never the thread that stages.
    manifest: Mutex<Manifest>,
    /// Nothing where the folder is only looked at.
    _lock: Option<L>,
}

impl<L> Home<L> {
    pub(crate) fn new(manifest: Manifest, lock: Option<L>) -> Self {
        Self {
            manifest: Mutex::new(manifest),
            _lock: lock,
        }
    }

    /// Locks the manifest. A job that panicked has changed nothing in it.
    pub(crate) fn manifest(&self) -> MutexGuard<'_, Manifest> {
        self.manifest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the manifest; durable on return.
    pub(crate) fn update<D: Disk<Lock = L>>(
        &self,
        disk: &D,
        change: impl FnOnce(&mut Manifest),
    ) -> io::Result<()> {
        let mut manifest = self.manifest();
        let mut next = manifest.clone();
        change(&mut next);
        next.write(disk)?;
        *manifest = next;
        Ok(())
    }
}

impl Manifest {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + 32 * self.segments.len());
        bytes.extend_from_slice(MAGIC);
        bytes.put_u32(VERSION);
        bytes.extend_from_slice(&self.hash_key);
        bytes.put_u64(self.next_room);
        bytes.put_u32(self.next_segment);
        bytes.put_u64(self.replay.0);
        bytes.put_u64(self.durable.0);
        bytes.put_u32(self.segments.len() as u32);
        for segment in &self.segments {
            bytes.put_u32(segment.number);
            bytes.put_u64(segment.bytes);
            bytes.put_u32(segment.crc);
            bytes.put_u64(segment.newest.0);
            bytes.put_u64(segment.object.map_or(0, |object| object.0.get()));
        }
        let crc = crc32c::crc32c(&bytes);
        bytes.put_u32(crc);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, OpenError> {
        let damaged = |what| {
            OpenError::Corrupt(Corrupt {
                file: MANIFEST.to_owned(),
                at: 0,
                what,
            })
        };
        let (body, crc) = bytes
            .split_last_chunk::<4>()
            .ok_or(damaged("it is too short"))?;
        if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
            return Err(damaged("its checksum is wrong"));
        }
        let mut reader = Reader::new(body);
        if reader.take(8) != Some(MAGIC) {
            return Err(damaged("it does not start like a manifest"));
        }
        let version = match reader.u32() {
            Some(version @ (VERSION | VERSION_HOT)) => version,
            Some(version) => {
                return Err(OpenError::Version {
                    version,
                    known: VERSION,
                });
            }
            None => return Err(damaged("it is too short")),
        };
        Self::decode_fields(&mut reader, version).ok_or(damaged("its fields are cut short"))
    }

    fn decode_fields(reader: &mut Reader<'_>, version: u32) -> Option<Self> {
        let mut manifest = Self {
            hash_key: reader.take(16)?.try_into().ok()?,
            next_room: reader.u64()?,
            next_segment: reader.u32()?,
            replay: Lsn(reader.u64()?),
            durable: Lsn(reader.u64()?),
            segments: Vec::new(),
        };
        for _ in 0..reader.u32()? {
            let mut segment = SegmentId {
                number: reader.u32()?,
                bytes: reader.u64()?,
                crc: reader.u32()?,
                newest: Millis(0),
                object: None,
            };
            if version != VERSION_HOT {
                segment.newest = Millis(reader.u64()?);
                segment.object = NonZeroU64::new(reader.u64()?).map(ObjectId);
            }
            manifest.segments.push(segment);
        }
        reader.is_empty().then_some(manifest)
    }

    /// Reads the live manifest; `None` when there is none.
    pub(crate) fn read<D: Disk>(disk: &D) -> Result<Option<Self>, OpenError> {
        let file = match disk.open_read(MANIFEST) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let len = file.len()?;
        if len > BYTES_MAX {
            return Err(OpenError::Corrupt(Corrupt {
                file: MANIFEST.to_owned(),
                at: BYTES_MAX,
                what: "it is too long",
            }));
        }
        let mut bytes = vec![0; len as usize];
        file.read_exact_at(&mut bytes, 0)?;
        Self::decode(&bytes).map(Some)
    }

    /// Replaces the live manifest in one step; durable on return.
    pub(crate) fn write<D: Disk>(&self, disk: &D) -> io::Result<()> {
        let file = disk.create(MANIFEST_NEW)?;
        file.write_all_at(&self.encode(), 0)?;
        file.sync_data()?;
        disk.rename(MANIFEST_NEW, MANIFEST)?;
        // From here on it is unknown which manifest a start would find, so even an error that
        // says no more than that space ran out must not look as if nothing had happened.
        disk.sync_dir().map_err(io::Error::other)
    }
}
