//! The log as a host uses it.

mod crash;
mod damage;
mod folder;
mod model;
mod space;
