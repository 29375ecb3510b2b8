//! The live screen: every section has its place, whatever the height of the terminal.
//!
//! A section that does not fit shows the rows that are to be noticed and says how many more there are; the rest of the
//! lines goes to those that have more. Colour only repeats what the words say.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    cli::{
        format,
        output::Page,
        watch::{Fitted, Frame},
    },
    domain::clock::EpochMs,
    operate::status::StatusView,
};

use super::words::{self, Line, Notice, Section};

/// Rows that each section gets before any gets more.
const FIRST: usize = 2;

/// What one look shows; `away` says since when, and why, Redis does not answer.
pub(super) fn frame(status: Option<&StatusView>, away: Option<(Duration, String)>) -> Frame {
    let at = status.map(|status| format!(" as of {}", EpochMs(status.now_ms).to_rfc3339())).unwrap_or_default();
    let mut head = vec![(Notice::Idle, format!("remesa status{at}, every second; Ctrl-C ends"))];
    let away =
        away.map(|(since, why)| format!("Redis is away for {}: {why}; looking again …", format::duration(since)));
    head.extend(away.clone().map(|away| (Notice::Look, away)));
    let items = match (&away, status) {
        (Some(_), _) => vec![("redis".to_owned(), json!({ "kind": "redis", "away": true }))],
        (None, status) => status.map(items).unwrap_or_default(),
    };
    let sections = status.map(words::sections).unwrap_or_default();
    Frame {
        summary: away.or_else(|| status.map(summary)).unwrap_or_default(),
        items,
        fitted: Some(Fitted::new(move |height, coloured| draw(&head, &sections, height, coloured))),
        ..Frame::default()
    }
}

fn draw(head: &[(Notice, String)], sections: &[Section], height: usize, coloured: bool) -> String {
    let look = |line: Line, text: &str| if coloured { styled(line, text) } else { text.to_owned() };
    let mut page = Page::default();
    for (notice, line) in head {
        page.line(look(Line::Row(*notice), line));
    }
    page.line("");
    let room = height.saturating_sub(head.len() + 1);
    for (section, rows) in sections.iter().zip(shares(sections, room)) {
        section.write(&mut page, rows, look);
    }
    page.into_text()
}

/// How many rows of each section are shown in so many lines.
fn shares(sections: &[Section], height: usize) -> Vec<usize> {
    let mut shares: Vec<usize> = sections.iter().map(|section| section.rows.len().min(FIRST)).collect();
    let needed = |shares: &[usize]| -> usize {
        let heights = sections.iter().zip(shares).map(|(section, rows)| section.height(*rows));
        // The blank line behind the last one may go.
        heights.sum::<usize>().saturating_sub(1)
    };
    // One more to each in turn, for as long as there is room.
    loop {
        let mut grown = false;
        for at in 0..shares.len() {
            let mut more = shares.clone();
            if let (Some(rows), Some(section)) = (more.get_mut(at), sections.get(at))
                && *rows < section.rows.len()
            {
                *rows += 1;
                // The last row takes the place of the line that says that there is one more.
                if needed(&more) <= height {
                    shares = more;
                    grown = true;
                }
            }
        }
        if !grown {
            return shares;
        }
    }
}

fn styled(line: Line, text: &str) -> String {
    let text = console::style(text).force_styling(true);
    match line {
        Line::Title => text.bold().to_string(),
        Line::Row(Notice::Idle) => text.dim().to_string(),
        Line::Row(Notice::Busy) => text.to_string(),
        Line::Row(Notice::Waits) => text.yellow().to_string(),
        Line::Row(Notice::Look) => text.red().to_string(),
    }
}

/// One line for a log.
fn summary(status: &StatusView) -> String {
    let waiting: u64 = status.queues.iter().map(|queue| queue.waiting).sum();
    let recipients: u64 = status.channels.iter().map(|channel| channel.recipients_waiting).sum();
    let rate: u64 = status.channels.iter().filter_map(|channel| channel.messages_per_second).sum();
    let daemons = u64::try_from(status.daemons.len()).unwrap_or(u64::MAX);
    let held = status
        .channels
        .iter()
        .filter(|row| row.channel.state != "open")
        .map(|row| format!(", {} {}", row.channel.channel, row.channel.shown));
    format!(
        "{} or turns and {} wait, {} messages, {}, {} rejected, {} dead{}",
        format::counted(waiting, "job"),
        format::counted(recipients, "recipient"),
        format::rate(rate, Duration::from_secs(1)),
        format::counted(daemons, "daemon"),
        format::count(status.rejected),
        format::count(status.dead),
        held.collect::<String>()
    )
}

/// Each thing by a name of its own.
fn items(status: &StatusView) -> Vec<(String, Value)> {
    let value = |kind: &str, value: serde_json::Result<Value>| {
        let mut value = value.unwrap_or_default();
        if let Some(fields) = value.as_object_mut() {
            fields.insert("kind".to_owned(), kind.into());
        }
        value
    };
    let mut items = vec![("redis".to_owned(), value("redis", serde_json::to_value(&status.redis)))];
    let letters = json!({ "kind": "letters", "rejected": status.rejected, "dead": status.dead });
    items.push(("letters".to_owned(), letters));
    items.extend(
        status.queues.iter().map(|it| (format!("queue {}", it.queue), value("queue", serde_json::to_value(it)))),
    );
    items.extend(
        status
            .channels
            .iter()
            .map(|it| (format!("channel {}", it.channel.channel), value("channel", serde_json::to_value(it)))),
    );
    items.extend(
        status
            .runs
            .iter()
            .map(|it| (format!("run {} {}", it.campaign, it.run), value("run", serde_json::to_value(it)))),
    );
    items.extend(
        status
            .daemons
            .iter()
            .map(|it| (format!("daemon {}", it.incarnation), value("daemon", serde_json::to_value(it)))),
    );
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(word: &'static str, rows: usize) -> Section {
        let row = |at: usize| (if at == rows - 1 { Notice::Look } else { Notice::Idle }, format!(" {word} {at}"));
        Section { title: format!(" {word}"), rows: (0..rows).map(row).collect(), word }
    }

    fn height(text: &str) -> usize {
        text.trim_end_matches('\n').lines().count()
    }

    #[test]
    fn a_screen_of_24_lines_shows_a_part_of_every_section_and_says_what_it_leaves_out() {
        let sections = [section("queue", 30), section("run", 20), section("channel", 3), section("daemon", 2)];
        let text = draw(&[], &sections, 24, false);
        assert!(height(&text) <= 24, "{text}");
        for expected in ["queue 29", "run 19", "channel 2", "daemon 1", "more"] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
        assert!(height(&text) >= 22, "the room is used\n{text}");
    }

    #[test]
    fn everything_is_shown_where_there_is_room_and_in_its_order() {
        let sections = [section("queue", 6), section("channel", 2)];
        let text = draw(&[], &sections, 60, false);
        assert!(!text.contains("more"), "{text}");
        assert!(text.find("queue 0").unwrap() < text.find("queue 5").unwrap());
    }

    #[test]
    fn a_redis_that_is_away_is_the_first_thing_on_the_screen() {
        let frame = frame(None, Some((Duration::from_secs(7), "no Redis at x".to_owned())));
        let text = frame.fitted.unwrap().draw(24, false);
        assert!(text.contains("Redis is away for 7s: no Redis at x; looking again …"), "{text}");
        assert!(frame.summary.starts_with("Redis is away") && !frame.at_rest);
    }

    #[test]
    fn colour_repeats_what_the_words_say() {
        let sections = [section("queue", 2)];
        let plain = draw(&[], &sections, 24, false);
        let coloured = draw(&[], &sections, 24, true);
        assert!(coloured.contains("\x1b[") && !plain.contains('\x1b'));
        assert_eq!(console::strip_ansi_codes(&coloured), plain);
    }
}
