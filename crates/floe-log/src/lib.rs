//! Floe: floe-log.
