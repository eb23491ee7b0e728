//! Several rounds, one server or two: medians and their ratio.

use std::io::{self, Write};

use floe_client::load::Report;
use serde_json::json;

use super::arguments::Subject;

/// Prints a line per figure: the median of each server, and the first over the second.
pub fn print_table(
    out: &mut impl Write,
    subjects: &[Subject],
    reports: &[Vec<Report>],
) -> io::Result<()> {
    let rounds = reports.first().map_or(0, Vec::len);
    for subject in subjects {
        writeln!(out, "{}: {}", subject.name, subject.url)?;
    }
    write!(out, "{:<24}", format!("medians of {rounds}"))?;
    for subject in subjects {
        write!(out, " {:>14}", subject.name)?;
    }
    writeln!(
        out,
        "{}",
        if subjects.len() == 2 { "      A/B" } else { "" }
    )?;
    for row in rows(reports) {
        write!(out, "{:<24}", row.name)?;
        for median in &row.medians {
            match median {
                Some(median) => write!(out, " {median:>14.2}")?,
                None => write!(out, " {:>14}", "-")?,
            }
        }
        match row.ratio() {
            Some(ratio) => writeln!(out, " {ratio:>8.3}")?,
            None => writeln!(out)?,
        }
    }
    print_errors(out, subjects, reports)
}

/// Prints everything: each round's report and the medians.
pub fn print_json(
    out: &mut impl Write,
    subjects: &[Subject],
    reports: &[Vec<Report>],
) -> io::Result<()> {
    if let [[report]] = reports.iter().map(Vec::as_slice).collect::<Vec<_>>()[..] {
        serde_json::to_writer_pretty(&mut *out, report)?;
        return writeln!(out);
    }
    let medians: Vec<_> = rows(reports)
        .iter()
        .map(|row| json!({"name": row.name, "medians": row.medians, "ratio": row.ratio()}))
        .collect();
    let servers: Vec<_> = subjects
        .iter()
        .zip(reports)
        .map(
            |(subject, rounds)| json!({"name": subject.name, "url": subject.url, "rounds": rounds}),
        )
        .collect();
    let all = json!({"figures": medians, "servers": servers});
    serde_json::to_writer_pretty(&mut *out, &all)?;
    writeln!(out)
}

/// One figure of all servers.
#[derive(Debug, PartialEq)]
struct Row {
    name: String,
    medians: Vec<Option<f64>>,
}

impl Row {
    fn ratio(&self) -> Option<f64> {
        match self.medians[..] {
            [Some(first), Some(second)] if second != 0.0 => Some(first / second),
            _ => None,
        }
    }
}

fn rows(reports: &[Vec<Report>]) -> Vec<Row> {
    let figures: Vec<Vec<Vec<(String, f64)>>> = reports
        .iter()
        .map(|rounds| rounds.iter().map(Report::figures).collect())
        .collect();
    let mut names: Vec<&String> = Vec::new();
    for (name, _) in figures.iter().flatten().flatten() {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let median_of = |rounds: &Vec<Vec<(String, f64)>>, name: &String| {
        let found = rounds.iter().flatten().filter(|(other, _)| other == name);
        median(found.map(|(_, value)| *value).collect())
    };
    names
        .into_iter()
        .map(|name| Row {
            name: name.clone(),
            medians: figures
                .iter()
                .map(|rounds| median_of(rounds, name))
                .collect(),
        })
        .collect()
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        len if len % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

fn print_errors(
    out: &mut impl Write,
    subjects: &[Subject],
    reports: &[Vec<Report>],
) -> io::Result<()> {
    for (subject, rounds) in subjects.iter().zip(reports) {
        for (error, count) in rounds.iter().flat_map(|report| &report.errors) {
            writeln!(out, "{} error: {error} ({count} times)", subject.name)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn the_ratio_needs_both_servers() {
        let row = |medians: &[Option<f64>]| Row {
            name: String::new(),
            medians: medians.to_vec(),
        };
        assert_eq!(row(&[Some(1.0), Some(2.0)]).ratio(), Some(0.5));
        assert_eq!(row(&[Some(1.0), None]).ratio(), None);
        assert_eq!(row(&[Some(1.0)]).ratio(), None);
    }
}
