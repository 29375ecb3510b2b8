//! Whatever comes in: the right status, a sentence, headers that keep a browser from harm, and a daemon that goes on.

use serde_json::{Value, json};

use super::{raw, status};
use crate::support::http;
use crate::support::scene::{Scene, generate_job};
use crate::support::visitor::{ANA, Visitor, tokens};

const SCRIPT: &str = "<script>alert('x')</script>";

#[tokio::test]
async fn every_answer_brings_headers_that_keep_a_browser_from_harm() {
    let mut scene = Scene::new().await;
    scene.settings = scene.settings.toml(&tokens());
    let daemon = scene.daemon().await;
    let anybody = Visitor::of(&daemon).await;
    let ana = anybody.bearing(ANA);
    for answer in [
        anybody.get("/livez").await,
        anybody.get("/metrics").await,
        anybody.get("/campaigns").await,
        ana.get("/campaigns").await,
        ana.get("/campaigns/none").await,
        anybody.get("/nothing/here").await,
        anybody.get("/u/aaaaaaaaaaaaaaaa").await,
        anybody.post_json("/actions", &json!({})).await,
        anybody.post_json("/receipts/sms", &json!({})).await,
        anybody.post_form("/login", &[("token", "x")]).await,
    ] {
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{answer:?}");
        assert!(!policy.contains("unsafe") && !policy.contains("script-src *"), "{answer:?}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), value, "{answer:?}");
        }
        assert!(matches!(answer.header("referrer-policy"), "same-origin" | "no-referrer"), "{answer:?}");
        assert_eq!(answer.header("server"), "");
        assert_eq!(answer.header("access-control-allow-origin"), "", "no other site may read");
    }
}

#[tokio::test]
async fn paths_that_lead_elsewhere_lead_nowhere() {
    let scene = Scene::new().await;
    let daemon = scene.daemon().await;
    let address = daemon.http().await;
    for (path, expected) in [
        ("/../../etc/passwd", 404),
        ("/campaigns/../../../etc/passwd", 404),
        ("/campaigns/..%2f..%2fetc%2fpasswd", 400),
        ("/campaigns/%2e%2e", 400),
        ("/campaigns/%00", 400),
        ("/campaigns/%ff%fe", 400),
        ("/campaigns/%", 400),
        ("/campaigns/a%0d%0ax-injected:%201", 400),
        ("//campaigns", 404),
        ("/campaigns//", 404),
        ("/campaigns/c/orders/-1", 400),
        ("/campaigns/c/orders/1e3", 400),
        ("/campaigns/c/orders/99999999999999999999999", 400),
        ("/campaigns/none/orders/1", 404),
        ("/campaigns/none/cases/1", 404),
        ("/orders/..", 400),
        ("/orders/%2e%2e", 400),
        ("/receipts/..%2f..", 404),
        ("/u/%00", 404),
        ("/u/..%2f..", 404),
    ] {
        let method = if path.starts_with("/receipts") { "POST" } else { "GET" };
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let answer = raw(address, request.as_bytes()).await;
        assert_eq!(status(&answer), expected, "{path}: {answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(body.trim().len() > 8, "{path} is answered without a sentence: {answer}");
        assert!(!head.contains("x-injected") && !body.contains("root:"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn requests_that_are_none_are_refused_and_the_daemon_goes_on() {
    let scene = Scene::new().await;
    let daemon = scene.daemon().await;
    let address = daemon.http().await;
    let long = "x".repeat(40_000);
    for (request, expected) in [
        ("nonsense\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), 400),
        (
            "GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                .to_owned(),
            200,
        ),
        ("POST /receipts/sms HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n".to_owned(), 400),
        (
            "POST /receipts/sms HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n"
                .to_owned(),
            408,
        ),
        (format!("GET /livez HTTP/1.1\r\nHost: x\r\nx-long: {long}\r\n\r\n"), 431),
        ("GET /campaigns/<script> HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 400),
        (format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"), 431),
        ("GET /campaigns HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(), 421),
        ("GET /campaigns HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n".to_owned(), 421),
        ("GET http://evil.example/campaigns HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".to_owned(), 421),
        ("TRACE /campaigns HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".to_owned(), 405),
        ("DELETE /campaigns/c HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".to_owned(), 405),
        ("CONNECT evil.example:80 HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n".to_owned(), 404),
    ] {
        let answer = raw(address, request.as_bytes()).await;
        let shown = request.get(..80.min(request.len())).unwrap();
        assert!(status(&answer) == expected || (status(&answer) == 400 && expected > 400), "{shown:?}: {answer}");
    }
    let huge = vec![b'{'; 3 * 1024 * 1024];
    let head = format!(
        "POST /receipts/sms HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        huge.len()
    );
    let answer = raw(address, &[head.as_bytes(), &huge].concat()).await;
    assert!(matches!(status(&answer), 413 | 0), "{answer}");
    assert_eq!(http::get(address, "/livez").await.0, 200);
}

#[tokio::test]
async fn a_script_in_every_field_is_a_text_wherever_it_is_shown() {
    let mut scene = Scene::new().await;
    scene.settings = scene.settings.set("http.personal_data", "whole");
    let daemon = scene.daemon().await;
    let row = json!({"key": SCRIPT, "reference": SCRIPT, "concept": SCRIPT, "amount": 1000, "SMScontact": SCRIPT,
                     "name": SCRIPT, (SCRIPT): SCRIPT});
    let mut job = generate_job("c", vec![row]);
    job["name"] = SCRIPT.into();
    scene.run("generate", &job).await;
    let case = json!({"id": SCRIPT, "client": {"first_name": SCRIPT, "labels": [SCRIPT]}, "vars": {"a": SCRIPT}});
    scene.run("import", &json!({"id": "imp", "campaign": "c", "country": "ES", "rows": [case]})).await;
    for (field, value) in [("campaign", SCRIPT), ("channel", SCRIPT), ("run", SCRIPT), ("action", SCRIPT)] {
        let mut job = json!({"id": format!("bad-{field}"), "action": "pause", "campaign": "c"});
        job[field] = value.into();
        scene.enqueue("control", &job).await;
        scene.refused(&format!("bad-{field}")).await;
    }
    let anybody = Visitor::of(&daemon).await;
    for path in [
        "/campaigns",
        "/campaigns/c",
        "/campaigns/c/orders",
        "/campaigns/c/orders/1",
        "/campaigns/c/cases",
        "/campaigns/c/cases/1",
    ] {
        let answer = anybody.get(path).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"), "{path}: {answer:?}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        let _: Value = answer.json();
    }
    let metrics = anybody.get("/metrics").await.body;
    assert!(!metrics.contains("<script") && !metrics.contains("alert("), "{metrics}");
    for asked in
        ["/campaigns?name=%3Cscript%3E", "/campaigns?%3Cscript%3E=1", "/campaigns/%3Cscript%3E", "/%3Cscript%3E"]
    {
        let answer = anybody.get(asked).await;
        assert_eq!(answer.header("content-type").split(';').next(), Some("application/json"), "{asked}: {answer:?}");
    }
}
