//! The log as a host uses it.

mod crash;
mod folder;
mod model;
