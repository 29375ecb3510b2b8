//! Slow clients: each is let go, none holds up the others.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{raw, status};
use crate::support::http;
use crate::support::scene::Scene;
use crate::support::visitor::{ANA, tokens};
use crate::support::wait;

/// Connections of each kind.
const EACH: usize = 60;

#[tokio::test]
async fn who_says_nothing_or_never_ends_is_let_go_and_the_others_are_answered_meanwhile() {
    let mut scene = Scene::new().await;
    scene.settings = scene.settings.toml(&tokens());
    let daemon = scene.daemon().await;
    let address = daemon.http().await;
    let mut slow = Vec::new();
    for n in 0..EACH {
        for begins in
            [String::new(), "GET /campaigns HTTP/1.1\r\nHost: 127.0.0.1\r\nx-never: ".to_owned(), format!("GET /{n}")]
        {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(begins.as_bytes()).await.unwrap();
            slow.push(stream);
        }
    }
    // The others are served as if nobody was there.
    for _ in 0..20 {
        for path in ["/livez", "/readyz", "/metrics"] {
            assert_eq!(http::get(address, path).await.0, 200, "{path}");
        }
    }
    // Each is closed by the daemon: nothing of it is held for ever.
    for mut stream in slow {
        wait::within("a slow connection ends", async {
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            let answer = String::from_utf8_lossy(&answer).into_owned();
            assert!(matches!(status(&answer), 0 | 408), "{answer}");
        })
        .await;
    }
    assert_eq!(http::get(address, "/livez").await.0, 200);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_told_so() {
    let mut scene = Scene::new().await;
    scene.settings = scene.settings.toml(&tokens());
    let daemon = scene.daemon().await;
    let address = daemon.http().await;
    let post = |path: &str, headers: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n{headers}\r\n{{\"a\":").into_bytes()
    };
    let json = "Content-Type: application/json\r\n";
    let bearer = format!("{json}Authorization: Bearer {ANA}\r\n");
    let (actions, login, receipts) = (post("/actions", &bearer), post("/login", json), post("/receipts/sms", json));
    let answers = tokio::join!(raw(address, &actions), raw(address, &login), raw(address, &receipts));
    for answer in [answers.0, answers.1, answers.2] {
        assert!(status(&answer) == 408 && answer.contains("too_slow"), "{answer}");
    }
}
