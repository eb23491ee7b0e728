//! Floe: floe-sim.
