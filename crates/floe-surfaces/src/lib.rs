//! Floe: floe-surfaces.
