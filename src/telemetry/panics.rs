//! A panic is a line of the log like any other: where it happened, in which thread, and what it says if that is a
//! sentence of the program.
//!
//! The message of a panic may hold what the code was working on (`byte index 5 is not a char boundary; it is inside 'é'
//! of ...`), so one that was put together at run time is not shown (DA-9). `RUST_BACKTRACE=1` adds the way there.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, PanicHookInfo};

/// Logs panics from now on.
pub(super) fn log() {
    panic::set_hook(Box::new(said));
}

fn said(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(|at| format!("{}:{}:{}", at.file(), at.line(), at.column()));
    let thread = std::thread::current();
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(
        location,
        thread = thread.name(),
        // A text that the program holds; anything else was made.
        said = panic.payload().downcast_ref::<&'static str>().copied(),
        backtrace,
        "a panic"
    );
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;
    use crate::telemetry::line::{Look, tests::lines};

    #[test]
    fn a_panic_is_one_line_that_says_where_and_nothing_of_what_was_worked_on() {
        let number = "600123456".to_owned();
        let before = panic::take_hook();
        let said = lines(Look::Journal, || {
            log();
            assert!(catch_unwind(|| panic!("a sentence of the program")).is_err());
            assert!(catch_unwind(|| panic!("no room for {number}")).is_err());
        });
        panic::set_hook(before);
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines.len(), 2, "{said}");
        assert!(
            lines[0].starts_with("<3>remesa::telemetry::panics: a panic location=src/telemetry/panics.rs:"),
            "{said}"
        );
        assert!(lines[0].contains("said=\"a sentence of the program\""), "{said}");
        assert!(!said.contains(&number) && !lines[1].contains("said="), "{said}");
    }
}
