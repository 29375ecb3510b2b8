//! The Redis users of `config/redis-acl.example`, under a real Redis: a daemon that lacks nothing, programs that get no
//! further than they should.

use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::http;
use crate::support::redis::Redis;
use crate::support::scene::{Scene, people, phone, send_job};
use crate::support::wait;

const EXAMPLE: &str = include_str!("../../../config/redis-acl.example");

/// A scene whose daemons come in as `remesa`; the test itself still comes in as whoever may everything.
async fn scene() -> Scene {
    let redis = Redis::start().await;
    let mut db = redis.connect().await;
    for line in EXAMPLE.lines().filter(|line| line.starts_with("user ") && !line.starts_with("user default")) {
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        let words = selectors(&words);
        redis::cmd("ACL")
            .arg("SETUSER")
            .arg(&words)
            .query_async::<()>(&mut db)
            .await
            .unwrap_or_else(|e| panic!("{e}: {line}"));
    }
    let url = format!("redis://remesa:change-me-remesa@127.0.0.1:{}", redis.port());
    Scene::through(&url, redis, "", |_| {}).await
}

/// A selector is one argument, its brackets included.
fn selectors(words: &[&str]) -> Vec<String> {
    let (mut whole, mut open) = (Vec::new(), Vec::new());
    for word in words {
        if !open.is_empty() || word.starts_with('(') {
            open.push(*word);
            if word.ends_with(')') {
                whole.push(open.join(" "));
                open.clear();
            }
        } else {
            whole.push((*word).to_owned());
        }
    }
    assert!(open.is_empty(), "{words:?}");
    whole
}

async fn who(scene: &Scene, user: &str) -> MultiplexedConnection {
    let url = format!("redis://{user}:change-me-{user}@127.0.0.1:{}", scene.redis.port());
    redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()
}

async fn ask(connection: &mut MultiplexedConnection, command: &str) -> Result<redis::Value, String> {
    let mut words = command.split_whitespace();
    let mut asked = redis::cmd(words.next().unwrap());
    words.for_each(|word| {
        asked.arg(word);
    });
    asked.query_async(connection).await.map_err(|error| error.to_string())
}

/// What was denied to whom since the log was emptied.
async fn denied(scene: &mut Scene, user: &str) -> Vec<String> {
    let log: redis::Value = redis::cmd("ACL").arg("LOG").query_async(&mut scene.db).await.unwrap();
    let redis::Value::Array(entries) = log else { panic!("{log:?}") };
    let shown = entries.iter().map(|entry| format!("{entry:?}"));
    shown.filter(|entry| entry.contains(&format!("\"{user}\""))).collect()
}

/// Whether the user has no right to any of these.
async fn refuses(connection: &mut MultiplexedConnection, commands: &[&str]) {
    for command in commands {
        let refused = ask(connection, command).await.expect_err(command);
        assert!(
            refused.to_uppercase().contains("NOPERM") || refused.contains("no permissions"),
            "{command}: {refused}"
        );
    }
}

async fn command(scene: &Scene, arguments: &[&str]) -> String {
    let mut command = scene.settings.command(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {told}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn a_daemon_and_the_commands_of_operators_lack_nothing_under_their_own_user() {
    let mut scene = scene().await;
    scene.settings = scene.settings.set("recurring.min_interval", "1s");
    let mut daemon = scene.daemon().await;
    let mut producer = who(&scene, "producer").await;
    for row in people(40) {
        redis::cmd("RPUSH").arg("rows:dues").arg(row.to_string()).query_async::<()>(&mut producer).await.unwrap();
    }
    let mut job = send_job("c", Value::Null);
    job.as_object_mut().unwrap().remove("rows");
    job["rows_from"] = json!({"list": "rows:dues"});
    let add = async |producer: &mut MultiplexedConnection, queue: &str, job: &Value| {
        let mut add = redis::cmd("XADD");
        add.arg(format!("remesa:jobs:{queue}")).arg("*").arg("job").arg(job.to_string());
        add.query_async::<String>(producer).await.unwrap();
    };
    add(&mut producer, "generate", &job).await;
    scene.campaign_is("c", "delivered").await;
    let cases: Vec<_> =
        (1..=20).map(|n| json!({"id": format!("k-{n}"), "first_name": "Ana", "mobile": phone(n)})).collect();
    let import = json!({"id": "imp", "campaign": "c", "country": "ES", "rows": cases,
                        "templates": [{"name": "t", "text": "Hola {{ first_name }}"}]});
    add(&mut producer, "import", &import).await;
    scene.done("imp").await;
    let bulk =
        json!({"id": "bulk", "message": "m", "campaign": "c", "channel": "sms", "template": "t", "close_cases": true});
    add(&mut producer, "send", &bulk).await;
    scene.done("bulk").await;
    let again = json!({"id": "def", "recurring": "w", "campaign": "c", "channel": "sms", "every": "1s", "grace": "1h",
                       "max_runs": 1, "text": "Otra vez"});
    add(&mut producer, "recurring", &again).await;
    wait::field(&mut scene.db, "remesa:{c}:recurring:w", "state", &["stopped"]).await;
    for act in [
        json!({"action": "pause", "channel": "sms"}),
        json!({"action": "resume", "channel": "sms"}),
        json!({"action": "order_event", "campaign": "c", "order": 1, "event": "paid"}),
        json!({"action": "reopen_case", "campaign": "c", "case": 1}),
        json!({"action": "opt_out", "contact": phone(3)}),
        json!({"action": "export", "campaign": "c", "file": "c.csv"}),
        json!({"action": "preview", "queue": "send", "job": {"message": "n", "campaign": "c", "channel": "sms", "text": "x"}}),
        json!({"action": "retry", "campaign": "c", "run": "delivery@1", "states": "all"}),
        json!({"action": "forget", "contact": phone(5)}),
    ] {
        scene.command(act).await;
    }
    for arguments in [
        &["status"][..],
        &["check"],
        &["campaign", "list"],
        &["campaign", "show", "c"],
        &["campaign", "orders", "c"],
        &["campaign", "cases", "c"],
        &["campaign", "cancel", "c"],
        &["recurring", "list"],
        &["channels"],
        &["rejected", "list"],
        &["dead", "list"],
        &["job", "imp"],
        &["audit"],
        &["export", "c", "--out", "-"],
    ] {
        command(&scene, arguments).await;
    }
    http::metrics_where(daemon.http().await, "it is ready", |metrics| metrics.contains("remesa_ready 1")).await;
    // A restart begins with what the one before left: the schema, the secret, its own entries.
    daemon.term();
    assert_eq!(daemon.exit_code().await, Some(0));
    let again: Daemon = scene.daemon().await;
    scene.command(json!({"action": "pause", "channel": "sms"})).await;
    drop(again);
    assert_eq!(denied(&mut scene, "remesa").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_producer_can_only_enqueue_and_read() {
    let mut scene = scene().await;
    let _daemon = scene.daemon().await;
    scene.send("c", 3).await;
    let mut producer = who(&scene, "producer").await;
    for may in [
        "XADD remesa:jobs:generate * job {}",
        "XADD remesa:jobs:import * job {}",
        "XADD remesa:jobs:send * job {}",
        "XADD remesa:jobs:recurring * job {}",
        "RPUSH rows:mine {}",
        "DEL rows:mine",
        "HGETALL remesa:job:gen-c",
        "HGETALL remesa:{c}:campaign",
        "GET remesa:{c}:order:1",
        "XREVRANGE remesa:rejected + -",
        "XRANGE remesa:results - +",
        "HGETALL remesa:depth",
    ] {
        ask(&mut producer, may).await.unwrap_or_else(|error| panic!("{may}: {error}"));
    }
    let may_not = [
        "XADD remesa:jobs:control * job {}",
        "XADD remesa:jobs:batch:sms * slot c/delivery@1/0",
        "XADD remesa:results * event x",
        "XADD remesa:audit * actor x",
        "XDEL remesa:jobs:generate 1-1",
        "XTRIM remesa:jobs:generate MAXLEN 0",
        "XGROUP DESTROY remesa:jobs:generate workers",
        "XREADGROUP GROUP workers me STREAMS remesa:jobs:generate >",
        "HSET remesa:{c}:campaign state cancelled",
        "SET remesa:{c}:order:1 {}",
        "DEL remesa:{c}:order:1",
        "HSET remesa:job:gen-c state done",
        "HSET remesa:channel:sms paused me",
        "GET remesa:secret",
        "SMEMBERS remesa:optout:mobile",
        "XRANGE remesa:audit - +",
        "GET other:key",
        "SET other:key x",
        "EVAL return 0",
        "SCRIPT FLUSH",
        "KEYS *",
        "SCAN 0",
        "FLUSHALL",
        "CONFIG GET *",
        "SHUTDOWN",
        "ACL WHOAMI",
        "CLIENT LIST",
        "MONITOR",
        "PUBLISH remesa:scheduled x",
        "DEBUG SLEEP 0",
        "REPLICAOF NO ONE",
    ];
    refuses(&mut producer, &may_not).await;
    // What it put there is judged as anybody's: four empty jobs are refused, and nothing else happened.
    wait::until("the empty jobs are refused", async || {
        let refused: u64 = redis::cmd("XLEN").arg("remesa:rejected").query_async(&mut scene.db).await.unwrap();
        (refused == 4).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_reader_follows_the_results_and_a_commander_commands_and_neither_does_more() {
    let mut scene = scene().await;
    let _daemon = scene.daemon().await;
    scene.send("c", 3).await;
    let mut reader = who(&scene, "reader").await;
    wait::until("there are results", async || {
        redis::cmd("EXISTS").arg("remesa:results").query_async::<bool>(&mut scene.db).await.unwrap().then_some(())
    })
    .await;
    for may in [
        "XGROUP CREATE remesa:results erp 0",
        "XREADGROUP GROUP erp me COUNT 10 STREAMS remesa:results >",
        "XACK remesa:results erp 1-1",
        "GET remesa:{c}:order:1",
    ] {
        ask(&mut reader, may).await.unwrap_or_else(|error| panic!("{may}: {error}"));
    }
    let mut commander = who(&scene, "commander").await;
    ask(&mut commander, r#"XADD remesa:jobs:control * job {"id":"p-1","action":"pause","channel":"sms"}"#)
        .await
        .unwrap();
    scene.done("p-1").await;
    ask(&mut commander, "HGETALL remesa:job:p-1").await.unwrap();
    let (reads, commands) = (
        [
            "XADD remesa:jobs:generate * job {}",
            "XDEL remesa:results 1-1",
            "XGROUP DESTROY remesa:results erp",
            "XREADGROUP GROUP workers me STREAMS remesa:jobs:generate >",
        ],
        ["XADD remesa:jobs:generate * job {}", "GET remesa:{c}:order:1", "GET remesa:secret"],
    );
    refuses(&mut reader, &reads).await;
    refuses(&mut commander, &commands).await;
}
