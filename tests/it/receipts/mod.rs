//! Receipts over real HTTP into a real daemon: what they change, whom they believe, what they survive.

mod answers;
mod believed;
mod deaths;
mod known;
mod ledger;
mod load;

use std::num::NonZeroU32;

use redis::AsyncCommands as _;
use remesa::domain::failure::Attempt;
use remesa::domain::reference;
use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::scene::Scene;

/// The side of the provider: knows where reports go, and the references it was given.
#[derive(Clone)]
pub(crate) struct Provider {
    client: reqwest::Client,
    url: String,
    secret: String,
}

impl Provider {
    /// Of the channel `sms`.
    pub(crate) async fn of(scene: &mut Scene, daemon: &Daemon) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let secret: String = scene.db.get("remesa:secret").await.unwrap();
        Self { client, url: format!("http://{}/receipts/sms", daemon.http().await), secret }
    }

    /// The reference that the daemon signed for this recipient of a campaign's first delivery.
    fn reference(&self, campaign: &str, n: u64, attempt: u32) -> String {
        let attempt = NonZeroU32::new(attempt).and_then(|a| Attempt::new(a.get())).unwrap();
        reference::sign(self.secret.as_bytes(), campaign, "delivery@1", n, 0, attempt)
    }

    /// A report as the simulator writes it.
    fn report(&self, campaign: &str, n: u64, state: &str) -> Value {
        json!({"reference": self.reference(campaign, n, 1), "id": format!("p-{n}"), "state": state})
    }

    /// Posts a body, and returns status and answer.
    async fn post(&self, body: &Value) -> (u16, Value) {
        read(self.client.post(&self.url).json(body).send().await.unwrap()).await
    }

    /// Reports one state of one recipient, and says how it was counted: `applied`, `old`, `unknown`.
    pub(crate) async fn says(&self, campaign: &str, n: u64, state: &str) -> String {
        self.counted(&self.report(campaign, n, state)).await
    }

    /// Posts one report, and says how it was counted.
    async fn counted(&self, report: &Value) -> String {
        let (status, answer) = self.post(report).await;
        let counts = answer.as_object().unwrap();
        let (what, _) =
            counts.iter().find(|(_, count)| count.as_u64() == Some(1)).unwrap_or_else(|| panic!("{answer}"));
        assert_eq!(status, if what == "applied" { 200 } else { 202 }, "{answer}");
        what.clone()
    }
}

async fn read(response: reqwest::Response) -> (u16, Value) {
    let status = response.status().as_u16();
    (status, response.json().await.unwrap_or(Value::Null))
}
