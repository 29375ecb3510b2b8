//! `--watch`: the same look again and again, until what is watched comes to rest or somebody presses Ctrl-C.
//!
//! On a terminal the lines are drawn over themselves; elsewhere there is a plain line for each change, at most every two
//! seconds; with `--json` one line of JSON for each thing that changed. Looks come once a second, more rarely where one
//! takes long, so that a watcher never loads Redis.

use std::{
    collections::HashMap,
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use console::Term;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use super::output;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// A look may take so much of the time: one part of this many.
const SHARE: u32 = 5;

/// Between two plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(2);

/// What one look shows.
#[derive(Debug, Default)]
pub struct Frame {
    /// For a terminal.
    pub text: String,
    /// For a log: one line.
    pub summary: String,
    /// For programs: each thing by a name of its own.
    pub items: Vec<(String, Value)>,
    /// Whether nothing will change by itself.
    pub at_rest: bool,
}

/// Looks and shows until the end. The last look stays on the screen.
pub async fn watch(format: output::Format, mut look: impl AsyncFnMut() -> anyhow::Result<Frame>) -> anyhow::Result<()> {
    // From now on, not from the first look: the cursor must not stay hidden.
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut shown = Shown::new(format);
    let watching = async {
        loop {
            let began = Instant::now();
            let frame = look().await?;
            shown.show(&frame)?;
            if frame.at_rest {
                return Ok(());
            }
            tokio::time::sleep(EVERY.max(began.elapsed() * SHARE)).await;
        }
    };
    tokio::select! {
        ended = watching => ended,
        _ = interrupts.recv() => Ok(()),
    }
}

/// Where frames go, and what is there already.
enum Shown {
    Json(HashMap<String, Value>),
    Screen(Screen),
    Plain { last: String, at: Option<Instant> },
}

impl Shown {
    fn new(format: output::Format) -> Self {
        if format.json {
            Self::Json(HashMap::new())
        } else if io::stdout().is_terminal() {
            Self::Screen(Screen::new())
        } else {
            Self::Plain { last: String::new(), at: None }
        }
    }

    fn show(&mut self, frame: &Frame) -> io::Result<()> {
        match self {
            Self::Json(before) => {
                for (name, value) in &frame.items {
                    if before.get(name) != Some(value) {
                        output::json_line(value)?;
                    }
                }
                // What is gone from the look is forgotten: memory is one look.
                *before = frame.items.iter().cloned().collect();
                Ok(())
            }
            Self::Screen(screen) => screen.draw(&frame.text),
            Self::Plain { last, at } => {
                let rested = at.is_none_or(|at| at.elapsed() >= PLAIN_EVERY);
                if *last == frame.summary || !(rested || frame.at_rest) {
                    return Ok(());
                }
                last.clone_from(&frame.summary);
                *at = Some(Instant::now());
                output::line(&frame.summary)
            }
        }
    }
}

/// Lines that are drawn over themselves.
struct Screen {
    term: Term,
    lines: usize,
}

impl Screen {
    fn new() -> Self {
        let term = Term::stdout();
        // A cursor that cannot be hidden is only less pretty.
        let _ = term.hide_cursor();
        Self { term, lines: 0 }
    }

    fn draw(&mut self, text: &str) -> io::Result<()> {
        let (height, width) = self.term.size();
        let fitting = fit(text, usize::from(height).saturating_sub(1).max(1), usize::from(width));
        let mut out = String::with_capacity(text.len() + 64);
        if self.lines > 0 {
            use std::fmt::Write as _;
            // Writing to a string does not fail. To the first line of the last frame.
            let _ = write!(out, "\x1b[{}F", self.lines);
        }
        for line in &fitting {
            out.push_str(line);
            // The rest of what stood there goes.
            out.push_str("\x1b[K\n");
        }
        out.push_str("\x1b[J");
        self.lines = fitting.len();
        let mut term = &self.term;
        term.write_all(out.as_bytes())?;
        term.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.term.show_cursor();
    }
}

/// The lines of a text that fit a terminal: cut at its width, and at its height with a line that says so.
fn fit(text: &str, height: usize, width: usize) -> Vec<String> {
    let all: Vec<&str> = text.lines().collect();
    let cut = |line: &str| console::truncate_str(line, width, "…").into_owned();
    if all.len() <= height {
        return all.into_iter().map(cut).collect();
    }
    let kept = height.saturating_sub(1);
    let mut lines: Vec<String> = all.iter().take(kept).map(|line| cut(line)).collect();
    lines.push(cut(&format!("… {} lines more", all.len() - kept)));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_never_leaves_its_terminal() {
        assert_eq!(fit("a\nb", 2, 80), ["a", "b"]);
        assert_eq!(fit("a\nb\nc", 2, 80), ["a", "… 2 lines more"]);
        assert_eq!(fit("número", 5, 4), ["núm…"]);
        assert_eq!(fit("a\nb", 1, 80), ["… 2 lines more"]);
    }
}
