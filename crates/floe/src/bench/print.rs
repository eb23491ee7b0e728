//! A report for people.

use std::io::{self, Write};

use floe_client::load::{CostReport, Report};

/// Prints one report as a few aligned lines.
pub fn print_report(out: &mut impl Write, report: &Report) -> io::Result<()> {
    writeln!(out, "{} for {:.2} s", report.url, report.seconds)?;
    writeln!(
        out,
        "{:<11} {:>12} {:>12} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "", "count", "per second", "MB/s", "p50 us", "p90 us", "p99 us", "p99.9 us", "max us"
    )?;
    for (name, operation) in &report.operations {
        let latency = &operation.latency_us;
        writeln!(
            out,
            "{name:<11} {:>12} {:>12.0} {:>10.2} {:>10.0} {:>10.0} {:>10.0} {:>10.0} {:>10.0}",
            operation.count,
            operation.per_second,
            operation.mb_per_second,
            latency.p50,
            latency.p90,
            latency.p99,
            latency.p99_9,
            latency.max,
        )?;
    }
    if let Some(server) = &report.server {
        print_cost(out, "server", &server.cost, report.unit)?;
        if let (Some(before), Some(after)) = (server.memory_before, server.memory_after) {
            let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
            writeln!(
                out,
                "server memory: RSS {:.1} -> {:.1} MiB, PSS {:.1} -> {:.1} MiB",
                mib(before.rss_bytes),
                mib(after.rss_bytes),
                mib(before.pss_bytes),
                mib(after.pss_bytes),
            )?;
        }
        if let Some(bytes) = server.rss_bytes_per_item {
            writeln!(out, "server memory per item: {bytes:.0} bytes resident")?;
        }
    }
    print_cost(out, "generator", &report.generator, report.unit)?;
    if report.reconnects > 0 {
        writeln!(out, "reconnects: {}", report.reconnects)?;
    }
    for (error, count) in &report.errors {
        writeln!(out, "error: {error} ({count} times)")?;
    }
    Ok(())
}

/// Says in one line what a round found.
pub fn one_line(report: &Report) -> String {
    let figures: Vec<_> = report
        .figures()
        .into_iter()
        .filter(|(name, _)| name.ends_with("/s") || name.starts_with("server us"))
        .map(|(name, value)| format!("{name} {value:.2}"))
        .collect();
    figures.join(", ")
}

fn print_cost(out: &mut impl Write, who: &str, cost: &CostReport, unit: &str) -> io::Result<()> {
    writeln!(
        out,
        "{who} CPU: {:.2} us per {unit}, {:.0} % of a core",
        cost.cpu_us_per_unit, cost.cpu_percent
    )
}
