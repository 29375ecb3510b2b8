//! Who may not be written to: the block list, opt-outs, the page that unsubscribes, replies.

mod cases;
mod commands;
mod commercial;
mod gate;
mod page;
pub(crate) mod replies;

use reqwest::{Client, Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

use crate::support::daemon::{Daemon, Settings};
use crate::support::scene::{Scene, send_job};

/// A scene whose daemons know where links lead.
async fn public_scene() -> Scene {
    let mut scene = Scene::new().await;
    let settings = std::mem::replace(&mut scene.settings, Settings::new(&scene.redis));
    scene.settings = settings.set("http.public_url", "https://sms.example").set("unsubscribe.company", "Acme & Co");
    scene
}

/// A commercial job over these rows.
pub(crate) fn offer(campaign: &str, rows: impl Into<Value>) -> Value {
    let mut job = send_job(campaign, rows);
    job["category"] = "commercial".into();
    job
}

/// The token of the unsubscribe link of a text.
pub(crate) fn token(text: &str) -> String {
    let (_, rest) = text.split_once("https://sms.example/u/").unwrap_or_else(|| panic!("no link in {text:?}"));
    rest.chars().take_while(char::is_ascii_alphanumeric).collect()
}

/// The text that this number got last.
pub(crate) fn got(scene: &Scene, to: &str) -> String {
    scene.sandbox.inbox(Some(to), 0, 1000).pop().expect("a message").text
}

/// A browser.
pub(crate) struct Browser {
    client: Client,
    url: String,
}

/// What the browser got.
pub(crate) struct Shown {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Browser {
    pub(crate) async fn at(daemon: &Daemon) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().build().unwrap();
        Self { client, url: format!("http://{}", daemon.http().await) }
    }

    async fn ask(&self, method: Method, path: &str, language: &str, body: &'static str) -> Shown {
        let request = self.client.request(method, format!("{}{path}", self.url)).header("accept-language", language);
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Shown { status, headers, body: response.text().await.unwrap() }
    }

    async fn get(&self, path: &str) -> Shown {
        self.ask(Method::GET, path, "en", "").await
    }

    pub(crate) async fn post(&self, path: &str) -> Shown {
        self.ask(Method::POST, path, "en", "List-Unsubscribe=One-Click").await
    }
}

/// The events of a kind, so far.
async fn events(scene: &mut Scene, kind: &str) -> Vec<Value> {
    use redis::AsyncCommands as _;
    let stream: redis::streams::StreamRangeReply = scene.db.xrange_all("remesa:results").await.unwrap();
    let data =
        stream.ids.iter().map(|entry| serde_json::from_str::<Value>(&entry.get::<String>("data").unwrap()).unwrap());
    data.filter(|event| event["type"] == json!(kind)).collect()
}
