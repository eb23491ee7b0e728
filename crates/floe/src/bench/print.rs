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
    for (name, value) in &report.extra {
        writeln!(out, "{name}: {value:.3}")?;
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use floe_client::load::{LatencyReport, Memory, OperationReport, Plan, ServerReport};

    #[test]
    fn a_report_is_a_small_table() {
        let mut out = Vec::new();
        print_report(&mut out, &report()).unwrap();
        let expected = "\
http://127.0.0.1:4437 for 2.00 s
                   count   per second       MB/s     p50 us     p90 us     p99 us   p99.9 us     max us
append            120000        60000       6.00        900       1200       1800       2500       9000
server CPU: 9.50 us per append, 57 % of a core
server memory: RSS 4.0 -> 6.0 MiB, PSS 3.0 -> 5.0 MiB
generator CPU: 4.25 us per append, 26 % of a core
ratio: 0.500
reconnects: 2
error: append answered 503 (3 times)
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_round_is_one_line() {
        assert_eq!(
            one_line(&report()),
            "append/s 60000.00, append MB/s 6.00, server us/append 9.50"
        );
    }

    fn report() -> Report {
        let memory = |rss_mib: u64| Memory {
            rss_bytes: rss_mib << 20,
            pss_bytes: (rss_mib - 1) << 20,
        };
        let append = OperationReport {
            count: 120_000,
            per_second: 60_000.0,
            messages_per_second: 60_000.0,
            mb_per_second: 6.0,
            latency_us: LatencyReport {
                p50: 900.0,
                p90: 1200.0,
                p99: 1800.0,
                p99_9: 2500.0,
                max: 9000.0,
            },
        };
        Report {
            url: "http://127.0.0.1:4437".to_owned(),
            plan: Plan::default(),
            seconds: 2.0,
            operations: [("append", append)].into(),
            unit: "append",
            units: 120_000.0,
            server: Some(ServerReport {
                cost: CostReport {
                    cpu_us_per_unit: 9.5,
                    cpu_percent: 57.0,
                },
                memory_before: Some(memory(4)),
                memory_after: Some(memory(6)),
                rss_bytes_per_item: None,
            }),
            generator: CostReport {
                cpu_us_per_unit: 4.25,
                cpu_percent: 25.5,
            },
            extra: [("ratio", 0.5)].into(),
            reconnects: 2,
            errors: [("append answered 503".to_owned(), 3)].into(),
        }
    }
}
