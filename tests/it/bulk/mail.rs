//! E-mail from cases to a mail server that others wrote, through the real daemon: TLS, credentials, both parts.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{put_cases, run_is};
use crate::support::daemon::Settings;
use crate::support::mail::MailServer;
use crate::support::scene::Scene;
use crate::support::wait;

fn client(n: usize, name: &str, address: &str) -> Value {
    json!({"id": format!("c-{n}"), "client": {"first_name": name},
        "contacts": [{"kind": "email", "value": address, "updated_at": 1}, {"kind": "mobile", "value": "+34600000001", "updated_at": 2}]})
}

fn channel(server: &MailServer, password: &str) -> String {
    format!(
        "[channels.mail]\nkind = \"smtp\"\nhost = \"localhost\"\nport = {}\nfrom = \"Cobros Ñandú <dues@mail.example>\"\n\
         reply_to = \"answers@mail.example\"\ncredentials = {{ username = \"remesa\", password = \"{password}\" }}\n",
        server.port
    )
}

#[tokio::test]
async fn an_e_mail_reaches_the_cases_with_an_address_and_says_what_was_meant() {
    let mut server = MailServer::start().await;
    let mut scene = Scene::new().await;
    scene.settings = Settings::new(&scene.redis)
        .toml(&channel(&server, "s3cret"))
        .variable("SSL_CERT_FILE", server.certificate().to_str().unwrap());
    let _daemon = scene.daemon().await;
    let mut cases = vec![
        client(1, "José <b>", "jose@example.com"),
        client(2, "Ana", "ana@example.com"),
        client(3, "Nadie", "nobody@example.com"),
    ];
    cases.push(json!({"id": "c-4", "client": {"first_name": "Sin"}, "contacts": [{"kind": "mobile", "value": "+34600000001", "updated_at": 1}]}));
    put_cases(&mut scene, "c", &cases).await;
    let job = json!({"id": "send-c", "message": "m", "campaign": "c", "channel": "mail",
        "subject": "Su cuota, {{ first_name }}", "text": "Hola {{ first_name }}:\n.\nañadimos un punto",
        "html": "<p>Hola {{ first_name }}</p>"});
    scene.run("send", &job).await;
    let run = run_is(&mut scene, "c", "m", "finished").await;
    assert_eq!((run["sent"].as_str(), run["failed"].as_str(), run["skipped"].as_str()), ("2", "1", "1"), "{run:?}");
    let mut mails = BTreeMap::new();
    for _ in 0..2 {
        let mail = server.mail().await;
        mails.insert(mail["to"][0].as_str().unwrap().to_owned(), mail);
    }
    let mail = &mails["jose@example.com"];
    assert_eq!((mail["encrypted"].as_bool(), mail["from"].as_str()), (Some(true), Some("dues@mail.example")));
    let headers = &mail["headers"];
    assert_eq!(headers["subject"], "Su cuota, José <b>");
    assert_eq!(headers["from"], "Cobros Ñandú <dues@mail.example>");
    assert_eq!(
        (headers["to"].as_str(), headers["reply-to"].as_str()),
        (Some("jose@example.com"), Some("answers@mail.example"))
    );
    let id = headers["message-id"].as_str().unwrap();
    assert!(id.starts_with("<c/m/1.0/1.") && id.ends_with("@mail.example>"), "{id}");
    let parts: Vec<(&str, String)> = mail["parts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| (part["type"].as_str().unwrap(), part["text"].as_str().unwrap().replace("\r\n", "\n")))
        .collect();
    assert_eq!(
        parts,
        [
            ("text/plain", "Hola José <b>:\n.\nañadimos un punto".to_owned()),
            ("text/html", "<p>Hola José &lt;b&gt;</p>".to_owned()),
        ]
    );
    assert_eq!(mails["ana@example.com"]["headers"]["subject"], "Su cuota, Ana");
    let cell: Option<String> =
        redis::cmd("HGET").arg("remesa:{c}:run:m:ledger:0").arg(3).query_async(&mut scene.db).await.unwrap();
    assert!(
        cell.as_deref().is_some_and(|cell| cell.starts_with("f,") && cell.contains("refused:550_5.1.1")),
        "{cell:?}"
    );
}

#[tokio::test]
async fn a_mail_server_that_refuses_our_password_or_shows_a_strange_certificate_is_sent_nothing() {
    let server = MailServer::start().await;
    for (password, trusts, reason) in [("wrong", true, "not_authorised:535_5.7.8"), ("s3cret", false, "tls_failed")] {
        let mut scene = Scene::new().await;
        let mut settings =
            Settings::new(&scene.redis).toml(&format!("{}retry_attempts = 1\n", channel(&server, password)));
        if trusts {
            settings = settings.variable("SSL_CERT_FILE", server.certificate().to_str().unwrap());
        }
        scene.settings = settings;
        let _daemon = scene.daemon().await;
        put_cases(&mut scene, "c", &[client(1, "Ana", "ana@example.com")]).await;
        let job =
            json!({"id": "send-c", "message": "m", "campaign": "c", "channel": "mail", "subject": "x", "text": "Hola"});
        scene.run("send", &job).await;
        if trusts {
            wait::field(&mut scene.db, "remesa:channel:mail", "paused", &[reason]).await;
        } else {
            let run = run_is(&mut scene, "c", "m", "finished").await;
            assert_eq!(run["failed"], "1", "{run:?}");
        }
    }
}
