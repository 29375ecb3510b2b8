//! `--watch`: a line for each change, an end by itself at rest, a clean end by Ctrl-C.

use std::io::BufRead as _;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::scene::{Scene, generate_job, people, send_job};
use crate::support::wait;

/// A command whose lines arrive as they are printed.
struct Watching {
    child: Child,
    lines: tokio::sync::mpsc::UnboundedReceiver<String>,
}

impl Watching {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let out = std::io::BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = tokio::sync::mpsc::unbounded_channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        Self { child, lines }
    }

    async fn next(&mut self) -> Option<String> {
        wait::within("a line of the watch", self.lines.recv()).await
    }

    async fn ends(&mut self) -> Option<i32> {
        wait::until("the watch ends", async || self.child.try_wait().unwrap()).await.code()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_watched_campaign_is_told_of_at_each_change_and_the_watch_ends_when_it_is_at_rest() {
    let mut scene = Scene::with("in_flight = 4\n", |sandbox| sandbox.hold = true).await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(40))).await;
    let mut watching = Watching::start(scene.settings.command(&["campaign", "show", "c", "--watch", "--json"]));
    let first: Value = serde_json::from_str(&watching.next().await.unwrap()).unwrap();
    assert_eq!((&first["campaign"], &first["state"]), (&"c".into(), &"running".into()));
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    let mut last = first.clone();
    while let Some(line) = watching.next().await {
        let next: Value = serde_json::from_str(&line).unwrap();
        assert_ne!(next, last, "a line without a change");
        last = next;
    }
    assert_eq!((&last["state"], &last["deliveries_by_state"]), (&"delivered".into(), &json!({"sent": 40})));
    assert_eq!(watching.ends().await, Some(0));
}

#[tokio::test]
async fn a_watch_of_a_paused_campaign_waits_and_ends_cleanly_at_ctrl_c() {
    let mut scene = Scene::with("in_flight = 4\n", |sandbox| sandbox.hold = true).await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(40))).await;
    scene.command(json!({"action": "pause", "campaign": "c"})).await;
    let mut watching = Watching::start(scene.settings.command(&["campaign", "orders", "c", "--watch"]));
    let line = watching.next().await.unwrap();
    assert!(line.starts_with("c paused: 40 orders shown"), "{line}");
    kill(Pid::from_raw(watching.child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    assert_eq!(watching.ends().await, Some(0));
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
}

#[tokio::test]
async fn a_watched_list_tells_of_a_campaign_that_comes() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let mut watching = Watching::start(scene.settings.command(&["campaign", "list", "--watch", "--json"]));
    scene.run("generate", &generate_job("c", people(2))).await;
    let seen: Value = serde_json::from_str(&watching.next().await.unwrap()).unwrap();
    assert_eq!(seen["campaign"], "c");
}
