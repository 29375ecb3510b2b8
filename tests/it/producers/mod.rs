//! `jobs/enqueue`: the snippets that readers copy are run here, against a real daemon, as those readers would.
//!
//! A language that is missing fails its test with the command that installs it; nothing is skipped.

mod in_step;
mod postgres;
mod shown;
mod snippet;
mod snippets;
