//! DA-9: the log of a whole run, at the level trace, in both forms, holds nobody's number, address, name or document,
//! no text of a message or a reply, no link and no secret; whatever fails, and whatever a provider says about it.

use redis::AsyncCommands as _;
use serde_json::{Value, json};

use crate::support::daemon::{Daemon, Settings};
use crate::support::grep;
use crate::support::mail::MailServer;
use crate::support::provider::{Act, Receiver};
use crate::support::scene::{Scene, phone, send_job};
use crate::support::wait;

const DIGITS: &str = "600123456";
const PHONE: &str = "+34 600 12 34 56";

/// What stands in no log, in any case of its letters.
const NEVER: [&str; 14] = [
    "zenobia",
    "quintanilla",
    "12345678z",
    "1971-02-03",
    "remolacha",
    "berenjena",
    "calabacin",
    "pimiento",
    "k3y-s3cr3t",
    "t0k3n",
    "s3cret",
    "pay.example/?p=",
    "/u/",
    "hunter2",
];

/// A provider that says back whatever it was told, in each way of failing.
fn echoing() -> Vec<Act> {
    let said = format!("no such number {PHONE} (zenobia.quintanilla@example.com, Zenobia Quintanilla): remolacha");
    let body = format!(r#"{{"error":"{said}","message":"{said}"}}"#);
    let reply = |status, headers: &[&str]| Act::Reply {
        status,
        headers: headers.iter().map(|header| (*header).to_owned()).collect(),
        body: body.clone(),
    };
    vec![
        reply(400, &[]),
        reply(200, &[]),
        reply(429, &["Retry-After: 0"]),
        reply(503, &["Retry-After: 0"]),
        reply(302, &[&format!("Location: http://127.0.0.1:1/{DIGITS}?name=Zenobia")]),
        reply(500, &[]),
        Act::Write(format!("HTTP/1.1 200 OK\r\n\r\n{said}").into_bytes()),
        Act::Write(said.into_bytes()),
        Act::CutAfterBody,
        Act::CutBeforeBody,
        reply(401, &[]),
    ]
}

/// A scene with a channel of each kind, and the servers behind them.
struct World {
    scene: Scene,
    mail: MailServer,
    echo: Receiver,
    files: Receiver,
}

impl World {
    async fn new(format: &str) -> Self {
        let mut scene = Scene::new().await;
        let (mail, echo) = (MailServer::start().await, Receiver::start(echoing()));
        let csv = format!("importe;movil;nombre\n1250;{PHONE};Zenobia Quintanilla\nx;{PHONE};Zenobia\n");
        let files = Receiver::start([Act::Write(crate::support::provider::answer("text/csv", csv.as_bytes()))]);
        let smtp = |name: &str, password: &str| {
            format!(
                "[channels.{name}]\nkind = \"smtp\"\nhost = \"localhost\"\nport = {}\nfrom = \"dues@mail.example\"\n\
                 credentials = {{ username = \"remesa\", password = \"{password}\" }}\n",
                mail.port
            )
        };
        let settings = Settings::new(&scene.redis)
            .sandbox_channel("sms", &scene.sandbox.url(), "[channels.sms.replies]\nenabled = true\nunsigned = true\n")
            .toml(&format!(
                "[channels.echo]\nkind = \"http\"\nurl = \"{}/send?key={{{{ credentials.key }}}}\"\n\
                 body = '{{\"to\": \"{{{{ to }}}}\", \"text\": \"{{{{ text }}}}\"}}'\n\
                 id_pointer = \"/id\"\nerror_pointer = \"/error\"\ncredentials = {{ key = \"k3y-s3cr3t\" }}\n\
                 in_flight = 1\nslots = 1\nretry_attempts = 1\nbreaker_failures = 5\nbreaker_cooldown = \"1s\"\n",
                echo.url()
            ))
            .toml(&smtp("mail", "s3cret"))
            .toml(&smtp("mail-refused", "hunter2"))
            .variable("SSL_CERT_FILE", mail.certificate().to_str().unwrap())
            .set("recurring.min_interval", "1s")
            .set("http.public_url", "https://sms.example")
            .set("unsubscribe.company", "Acme")
            .set("log.level", "trace")
            .set("log.format", format);
        scene.settings = crate::support::provider::files_from(settings, &files);
        Self { scene, mail, echo, files }
    }

    /// Cases and orders of Zenobia and others, good rows and bad ones, from a file, an address and a job.
    async fn bring(&mut self) {
        let header = "id,first_name,last_name,document,birth_date,mobile,email\n";
        let rows = format!(
            "c-1,Zenobia,Quintanilla,12345678Z,1971-02-03,{PHONE},zenobia.quintanilla@example.com\n\
             c-2,Nadie,Quintanilla,,,{},nobody@example.com\nc-3,Zenobia,,,{PHONE},{PHONE},{PHONE}\n",
            phone(2)
        );
        self.scene.settings.spool("cases.csv", header.to_owned() + &rows);
        let import = json!({"id": "import", "campaign": "c", "country": "ES", "rows_from": {"file": "cases.csv"},
            "templates": [{"name": "reminder", "text": "Hola {{ first_name }}, remolacha"}]});
        self.scene.run("import", &import).await;
        let rows = json!([
            {"key": "k-1", "reference": PHONE, "amount": 5, "SMScontact": PHONE, "name": "Zenobia Quintanilla"},
            {"key": "k-2", "amount": PHONE, "SMScontact": PHONE, "name": "Zenobia"},
            {"key": "k-3", "amount": 7, "SMScontact": format!("{PHONE}00000000"), "name": "Zenobia"},
        ]);
        let mut job = send_job("orders", rows);
        job["country"] = "ES".into();
        job["message"]["text"] = "Remolacha, {{ name }}:".into();
        self.scene.run("generate", &job).await;
        self.scene.campaign_is("orders", "delivered").await;
        let url = format!("{}/rows.csv?token=t0k3n", self.files.url());
        let from_url =
            json!({"id": "url", "campaign": "url", "country": "ES", "currency": "EUR", "rows_from": {"url": url}});
        self.scene.run("generate", &from_url).await;
        // Refused whole: a number and a name where neither belongs, and no JSON at all.
        for (id, field) in [("bad-1", "country"), ("bad-2", "channel"), (PHONE, "campaign")] {
            let mut wrong = job.clone();
            wrong["id"] = id.into();
            wrong[field] = format!("Zenobia {PHONE}").into();
            self.scene.enqueue("generate", &wrong).await;
        }
        self.scene.enqueue("send", &json!(format!("remolacha {PHONE}"))).await;
        self.scene.refused("bad-2").await;
    }

    /// One message over each channel, with its receipt, and a permanent one.
    async fn send(&mut self) {
        let people: Vec<Value> = (1..=12)
            .map(|n| json!({"key": format!("e-{n}"), "amount": 5, "SMScontact": PHONE, "name": "Zenobia Quintanilla"}))
            .collect();
        let mut echo = send_job("echo", people);
        echo["channel"] = "echo".into();
        echo["message"]["text"] = "Remolacha, {{ name }}:".into();
        self.scene.run("generate", &echo).await;
        self.echo.received(10).await;
        self.channel_is_paused("echo").await;
        let sms = json!({"id": "sms", "message": "sms", "campaign": "c", "channel": "sms", "template": "reminder",
                         "close_cases": true, "only_active": true});
        self.scene.run("send", &sms).await;
        self.run_is("sms", "finished").await;
        for channel in ["mail", "mail-refused"] {
            let mail = json!({"id": channel, "message": channel, "campaign": "c", "channel": channel,
                "subject": "Berenjena, {{ first_name }}", "text": "Hola {{ first_name }}: remolacha", "html": "<p>berenjena</p>"});
            self.scene.run("send", &mail).await;
        }
        self.run_is("mail", "finished").await;
        self.mail.mail().await;
        self.channel_is_paused("mail-refused").await;
        let every = json!({"id": "every", "recurring": "w", "campaign": "orders", "channel": "sms", "audience": "orders",
            "text": "Berenjena, {{ name }}: {{ url }}", "every": "1s", "max_runs": 1});
        self.scene.run("recurring", &every).await;
        wait::field(&mut self.scene.db, "remesa:{orders}:recurring:w", "state", &["stopped"]).await;
    }

    /// What comes back, and what an operator does.
    async fn answer(&mut self) {
        // A log for people is not read for the address.
        let workers: Vec<String> = self.scene.db.keys("remesa:worker:*").await.unwrap();
        let at: String = self.scene.db.hget(&workers[0], "http").await.unwrap();
        let at = format!("http://{at}");
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let replies = [
            json!({"from": PHONE, "text": "calabacin, soy Zenobia", "id": "r-1"}).to_string(),
            json!({"from": PHONE, "text": "STOP", "id": "r-2"}).to_string(),
            json!({"from": {"x": PHONE}, "text": "calabacin", "id": "r-3"}).to_string(),
            format!("calabacin {PHONE}"),
        ];
        for body in replies {
            client.post(format!("{at}/replies/sms")).body(body).send().await.unwrap();
        }
        let receipt =
            json!([{"reference": format!("c/sms/1.0/1.{DIGITS}"), "state": format!("Zenobia {PHONE}"), "to": PHONE}]);
        client.post(format!("{at}/receipts/sms")).body(receipt.to_string()).send().await.unwrap();
        for path in [format!("/order?contact={DIGITS}"), format!("/case?name=zenobia+{DIGITS}"), format!("/u/{DIGITS}")]
        {
            client.get(format!("{at}{path}")).send().await.unwrap();
        }
        let scene = &mut self.scene;
        scene.command(json!({"action": "opt_out", "contacts": [PHONE], "country": "ES"})).await;
        scene.command(json!({"action": "export", "campaign": "orders", "format": "csv"})).await;
        let preview = json!({"action": "preview", "queue": "send", "job": {"message": "p", "campaign": "c", "channel": "sms",
            "text": "pimiento {{ first_name }}"}});
        scene.command(preview).await;
        scene
            .command_refused(json!({"action": "close_case", "campaign": "c", "case_id": format!("Zenobia {PHONE}")}))
            .await;
        scene.command(json!({"action": "forget", "contact": PHONE, "country": "ES"})).await;
        scene.command_refused(json!({"action": "forget", "contact": format!("Zenobia {PHONE}")})).await;
    }

    async fn channel_is_paused(&mut self, channel: &str) {
        let key = format!("remesa:channel:{channel}");
        wait::until(&format!("{channel} is paused"), async || {
            let paused: Option<String> = self.scene.db.hget(&key, "paused").await.unwrap();
            paused
        })
        .await;
    }

    async fn run_is(&mut self, run: &str, state: &str) {
        wait::field(&mut self.scene.db, &format!("remesa:{{c}}:run:{run}"), "state", &[state]).await;
    }
}

/// Lines that say what they must not.
fn telling(log: &str) -> Vec<&str> {
    let tells = |line: &&str| {
        let small = line.to_lowercase();
        grep::holds(line.as_bytes(), DIGITS) || NEVER.iter().any(|never| small.contains(never))
    };
    log.lines().filter(tells).collect()
}

/// The log of everything, from the first line to the last.
async fn whole_run(format: &str) -> String {
    let mut world = World::new(format).await;
    let mut daemon = Daemon::spawn(&world.scene.settings);
    world.bring().await;
    world.send().await;
    world.answer().await;
    world.scene.redis.restart_empty().await;
    world.scene.db = world.scene.redis.connect().await;
    world
        .scene
        .run("generate", &json!({"id": "again", "campaign": "again", "currency": "EUR", "rows": [{"amount": 1}]}))
        .await;
    daemon.term();
    assert_eq!(daemon.exit_code().await, Some(0));
    daemon.log()
}

fn names_nobody(log: &str) {
    for told in ["TRACE", "DEBUG", "gen-echo", "the provider refuses us", "a person was forgotten", "drained"] {
        assert!(log.contains(told), "{told:?} is not in the log, so it is not the whole log");
    }
    assert_eq!(telling(log), Vec::<&str>::new());
}

#[tokio::test]
async fn da_9_the_log_of_a_whole_run_for_people_names_nobody_and_says_no_text() {
    names_nobody(&whole_run("text").await);
}

#[tokio::test]
async fn da_9_the_log_of_a_whole_run_for_programs_names_nobody_and_says_no_text() {
    let log = whole_run("json").await;
    names_nobody(&log);
    assert!(log.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{log}");
}
