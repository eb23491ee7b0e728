//! Floe: floe-server.
