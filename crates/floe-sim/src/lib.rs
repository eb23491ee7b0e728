//! Floe under simulated time and disk: seeds go in, violations of its promises come out.
//!
//! A [`World`](world::World) runs a whole server but for its sockets, on a disk in memory, at a time
//! that it makes up, among clients that it draws from a seed. It crashes the server at every kind
//! of moment, starts it again on what a real disk might have kept, and compares all that can be
//! seen with a model of its own. One seed is always the same run.
//!
//! A [`Town`](town::Town) is the same for communities: members, roles, bans, time-outs, rooms and what is said
//! in them.
//!
//! Both know what a client may rely on and nothing of how the server does it: their models
//! ([`model`], [`town::model`]) share no code with the rooms that they judge.

pub mod command;
pub mod disk;
pub mod draw;
pub mod jobs;
pub mod model;
pub mod run;
pub mod town;
pub mod trace;
pub mod truth;
pub mod world;
