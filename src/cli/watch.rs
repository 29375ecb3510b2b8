//! `--watch`: the same look again and again, until what is watched comes to rest or somebody presses Ctrl-C.
//!
//! On a terminal the lines are drawn over themselves, or take the whole screen ([`watch_screen`]), which is given back as
//! it was at the end, whatever ends it: Ctrl-C, a signal, an error, a panic. Elsewhere there is a plain line for each
//! change, at most every two seconds; with `--json` one line of JSON for each thing that changed. Looks come once a
//! second, more rarely where one takes long, so that a watcher never loads Redis.

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

/// Longest time between two looks: what was away is soon seen again.
const AT_MOST: Duration = Duration::from_secs(5);

/// Between two plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(2);

/// What one look shows.
#[derive(Debug, Default)]
pub struct Frame {
    /// For a terminal.
    pub text: String,
    /// For a whole screen, in the place of the text.
    pub fitted: Option<Fitted>,
    /// For a log: one line.
    pub summary: String,
    /// For programs: each thing by a name of its own.
    pub items: Vec<(String, Value)>,
    /// Whether nothing will change by itself.
    pub at_rest: bool,
}

/// A text made for the height of the screen it is drawn on.
pub struct Fitted(Box<dyn Fn(usize, bool) -> String>);

impl Fitted {
    /// Made by `draw`, which is told how many lines there are and whether colours may be used.
    pub fn new(draw: impl Fn(usize, bool) -> String + 'static) -> Self {
        Self(Box::new(draw))
    }

    /// The text for so many lines.
    pub fn draw(&self, height: usize, coloured: bool) -> String {
        (self.0)(height, coloured)
    }
}

impl std::fmt::Debug for Fitted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fitted")
    }
}

/// Looks and shows until the end. The last look stays on the screen.
pub async fn watch(format: output::Format, look: impl AsyncFnMut() -> anyhow::Result<Frame>) -> anyhow::Result<()> {
    watching(Shown::new(format, false), look).await
}

/// The same over the whole screen, where there is one.
pub async fn watch_screen(
    format: output::Format,
    look: impl AsyncFnMut() -> anyhow::Result<Frame>,
) -> anyhow::Result<()> {
    watching(Shown::new(format, true), look).await
}

async fn watching(shown: Shown, mut look: impl AsyncFnMut() -> anyhow::Result<Frame>) -> anyhow::Result<()> {
    // From now on, not from the first look: the cursor must not stay hidden.
    let mut ends = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal).into_iter();
    let (Some(interrupts), Some(terminates), Some(hangups)) = (ends.next(), ends.next(), ends.next()) else {
        return Ok(());
    };
    let (mut interrupts, mut terminates, mut hangups) = (interrupts?, terminates?, hangups?);
    let mut resizes = signal(SignalKind::window_change())?;
    let mut shown = shown;
    let watching = async {
        loop {
            let began = Instant::now();
            let frame = look().await?;
            shown.show(&frame)?;
            if frame.at_rest {
                return Ok(());
            }
            let rest = tokio::time::sleep(EVERY.max(began.elapsed() * SHARE).min(AT_MOST));
            tokio::pin!(rest);
            loop {
                tokio::select! {
                    () = &mut rest => break,
                    _ = resizes.recv() => shown.redraw(&frame)?,
                }
            }
        }
    };
    tokio::select! {
        ended = watching => ended,
        _ = interrupts.recv() => Ok(()),
        _ = terminates.recv() => Ok(()),
        _ = hangups.recv() => Ok(()),
    }
}

/// Where frames go, and what is there already.
enum Shown {
    Json(HashMap<String, Value>),
    Screen(Screen),
    Plain { last: String, at: Option<Instant> },
}

impl Shown {
    fn new(format: output::Format, whole: bool) -> Self {
        if format.json {
            Self::Json(HashMap::new())
        } else if io::stdout().is_terminal() {
            Self::Screen(Screen::new(whole))
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
            Self::Screen(screen) => screen.draw(frame),
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

impl Shown {
    /// The size of the terminal has changed.
    fn redraw(&mut self, frame: &Frame) -> io::Result<()> {
        match self {
            Self::Screen(screen) if screen.whole => screen.draw(frame),
            Self::Screen(_) | Self::Json(_) | Self::Plain { .. } => Ok(()),
        }
    }
}

/// Lines that are drawn over themselves.
struct Screen {
    term: Term,
    lines: usize,
    whole: bool,
    /// What stays when the whole screen is given back.
    last: String,
}

/// To the other screen of the terminal, and back to what stood on the first.
const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";
const SHOW_CURSOR: &str = "\x1b[?25h";

impl Screen {
    fn new(whole: bool) -> Self {
        let term = Term::stdout();
        // A cursor that cannot be hidden is only less pretty.
        let _ = term.hide_cursor();
        if whole {
            let _ = term.write_str(ENTER);
            // What a panic says would be lost with the other screen.
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                let _ = Term::stdout().write_str(&format!("{LEAVE}{SHOW_CURSOR}"));
                before(panic);
            }));
        }
        Self { term, lines: 0, whole, last: String::new() }
    }

    fn draw(&mut self, frame: &Frame) -> io::Result<()> {
        let (height, width) = self.term.size();
        let height = usize::from(height).saturating_sub(1).max(1);
        let fitted = frame.fitted.as_ref().map(|fitted| fitted.draw(height, console::colors_enabled()));
        let text = fitted.as_deref().unwrap_or(&frame.text).trim_end_matches('\n');
        let fitting = fit(text, height, usize::from(width));
        let mut out = String::with_capacity(text.len() + 64);
        if self.whole {
            // A terminal that became smaller broke lines: they are not counted, but written again from the top.
            out.push_str("\x1b[H");
            text.clone_into(&mut self.last);
        } else if self.lines > 0 {
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
        if self.whole {
            let _ = self.term.write_str(LEAVE);
            let _ = self.term.write_line(&self.last);
        }
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
