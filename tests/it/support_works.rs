//! The support keeps its own promises: a Redis that comes back with its data, a frozen one, a scripted receiver.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use redis::AsyncCommands as _;

use crate::support::provider::{self, Act, Receiver};
use crate::support::redis::Redis;
use crate::support::wait;

#[tokio::test]
async fn a_killed_redis_comes_back_with_its_data_at_the_same_address() {
    let mut server = Redis::start_append_only().await;
    let (url, port) = (server.url(), server.port());
    let mut before = server.connect().await;
    let () = before.set("key", "value").await.unwrap();
    server.restart().await;
    assert_eq!((server.url(), server.port()), (url, port));
    let mut after = server.connect().await;
    assert_eq!(after.get::<_, String>("key").await.unwrap(), "value");
}

#[tokio::test]
async fn two_servers_do_not_know_each_other() {
    let (one, other) = (Redis::start().await, Redis::start().await);
    let () = one.connect().await.set("key", "value").await.unwrap();
    assert!(!other.connect().await.exists::<_, bool>("key").await.unwrap());
}

#[tokio::test]
async fn a_frozen_redis_answers_when_it_is_thawed() {
    let server = Redis::start().await;
    let mut connection = server.connect().await;
    server.stop();
    let mut ping = Box::pin(async move { redis::cmd("PING").query_async::<String>(&mut connection).await.unwrap() });
    assert!(futures_util::poll!(&mut ping).is_pending());
    server.cont();
    assert_eq!(wait::within("an answer", ping).await, "PONG");
}

#[tokio::test]
async fn a_blocking_read_sees_an_entry_that_comes_later() {
    let server = Redis::start().await;
    let (mut reading, mut writing) = (server.connect().await, server.connect().await);
    let (entry, ()) =
        tokio::join!(wait::entry_where(&mut reading, "stream", |entry| entry.map.contains_key("b")), async {
            let _: String = writing.xadd("stream", "*", &[("a", "1")]).await.unwrap();
            let _: String = writing.xadd("stream", "*", &[("b", "2")]).await.unwrap();
        });
    assert_eq!(entry.get::<String>("b").unwrap(), "2");
}

#[tokio::test]
async fn the_receiver_follows_its_script_and_keeps_what_arrived() {
    let receiver = Receiver::start([Act::json(201, "{\"id\":1}"), Act::CutBeforeBody, Act::CutAfterBody, Act::Silence]);
    let ask = |body: &str| {
        let mut stream = TcpStream::connect(receiver.url().trim_start_matches("http://")).unwrap();
        write!(stream, "POST /x?y=1 HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        stream
    };
    let mut first = ask("{\"n\":1}");
    let mut reply = [0; 21];
    first.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"HTTP/1.1 201 Scripted");
    for body in ["{\"n\":2}", "{\"n\":3}"] {
        let mut nothing = Vec::new();
        // A reset and an orderly end are the same to whoever waits for an answer.
        let _ = ask(body).read_to_end(&mut nothing);
        assert!(nothing.is_empty());
    }
    let silent = ask("{\"n\":4}");
    let requests = receiver.received(3).await;
    drop(silent);
    assert_eq!(requests.iter().map(|request| request.json()["n"].clone()).collect::<Vec<_>>(), [1, 3, 4]);
    assert_eq!((requests[0].method.as_str(), requests[0].path.as_str()), ("POST", "/x?y=1"));
    assert_eq!(requests[0].header("host"), Some("h"));
}

#[tokio::test]
async fn the_simulator_counts_what_it_accepted() {
    let sandbox = provider::sandbox().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let message = r#"{"to":"+34600123456","text":"Hola"}"#;
    let url = format!("{}/messages", sandbox.url());
    let reply = client.post(url).header("content-type", "application/json").body(message).send().await.unwrap();
    assert_eq!(reply.status(), 202);
    let stats = provider::counted(&sandbox, "one message", |stats| stats.counts.accepted == 1).await;
    assert_eq!((stats.counts.distinct, stats.counts.duplicates), (1, 0));
    assert_eq!(sandbox.inbox(None, 0, 10)[0].text, "Hola");
}
