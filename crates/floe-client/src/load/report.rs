//! What a run found, as plain data.

use std::collections::BTreeMap;

use serde::Serialize;

use super::meter::{Kind, Meter};
use super::plan::Plan;
use super::process::Memory;

/// What one run found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The server's URL.
    pub url: String,
    /// What was asked for.
    pub plan: Plan,
    /// Seconds that were counted.
    pub seconds: f64,
    /// Everything that clients did, by name.
    pub operations: BTreeMap<&'static str, OperationReport>,
    /// What costs are divided by: `append`, `create`, `delivery`, `round`, `MB`, `heal`, `packet`,
    /// `item`.
    pub unit: &'static str,
    /// How many of them were counted.
    pub units: f64,
    /// What the server spent, if its process is known.
    pub server: Option<ServerReport>,
    /// What the generator itself spent.
    pub generator: CostReport,
    /// What a workload found besides, by name.
    pub extra: BTreeMap<&'static str, f64>,
    /// Connections opened again after the server had closed them.
    pub reconnects: u64,
    /// What went wrong, and how often; a gap or a duplicate is an error.
    pub errors: BTreeMap<String, u64>,
}

/// Counts and latencies of one kind of operation.
#[derive(Debug, Clone, Serialize)]
pub struct OperationReport {
    /// Times it happened.
    pub count: u64,
    /// The same per second.
    pub per_second: f64,
    /// Messages per second that it carried.
    pub messages_per_second: f64,
    /// Bytes per second that it carried, in units of a million.
    pub mb_per_second: f64,
    /// How long each took.
    pub latency_us: LatencyReport,
}

/// Percentiles in microseconds.
#[derive(Debug, Clone, Serialize)]
pub struct LatencyReport {
    /// Half took less.
    pub p50: f64,
    /// Nine tenths took less.
    pub p90: f64,
    /// 99 % took less.
    pub p99: f64,
    /// 99.9 % took less.
    pub p99_9: f64,
    /// None took longer.
    pub max: f64,
}

/// Processor time that a process spent.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct CostReport {
    /// Microseconds per unit.
    pub cpu_us_per_unit: f64,
    /// Share of one core.
    pub cpu_percent: f64,
}

/// What the server spent.
#[derive(Debug, Clone, Serialize)]
pub struct ServerReport {
    /// Processor time of all of its threads, user and system.
    #[serde(flatten)]
    pub cost: CostReport,
    /// Its memory before the load.
    pub memory_before: Option<Memory>,
    /// Its memory when the counting ended.
    pub memory_after: Option<Memory>,
    /// Resident bytes that it gained per stream, reader or client of an idle run.
    pub rss_bytes_per_item: Option<f64>,
}

impl OperationReport {
    pub(crate) fn new(meter: &Meter, seconds: f64) -> Self {
        Self {
            count: meter.count,
            per_second: meter.count as f64 / seconds,
            messages_per_second: meter.messages as f64 / seconds,
            mb_per_second: meter.bytes as f64 / seconds / 1e6,
            latency_us: LatencyReport::new(meter),
        }
    }
}

impl LatencyReport {
    fn new(meter: &Meter) -> Self {
        let at = |quantile| meter.latency_ns.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: meter.latency_ns.max() as f64 / 1e3,
        }
    }
}

impl CostReport {
    pub(crate) fn new(micros: u64, seconds: f64, units: f64) -> Self {
        Self {
            cpu_us_per_unit: match units > 0.0 {
                true => micros as f64 / units,
                false => 0.0,
            },
            cpu_percent: micros as f64 / seconds / 1e4,
        }
    }
}

impl Report {
    /// How many errors there were.
    #[must_use]
    pub fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    /// The figures that runs are compared by: a name, and whether less is better.
    #[must_use]
    pub fn figures(&self) -> Vec<(String, f64)> {
        let mut figures = Vec::new();
        for (name, operation) in &self.operations {
            figures.push((format!("{name}/s"), operation.per_second));
            if operation.mb_per_second > 0.0 {
                figures.push((format!("{name} MB/s"), operation.mb_per_second));
            }
            let latency = &operation.latency_us;
            figures.push((format!("{name} p50 us"), latency.p50));
            figures.push((format!("{name} p90 us"), latency.p90));
            figures.push((format!("{name} p99 us"), latency.p99));
            figures.push((format!("{name} p99.9 us"), latency.p99_9));
        }
        for (name, value) in &self.extra {
            figures.push(((*name).to_owned(), *value));
        }
        let unit = self.unit;
        if let Some(server) = &self.server {
            figures.push((format!("server us/{unit}"), server.cost.cpu_us_per_unit));
            if let Some(memory) = server.memory_after {
                figures.push(("server RSS MB".to_owned(), memory.rss_bytes as f64 / 1e6));
                figures.push(("server PSS MB".to_owned(), memory.pss_bytes as f64 / 1e6));
            }
            if let Some(bytes) = server.rss_bytes_per_item {
                figures.push(("server RSS bytes/item".to_owned(), bytes));
            }
        }
        figures.push((
            format!("generator us/{unit}"),
            self.generator.cpu_us_per_unit,
        ));
        figures.push(("errors".to_owned(), self.error_count() as f64));
        figures
    }
}

/// What a workload's costs are divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// One operation of a kind.
    Each(Kind),
    /// A million bytes of catch-up reads.
    Megabyte,
    /// One idle stream or reader.
    Item(u64),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::meter::Meters;

    #[test]
    fn percentiles_are_those_of_the_recorded_latencies() {
        let mut meters = Meters::new();
        for micros in 1..=1000 {
            meters.note(Kind::Append, micros * 1000, 1, 100);
        }
        let report = OperationReport::new(meters.of(Kind::Append), 2.0);
        assert_eq!((report.count, report.per_second), (1000, 500.0));
        for (found, expected) in [
            (report.latency_us.p50, 500.0),
            (report.latency_us.p90, 900.0),
            (report.latency_us.p99, 990.0),
            (report.latency_us.p99_9, 999.0),
        ] {
            assert!((found - expected).abs() < expected / 500.0, "{found}");
        }
    }

    #[test]
    fn cost_is_time_over_units() {
        let cost = CostReport::new(3_000_000, 2.0, 100_000.0);
        assert_eq!(cost.cpu_us_per_unit, 30.0);
        assert_eq!(cost.cpu_percent, 150.0);
    }
}
