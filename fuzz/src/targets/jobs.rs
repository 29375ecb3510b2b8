//! Jobs: the bytes of the field `job`, in each queue.
//!
//! The first byte of an input chooses the queue, the rest is the job. Refused or not, the answer is the same the second
//! time, and a refusal is a sentence of one line that can be shown.

use remesa::job::{QueueName, decode, is_forget};
use serde_json::Value;

use super::{Target, files_of};

/// Longest sentence of a refusal.
const SENTENCE_BYTES: usize = 4 * 1024;

pub(super) const TARGET: Target = Target {
    name: "jobs",
    seeds,
    words: &[
        "\"id\":",
        "\"campaign\":",
        "\"channel\":",
        "\"rows\":",
        "\"rows_from\":",
        "\"file\":",
        "\"list\":",
        "\"url\":",
        "\"message\":",
        "\"text\":",
        "\"delivery\":",
        "\"at\":",
        "\"not_after\":",
        "\"after\":",
        "\"v\":",
        "\"action\":",
        "\"filter\":",
        "\"all\":",
        "\"any\":",
        "\"column\":",
        "\"operator\":",
        "\"value\":",
        "\"every\":",
        "\"cron\":",
        "\"timezone\":",
        "\"amount\":",
        "\"currency\":",
        "\"expires_in\":",
        "\"contacts\":",
        "\"templates\":",
        "\"cases\":",
        "{{ name }}",
        "{% for a in b %}",
        "null",
        "true",
        "[[[[",
        "{\"a\":",
        "\\ud800",
        "\\u0000",
        "1e999",
        ",",
        "{",
        "}",
        "[",
        "]",
        "\"",
        ":",
        "2026-11-25T10:00:00+01:00",
        "48h",
        "999999999999d",
        "* * * * *",
        "Europe/Madrid",
        "../",
    ],
    read,
};

fn seeds() -> Vec<Vec<u8>> {
    let place = |name: &str| {
        let queue = QueueName::ALL.iter().position(|queue| name.starts_with(queue.as_str()));
        vec![u8::try_from(queue.unwrap_or(0)).unwrap_or(0)]
    };
    let mut seeds = files_of("jobs/examples", place);
    // Refused ones stand inside an object that says how.
    for seed in files_of("jobs/rejected", |_| Vec::new()) {
        let Ok(refused) = serde_json::from_slice::<Value>(&seed) else { continue };
        let mut input = place(refused["queue"].as_str().unwrap_or_default());
        match refused["raw"].as_str() {
            Some(raw) => input.extend(raw.as_bytes()),
            None => input.extend(refused["job"].to_string().into_bytes()),
        }
        seeds.push(input);
    }
    seeds
}

fn read(input: &[u8]) -> String {
    let Some((first, job)) = input.split_first() else { return String::new() };
    let queue = QueueName::ALL[usize::from(*first) % QueueName::ALL.len()];
    let decoded = decode(queue, job);
    let again = decode(queue, job);
    assert_eq!(format!("{decoded:?}"), format!("{again:?}"), "a job is judged the same each time");
    let forgets = is_forget(job);
    match decoded {
        Ok((envelope, job)) => {
            assert_eq!(envelope.digest.is_some(), envelope.id.is_some());
            format!("{queue:?} {:?} {forgets}", std::mem::discriminant(&job))
        }
        Err(rejection) => {
            let sentence = rejection.to_string();
            assert!(sentence.len() <= SENTENCE_BYTES, "a sentence of {} bytes", sentence.len());
            assert!(!sentence.chars().any(char::is_control), "a sentence with control characters: {sentence:?}");
            format!("{queue:?} {:?} {:?}", rejection.code, rejection.field.is_some())
        }
    }
}
