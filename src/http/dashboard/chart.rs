//! Charts of the last hour: stacked columns, one for each step, drawn as SVG that stretches with its box.
//!
//! The numbers on the axes stand beside it in HTML, so that text never stretches. Whole numbers throughout: a unit of the
//! drawing is a tenth of a step, or a thousandth of the highest mark.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::{Value, json};

use super::{super::language::Language, show};
use crate::{
    domain::html::escaped,
    store::history::{Moment, STEPS},
};

/// Height of the drawing.
const HIGH: u64 = 1000;

/// Width of a step.
const WIDE: usize = 10;

/// Series that have a colour of their own; what is more is summed up.
const COLOURS: usize = 6;

/// What a chart shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Jobs that wait, by queue.
    Jobs,
    /// Recipients that wait, by channel.
    Recipients,
    /// Messages a second, by channel, and what failed.
    Throughput,
}

/// One line of the legend and its columns.
#[derive(Debug)]
struct Series {
    name: String,
    class: String,
    /// A number for each step; for messages in tenths a second.
    values: Vec<u64>,
}

/// A chart as the template shows it.
pub(super) fn chart(
    kind: Kind,
    moments: &[Moment],
    now_ms: i64,
    language: Language,
    failed: &str,
    others: &str,
) -> Value {
    let series = series(kind, moments, now_ms, failed, others);
    let totals: Vec<u64> =
        (0..moments.len()).map(|step| series.iter().filter_map(|series| series.values.get(step)).sum()).collect();
    let peak = totals.iter().copied().max().unwrap_or(0);
    let top = mark(peak, kind);
    let shown = |value: u64| number(kind, value, language);
    let legend: Vec<Value> = series
        .iter()
        .map(|series| {
            let latest = shown(series.values.last().copied().unwrap_or(0));
            json!({ "name": series.name, "class": series.class, "now": latest })
        })
        .collect();
    let svg = draw(&series, &totals, top, moments, shown);
    json!({
        "svg": svg,
        "legend": legend,
        "top": shown(top),
        "half": shown(top / 2),
        "peak": shown(peak),
        "latest": shown(totals.last().copied().unwrap_or(0)),
        "known": moments.iter().any(Moment::is_known),
    })
}

fn number(kind: Kind, value: u64, language: Language) -> String {
    match kind {
        Kind::Throughput => show::tenths(value, language),
        Kind::Jobs | Kind::Recipients => show::count(value, language),
    }
}

fn series(kind: Kind, moments: &[Moment], now_ms: i64, failed: &str, others: &str) -> Vec<Series> {
    let what = match kind {
        Kind::Jobs => "waiting",
        Kind::Recipients => "recipients",
        Kind::Throughput => "sent",
    };
    let value = |moment: &Moment, number: u64| match kind {
        Kind::Throughput => per_second(number, moment.seconds(now_ms)),
        Kind::Jobs | Kind::Recipients => number,
    };
    let mut by_name: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut lost = vec![0_u64; moments.len()];
    for (step, moment) in moments.iter().enumerate() {
        for (name, number) in moment.of(what) {
            let values = by_name.entry(name.to_owned()).or_insert_with(|| vec![0; moments.len()]);
            if let Some(place) = values.get_mut(step) {
                *place = value(moment, number);
            }
        }
        if let (Kind::Throughput, Some(place)) = (kind, lost.get_mut(step)) {
            *place = value(moment, moment.of("failed").map(|(_, number)| number).sum());
        }
    }
    let mut all: Vec<Series> = Vec::new();
    // A colour belongs to a name, so that it is the same in each chart; what is nought all the hour is left out.
    for (place, (name, values)) in by_name.into_iter().enumerate() {
        if values.iter().all(|number| *number == 0) {
            continue;
        }
        match all.get_mut(COLOURS - 1) {
            Some(rest) if place >= COLOURS => {
                others.clone_into(&mut rest.name);
                rest.values.iter_mut().zip(values).for_each(|(sum, number)| *sum += number);
            }
            _ => all.push(Series { class: format!("c{}", place.min(COLOURS - 1) + 1), name, values }),
        }
    }
    if lost.iter().any(|number| *number > 0) {
        all.push(Series { name: failed.to_owned(), class: "lost".to_owned(), values: lost });
    }
    all
}

/// In tenths a second.
fn per_second(number: u64, seconds: u64) -> u64 {
    number.saturating_mul(10).checked_div(seconds).unwrap_or(0)
}

/// The next round number: 1, 2 or 5 and noughts.
fn mark(peak: u64, kind: Kind) -> u64 {
    let least = match kind {
        Kind::Throughput => 10,
        Kind::Jobs | Kind::Recipients => 2,
    };
    let mut unit = 1_u64;
    loop {
        for mark in [unit, unit.saturating_mul(2), unit.saturating_mul(5)] {
            if mark >= peak.max(least) && mark.is_multiple_of(2) {
                return mark;
            }
        }
        if unit > u64::MAX / 100 {
            return peak.max(least);
        }
        unit *= 10;
    }
}

fn draw(series: &[Series], totals: &[u64], top: u64, moments: &[Moment], shown: impl Fn(u64) -> String) -> String {
    let wide = moments.len().max(1) * WIDE;
    let mut out =
        format!("<svg class=\"plot\" viewBox=\"0 0 {wide} {HIGH}\" preserveAspectRatio=\"none\" aria-hidden=\"true\">");
    let mut ground = vec![0_u64; moments.len()];
    for Series { class, values, .. } in series {
        let mut path = String::new();
        for (step, (value, below)) in values.iter().zip(&mut ground).enumerate() {
            let high = height(*value, top);
            if high > 0 {
                let y = HIGH.saturating_sub(*below + high);
                // Writing to a text does not fail.
                let _ = write!(path, "M{} {y}h{}v{high}h-{}z", step * WIDE + 1, WIDE - 2, WIDE - 2);
            }
            *below += high;
        }
        let _ = write!(out, "<path class=\"{class}\" d=\"{path}\"/>");
    }
    for (step, (total, moment)) in totals.iter().zip(moments).enumerate().filter(|(_, (total, _))| **total > 0) {
        let parts: Vec<String> = series
            .iter()
            .filter_map(|series| Some((series, *series.values.get(step)?)))
            .filter(|(_, value)| *value > 0)
            .map(|(series, value)| format!("{} {}", series.name, shown(value)))
            .collect();
        let begun = show::utc(moment.begun_ms());
        let clock: String = begun.chars().skip(11).take(8).collect();
        let title = format!("{clock} UTC: {} ({})", shown(*total), parts.join(", "));
        let _ = write!(
            out,
            "<rect class=\"hover\" x=\"{}\" width=\"{WIDE}\" height=\"{HIGH}\"><title>{}</title></rect>",
            step * WIDE,
            escaped(&title)
        );
    }
    out.push_str("</svg>");
    out
}

fn height(value: u64, top: u64) -> u64 {
    value.saturating_mul(HIGH).checked_div(top).unwrap_or(0).max(u64::from(value > 0) * 12)
}

const _: () = assert!(STEPS * WIDE == 1200, "the style draws its lines at quarters of it");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_mark_is_a_round_number_that_halves() {
        let marks = [0, 2, 3, 7, 11, 60, 999, 1_234].map(|peak| mark(peak, Kind::Jobs));
        assert_eq!(marks, [2, 2, 10, 10, 20, 100, 1_000, 2_000]);
        assert_eq!(mark(0, Kind::Throughput), 10);
        assert_eq!(mark(u64::MAX, Kind::Jobs), u64::MAX);
    }

    #[test]
    fn what_is_shown_of_a_step_is_what_a_second_of_it_had() {
        assert_eq!((per_second(40, 10), per_second(1, 30)), (40, 0));
    }
}
