//! The log as a host uses it.

mod codec;
mod cold;
mod crash;
mod damage;
mod folder;
mod golden;
mod model;
mod space;
mod upkeep;
