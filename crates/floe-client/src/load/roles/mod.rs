//! The parts that connections play.

mod append;
mod follow;
mod manage;
mod order;
mod pace;
mod poll;
mod read;

pub(crate) use append::{AppendRole, Streams};
pub(crate) use follow::FollowRole;
pub(crate) use manage::{Manage, ManageRole};
pub(crate) use pace::Pace;
pub(crate) use poll::PollRole;
pub(crate) use read::ReadRole;
