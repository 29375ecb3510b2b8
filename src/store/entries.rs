//! Stream entries of the job queues: read, renew, adopt, settle, give back.
//!
//! Guarantees: an entry is renewed or settled only by whoever still owns it; settling acknowledges,
//! deletes and (for a slot) adds the successor in one step; an adopted entry counts a delivery only
//! when it starts to run.

use std::time::Duration;

use redis::{Value, cmd, streams::StreamReadOptions};

use super::{GROUP, Store, StoreError, scripts};
use crate::domain::trace::Trace;
use crate::job::QueueName;

/// Entries added by one script.
const ADDED_AT_ONCE: usize = 500;

/// What an entry carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryBody {
    /// A producer's job, raw.
    Job(Vec<u8>),
    /// A delayed job comes due: its id.
    Ref(String),
    /// A slot's turn: `<campaign>/<run>/<slot>/<token>`.
    Slot(String),
    /// None of the known fields.
    Unknown,
}

/// One entry as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Redis' entry id, `<ms>-<n>`.
    pub id: String,
    /// What it carries.
    pub body: EntryBody,
    /// The trace its producer gave beside it.
    pub trace: Option<Trace>,
    /// Deliveries so far; a fresh one has 1, an adopted one counts when it starts.
    pub deliveries: u32,
}

/// The elements of an array; of anything else none.
fn elements(value: Value) -> Vec<Value> {
    if let Value::Array(elements) = value { elements } else { Vec::new() }
}

/// The bytes of a string, whatever they are; of anything else none.
fn bytes(value: Option<Value>) -> Option<Vec<u8>> {
    redis::from_redis_value(value?).ok()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Entries as Redis lists them: `[id, [name, value, ...]]`. Read by hand, because producers may write any bytes: a
/// name that is no text must not cost the entries around it.
fn listed(reply: Value) -> impl Iterator<Item = Entry> {
    elements(reply).into_iter().filter_map(|entry| {
        let mut parts = elements(entry).into_iter();
        let id = text(&bytes(parts.next())?);
        let (body, trace) = fields(parts.next().map(elements).unwrap_or_default());
        Some(Entry { id, body, trace, deliveries: 1 })
    })
}

/// The first field whose name is known, and the trace beside it.
fn fields(fields: Vec<Value>) -> (EntryBody, Option<Trace>) {
    let (mut body, mut trace) = (None, None);
    let mut fields = fields.into_iter();
    while let Some(name) = fields.next() {
        let value = fields.next();
        match bytes(Some(name)).unwrap_or_default().as_slice() {
            name @ (b"job" | b"ref" | b"slot") if body.is_none() => {
                body =
                    Some(bytes(value).and_then(|value| named_body(&text(name), value)).unwrap_or(EntryBody::Unknown));
            }
            b"traceparent" if trace.is_none() => trace = bytes(value).and_then(|value| Trace::parse(&text(&value))),
            _ => {}
        }
    }
    (body.unwrap_or(EntryBody::Unknown), trace)
}

fn named_body(name: &str, value: Vec<u8>) -> Option<EntryBody> {
    let text = |bytes| String::from_utf8(bytes).ok();
    match name {
        "job" => Some(EntryBody::Job(value)),
        "ref" => text(value).map(EntryBody::Ref),
        "slot" => text(value).map(EntryBody::Slot),
        _ => None,
    }
}

/// One entry to settle.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The entry.
    pub id: String,
    /// Whether ownership must be looked at, because the entry was held for long.
    pub look: bool,
    /// The slot text of the successor, where a turn goes on.
    pub successor: Option<String>,
}

impl Store {
    /// Creates the consumer group of a queue at the stream's beginning, where it is missing.
    pub async fn create_group(&self, queue: &str) -> Result<(), StoreError> {
        let create = scripts::CREATE_GROUP.call(&[&self.keys.jobs(queue)]).arg(GROUP);
        match create.run::<()>(&self.connection).await {
            Err(StoreError::Refused(reason)) if reason.contains("BUSYGROUP") => Ok(()),
            answer => answer,
        }
    }

    /// Waits for new entries, at most `count` of them, at most `block` long.
    pub async fn read_entries(
        &self,
        queue: &str,
        consumer: &str,
        count: usize,
        block: Duration,
    ) -> Result<Vec<Entry>, StoreError> {
        let options = StreamReadOptions::default()
            .group(GROUP, consumer)
            .count(count)
            .block(usize::try_from(block.as_millis()).unwrap_or(1000));
        let key = self.keys.jobs(queue);
        let mut read = cmd("XREADGROUP");
        read.arg(&options).arg("STREAMS").arg(&key).arg(">");
        // One stream: `[[key, entries]]`, or nothing.
        let reply: Value = self.connection.query(&read).await?;
        let entries = elements(reply).into_iter().filter_map(|stream| elements(stream).into_iter().nth(1));
        Ok(entries.flat_map(listed).collect())
    }

    /// Renews entries of ours; those marked `true` made progress, so their deliveries start again
    /// at 1. Returns the ids that are no longer ours.
    pub async fn renew_entries(
        &self,
        queue: &str,
        consumer: &str,
        entries: &[(String, bool)],
    ) -> Result<Vec<String>, StoreError> {
        let mut call = scripts::RENEW.call(&[&self.keys.jobs(queue)]).arg(GROUP).arg(consumer);
        for (id, progress) in entries {
            call.push(id);
            call.push(if *progress { "p" } else { "" });
        }
        call.run(&self.connection).await
    }

    /// Takes over entries idle beyond the lease, and those of `dead` consumers at once.
    pub async fn adopt_entries(
        &self,
        queue: &str,
        consumer: &str,
        lease: Duration,
        limit: usize,
        dead: &[String],
    ) -> Result<Vec<Entry>, StoreError> {
        let call = scripts::ADOPT
            .call(&[&self.keys.jobs(queue)])
            .arg(GROUP)
            .arg(consumer)
            .arg(millis(lease))
            .arg(limit)
            .arg(dead);
        let reply: Vec<Vec<u8>> = match call.run(&self.connection).await {
            Err(StoreError::Refused(reason)) if reason.contains("NOGROUP") => return Ok(Vec::new()),
            reply => reply?,
        };
        let mut parts = reply.into_iter();
        let mut entries = Vec::new();
        while let (Some(id), Some(count), Some(name), Some(value), Some(trace)) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        {
            entries.push(Entry {
                id: text(&id),
                deliveries: text(&count).parse().unwrap_or(0),
                body: named_body(&text(&name), value).unwrap_or(EntryBody::Unknown),
                trace: Trace::parse(&text(&trace)),
            });
        }
        Ok(entries)
    }

    /// Lets the leases of a queue's entries begin now, with their owners, where they began after now: Redis' clock was set
    /// back since.
    pub async fn begin_leases_anew(&self, queue: &str) -> Result<(), StoreError> {
        const PAGE: usize = 500;
        let mut from = "-".to_owned();
        while !from.is_empty() {
            let call = scripts::BEGIN_LEASES_ANEW.call(&[&self.keys.jobs(queue)]).arg(GROUP).arg(&from).arg(PAGE);
            from = match call.run(&self.connection).await {
                Err(StoreError::Refused(reason)) if reason.contains("NOGROUP") => return Ok(()),
                next => next?,
            };
        }
        Ok(())
    }

    /// Counts a delivery of an adopted entry. `None`: it is no longer ours.
    pub async fn count_delivery(&self, queue: &str, consumer: &str, id: &str) -> Result<Option<u32>, StoreError> {
        let count: u32 = scripts::COUNT_DELIVERY
            .call(&[&self.keys.jobs(queue)])
            .arg(GROUP)
            .arg(consumer)
            .arg(id)
            .run(&self.connection)
            .await?;
        Ok((count > 0).then_some(count))
    }

    /// Settles entries. Returns the ids that were not ours any more and were left alone.
    pub async fn settle_entries(
        &self,
        queue: &str,
        consumer: &str,
        settlements: &[Settlement],
    ) -> Result<Vec<String>, StoreError> {
        let mut call = scripts::SETTLE.call(&[&self.keys.jobs(queue)]).arg(GROUP).arg(consumer);
        for settlement in settlements {
            call.push(&settlement.id);
            call.push(if settlement.look { "o" } else { "" });
            call.push(settlement.successor.as_deref().unwrap_or(""));
        }
        call.run(&self.connection).await
    }

    /// Gives entries back for any daemon to take at once; of those marked `true` this delivery is taken off.
    pub async fn give_back_entries(
        &self,
        queue: &str,
        consumer: &str,
        entries: &[(String, bool)],
    ) -> Result<u64, StoreError> {
        let mut call = scripts::GIVE_BACK.call(&[&self.keys.jobs(queue)]).arg(GROUP).arg(consumer);
        for (id, counted) in entries {
            call.push(id);
            call.push(if *counted { "c" } else { "" });
        }
        call.run(&self.connection).await
    }

    /// Whether an entry is still in its stream.
    pub async fn entry_exists(&self, queue: &str, id: &str) -> Result<bool, StoreError> {
        let mut range = cmd("XRANGE");
        range.arg(self.keys.jobs(queue)).arg(id).arg(id);
        let found: Vec<redis::Value> = self.connection.query(&range).await?;
        Ok(!found.is_empty())
    }

    /// Adds a producer's job. Returns the entry id. A command is added over `maxmemory` too: it may be what makes room.
    pub async fn add_job(&self, queue: &str, job: &[u8]) -> Result<String, StoreError> {
        let key = self.keys.jobs(queue);
        if queue == QueueName::Control.as_str() {
            return self.surely("XADD", &key, ("*", "job", job)).await;
        }
        self.connection.query(cmd("XADD").arg(key).arg("*").arg("job").arg(job)).await
    }

    /// Adds entries of our own that carry `name` = one of `values` each. They stand for work that was taken on, so
    /// they are written over `maxmemory` too.
    pub async fn add_entries(&self, queue: &str, name: &str, values: &[String]) -> Result<(), StoreError> {
        for chunk in values.chunks(ADDED_AT_ONCE) {
            let call = scripts::ADD_ENTRIES.call(&[&self.keys.jobs(queue)]).arg(name).arg(chunk);
            call.run::<u64>(&self.connection).await?;
        }
        Ok(())
    }

    /// Some entries of a queue, the oldest first, from entry `from` on (`-` for all, `(<id>` for those behind it).
    pub async fn entries_from(&self, queue: &str, from: &str, count: usize) -> Result<Vec<Entry>, StoreError> {
        let mut range = cmd("XRANGE");
        range.arg(self.keys.jobs(queue)).arg(from).arg("+").arg("COUNT").arg(count);
        Ok(listed(self.connection.query(&range).await?).collect())
    }

    /// The slot texts in a queue from entry `from` on, one page of them, and where to go on.
    pub async fn slot_entries(&self, queue: &str, from: &str) -> Result<(Vec<String>, Option<String>), StoreError> {
        const PAGE: usize = 1000;
        let entries = self.entries_from(queue, from, PAGE).await?;
        let next = (entries.len() == PAGE).then(|| entries.last().map(|last| format!("({}", last.id))).flatten();
        let slots = entries.into_iter().filter_map(|entry| match entry.body {
            EntryBody::Slot(text) => Some(text),
            EntryBody::Job(_) | EntryBody::Ref(_) | EntryBody::Unknown => None,
        });
        Ok((slots.collect(), next))
    }

    /// Removes a consumer that has nothing pending (one that has would lose it for ever). Returns whether it is gone.
    pub async fn remove_consumer(&self, queue: &str, consumer: &str) -> Result<bool, StoreError> {
        let call = scripts::REMOVE_CONSUMER.call(&[&self.keys.jobs(queue)]).arg(GROUP).arg(consumer);
        match call.run::<u8>(&self.connection).await {
            Err(StoreError::Refused(reason)) if reason.contains("NOGROUP") => Ok(true),
            gone => Ok(gone? == 1),
        }
    }

    /// Removes the consumers that were idle for longer than `idle` and have nothing pending. Returns how many.
    pub async fn remove_idle_consumers(&self, queue: &str, idle: Duration) -> Result<u64, StoreError> {
        let call = scripts::REMOVE_IDLE_CONSUMERS.call(&[&self.keys.jobs(queue)]).arg(GROUP).arg(millis(idle));
        match call.run(&self.connection).await {
            Err(StoreError::Refused(reason)) if reason.contains("NOGROUP") || reason.contains("no such key") => Ok(0),
            removed => removed,
        }
    }
}

/// Milliseconds of a duration, for an argument.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn string(bytes: &[u8]) -> Value {
        Value::BulkString(bytes.to_vec())
    }

    fn entry(id: &str, fields: &[&[u8]]) -> Value {
        Value::Array(vec![string(id.as_bytes()), Value::Array(fields.iter().map(|field| string(field)).collect())])
    }

    #[test]
    fn a_field_name_that_is_no_text_costs_no_other_entry() {
        let reply = Value::Array(vec![
            entry("1-0", &[b"\xff\xfe", b"x"]),
            entry("2-0", &[b"\xff", b"x", b"job", b"{\xff}"]),
            entry("3-0", &[b"job"]),
            Value::Array(vec![string(b"4-0"), Value::Nil]),
            entry("5-0", &[b"job", b"{}", b"job", b"other"]),
            entry("6-0", &[b"traceparent", b"\xff", b"job", b"{}"]),
            entry("7-0", &[b"job", b"{}", b"traceparent", TRACE.as_bytes()]),
        ]);
        let found: Vec<_> = listed(reply).collect();
        let job = |bytes: &[u8]| EntryBody::Job(bytes.to_vec());
        let expected = [
            ("1-0", EntryBody::Unknown),
            ("2-0", job(b"{\xff}")),
            ("3-0", EntryBody::Unknown),
            ("4-0", EntryBody::Unknown),
            ("5-0", job(b"{}")),
            ("6-0", job(b"{}")),
            ("7-0", job(b"{}")),
        ];
        let of = |id: &str| (id == "7-0").then(|| Trace::parse(TRACE).unwrap());
        assert_eq!(found, expected.map(|(id, body)| Entry { id: id.to_owned(), body, trace: of(id), deliveries: 1 }));
    }
}
