//! Progress of long work on standard error: drawn over itself on a terminal, plain lines elsewhere.
//!
//! Plain lines come when the stage changes, and at most every two seconds while only numbers do, so that
//! the log of a build server stays readable.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output;

/// Time between two plain lines of one stage.
const PLAIN_EVERY: Duration = Duration::from_secs(2);

/// The progress of one command.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    plain: Option<Plain>,
}

/// What plain lines remember.
#[derive(Debug, Default)]
struct Plain {
    stage: String,
    text: String,
    at: Option<Instant>,
}

impl Plain {
    /// Whether this line is worth printing now; it is remembered then.
    fn is_due(&mut self, now: Instant, stage: &str, text: &str) -> bool {
        let rested = self.at.is_none_or(|at| now.duration_since(at) >= PLAIN_EVERY);
        if stage == self.stage && (text == self.text || !rested) {
            return false;
        }
        *self = Self { stage: stage.to_owned(), text: text.to_owned(), at: Some(now) };
        true
    }
}

impl Progress {
    /// Progress on standard error; none when `quiet`.
    pub fn new(quiet: bool) -> Self {
        match (quiet, output::is_drawn()) {
            (true, _) => Self { bar: None, plain: None },
            (false, true) => {
                let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
                bar.enable_steady_tick(Duration::from_millis(120));
                Self { bar: Some(bar), plain: None }
            }
            (false, false) => Self { bar: None, plain: Some(Plain::default()) },
        }
    }

    /// Work of unknown length.
    pub fn stage(&mut self, stage: &str, text: &str) {
        if let Some(bar) = &self.bar {
            if bar.length().is_some() {
                bar.unset_length();
            }
            bar.set_style(style("{spinner} {prefix} {msg}"));
            bar.set_prefix(stage.to_owned());
            bar.set_message(text.to_owned());
        }
        self.plain(stage, text);
    }

    /// Work of which `done` of `total` is done.
    pub fn part(&mut self, stage: &str, done: u64, total: u64, text: &str) {
        if let Some(bar) = &self.bar {
            if bar.length() != Some(total) {
                bar.set_style(style("{spinner} {prefix} [{bar:30}] {human_pos} of {human_len} {msg}"));
                bar.set_length(total);
            }
            bar.set_prefix(stage.to_owned());
            bar.set_position(done);
            bar.set_message(text.to_owned());
        }
        let counted = format!("{} of {}", super::format::count(done), super::format::count(total));
        let text = if text.is_empty() { counted } else { format!("{counted} {text}") };
        self.plain(stage, &text);
    }

    fn plain(&mut self, stage: &str, text: &str) {
        if let Some(plain) = &mut self.plain
            && plain.is_due(Instant::now(), stage, text)
        {
            let line = if text.is_empty() { stage.to_owned() } else { format!("{stage} {text}") };
            output::note(line);
        }
    }

    /// Takes the drawn line away; what comes next stands in its place.
    pub fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.plain = None;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are those above; a mistake in one would show a plain bar.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_line_comes_with_a_new_stage_or_after_a_rest() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let mut plain = Plain::default();
        assert!(plain.is_due(start, "generating", "1 order"));
        assert!(!plain.is_due(after(500), "generating", "2 orders"), "too soon");
        assert!(plain.is_due(after(600), "sending", "0 of 2"), "a new stage");
        assert!(!plain.is_due(after(5000), "sending", "0 of 2"), "nothing new");
        assert!(plain.is_due(after(5000), "sending", "1 of 2"));
    }
}
