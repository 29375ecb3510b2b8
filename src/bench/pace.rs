//! How exactly a rate is kept, seen from the provider: its arrivals by second.
//!
//! Aim: within 1 % or one message over any ten seconds, with several daemons. The first and the last
//! second are cut by the run's beginning and end and are left out.

use super::{
    Common, campaign,
    figures::{Figure, Unit},
    results::until_state,
    stage::{Setting, Stage, client},
};
use crate::sandbox::{Second, Stats};

/// Messages a second asked for.
const RATE: u32 = 500;

/// The window over which the rate is judged, in seconds.
const WINDOW: usize = 10;

/// One run.
pub(super) async fn run(common: &Common) -> anyhow::Result<Vec<Figure>> {
    let of = measure(common, common.setting().daemons).await?;
    Ok(vec![
        Figure::new(
            "rate_deviation_10s",
            format!("{RATE}/s asked for: off over any 10 s"),
            Unit::Deviation,
            of(WINDOW),
        )
        .aim("1 %"),
        Figure::new("rate_deviation_1s", format!("{RATE}/s asked for: off over any second"), Unit::Deviation, of(1)),
    ])
}

/// One run of one daemon, and one of three that share the rate.
pub(super) async fn compare(common: &Common) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (daemons, ten, one) in [(1, "one_daemon_10s", "one_daemon_1s"), (3, "three_daemons_10s", "three_daemons_1s")] {
        let of = measure(common, daemons).await?;
        let what = |window: &str| format!("{RATE}/s asked for, {daemons} daemon(s): off over any {window}");
        figures.push(Figure::new(ten, what("10 s"), Unit::Deviation, of(WINDOW)).aim("1 %"));
        figures.push(Figure::new(one, what("second"), Unit::Deviation, of(1)));
    }
    Ok(figures)
}

/// Sends at the rate; how far off it was over any window of so many seconds.
async fn measure(common: &Common, daemons: usize) -> anyhow::Result<impl Fn(usize) -> u64> {
    let setting = Setting { rate_per_second: RATE, daemons, ..common.setting() };
    let mut stage = Stage::set(setting).await?;
    // Two seconds more, for the two that are left out.
    let seconds = u64::from(common.rate_seconds).max(10) + 2;
    campaign::write_csv(&stage.spool("orders.csv"), seconds * u64::from(RATE))?;
    stage.start_daemons()?;
    let job = campaign::job("pace", "pace", "orders.csv", Some("bench")).to_string();
    stage.store.add_job("generate", job.as_bytes()).await?;
    until_state(&stage.store, &stage.store.keys.job("pace"), &["done"]).await?;
    until_state(&stage.store, &stage.store.keys.run("pace", "delivery@1"), &["finished"]).await?;
    let url = format!("{}/stats", stage.provider_url());
    let stats: Stats = serde_json::from_slice(&client()?.get(url).send().await?.bytes().await?)?;
    stage.check()?;
    stage.strike().await?;
    let seconds = whole_seconds(&stats.per_second);
    Ok(move |window| deviation(&seconds, window, u64::from(RATE)))
}

/// Arrivals of each second between the first and the last, those without any included.
fn whole_seconds(seen: &[Second]) -> Vec<u64> {
    let (Some(first), Some(last)) = (seen.first(), seen.last()) else { return Vec::new() };
    (first.second + 1..last.second)
        .map(|second| seen.iter().find(|s| s.second == second).map_or(0, |s| s.requests))
        .collect()
}

/// The most that any window is off, in tenths of a percent.
fn deviation(seconds: &[u64], window: usize, rate: u64) -> u64 {
    let wanted = rate * u64::try_from(window).unwrap_or(1);
    let off = seconds.windows(window).map(|w| w.iter().sum::<u64>().abs_diff(wanted)).max();
    (off.unwrap_or(wanted) * 1000).div_ceil(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: i64, requests: u64) -> Second {
        Second { second, requests, accepted: requests }
    }

    #[test]
    fn the_worst_window_counts_and_the_cut_seconds_do_not() {
        let seen = [second(1, 10), second(2, 500), second(3, 490), second(5, 505), second(6, 3)];
        let seconds = whole_seconds(&seen);
        assert_eq!(seconds, [500, 490, 0, 505]);
        assert_eq!(deviation(&seconds[..2], 1, 500), 20);
        assert_eq!(deviation(&seconds[..2], 2, 500), 10);
        assert_eq!(deviation(&[], 10, 500), 1000);
    }
}
