//! Permanent messages: their ticks, what becomes of those that cannot be kept, commands, and deaths in between.

mod cases;
mod commands;
mod deaths;
mod definitions;
mod ticks;

use std::collections::HashMap;

use redis::AsyncCommands as _;
use serde_json::{Value, json};

use crate::support::scene::{Scene, generate_job, people};
use crate::support::wait;

/// A scene whose permanent messages may come every second, with a campaign `c` of so many orders.
pub(crate) async fn scene(orders: usize) -> Scene {
    let mut scene = Scene::new().await;
    scene.settings = scene.settings.set("recurring.min_interval", "1s");
    if orders > 0 {
        scene.enqueue("generate", &generate_job("c", people(orders))).await;
    }
    scene
}

/// A permanent message `w` over the orders of `c`, with these fields set.
pub(crate) fn job(fields: &Value) -> Value {
    let mut job = json!({"id": "def", "recurring": "w", "campaign": "c", "channel": "sms", "audience": "orders",
                         "text": "Hola {{ name }}: {{ url }}"});
    for (name, value) in fields.as_object().unwrap() {
        job[name] = value.clone();
    }
    job
}

impl Scene {
    /// The definition `w` of `c`.
    async fn definition(&mut self) -> HashMap<String, String> {
        self.hash("remesa:{c}:recurring:w").await
    }

    /// Waits until a field of the definition has a value that is wanted.
    async fn defined(&mut self, field: &str, wanted: impl Fn(&str) -> bool) -> HashMap<String, String> {
        wait::until(&format!("{field} of the definition is as wanted"), async || {
            let definition: HashMap<String, String> = self.db.hgetall("remesa:{c}:recurring:w").await.unwrap();
            definition.get(field).is_some_and(|value| wanted(value)).then_some(definition)
        })
        .await
    }

    /// Waits until so many runs of `c` are made, and returns their names, the oldest first.
    async fn made(&mut self, at_least: usize) -> Vec<String> {
        wait::until(&format!("{at_least} runs are made"), async || {
            let names: Vec<String> = self.db.zrange("remesa:{c}:runs", 0, -1).await.unwrap();
            (names.len() >= at_least).then_some(names)
        })
        .await
    }

    /// The runs of `c`, the oldest first, as their names and hashes.
    async fn ticks(&mut self) -> Vec<(String, HashMap<String, String>)> {
        let names: Vec<String> = self.db.zrange("remesa:{c}:runs", 0, -1).await.unwrap();
        let mut runs = Vec::new();
        for name in names {
            let hash = self.hash(&format!("remesa:{{c}}:run:{name}")).await;
            runs.push((name, hash));
        }
        runs
    }

    /// Waits until a run is finished.
    async fn tick_finished(&mut self, run: &str) -> HashMap<String, String> {
        let key = format!("remesa:{{c}}:run:{run}");
        wait::field(&mut self.db, &key, "state", &["finished"]).await;
        self.hash(&key).await
    }

    /// The events of this type that are published.
    async fn told(&mut self, kind: &str) -> Vec<Value> {
        let entries: redis::streams::StreamRangeReply = self.db.xrange_all("remesa:results").await.unwrap();
        let data = entries.ids.iter().filter_map(|entry| entry.get::<String>("data"));
        let events = data.map(|data| serde_json::from_str::<Value>(&data).unwrap());
        events.filter(|event| event["type"] == kind).collect()
    }
}
