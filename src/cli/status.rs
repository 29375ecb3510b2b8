//! `remesa status`: queues, channels and daemons on one screen.

use std::time::Duration;

use crate::operate::{
    paused::PausedRun,
    status::{self, ChannelRow, DaemonView, QueueView, StatusView},
};

use super::{
    context::Globals,
    format,
    output::{self, Column, Rows},
};

const EXAMPLES: &str = "\
Examples:
  remesa status
  remesa status --json
  watch remesa status";

/// Arguments of `remesa status`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    format: output::Format,
}

/// Runs the command.
pub async fn run(globals: &Globals, args: Args) -> anyhow::Result<()> {
    let context = globals.open().await?;
    let status = status::now(&context.store, &context.config).await?;
    if args.format.json {
        output::json(&status)?;
    } else {
        print(&status)?;
    }
    Ok(())
}

fn print(status: &StatusView) -> std::io::Result<()> {
    let redis = &status.redis;
    let limit = match redis.maxmemory_bytes {
        0 => String::new(),
        limit => format!(" of {}", format::bytes(limit)),
    };
    let used = format::bytes(redis.used_memory_bytes);
    output::line(format_args!("Redis {} at {}, {used}{limit} in use", redis.version, redis.place))?;
    output::line("")?;
    print_queues(&status.queues)?;
    output::line("")?;
    print_channels(&status.channels)?;
    output::line("")?;
    print_paused(&status.paused_runs, status.now_ms)?;
    print_daemons(&status.daemons, status.now_ms)?;
    let letters = |count: u64, word: &str| match count {
        0 => format!("0 {word}"),
        _ => format!("{} {word} (remesa {word} list)", format::count(count)),
    };
    output::line("")?;
    output::line(format_args!(" jobs: {}, {}", letters(status.rejected, "rejected"), letters(status.dead, "dead")))
}

fn print_queues(queues: &[QueueView]) -> std::io::Result<()> {
    let mut rows = Rows::new(&[
        Column::Text("QUEUE"),
        Column::Number("WAITING"),
        Column::Number("RUNNING"),
        Column::Number("OLDEST"),
        Column::Number("IN"),
        Column::Number("OUT"),
        Column::Text(""),
    ]);
    for queue in queues {
        let oldest = match queue.waiting + queue.running {
            0 => "-".to_owned(),
            _ => format::duration(Duration::from_millis(queue.oldest_ms)),
        };
        rows.add([
            queue.queue.clone(),
            format::count(queue.waiting),
            format::count(queue.running),
            oldest,
            rate(queue.added_per_second),
            rate(queue.settled_per_second),
            queue.note.unwrap_or_default().to_owned(),
        ]);
    }
    rows.print()
}

fn print_channels(channels: &[ChannelRow]) -> std::io::Result<()> {
    if channels.is_empty() {
        return output::line(" no channel is configured: define [channels.<name>] in the configuration");
    }
    let mut rows = Rows::new(&[
        Column::Text("CHANNEL"),
        Column::Number("RECIPIENTS WAITING"),
        Column::Number("PARTS"),
        Column::Number("RATE"),
        Column::Number("LEFT"),
        Column::Text("STATE"),
    ]);
    for row in channels {
        let left = row.seconds_left.map_or_else(|| "-".to_owned(), |s| format::duration(Duration::from_secs(s)));
        let nobody = if row.channel.served { "" } else { "; no daemon serves it" };
        let state = format!("{}{nobody}", row.channel.shown);
        let (recipients, parts) = (format::count(row.recipients_waiting), format::count(row.parts_waiting));
        let rate = rate(row.messages_per_second);
        rows.add([row.channel.channel.clone(), recipients, parts, rate, left, state]);
    }
    rows.print()
}

/// Runs that paused themselves, each with the command that lets it go on; nothing where there are none.
fn print_paused(runs: &[PausedRun], now_ms: i64) -> std::io::Result<()> {
    if runs.is_empty() {
        return Ok(());
    }
    let mut rows = Rows::new(&[
        Column::Text("PAUSED ITSELF"),
        Column::Text("CHANNEL"),
        Column::Number("SINCE"),
        Column::Text("WHY"),
        Column::Text("TO GO ON"),
    ]);
    for run in runs {
        let age = now_ms.saturating_sub(run.since.unwrap_or(now_ms));
        let why = format!("{} ({} of {} attempts)", run.reason, format::count(run.errors), format::count(run.attempts));
        let since = format::duration(Duration::from_millis(u64::try_from(age).unwrap_or(0)));
        rows.add([format!("{}/{}", run.campaign, run.run), run.channel.clone(), since, why, run.resume()]);
    }
    rows.print()?;
    output::line("")
}

fn print_daemons(daemons: &[DaemonView], now_ms: i64) -> std::io::Result<()> {
    if daemons.is_empty() {
        return output::line(" no daemon is running: start one with `remesa run` (or `systemctl start remesa`)");
    }
    let columns = [
        Column::Text("DAEMON"),
        Column::Text("VERSION"),
        Column::Number("IN HAND"),
        Column::Number("SEEN"),
        Column::Text("CHANNELS"),
    ];
    let mut rows = Rows::new(&columns);
    for daemon in daemons {
        let age = Duration::from_millis(u64::try_from(now_ms.saturating_sub(daemon.beat_at)).unwrap_or(0));
        rows.add([
            daemon.incarnation.clone(),
            daemon.version.clone(),
            format::count(daemon.in_hand),
            format!("{} ago", format::duration(age)),
            format::or_dash(&daemon.channels),
        ]);
    }
    rows.print()
}

/// A rate, or a dash before the second look.
fn rate(per_second: Option<u64>) -> String {
    per_second.map_or_else(|| "-".to_owned(), |number| format::rate(number, Duration::from_secs(1)))
}
