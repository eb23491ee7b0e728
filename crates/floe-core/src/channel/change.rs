//! What an owner may change of a channel, its end included.

use floe_proto::codec::{Put, Reader};
use floe_proto::{Code, Millis};

use crate::channel::{Channel, ChannelSettings, Secret};
use crate::record::Record;
use crate::room::Room;

/// One change of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelChange {
    /// It behaves like this from now on.
    Settings(ChannelSettings),
    /// It has another secret, which ends all its tokens.
    Secret(Secret),
    /// It was deleted: it takes and shows nothing any more, and goes for good later.
    Deleted {
        /// When.
        deleted_at: Millis,
        /// When it goes for good.
        purge_at: Millis,
    },
}

const SETTINGS: u8 = 1;
const SECRET: u8 = 2;
const DELETED: u8 = 3;

impl ChannelChange {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Settings(settings) => {
                out.put_u8(SETTINGS);
                settings.encode(out);
            }
            Self::Secret(secret) => {
                out.put_u8(SECRET);
                out.put_bytes(secret.as_str().as_bytes());
            }
            Self::Deleted {
                deleted_at,
                purge_at,
            } => {
                out.put_u8(DELETED);
                out.put_u64(deleted_at.0);
                out.put_u64(purge_at.0);
            }
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        match reader.u8()? {
            SETTINGS => Some(Self::Settings(ChannelSettings::decode(reader)?)),
            SECRET => Some(Self::Secret(Secret::new(reader.str()?))),
            DELETED => Some(Self::Deleted {
                deleted_at: Millis(reader.u64()?),
                purge_at: Millis(reader.u64()?),
            }),
            _ => None,
        }
    }
}

impl Room {
    /// Decides a change of settings; `None` when they are so already.
    ///
    /// # Errors
    /// See [`ChannelError`].
    pub fn decide_settings(
        &self,
        settings: ChannelSettings,
    ) -> Result<Option<Record<'static>>, ChannelError> {
        let channel = self.live_channel()?;
        let change = ChannelChange::Settings(settings);
        Ok((channel.settings != settings).then_some(Record::Channel(change)))
    }

    /// Decides that a channel has another secret.
    ///
    /// # Errors
    /// See [`ChannelError`].
    pub fn decide_secret(&self, secret: Secret) -> Result<Record<'static>, ChannelError> {
        self.live_channel()?;
        Ok(Record::Channel(ChannelChange::Secret(secret)))
    }

    /// Decides the end of a channel, which goes for good `grace_ms` after `now`.
    ///
    /// # Errors
    /// See [`ChannelError`]; a channel ends once.
    pub fn decide_channel_end(
        &self,
        now: Millis,
        grace_ms: u64,
    ) -> Result<Record<'static>, ChannelError> {
        self.live_channel()?;
        Ok(Record::Channel(ChannelChange::Deleted {
            deleted_at: now,
            purge_at: now.plus(grace_ms),
        }))
    }

    fn live_channel(&self) -> Result<&Channel, ChannelError> {
        if self.is_gone() {
            return Err(ChannelError::Gone);
        }
        self.channel().ok_or(ChannelError::NoChannel)
    }
}

/// Why a channel was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// The room is a stream and no channel.
    #[error("there is no such channel")]
    NoChannel,
    /// The channel was deleted.
    #[error("the channel is deleted")]
    Gone,
}

impl ChannelError {
    /// Returns the code on the wire.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::NoChannel => Code::NotFound,
            Self::Gone => Code::Gone,
        }
    }
}
