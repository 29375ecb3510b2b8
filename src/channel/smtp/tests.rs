//! The channel against a scripted mail server: what it is told, and what every way of not answering means.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::{CertificateDer, ServerName};

use super::super::settings::{ChannelKind, ChannelSettings, Secret, Security, SmtpSettings};
use super::super::tests::{settings as http_settings, submission};
use super::super::{Channel, ChannelError, DeliverError, Submission};
use super::SmtpProvider;
use super::dial::Dialer;
use super::scripted::{Act, Server, Tls};
use crate::wire::Endpoint;

fn smtp(port: u16) -> SmtpSettings {
    SmtpSettings {
        host: "127.0.0.1".to_owned(),
        port,
        security: Security::None,
        from: "Remesa Cobros <dues@mail.example>".to_owned(),
        reply_to: "answers@mail.example".to_owned(),
    }
}

fn settings(smtp: SmtpSettings) -> ChannelSettings {
    ChannelSettings { kind: ChannelKind::Smtp(smtp), name: "mail".to_owned(), ..http_settings("") }
}

fn channel(server: &Server) -> Channel {
    Channel::build(&ChannelSettings { timeout: Duration::from_millis(500), ..settings(smtp(server.port)) }).unwrap()
}

fn letter<'a>(text: &'a str, html: &'a str) -> Submission<'a> {
    Submission { to: "ana@example.com", subject: "Su cuota de noviembre está lista", html, ..submission(text) }
}

async fn sent(channel: &Channel, letter: &Submission<'_>) -> String {
    match channel.deliver(letter).await {
        Ok(accepted) => format!("accepted {}", accepted.provider_id),
        Err(DeliverError::NotSent) => "not sent".to_owned(),
        Err(DeliverError::Failure(failure)) => format!("{} {}", failure.class(), failure.code()),
    }
}

#[tokio::test]
async fn an_e_mail_arrives_with_its_headers_and_both_parts_over_a_kept_connection() {
    let server = Server::start(&[]).await;
    let channel = channel(&server);
    let unsubscribe = "https://sms.example.com/u/aB3dE5gH7j";
    let both = Submission { unsubscribe_url: unsubscribe, ..letter("Hola Ana\n.\n..", "<p>Hola <b>Ana</b></p>") };
    for _ in 0..3 {
        assert_eq!(sent(&channel, &both).await, "accepted 4F2A91");
    }
    assert_eq!(server.connections(), 1);
    let commands = server.commands();
    assert!(commands[0].starts_with("EHLO "), "{commands:?}");
    assert_eq!(commands[1..4], ["MAIL FROM:<dues@mail.example>", "RCPT TO:<ana@example.com>", "DATA"]);
    let mail = server.mails().remove(0);
    for header in [
        "From: \"Remesa Cobros\" <dues@mail.example>\r\n",
        "To: ana@example.com\r\n",
        "Reply-To: answers@mail.example\r\n",
        "Message-ID: <nov-dues/delivery=1/7.0/1.aB3dE5gH7j@mail.example>\r\n",
        "List-Unsubscribe: <https://sms.example.com/u/aB3dE5gH7j>\r\n",
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
        "MIME-Version: 1.0\r\n",
        "Content-Type: multipart/alternative;",
        "Subject: Su cuota de noviembre =?utf-8?b?",
        "Date: ",
    ] {
        assert!(mail.contains(header), "{header} is not in\n{mail}");
    }
    let (text, html) =
        (mail.find("text/plain; charset=utf-8").unwrap(), mail.find("text/html; charset=utf-8").unwrap());
    assert!(text < html, "the last alternative is the one that is shown");
    assert!(mail.contains("Hola Ana\r\n.\r\n..\r\n"), "{mail}");
    assert!(mail.contains("<p>Hola <b>Ana</b></p>"), "{mail}");
}

#[tokio::test]
async fn a_text_or_html_alone_is_sent_alone() {
    let server = Server::start(&[]).await;
    let channel = channel(&server);
    assert_eq!(sent(&channel, &letter("Hola", "")).await, "accepted 4F2A91");
    assert_eq!(sent(&channel, &letter("", "<p>Hola</p>")).await, "accepted 4F2A91");
    let mails = server.mails();
    assert!(mails[0].contains("Content-Type: text/plain") && !mails[0].contains("multipart"), "{}", mails[0]);
    assert!(mails[1].contains("Content-Type: text/html") && !mails[1].contains("multipart"), "{}", mails[1]);
    assert_eq!(sent(&channel, &letter("", "")).await, "permanent unsupported_content");
}

#[tokio::test]
async fn no_value_begins_a_header_nor_a_command() {
    let server = Server::start(&[]).await;
    let channel = channel(&server);
    for to in [
        "ana@example.com\r\nRCPT TO:<x@example.com>",
        "ana@example.com\n",
        "a b@example.com",
        "ana",
        "a@b>\r\nDATA",
        "",
    ] {
        let hostile = Submission { to, ..letter("x", "") };
        assert_eq!(sent(&channel, &hostile).await, "permanent invalid_address", "{to:?}");
    }
    for unsubscribe_url in [
        "https://x.example/\r\nBcc: x@example.com",
        "https://x.example/>,<mailto:x@example.com",
        "https://x.example/a b",
    ] {
        let hostile = Submission { unsubscribe_url, ..letter("x", "") };
        assert_eq!(sent(&channel, &hostile).await, "permanent unrenderable_request", "{unsubscribe_url:?}");
    }
    assert_eq!(server.connections(), 0);
    let hostile = Submission {
        subject: "Hola\r\nBcc: x@example.com\r\n\r\nbody",
        ..letter("x\r\n.\r\nMAIL FROM:<y@example.com>", "")
    };
    assert_eq!(sent(&channel, &hostile).await, "accepted 4F2A91");
    let mail = server.mails().remove(0);
    let (head, body) = mail.split_once("\r\n\r\n").unwrap();
    assert!(!head.lines().any(|line| line.to_ascii_lowercase().starts_with("bcc")), "{head}");
    assert!(body.contains("\r\n.\r\nMAIL FROM:<y@example.com>"), "{body}");
    assert_eq!(server.commands().iter().filter(|command| command.starts_with("MAIL")).count(), 1);
}

#[tokio::test]
async fn every_way_of_not_taking_a_message_has_its_class() {
    let table = [
        ("HELLO", Act::SayAndClose("554 no"), "denied not_authorised:554"),
        ("HELLO", Act::SayAndClose("421 too many"), "transient refused_for_now:421"),
        ("HELLO", Act::Close, "transient dialogue_failed"),
        ("HELLO", Act::Say("hola"), "transient dialogue_failed"),
        ("MAIL", Act::Say("550 5.7.1 not you"), "denied not_authorised:550_5.7.1"),
        ("MAIL", Act::Say("451 4.3.0 later"), "transient refused_for_now:451_4.3.0"),
        ("MAIL", Act::Close, "transient dialogue_failed"),
        ("RCPT", Act::Say("550 5.1.1 no such user"), "permanent refused:550_5.1.1"),
        ("RCPT", Act::Say("450 4.2.0 greylisted"), "transient refused_for_now:450_4.2.0"),
        ("RCPT", Act::Say("530 5.7.0 log in first"), "denied not_authorised:530_5.7.0"),
        ("RCPT", Act::Close, "transient dialogue_failed"),
        ("RCPT", Act::Silence, "transient dialogue_timeout"),
        ("DATA", Act::Say("554 no valid recipients"), "permanent refused:554"),
        ("DATA", Act::Close, "transient dialogue_failed"),
        ("DATA", Act::Silence, "transient dialogue_timeout"),
        ("DATA", Act::SayAndClose("250 what?"), "transient dialogue_failed"),
        (".", Act::Say("554 5.7.1 spam"), "permanent refused:554_5.7.1"),
        (".", Act::Say("451 4.7.1 later"), "transient refused_for_now:451_4.7.1"),
        (".", Act::Say("hola"), "ambiguous answer_unreadable"),
        (".", Act::Close, "ambiguous answer_lost"),
        (".", Act::Silence, "ambiguous answer_timeout"),
    ];
    for (step, act, expected) in table {
        let server = Server::start(&[(step, act)]).await;
        assert_eq!(sent(&channel(&server), &letter("Hola", "")).await, expected, "{step} {act:?}");
        assert_eq!(server.mails().len(), usize::from(step == "."), "{step} {act:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_or_does_not_greet_is_transient() {
    let nobody = Channel::build(&settings(smtp(1))).unwrap();
    assert_eq!(sent(&nobody, &letter("x", "")).await, "transient connection_refused");
    let server = Server::start(&[("HELLO", Act::Silence)]).await;
    let impatient = ChannelSettings { connect_timeout: Duration::from_millis(100), ..settings(smtp(server.port)) };
    assert_eq!(sent(&Channel::build(&impatient).unwrap(), &letter("x", "")).await, "transient connect_timeout");
}

#[tokio::test]
async fn a_refused_recipient_does_not_end_the_connection() {
    let server = Server::start(&[("RCPT", Act::Say("550 no")), (".", Act::Say("554 no"))]).await;
    let channel = channel(&server);
    assert_eq!(sent(&channel, &letter("1", "")).await, "permanent refused:550");
    assert_eq!(sent(&channel, &letter("2", "")).await, "permanent refused:554");
    assert_eq!(sent(&channel, &letter("3", "")).await, "accepted 4F2A91");
    assert_eq!(server.connections(), 1);
    assert_eq!(server.commands().iter().filter(|command| *command == "RSET").count(), 1);
}

#[tokio::test]
async fn a_kept_connection_that_the_server_has_closed_is_replaced_without_loss() {
    for goodbye in [Act::Close, Act::SayAndClose("421 4.4.2 timeout")] {
        let server = Server::start(&[]).await;
        let channel = channel(&server);
        assert_eq!(sent(&channel, &letter("1", "")).await, "accepted 4F2A91");
        server.seen.lock().unwrap().next("MAIL", goodbye);
        assert_eq!(sent(&channel, &letter("2", "")).await, "accepted 4F2A91", "{goodbye:?}");
        assert_eq!((server.connections(), server.mails().len()), (2, 2));
    }
}

#[tokio::test]
async fn da_1_a_message_whose_deadline_has_passed_is_not_handed_over() {
    let server = Server::start(&[]).await;
    let late = Submission { deadline: Instant::now(), ..letter("late", "") };
    assert_eq!(sent(&channel(&server), &late).await, "not sent");
    for step in ["HELLO", "MAIL", "RCPT", "DATA"] {
        let server = Server::start(&[(step, Act::Silence)]).await;
        let late = Submission { deadline: Instant::now() + Duration::from_millis(100), ..letter("late", "") };
        assert_eq!(sent(&channel(&server), &late).await, "not sent", "{step}");
        assert!(server.mails().is_empty());
    }
}

#[tokio::test]
async fn credentials_are_presented_and_their_refusal_is_about_us() {
    let known = |server: &Server| {
        let mut settings = settings(smtp(server.port));
        settings.credentials.insert("username".to_owned(), Secret::new("remesa"));
        settings.credentials.insert("password".to_owned(), Secret::new("secret"));
        Channel::build(&settings).unwrap()
    };
    let server = Server::start(&[]).await;
    assert_eq!(sent(&known(&server), &letter("x", "")).await, "accepted 4F2A91");
    assert_eq!(server.commands()[1], "AUTH PLAIN AHJlbWVzYQBzZWNyZXQ=");
    let server = Server::start(&[("AUTH", Act::Say("535 5.7.8 wrong"))]).await;
    assert_eq!(sent(&known(&server), &letter("x", "")).await, "denied not_authorised:535_5.7.8");
    let server = Server::start(&[("AUTH", Act::Say("454 4.7.0 later"))]).await;
    assert_eq!(sent(&known(&server), &letter("x", "")).await, "transient refused_for_now:454_4.7.0");
    let server = Server::start(&[("EHLO", Act::Say("250 mail.example"))]).await;
    assert_eq!(sent(&known(&server), &letter("x", "")).await, "denied not_authorised:no_mechanism");
}

fn trusting(server: &Server, security: Security, trusted: CertificateDer<'static>) -> Channel {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tls = Some((Arc::new(config), ServerName::try_from("localhost").unwrap()));
    let endpoint = Endpoint { host: "127.0.0.1".to_owned(), port: server.port, tls };
    let settings = settings(smtp(server.port));
    let ChannelKind::Smtp(smtp) = &settings.kind else { unreachable!() };
    let mut provider = SmtpProvider::build(&settings, smtp).unwrap();
    provider.dialer = Dialer::over(endpoint, security, None);
    Channel { provider: super::super::Provider::Smtp(Box::new(provider)), settings }
}

#[tokio::test]
async fn tls_stands_before_anything_is_said_of_a_message() {
    for (tls, security, hellos) in [(Tls::Asked, Security::StartTls, 2), (Tls::First, Security::Tls, 1)] {
        let server = Server::start_with(tls, &[]).await;
        let channel = trusting(&server, security, server.certificate.clone());
        for _ in 0..2 {
            assert_eq!(sent(&channel, &letter("Hola", "")).await, "accepted 4F2A91", "{tls:?}");
        }
        let commands = server.commands();
        assert_eq!(commands.iter().filter(|command| command.starts_with("EHLO")).count(), hellos, "{commands:?}");
        let stranger = Server::start_with(tls, &[]).await;
        let channel = trusting(&stranger, security, server.certificate.clone());
        assert_eq!(sent(&channel, &letter("Hola", "")).await, "transient tls_failed", "{tls:?}");
        assert!(!stranger.commands().iter().any(|command| command.starts_with("MAIL")));
    }
}

#[tokio::test]
async fn without_starttls_nothing_is_said() {
    let server = Server::start(&[]).await;
    let channel = trusting(&server, Security::StartTls, server.certificate.clone());
    assert_eq!(sent(&channel, &letter("Hola", "")).await, "denied starttls_missing");
    for (step, act, expected) in [
        ("STARTTLS", Act::Say("454 not now"), "transient refused_for_now:454"),
        ("STARTTLS", Act::Close, "transient dialogue_failed"),
        ("HELLO", Act::Say("554 no"), "denied not_authorised:554"),
        // What a man in the middle says before TLS is not taken for what the server says in it.
        ("STARTTLS", Act::Say("220 go ahead\r\n250 injected"), "transient dialogue_failed"),
    ] {
        let server = Server::start_with(Tls::Asked, &[(step, act)]).await;
        let channel = trusting(&server, Security::StartTls, server.certificate.clone());
        assert_eq!(sent(&channel, &letter("Hola", "")).await, expected, "{step} {act:?}");
        assert!(!server.commands().iter().any(|command| command.starts_with("MAIL")));
    }
}

#[test]
fn an_address_of_ours_that_is_none_does_not_make_a_channel() {
    let wrong = |from: &str| {
        Channel::build(&settings(SmtpSettings { from: from.to_owned(), ..smtp(25) }))
            .err()
            .map(|error| error.to_string())
    };
    let sentence = "channel mail: from is not a mail address such as \"Remesa <dues@example.com>\"";
    for from in ["", "dues", "dues@", "a@b\r\nBcc: c@d", "<a@b.example", "a@b.example, c@d.example"] {
        assert_eq!(wrong(from).as_deref(), Some(sentence), "{from:?}");
    }
    assert_eq!(wrong("dues@mail.example"), None);
    assert_eq!(
        ChannelError::Host { channel: "mail".to_owned() }.to_string(),
        "channel mail: host is not a host name or an address"
    );
}
