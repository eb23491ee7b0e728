//! The parts that connections play.

mod append;
mod ask;
mod buffer;
mod channel;
mod follow;
mod lag;
mod listen;
mod manage;
mod order;
mod pace;
mod poll;
mod read;
mod speak;
mod subscribe;
mod talk;
mod watch;

pub(crate) use append::{AppendRole, Streams};
pub(crate) use ask::AskRole;
pub(crate) use buffer::BufferRole;
pub(crate) use channel::ChannelRole;
pub(crate) use follow::FollowRole;
pub(crate) use lag::LagRole;
pub(crate) use listen::ListenRole;
pub(crate) use manage::{Manage, ManageRole};
pub(crate) use pace::Pace;
pub(crate) use poll::PollRole;
pub(crate) use read::ReadRole;
pub(crate) use speak::{SpeakRole, Spoken};
pub(crate) use subscribe::SubscribeRole;
pub(crate) use talk::{Talk, TalkRole};
pub(crate) use watch::WatchRole;
