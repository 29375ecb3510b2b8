//! Who asks: it is part of the id of the job by which they ask.
//!
//! `cli:ana@desk:9f3a...` is a command, `http:ana:9f3a...` an action of the dashboard or by token. What other programs
//! call their jobs is for them to say, so a job of theirs is its own actor.

use std::fmt::Write as _;

/// The daemon itself: what it does to an operator's things without being asked.
pub const DAEMON: &str = "remesa";

/// Most characters of a name within an id: what is left of the 128 is for the way and the random end.
const WHO_MAX_CHARS: usize = 80;

/// Digits of the random end.
const RANDOM_DIGITS: usize = 16;

/// The way by which somebody asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A command on a terminal.
    Command,
    /// The dashboard, or a program with a token.
    Http,
}

impl Way {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Command => "cli",
            Self::Http => "http",
        }
    }
}

/// The id of a job by which `who` asks.
pub fn job_id(way: Way, who: &str, random: u64) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '@' | '-');
    let who: String = who.chars().filter(|c| is_plain(*c)).take(WHO_MAX_CHARS).collect();
    let mut id = format!("{}:{who}:", way.as_str());
    // Writing to a text does not fail.
    let _ = write!(id, "{random:016x}");
    id
}

/// Who asked by the job of this id.
pub fn actor(job: &str) -> &str {
    let mut parts = job.splitn(3, ':');
    let (way, who, end) = (parts.next(), parts.next(), parts.next());
    let is_end = |end: &str| end.len() == RANDOM_DIGITS && end.bytes().all(|b| b.is_ascii_hexdigit());
    match (way, who, end) {
        (Some("cli" | "http"), Some(who), Some(end)) if !who.is_empty() && is_end(end) => who,
        _ => job,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::name::JobId;

    #[test]
    fn the_id_of_a_command_says_who_asked_and_is_a_job_id() {
        assert_eq!(job_id(Way::Command, "ana@desk.example", 255), "cli:ana@desk.example:00000000000000ff");
        for who in ["", "ñandú pérez@x y", &"a".repeat(300)] {
            for way in [Way::Command, Way::Http] {
                assert!(JobId::parse(&job_id(way, who, u64::MAX)).is_ok(), "{who}");
            }
        }
    }

    #[test]
    fn who_asked_is_found_in_the_id_and_a_program_is_its_job() {
        assert_eq!(actor(&job_id(Way::Http, "ana", 7)), "ana");
        assert_eq!(actor(&job_id(Way::Command, "ana@desk", 7)), "ana@desk");
        for own in ["pause-1", "cli:ana", "cli::00000000000000ff", "http:ana:12", "erp:ana:00000000000000ff", ""] {
            assert_eq!(actor(own), own);
        }
    }
}
