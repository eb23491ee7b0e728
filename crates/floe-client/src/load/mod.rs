//! Load generator: many keep-alive connections on one thread, light enough to share a machine
//! with the server that it measures.
//!
//! [`run`] does what a [`Plan`] says and returns a [`Report`]. The generator speaks HTTP/1.1 with
//! a parser of its own, allocates nothing per request, and reports its own processor time beside
//! the server's, so that one can see which of the two was the limit.

mod channels;
mod control;
mod engine;
mod exchange;
mod meter;
mod plan;
mod process;
mod record;
mod report;
mod request;
mod response;
mod role;
mod roles;
mod rooms;
mod run;
mod server;
mod tables;
mod target;
mod view;
mod voice;
mod websocket;
mod wire;
mod workloads;

pub use plan::{Form, Plan, TableWork, Transport, Workload};
pub use process::Memory;
pub use report::{CostReport, LatencyReport, OperationReport, Report, ServerReport};
pub use run::{RunError, run};
pub use server::{ServerError, ServerProcess};
pub use target::{Target, TargetError};
