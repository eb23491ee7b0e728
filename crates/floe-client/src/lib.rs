//! Floe: floe-client.
