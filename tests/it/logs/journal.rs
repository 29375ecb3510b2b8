//! Priorities, where standard error is the journal of systemd, and nowhere else.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, Command};

use redis::AsyncCommands as _;

use crate::support::scene::Scene;
use crate::support::wait;

/// A command whose standard error goes to this file, which is what `JOURNAL_STREAM` names, off by so much.
fn into_journal(mut command: Command, file: &Path, off: u64) -> Command {
    let journal = File::create(file).unwrap();
    let stream = journal.metadata().unwrap();
    command.env("JOURNAL_STREAM", format!("{}:{}", stream.dev(), stream.ino() + off)).stderr(journal);
    command
}

/// A daemon that is killed with its value.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a daemon writes until it has dropped an alarm that nobody knows, which is a warning.
async fn written(scene: &mut Scene, file: &Path, off: u64) -> Vec<String> {
    let mut command = into_journal(scene.settings.command(&["run"]), file, off);
    let _daemon = Killed(command.spawn().unwrap());
    let () = scene.db.zadd("remesa:scheduled", "nobody|knows", 1).await.unwrap();
    wait::until("the warning is written", async || {
        let log = std::fs::read_to_string(file).unwrap();
        log.contains("an alarm that nobody knows").then(|| log.lines().map(str::to_owned).collect())
    })
    .await
}

fn prefixes(lines: &[String]) -> Vec<&str> {
    let mut prefixes: Vec<&str> = lines.iter().map(|line| line.get(..3).unwrap_or(line)).collect();
    prefixes.sort_unstable();
    prefixes.dedup();
    prefixes
}

#[tokio::test]
async fn each_line_for_the_journal_begins_with_its_priority_and_not_with_the_time() {
    let mut scene = Scene::new().await;
    scene.settings = scene.settings.set("log.format", "text");
    let folder = tempfile::tempdir().unwrap();
    let lines = written(&mut scene, &folder.path().join("log"), 0).await;
    assert_eq!(prefixes(&lines), ["<4>", "<6>"], "{lines:#?}");
    let warning = lines.iter().find(|line| line.contains("nobody knows")).unwrap();
    assert_eq!(warning, "<4>remesa::app::handlers: an alarm that nobody knows, dropped member=nobody|knows");
    assert!(lines.iter().any(|line| line.starts_with("<6>remesa::app::daemon: ready ")), "{lines:#?}");
}

#[tokio::test]
async fn a_stream_that_is_not_the_journal_gets_no_priorities_though_the_variable_is_inherited() {
    let mut scene = Scene::new().await;
    scene.settings = scene.settings.set("log.format", "text");
    let folder = tempfile::tempdir().unwrap();
    let lines = written(&mut scene, &folder.path().join("log"), 1).await;
    assert!(lines.iter().all(|line| line.starts_with("20")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("Z  WARN remesa::app::handlers: an alarm")), "{lines:#?}");
}

#[tokio::test]
async fn lines_of_json_are_the_same_in_the_journal() {
    let mut scene = Scene::new().await;
    let folder = tempfile::tempdir().unwrap();
    let lines = written(&mut scene, &folder.path().join("log"), 0).await;
    for line in &lines {
        let event: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert!(line.starts_with("{\"timestamp\":\"20"), "{line}");
        assert!(event["level"].is_string() && event["target"].is_string() && event["message"].is_string(), "{line}");
    }
}

#[tokio::test]
async fn a_daemon_that_cannot_start_says_so_as_an_error() {
    let scene = Scene::new().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log");
    let wrong = scene.settings.set("leases.lease", "a while");
    let status = into_journal(wrong.command(&["run"]), &file, 0).status().unwrap();
    assert_eq!(status.code(), Some(78));
    let log = std::fs::read_to_string(&file).unwrap();
    assert!(log.starts_with("<3>remesa: ") && log.contains("leases.lease"), "{log}");
    assert!(log.lines().all(|line| line.starts_with("<3>")), "{log}");
    // The same for somebody who reads it.
    let output = wrong.command(&["run"]).output().unwrap();
    assert!(output.stderr.starts_with(b"remesa: "), "{}", String::from_utf8_lossy(&output.stderr));
}
