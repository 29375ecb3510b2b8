//! The sections of the status, as rows of text: the same printed once, and drawn live.

use std::time::Duration;

use crate::{
    cli::{
        format,
        output::{Column, Page, Rows},
    },
    operate::{
        paused::PausedRun,
        status::{ChannelRow, DaemonView, QueueView, StatusView},
    },
    store::view::RunView,
};

/// How a row is to be noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Notice {
    /// Nothing of it waits.
    Idle,
    /// It works.
    Busy,
    /// It waits for something that ends by itself.
    Waits,
    /// Somebody has to look.
    Look,
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// The names of the columns.
    Title,
    /// A row.
    Row(Notice),
}

/// Some lines that belong together.
#[derive(Debug)]
pub(super) struct Section {
    /// The line above the rows; empty for none.
    pub(super) title: String,
    /// The lines, the columns under each other.
    pub(super) rows: Vec<(Notice, String)>,
    /// What the lines are, where some are left out: `queue`.
    pub(super) word: &'static str,
}

impl Section {
    fn of(word: &'static str, table: &Rows, notices: &[Notice]) -> Self {
        let text = table.text();
        let mut lines = text.lines().map(str::to_owned);
        let title = lines.next().unwrap_or_default();
        Self { title, rows: notices.iter().copied().zip(lines).collect(), word }
    }

    fn line(notice: Notice, text: String) -> Self {
        Self { title: String::new(), rows: vec![(notice, text)], word: "line" }
    }

    /// Lines it takes with so many of its rows, the blank one behind it included.
    pub(super) fn height(&self, rows: usize) -> usize {
        let left_out = usize::from(rows < self.rows.len());
        usize::from(!self.title.is_empty()) + rows + left_out + 1
    }

    /// Writes so many of its rows, those that are to be noticed first, in their order; each line as `look` makes it look.
    pub(super) fn write(&self, page: &mut Page, rows: usize, look: impl Fn(Line, &str) -> String) {
        if !self.title.is_empty() {
            page.line(look(Line::Title, &self.title));
        }
        for (notice, line) in self.chosen(rows) {
            page.line(look(Line::Row(*notice), line));
        }
        if rows < self.rows.len() {
            let left = u64::try_from(self.rows.len() - rows).unwrap_or(u64::MAX);
            page.line(look(Line::Row(Notice::Idle), &format!(" … {} more", format::counted(left, self.word))));
        }
        page.line("");
    }

    /// So many of its rows, in their order.
    fn chosen(&self, rows: usize) -> impl Iterator<Item = &(Notice, String)> {
        let mut by_notice: Vec<usize> = (0..self.rows.len()).collect();
        by_notice.sort_by_key(|at| std::cmp::Reverse(self.rows.get(*at).map(|(notice, _)| *notice)));
        by_notice.truncate(rows);
        by_notice.sort_unstable();
        by_notice.into_iter().filter_map(|at| self.rows.get(at))
    }
}

/// The whole status.
pub(super) fn sections(status: &StatusView) -> Vec<Section> {
    let mut sections = vec![redis(status), queues(&status.queues)];
    if !status.runs.is_empty() {
        sections.push(runs(status));
    }
    if !status.paused_runs.is_empty() {
        sections.push(paused(&status.paused_runs, status.now_ms));
    }
    sections.push(channels(&status.channels));
    sections.push(daemons(&status.daemons, status.now_ms));
    sections.push(letters(status));
    sections
}

fn redis(status: &StatusView) -> Section {
    let redis = &status.redis;
    let limit = match redis.maxmemory_bytes {
        0 => String::new(),
        limit => format!(" of {}", format::bytes(limit)),
    };
    let used = format::bytes(redis.used_memory_bytes);
    let full = if redis.full { ", full: no import and no generate is taken" } else { "" };
    let notice = if redis.full { Notice::Look } else { Notice::Busy };
    Section::line(notice, format!("Redis {} at {}, {used}{limit} in use{full}", redis.version, redis.place))
}

fn queues(queues: &[QueueView]) -> Section {
    let mut rows = Rows::of_lines(&[
        Column::Text("QUEUE"),
        Column::Number("WAITING"),
        Column::Number("RUNNING"),
        Column::Number("OLDEST"),
        Column::Number("IN"),
        Column::Number("OUT"),
        Column::Text(""),
    ]);
    let mut notices = Vec::new();
    for queue in queues {
        let oldest = match queue.waiting + queue.running {
            0 => "-".to_owned(),
            _ => format::duration(Duration::from_millis(queue.oldest_ms)),
        };
        notices.push(match queue.note {
            Some(_) => Notice::Look,
            None if queue.waiting + queue.running > 0 => Notice::Busy,
            None => Notice::Idle,
        });
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
    Section::of("queue", &rows, &notices)
}

fn runs(status: &StatusView) -> Section {
    let mut rows = Rows::of_lines(&[
        Column::Text("RUN"),
        Column::Text("DONE"),
        Column::Number("LEFT"),
        Column::Number("RATE"),
        Column::Number("ENDS IN"),
        Column::Text("STATE"),
    ]);
    let mut notices = Vec::new();
    for run in &status.runs {
        let ends = run.estimated_end_at.map(|at| Duration::from_millis(u64::try_from(at - status.now_ms).unwrap_or(0)));
        notices.push(notice(run));
        let reason = run.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        rows.add([
            format!("{} {}", run.campaign, run.run),
            format::bar(run.ended(), run.total, 10),
            format::count(run.total.saturating_sub(run.ended())),
            rate(run.messages_per_second),
            ends.map_or_else(|| "-".to_owned(), format::duration),
            format!("{}{reason}", run.shown),
        ]);
    }
    let mut section = Section::of("run", &rows, &notices);
    let shown = u64::try_from(status.runs.len()).unwrap_or(u64::MAX);
    if status.runs_running > shown {
        let more = format::counted(status.runs_running - shown, "run");
        section.rows.push((Notice::Idle, format!(" … {more} more, with fewer recipients left")));
    }
    section
}

/// Runs that paused themselves, each with the command that lets it go on.
fn paused(runs: &[PausedRun], now_ms: i64) -> Section {
    let mut rows = Rows::of_lines(&[
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
    Section::of("run", &rows, &vec![Notice::Look; runs.len()])
}

fn notice(run: &RunView) -> Notice {
    match run.shown.as_str() {
        "paused" => Notice::Look,
        "held" => Notice::Waits,
        _ => Notice::Busy,
    }
}

fn channels(channels: &[ChannelRow]) -> Section {
    if channels.is_empty() {
        let text = " no channel is configured: define [channels.<name>] in the configuration";
        return Section::line(Notice::Look, text.to_owned());
    }
    let mut rows = Rows::of_lines(&[
        Column::Text("CHANNEL"),
        Column::Number("RECIPIENTS WAITING"),
        Column::Number("PARTS"),
        Column::Number("RATE"),
        Column::Number("LEFT"),
        Column::Text("STATE"),
    ]);
    let mut notices = Vec::new();
    for row in channels {
        let left = row.seconds_left.map_or_else(|| "-".to_owned(), |s| format::duration(Duration::from_secs(s)));
        let nobody = if row.channel.served { "" } else { "; no daemon serves it" };
        let state = format!("{}{nobody}", row.channel.shown);
        notices.push(match row.channel.state {
            "paused" => Notice::Look,
            _ if !row.channel.served && row.recipients_waiting > 0 => Notice::Look,
            "open" if row.recipients_waiting > 0 => Notice::Busy,
            "open" => Notice::Idle,
            _ => Notice::Waits,
        });
        let (recipients, parts) = (format::count(row.recipients_waiting), format::count(row.parts_waiting));
        rows.add([row.channel.channel.clone(), recipients, parts, rate(row.messages_per_second), left, state]);
    }
    Section::of("channel", &rows, &notices)
}

fn daemons(daemons: &[DaemonView], now_ms: i64) -> Section {
    if daemons.is_empty() {
        let text = " no daemon is running: start one with `remesa run` (or `systemctl start remesa`)";
        return Section::line(Notice::Look, text.to_owned());
    }
    let columns = [
        Column::Text("DAEMON"),
        Column::Text("VERSION"),
        Column::Number("IN HAND"),
        Column::Number("SEEN"),
        Column::Text("CHANNELS"),
    ];
    let mut rows = Rows::of_lines(&columns);
    let mut notices = Vec::new();
    for daemon in daemons {
        let age = Duration::from_millis(u64::try_from(now_ms.saturating_sub(daemon.beat_at)).unwrap_or(0));
        notices.push(if age > SILENT { Notice::Waits } else { Notice::Busy });
        rows.add([
            daemon.incarnation.clone(),
            daemon.version.clone(),
            format::count(daemon.in_hand),
            format!("{} ago", format::duration(age)),
            format::or_dash(&daemon.channels),
        ]);
    }
    Section::of("daemon", &rows, &notices)
}

/// A daemon that has not beaten for so long is worth a look.
const SILENT: Duration = Duration::from_secs(10);

fn letters(status: &StatusView) -> Section {
    let letters = |count: u64, word: &str| match count {
        0 => format!("0 {word}"),
        _ => format!("{} {word} (remesa {word} list)", format::count(count)),
    };
    let text = format!(" jobs: {}, {}", letters(status.rejected, "rejected"), letters(status.dead, "dead"));
    Section::line(if status.dead > 0 { Notice::Waits } else { Notice::Idle }, text)
}

/// A rate, or a dash where nobody looked twice.
fn rate(per_second: Option<u64>) -> String {
    per_second.map_or_else(|| "-".to_owned(), |number| format::rate(number, Duration::from_secs(1)))
}
