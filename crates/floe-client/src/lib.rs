//! Rust SDK for Floe.

#[cfg(feature = "load")]
pub mod load;
