//! Figures: what was seen, the median and the best of several runs, as a table and as JSON.
//!
//! Everything is an integer of a stated unit; only printing puts the decimal point. Percentiles are
//! exact: they are taken from all samples, not from buckets.

use std::time::Duration;

use comfy_table::{Cell, CellAlignment, Table, presets::NOTHING};
use serde_json::{Value, json};

use crate::cli::format::count;

/// What a figure counts, and which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Things a second; more is better.
    PerSecond,
    /// Microseconds, shown as milliseconds; less is better.
    Micros,
    /// Microseconds of CPU time for 1,000 things, shown as seconds; less is better.
    CpuMicros,
    /// Bytes; less is better.
    Bytes,
    /// Things for one thing, in thousandths; less is better.
    Each,
    /// Tenths of a percent; more is better.
    Share,
    /// Tenths of a percent; less is better.
    Deviation,
}

impl Unit {
    fn more_is_better(self) -> bool {
        matches!(self, Self::PerSecond | Self::Share)
    }

    /// The unit of the integer in the JSON.
    fn name(self) -> &'static str {
        match self {
            Self::PerSecond => "per_second",
            Self::Micros => "us",
            Self::CpuMicros => "us_of_cpu_per_1000",
            Self::Bytes => "bytes",
            Self::Each => "thousandths",
            Self::Share | Self::Deviation => "per_mille",
        }
    }

    fn show(self, value: u64) -> String {
        match self {
            Self::PerSecond => format!("{}/s", count(value)),
            Self::Micros => format!("{}.{:02} ms", count(value / 1000), value % 1000 / 10),
            Self::CpuMicros => format!("{}.{:04} s", value / 1_000_000, value % 1_000_000 / 100),
            Self::Bytes if value >= 10 << 20 => format!("{}.{} MiB", value >> 20, (value % (1 << 20) * 10) >> 20),
            Self::Bytes => format!("{} B", count(value)),
            Self::Each => format!("{}.{:02}", value / 1000, value % 1000 / 10),
            Self::Share | Self::Deviation => format!("{}.{} %", value / 10, value % 10),
        }
    }
}

/// One thing measured in one run.
#[derive(Debug, Clone)]
pub(super) struct Figure {
    /// Its stable name.
    pub(super) id: &'static str,
    /// What it is, for people.
    pub(super) what: String,
    /// Its unit.
    pub(super) unit: Unit,
    /// The value.
    pub(super) value: u64,
    /// What we aim at, as text; empty where there is no aim.
    pub(super) aim: &'static str,
}

impl Figure {
    /// A figure without an aim.
    pub(super) fn new(id: &'static str, what: impl Into<String>, unit: Unit, value: u64) -> Self {
        Self { id, what: what.into(), unit, value, aim: "" }
    }

    /// The same with an aim.
    #[must_use]
    pub(super) fn aim(mut self, aim: &'static str) -> Self {
        self.aim = aim;
        self
    }
}

/// The figures of all runs of one measurement.
#[derive(Debug, Default)]
pub(super) struct Report {
    rows: Vec<Row>,
    /// What has to be known to read the figures.
    pub(super) notes: Vec<String>,
}

#[derive(Debug)]
struct Row {
    first: Figure,
    seen: Vec<u64>,
}

impl Report {
    /// Adds the figures of one run.
    pub(super) fn add(&mut self, figures: Vec<Figure>) {
        for figure in figures {
            match self.rows.iter_mut().find(|row| row.first.id == figure.id) {
                Some(row) => row.seen.push(figure.value),
                None => self.rows.push(Row { seen: vec![figure.value], first: figure }),
            }
        }
    }

    /// As a table with its notes.
    pub(super) fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(NOTHING).set_header(["", "median", "best", "aim"]);
        for row in &self.rows {
            let unit = row.first.unit;
            let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
            table.add_row(vec![
                Cell::new(&row.first.what),
                right(unit.show(row.median())),
                right(unit.show(row.best())),
                right(row.first.aim.to_owned()),
            ]);
        }
        self.notes.iter().fold(table.to_string(), |text, note| text + "\n" + note)
    }

    /// As JSON: integers of the unit named beside them.
    pub(super) fn json(&self) -> Value {
        let figures: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                json!({
                    "id": row.first.id, "what": row.first.what, "unit": row.first.unit.name(),
                    "median": row.median(), "best": row.best(), "runs": row.seen, "aim": row.first.aim,
                })
            })
            .collect();
        json!({ "figures": figures, "notes": self.notes })
    }
}

impl Row {
    fn median(&self) -> u64 {
        percentile(&mut self.seen.clone(), 500)
    }

    fn best(&self) -> u64 {
        let seen = self.seen.iter().copied();
        if self.first.unit.more_is_better() { seen.max() } else { seen.min() }.unwrap_or(0)
    }
}

/// The smallest sample that at least `per_mille` of all samples do not exceed. Sorts them; 0 of none.
pub(super) fn percentile(samples: &mut [u64], per_mille: usize) -> u64 {
    samples.sort_unstable();
    let rank = (samples.len() * per_mille).div_ceil(1000).max(1);
    samples.get(rank - 1).copied().unwrap_or(0)
}

/// So many in so long, as things a second.
pub(super) fn per_second(count: u64, took: Duration) -> u64 {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
    count.saturating_mul(1_000_000) / micros
}

/// Microseconds of a duration.
pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// CPU time for 1,000 of `count`.
pub(super) fn cpu_per_thousand(cpu: Duration, count: u64) -> u64 {
    micros(cpu).saturating_mul(1000) / count.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_sample_that_was_seen() {
        let mut samples: Vec<u64> = (1..=1000).rev().collect();
        assert_eq!(percentile(&mut samples, 500), 500);
        assert_eq!(percentile(&mut samples, 990), 990);
        assert_eq!(percentile(&mut [7], 990), 7);
        assert_eq!(percentile(&mut [], 990), 0);
    }

    #[test]
    fn the_best_is_the_highest_rate_and_the_shortest_time() {
        let mut report = Report::default();
        for (rate, time) in [(10, 300), (30, 100), (20, 200)] {
            report.add(vec![
                Figure::new("rate", "rate", Unit::PerSecond, rate),
                Figure::new("time", "time", Unit::Micros, time),
            ]);
        }
        let json = report.json();
        let seen: Vec<_> = ["median", "best"].map(|what| json.pointer(&format!("/figures/0/{what}"))).into();
        assert_eq!(seen, [Some(&json!(20)), Some(&json!(30))]);
        assert_eq!(json.pointer("/figures/1/best"), Some(&json!(100)));
        assert!(report.table().contains("0.20 ms"), "{}", report.table());
    }

    #[test]
    fn rates_and_shares_of_time_are_integers() {
        assert_eq!(per_second(1000, Duration::from_millis(500)), 2000);
        assert_eq!(cpu_per_thousand(Duration::from_millis(1200), 50_000), 24_000);
        assert_eq!(Unit::CpuMicros.show(24_000), "0.0240 s");
        assert_eq!(Unit::Bytes.show(80 << 20), "80.0 MiB");
    }
}
