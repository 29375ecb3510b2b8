//! When and how often people may be written to: contact hours and frequency caps.
//!
//! Hours are wall clocks, and tests run at any time of day: [`Clock`] takes a zone in which it is about noon, and writes
//! blocks from the present time.

mod bulk;
mod caps;
mod foretold;
mod hours;

use serde_json::{Value, json};

use crate::support::scene::Scene;

/// A zone in which it is noon or a little later, and the second of the day there.
struct Clock {
    zone: String,
    now_ms: i64,
    second: i64,
}

const WEEK: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

impl Clock {
    async fn of(scene: &mut Scene) -> Self {
        let now_ms = scene.now_ms().await;
        let utc_hour = now_ms / 3_600_000 % 24;
        // The signs of these names are the wrong way round (POSIX): three hours ahead of UTC is Etc/GMT-3.
        let behind = utc_hour - 12;
        let zone = if behind == 0 { "Etc/UTC".to_owned() } else { format!("Etc/GMT{behind:+}") };
        Self { zone, now_ms, second: 12 * 3600 + now_ms / 1000 % 3600 }
    }

    /// Hours of every day from so many seconds after now to so many, and the two instants.
    fn hours(&self, from: i64, to: i64) -> (Value, i64, i64) {
        let time = |second: i64| format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
        let block = format!("{}-{}", time(self.second + from), time(self.second + to));
        let mut hours = json!({ "timezone": self.zone });
        for day in WEEK {
            hours[day] = json!([block]);
        }
        let whole = self.now_ms / 1000;
        (hours, (whole + from) * 1000, (whole + to) * 1000)
    }
}

/// A key of a channel's table.
fn key(name: &str, value: &Value) -> String {
    // JSON objects of texts and lists are TOML inline tables but for the colons.
    fn toml(value: &Value) -> String {
        match value {
            Value::Object(fields) => {
                let fields: Vec<String> =
                    fields.iter().map(|(name, value)| format!("{name} = {}", toml(value))).collect();
                format!("{{ {} }}", fields.join(", "))
            }
            Value::Array(values) => format!("[{}]", values.iter().map(toml).collect::<Vec<_>>().join(", ")),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
        }
    }
    format!("{name} = {}\n", toml(value))
}
