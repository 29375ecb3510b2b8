//! One snippet, and what every snippet must do.
//!
//! The story is the same in all languages: a campaign is given, sent, and its events are read; the same again sends
//! nothing; what a killed reader left is read by the next; a refusal is told with its code; a mended job goes through.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use redis::AsyncCommands as _;
use redis::streams::{StreamPendingReply, StreamRangeReply, StreamReadOptions, StreamReadReply};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::support::scene::{Scene, people, send_job};
use crate::support::wait;

/// The stream of events.
pub(crate) const RESULTS: &str = "remesa:results";
/// The group of all snippets.
const GROUP: &str = "my-crm";

/// What to do about a language or a client that is not there.
const INSTALL: &str = "if something is missing, run `scripts/setup languages postgres`";

/// `jobs/enqueue` of the repository.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("jobs/enqueue")
}

/// Where `scripts/setup` puts what a package manager of a language installs for a folder of `jobs/enqueue`.
pub(crate) fn installed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/jobs/enqueue").join(name)
}

/// A snippet, ready to be run: it was copied, and compiled where its language does that.
pub(crate) struct Snippet {
    folder: TempDir,
    command: Vec<String>,
    /// Whether its client reaches a Unix socket.
    unix: bool,
}

/// What a run of the snippet came to.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    /// The events it printed.
    events: Vec<Value>,
    /// What it said on standard error.
    said: String,
}

impl Snippet {
    /// Copies the files of `jobs/enqueue/<name>` to a folder of their own, where `command` will be run with the file of
    /// the job as its last argument; `{id}` in it is the job's id.
    pub(crate) fn copy(name: &str, command: &[&str]) -> Self {
        let copy = tempfile::Builder::new().prefix("remesa-snippet-").tempdir().unwrap();
        for file in std::fs::read_dir(folder().join(name)).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
        Self { folder: copy, command: command.iter().map(|&word| word.to_owned()).collect(), unix: true }
    }

    /// Its client knows TCP only.
    pub(crate) fn without_unix_sockets(mut self) -> Self {
        self.unix = false;
        self
    }

    /// The folder of the copy.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a command in the folder of the copy, such as its compiler, and expects it to succeed.
    pub(crate) async fn prepare(self, command: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut run = self.shell(command);
        run.envs(variables.iter().copied());
        let output = wait::within(&command.join(" "), run.output()).await;
        let output = output.unwrap_or_else(|error| missing(command[0], &error));
        assert!(output.status.success(), "{command:?}: {}: {INSTALL}", String::from_utf8_lossy(&output.stderr));
        self
    }

    fn shell(&self, command: &[&str]) -> Command {
        let mut run = Command::new(command[0]);
        run.args(&command[1..]).current_dir(self.folder()).stdin(Stdio::null()).kill_on_drop(true);
        run
    }

    async fn run(&self, job: &Value, url: &str) -> Ran {
        std::fs::write(self.folder().join("job.json"), job.to_string()).unwrap();
        let id = job["id"].as_str().unwrap();
        let command: Vec<&str> = self.command.iter().map(|word| if word == "{id}" { id } else { word }).collect();
        let mut run = self.shell(&command);
        let output = wait::within("the snippet ends", run.arg("job.json").env("REDIS_URL", url).output()).await;
        let output = output.unwrap_or_else(|error| missing(command[0], &error));
        let said = String::from_utf8(output.stderr).unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let events = printed.lines().map(|line| serde_json::from_str(line).expect("an event a line")).collect();
        Ran { code: output.status.code(), events, said }
    }

    /// The whole story.
    pub(crate) async fn works(self) {
        let mut scene = Scene::new().await;
        let _daemon = scene.daemon().await;
        self.sends_a_campaign_once(&mut scene).await;
        self.reads_what_was_left(&mut scene).await;
        self.tells_refusals(&mut scene).await;
    }

    async fn sends_a_campaign_once(&self, scene: &mut Scene) {
        const ROWS: usize = 120;
        let mut rows = people(ROWS);
        rows[2]["SMScontact"] = "nobody".into();
        let job = send_job("c", rows);
        let first = self.run(&job, &scene.redis.tcp_url()).await;
        assert_eq!((first.code, first.said.as_str()), (Some(0), ""), "{INSTALL}");
        let told: BTreeSet<u64> = of_kind(&first, "delivery").filter_map(|event| event["order"].as_u64()).collect();
        assert_eq!(told, (1..=ROWS as u64).collect(), "every delivery is printed");
        assert!(of_kind(&first, "campaign").any(|event| event["state"] == "delivered"));
        for n in [1, ROWS as u64] {
            assert_eq!(scene.order("c", n).await["state"], "available");
        }
        // Over the other address: answered by the first one's outcome, and all events were acknowledged.
        let url = if self.unix { scene.redis.url() } else { scene.redis.tcp_url() };
        let second = self.run(&job, &url).await;
        assert_eq!((second.code, second.events.len(), second.said.as_str()), (Some(0), 0, ""));
        let sandbox = scene.sandbox.stats();
        assert_eq!((sandbox.counts.accepted, sandbox.counts.duplicates), (ROWS as u64 - 1, 0));
        assert_eq!(scene.campaign("c").await["orders"], ROWS.to_string());
        assert_eq!(pending(scene, GROUP).await, 0);
    }

    /// Takes two events in the reader's name, as if it had been killed before it acknowledged them; one is gone since.
    async fn reads_what_was_left(&self, scene: &mut Scene) {
        for campaign in ["d", "e"] {
            scene
                .run(
                    "generate",
                    &json!({"id": campaign, "campaign": campaign, "currency": "EUR", "rows": [{"amount": 1}]}),
                )
                .await;
        }
        let consumers: redis::streams::StreamInfoConsumersReply =
            scene.db.xinfo_consumers(RESULTS, GROUP).await.unwrap();
        assert_eq!(consumers.consumers.len(), 1, "a reader that is started again has the same name");
        let options = StreamReadOptions::default().group(GROUP, &consumers.consumers[0].name).count(2);
        let taken: StreamReadReply = scene.db.xread_options(&[RESULTS], &[">"], &options).await.unwrap();
        let taken = &taken.keys[0].ids;
        let gone: u64 = scene.db.xdel(RESULTS, &[&taken[0].id]).await.unwrap();
        assert_eq!((taken.len(), gone), (2, 1));
        let left: String = taken[1].get("event").unwrap();
        let ran = self.run(&send_job("f", people(1)), &scene.redis.tcp_url()).await;
        assert_eq!((ran.code, ran.said.as_str()), (Some(0), ""));
        assert_eq!(ran.events[0]["event"], left, "what it had not acknowledged comes first");
        assert_eq!(pending(scene, GROUP).await, 0);
    }

    async fn tells_refusals(&self, scene: &mut Scene) {
        let url = scene.redis.tcp_url();
        let mut job = json!({"id": "m", "campaign": "m", "curency": "EUR", "rows": [{"amount": 1}]});
        let ran = self.run(&job, &url).await;
        assert_ne!(ran.code, Some(0));
        assert!(ran.said.contains("m is rejected: unknown_field: \"curency\""), "{ran:?}");
        // The refused job's status is still there when the mended one is written.
        job = json!({"id": "m", "campaign": "m", "currency": "EUR", "rows": [{"amount": 1}]});
        let ran = self.run(&job, &url).await;
        assert_eq!((ran.code, ran.said.as_str()), (Some(0), ""));
        // Another job of the same id is refused, though the status of that id is `done`.
        job["rows"][0]["amount"] = 2.into();
        let ran = self.run(&job, &url).await;
        assert_ne!(ran.code, Some(0));
        assert!(ran.said.contains("m is rejected: id_conflict: "), "{ran:?}");
        let refused: StreamRangeReply = scene.db.xrange_all("remesa:rejected").await.unwrap();
        assert_eq!(refused.ids.len(), 2);
    }
}

/// Says what is missing; a test is never skipped.
pub(crate) fn missing(program: &str, error: &std::io::Error) -> ! {
    panic!("{program}: {error}: {INSTALL}")
}

fn of_kind<'a>(ran: &'a Ran, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    ran.events.iter().filter(move |event| event["type"] == kind)
}

/// How many results a group has read and not acknowledged.
pub(crate) async fn pending(scene: &mut Scene, group: &str) -> usize {
    let pending: StreamPendingReply = scene.db.xpending(RESULTS, group).await.unwrap();
    pending.count()
}
