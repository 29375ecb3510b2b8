//! Somebody who asks a daemon over HTTP, as a program (with a token) or as a browser (with a session), and is led nowhere.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, redirect::Policy};
use serde_json::Value;

use super::daemon::Daemon;
use super::wait;

/// The token of an operator called `ana`, and of a reader called `eva`.
pub(crate) const ANA: &str = "ana-ana-ana-ana-ana-ana-ana-ana-ana";
pub(crate) const EVA: &str = "eva-eva-eva-eva-eva-eva-eva-eva-eva";

/// Their tables of the configuration.
pub(crate) fn tokens() -> String {
    format!(
        "[http.tokens.ana]\ntoken = \"{ANA}\"\nrole = \"operator\"\n[http.tokens.eva]\ntoken = \"{EVA}\"\nrole = \"read\"\n"
    )
}

/// Somebody.
#[derive(Clone)]
pub(crate) struct Visitor {
    client: Client,
    base: String,
    headers: HeaderMap,
}

/// What they were answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// A header, empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Status and code of a refusal, which has a sentence.
    pub(crate) fn refusal(&self) -> (u16, String) {
        let body = self.json();
        let text = |names: [&str; 2]| names.iter().find_map(|name| body[*name].as_str()).unwrap_or_default().to_owned();
        assert!(text(["sentence", "message"]).len() > 10, "{self:?}");
        (self.status, text(["error", "code"]))
    }
}

impl Visitor {
    /// Somebody nobody knows.
    pub(crate) async fn of(daemon: &Daemon) -> Self {
        let client = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        Self { client, base: format!("http://{}", daemon.http().await), headers: HeaderMap::new() }
    }

    /// The same with one more header.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut other = self.clone();
        other.headers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        other
    }

    /// The same with a token.
    pub(crate) fn bearing(&self, token: &str) -> Self {
        self.with("authorization", &format!("Bearer {token}"))
    }

    /// The same in a browser that has logged in.
    pub(crate) async fn logged_in(&self, token: &str) -> Self {
        let answer = self.post_form("/login", &[("token", token)]).await;
        assert_eq!((answer.status, answer.header("location")), (303, "/"), "{answer:?}");
        let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
        self.with("cookie", &cookie).with("origin", &self.base).with("sec-fetch-site", "same-origin")
    }

    /// The value of a cookie that they send.
    pub(crate) fn cookie(&self, name: &str) -> String {
        let cookies = self.headers["cookie"].to_str().unwrap();
        cookies.split("; ").find_map(|pair| pair.strip_prefix(&format!("{name}="))).unwrap().to_owned()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub(crate) async fn post_json(&self, path: &str, body: &Value) -> Answer {
        self.post(path, "application/json", body.to_string()).await
    }

    pub(crate) async fn post_form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let pairs = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect::<Vec<_>>();
        self.post(path, "application/x-www-form-urlencoded", pairs.join("&")).await
    }

    pub(crate) async fn post(&self, path: &str, kind: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.send(Method::POST, path, Some((kind, body.into()))).await
    }

    async fn send(&self, method: Method, path: &str, body: Option<(&str, Vec<u8>)>) -> Answer {
        let asked = self.client.request(method, format!("{}{path}", self.base)).headers(self.headers.clone());
        let asked = match body {
            Some((kind, body)) => asked.header("content-type", kind).body(body),
            None => asked,
        };
        wait::within(&format!("an answer of {path}"), async {
            let response = asked.send().await.unwrap();
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            Answer { status, headers, body: response.text().await.unwrap() }
        })
        .await
    }
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
