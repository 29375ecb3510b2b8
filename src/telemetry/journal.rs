//! Priorities for the journal of systemd: `<3>` to `<7>` before a line, as `sd-daemon(3)` says.
//!
//! systemd names the journal's socket in `JOURNAL_STREAM` as `<device>:<inode>` (`systemd.exec(5)`). Only where that is
//! what standard error really is are priorities written: the variable is inherited by whatever is started from a
//! service, with its output going anywhere.

use std::io;

use tracing::Level;

/// Whether standard error is the journal.
pub(super) fn is_stderr() -> bool {
    std::env::var("JOURNAL_STREAM").is_ok_and(|named| {
        nix::sys::stat::fstat(io::stderr()).is_ok_and(|stat| names(&named, stat.st_dev, stat.st_ino))
    })
}

fn names(variable: &str, device: u64, inode: u64) -> bool {
    let Some((named_device, named_inode)) = variable.split_once(':') else { return false };
    named_device.parse() == Ok(device) && named_inode.parse() == Ok(inode)
}

/// What stands before a line of this level. The journal knows a level more than we do: `notice`, 5, is never used.
pub(super) const fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        Level::DEBUG | Level::TRACE => "<7>",
    }
}

/// A failure as it is to be written to standard error: each line of it with its priority, where that is the journal.
pub fn failure(text: &str) -> String {
    if is_stderr() { with_priority(Level::ERROR, text) } else { text.to_owned() }
}

/// The journal takes each line for an entry of its own.
fn with_priority(level: Level, text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("{}{line}", priority(level))).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_a_failure_has_its_priority() {
        assert_eq!(with_priority(Level::ERROR, "a\n  b"), "<3>a\n<3>  b");
    }

    #[test]
    fn only_the_very_stream_that_is_named_is_the_journal() {
        assert!(names("8:1234", 8, 1234));
        for other in ["8:1235", "9:1234", "8", "", ":", "8:", "8:1234:5", "x:1234", "-8:1234"] {
            assert!(!names(other, 8, 1234), "{other}");
        }
    }
}
