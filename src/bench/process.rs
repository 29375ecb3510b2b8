//! One process under measurement: started, looked at, ended by its id.
//!
//! What it used is read from `/proc/<pid>`: CPU time of all its threads, ended ones included, and the
//! most memory it ever had. It is killed when dropped, so a measurement that fails leaves nothing behind.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Length of a tick in `/proc/<pid>/stat`: `USER_HZ` is 100 on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// How long a process may take to end after SIGTERM before it is killed.
const END_WITHIN: Duration = Duration::from_secs(15);

/// A child process.
#[derive(Debug)]
pub(super) struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Starts `command` with nothing on its standard input; its standard error is ours.
    pub(super) fn start(name: &str, command: &mut Command) -> anyhow::Result<Self> {
        let child = command.stdin(Stdio::null()).spawn().with_context(|| format!("{name} cannot be started"))?;
        Ok(Self { name: name.to_owned(), child })
    }

    /// The first text on its standard output that begins with `prefix`, up to a blank or a quote.
    pub(super) fn announced(&mut self, prefix: &str) -> anyhow::Result<String> {
        let out = self.child.stdout.take().with_context(|| format!("{} has no standard output", self.name))?;
        let mut lines = BufReader::new(out);
        let found = announced(&mut lines, prefix)?;
        // Kept open: a process that prints more must not meet a closed pipe.
        self.child.stdout = Some(lines.into_inner());
        found.with_context(|| format!("{} ended before it said where it listens", self.name))
    }

    /// Whether it is still there.
    pub(super) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// CPU time of all its threads since its start.
    pub(super) fn cpu(&self) -> anyhow::Result<Duration> {
        cpu_of(&self.child.id().to_string())
    }

    /// The most resident memory it has had, in bytes.
    pub(super) fn peak_bytes(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().context("no VmHWM in /proc")?;
        Ok(kib * 1024)
    }

    /// Asks it to end, and waits; one that does not is killed.
    pub(super) async fn end(mut self) -> anyhow::Result<()> {
        let id = i32::try_from(self.child.id()).context("a process id")?;
        let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
        let mut looks = tokio::time::interval(Duration::from_millis(5));
        for _ in 0..END_WITHIN.as_millis() / 5 {
            looks.tick().await;
            if !self.is_running() {
                return Ok(());
            }
        }
        bail!("{} did not end in time and was killed", self.name)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time that this process has used.
pub(super) fn own_cpu() -> anyhow::Result<Duration> {
    cpu_of("self")
}

fn cpu_of(id: &str) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name of the program is in parentheses and may hold anything; after it come plain fields.
    let (_, fields) = stat.rsplit_once(')').context("no fields in /proc/<pid>/stat")?;
    let mut ticks = fields.split_ascii_whitespace().skip(11).map_while(|field| field.parse::<u32>().ok());
    match (ticks.next(), ticks.next()) {
        (Some(user), Some(system)) => Ok(TICK * (user + system)),
        _ => bail!("/proc/<pid>/stat has another form here"),
    }
}

fn announced(lines: &mut BufReader<ChildStdout>, prefix: &str) -> anyhow::Result<Option<String>> {
    let mut line = String::new();
    while lines.read_line(&mut line)? > 0 {
        if let Some(text) = find(&line, prefix) {
            return Ok(Some(text.to_owned()));
        }
        line.clear();
    }
    Ok(None)
}

fn find<'a>(line: &'a str, prefix: &str) -> Option<&'a str> {
    let from = line.get(line.find(prefix)?..)?;
    from.split(|c: char| c.is_whitespace() || matches!(c, '"' | ',' | ')')).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_in_a_sentence_and_in_json() {
        assert_eq!(find("listening on http://127.0.0.1:9465 now\n", "http://"), Some("http://127.0.0.1:9465"));
        assert_eq!(find("{\"url\":\"http://127.0.0.1:9465\"}\n", "http://"), Some("http://127.0.0.1:9465"));
        assert_eq!(find("nothing here\n", "http://"), None);
    }

    #[test]
    fn the_cpu_time_of_this_process_can_be_read() {
        assert!(own_cpu().unwrap() < Duration::from_hours(1));
    }
}
