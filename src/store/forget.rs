//! What `forget` reads and changes beside orders: its own progress, entries of streams, fields, rows, its notes.
//!
//! Everything is read in small pages and changed only where it still reads as it did, by scripts that go on over
//! `maxmemory`: forgetting frees memory. A stream cannot be changed, so an entry is deleted and another one added.

use std::time::Duration;

use redis::{cmd, streams::StreamRangeReply};

use super::{Answer, Store, StoreError, cases::case_field, entries::millis, keys::index_shard, scripts};

/// Runs of a campaign that one script looks at.
const RUNS: u32 = 1000;

/// Keys looked at by one step of a scan.
const SCANNED: usize = 1000;

/// One entry of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamEntry {
    /// Redis' id.
    pub id: String,
    /// Names and values.
    pub fields: Vec<(String, String)>,
}

impl StreamEntry {
    /// The value of a field, or nothing.
    pub fn field(&self, name: &str) -> &str {
        self.fields.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// An order that is to be forgotten.
#[derive(Debug, Clone)]
pub struct ForgetOrder<'a> {
    /// Its number.
    pub number: u64,
    /// Its JSON as it was read, and as it is to be.
    pub texts: (&'a str, &'a str),
    /// Its row key as it was, and as it is to be.
    pub keys: (&'a str, &'a str),
    /// The reference that it has no more, or empty.
    pub reference: &'a str,
    /// Whether it is the person's own.
    pub own: bool,
}

/// A case that is to be forgotten.
#[derive(Debug, Clone)]
pub struct ForgetCase<'a> {
    /// Its number.
    pub number: u64,
    /// Its JSON as it was read, and as it is to be.
    pub texts: (&'a str, &'a str),
    /// Its id as it was, and as it is to be.
    pub ids: (&'a str, &'a str),
    /// How many contacts it has.
    pub contacts: usize,
    /// Whether it is the person's own.
    pub own: bool,
}

/// What forgetting an order or a case did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForgottenOrder {
    /// It reads otherwise by now.
    Moved,
    /// Done.
    Done {
        /// Its deliveries.
        deliveries: u64,
        /// Of them, skipped because of this.
        skipped: u64,
        /// Runs that have one in flight.
        in_flight: Vec<String>,
    },
}

impl Store {
    /// How far the `forget` of this job is.
    pub async fn forget_progress(&self, job: &str) -> Result<Option<String>, StoreError> {
        self.connection.query(cmd("GET").arg(self.keys.forget(job))).await
    }

    /// Keeps how far it is.
    pub async fn save_forget(&self, job: &str, progress: &str, keep: Duration) -> Result<(), StoreError> {
        let call = scripts::SAVE_FORGET.call(&[&self.keys.forget(job)]).arg(progress).arg(millis(keep));
        call.run::<u8>(&self.connection).await?;
        Ok(())
    }

    /// Drops what is kept of a `forget` that will not go on.
    pub async fn drop_forget(&self, job: &str) -> Result<(), StoreError> {
        self.connection.query(cmd("UNLINK").arg(self.keys.forget(job))).await
    }

    /// Notes what was forgotten; the same note twice is one.
    pub async fn note_forgotten(&self, at_ms: i64, note: &str) -> Result<(), StoreError> {
        let call = scripts::NOTE_FORGOTTEN.call(&[&self.keys.forgotten()]).arg(at_ms).arg(note);
        call.run::<u64>(&self.connection).await?;
        Ok(())
    }

    /// Removes notes older than `keep`.
    pub async fn trim_forgotten(&self, keep: Duration) -> Result<u64, StoreError> {
        let before = self.now_ms().await? - i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
        self.connection.query(cmd("ZREMRANGEBYSCORE").arg(self.keys.forgotten()).arg("-inf").arg(before)).await
    }

    /// The newest campaign older than `at` (creation and name), or the newest.
    pub async fn campaign_before(&self, at: Option<(i64, &str)>) -> Result<Option<(i64, String)>, StoreError> {
        const SAME_INSTANT: usize = 100;
        let mut range = cmd("ZREVRANGEBYSCORE");
        range.arg(self.keys.campaigns());
        match at {
            Some((score, _)) => range.arg(score),
            None => range.arg("+inf"),
        };
        range.arg("-inf").arg("WITHSCORES").arg("LIMIT").arg(0).arg(SAME_INSTANT);
        let found: Vec<(String, f64)> = self.connection.query(&range).await?;
        // Scores are epoch ms: exact, and written without a fraction.
        let found = found.into_iter().filter_map(|(name, score)| Some((format!("{score:.0}").parse().ok()?, name)));
        Ok(found.into_iter().find(|(score, name): &(i64, String)| at.is_none_or(|at| (*score, name.as_str()) < at)))
    }

    /// Forgets the person of one case, with its index entry and what providers call its messages.
    pub async fn forget_case(&self, campaign: &str, case: &ForgetCase<'_>) -> Result<ForgottenOrder, StoreError> {
        self.announce(campaign).await?;
        let (old, new) = (case_field(case.ids.0), case_field(case.ids.1));
        let mut call = scripts::FORGET_CASE
            .call(&[&self.keys.campaign(campaign)])
            .arg(case.number)
            .arg(case.texts.0)
            .arg(case.texts.1);
        if old == new {
            call = call.arg("").arg("").arg("").arg("");
        } else {
            call = call.arg(index_shard(&old)).arg(&old).arg(index_shard(&new)).arg(&new);
        }
        // A text: there is nothing to refuse.
        let id = serde_json::to_string(case.ids.1).unwrap_or_default();
        let call = call.arg(id).arg(u8::from(case.own)).arg(RUNS).arg(case.contacts);
        let mut answer = Answer::new(call.run(&self.connection).await?);
        if answer.text()? == "moved" {
            return Ok(ForgottenOrder::Moved);
        }
        self.publish_soon(campaign, &answer.text()?).await;
        Ok(ForgottenOrder::Done { deliveries: answer.number()?, skipped: 0, in_flight: answer.rest().collect() })
    }

    /// Forgets the person of one order, with its index entry and its deliveries.
    pub async fn forget_order(&self, campaign: &str, order: &ForgetOrder<'_>) -> Result<ForgottenOrder, StoreError> {
        self.announce(campaign).await?;
        let (old, new) = (format!("o:{}", order.keys.0), format!("o:{}", order.keys.1));
        let mut call = scripts::FORGET_ORDER
            .call(&[&self.keys.campaign(campaign)])
            .arg(order.number)
            .arg(order.texts.0)
            .arg(order.texts.1);
        if old == new {
            for _ in 0..4 {
                call.push("");
            }
        } else {
            call = call.arg(index_shard(&old)).arg(&old).arg(index_shard(&new)).arg(&new);
        }
        // A text is always JSON.
        let key = serde_json::to_string(order.keys.1).unwrap_or_default();
        let reference = index_shard(&format!("r:{}", order.reference));
        let call = call.arg(key).arg(u8::from(order.own)).arg(RUNS).arg(reference).arg(order.reference);
        let mut answer = Answer::new(call.run(&self.connection).await?);
        if answer.text()? != "done" {
            return Ok(ForgottenOrder::Moved);
        }
        let outbox = answer.text()?;
        let (deliveries, skipped) = (answer.number()?, answer.number()?);
        self.publish_soon(campaign, &outbox).await;
        Ok(ForgottenOrder::Done { deliveries, skipped, in_flight: answer.rest().collect() })
    }

    /// Entries of a stream behind `after`, of before `before_ms`, at most `count`.
    pub async fn stream_page(
        &self,
        key: &str,
        after: &str,
        before_ms: i64,
        count: usize,
    ) -> Result<Vec<StreamEntry>, StoreError> {
        let mut range = cmd("XRANGE");
        range.arg(key).arg(format!("({after}")).arg(before_ms).arg("COUNT").arg(count);
        Ok(read_page(self.connection.query(&range).await?))
    }

    /// One entry of a stream.
    pub async fn stream_entry(&self, key: &str, id: &str) -> Result<Option<StreamEntry>, StoreError> {
        let entries = read_page(self.connection.query(cmd("XRANGE").arg(key).arg(id).arg(id)).await?);
        Ok(entries.into_iter().next())
    }

    /// Puts another entry in place of one. False: the old one is gone.
    pub async fn replace_entry(&self, key: &str, id: &str, fields: &[(String, String)]) -> Result<bool, StoreError> {
        let mut call = scripts::REPLACE_ENTRY.call(&[key]).arg(id);
        for (name, value) in fields {
            call.push(name);
            call.push(value);
        }
        Ok(call.run::<u8>(&self.connection).await? == 1)
    }

    /// Changes fields of a hash that still read as they did: field, old, new.
    pub async fn replace_fields(&self, key: &str, changes: &[(String, String, String)]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut call = scripts::REPLACE_FIELDS.call(&[key]);
        for (field, old, new) in changes {
            call.push(field);
            call.push(old);
            call.push(new);
        }
        call.run::<u64>(&self.connection).await?;
        Ok(())
    }

    /// Changes an element of a list that still reads as it did.
    pub async fn replace_row(&self, key: &str, index: u64, old: &str, new: &str) -> Result<bool, StoreError> {
        let call = scripts::REPLACE_ROW.call(&[key]).arg(index).arg(old).arg(new);
        Ok(call.run::<u8>(&self.connection).await? == 1)
    }

    /// The element of a list.
    pub async fn row(&self, key: &str, index: u64) -> Result<Option<String>, StoreError> {
        self.connection.query(cmd("LINDEX").arg(key).arg(index)).await
    }

    /// One step of a scan for jobs: their ids and where it goes on, 0 at the end. Masters of a cluster are scanned one
    /// after the other: the place in all of them is `cursor * masters + master`, which of one server is its cursor.
    pub async fn scan_jobs(&self, place: u64) -> Result<(u64, Vec<String>), StoreError> {
        let prefix = self.keys.job("");
        let masters = u64::try_from(self.connection.masters().await?).unwrap_or(1).max(1);
        let (cursor, master) = (place / masters, place % masters);
        let mut scan = cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(format!("{}*", escaped(&prefix))).arg("COUNT").arg(SCANNED);
        let at = usize::try_from(master).unwrap_or(0);
        let (cursor, keys): (u64, Vec<String>) = self.connection.at_master(at, &scan).await?;
        let next = match cursor {
            0 => (master + 1) % masters,
            cursor => cursor.saturating_mul(masters).saturating_add(master),
        };
        Ok((next, keys.iter().filter_map(|key| key.strip_prefix(&prefix)).map(str::to_owned).collect()))
    }

    /// Some fields of several jobs' hashes, in their order.
    pub async fn job_texts(&self, ids: &[String], fields: &[&str]) -> Result<Vec<Vec<Option<String>>>, StoreError> {
        let mut pipeline = redis::pipe();
        for id in ids {
            pipeline.cmd("HMGET").arg(self.keys.job(id)).arg(fields);
        }
        self.connection.pipeline(&pipeline).await
    }

    /// Names the server's present life: what a scan found before a restart says nothing after it.
    pub async fn server_life(&self) -> Result<String, StoreError> {
        // An opened connection has told who is at its other end.
        self.now_ms().await?;
        Ok(self.connection.servers().borrow().as_ref().map(|server| server.run_id.clone()).unwrap_or_default())
    }
}

fn read_page(reply: StreamRangeReply) -> Vec<StreamEntry> {
    // Producers may write any bytes.
    let text = |value: &redis::Value| {
        let bytes: Vec<u8> = redis::from_redis_value(value.clone()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let entry = |entry: redis::streams::StreamId| StreamEntry {
        id: entry.id.clone(),
        fields: entry.map.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
    };
    reply.ids.into_iter().map(entry).collect()
}

/// A text whose signs mean themselves in a pattern.
fn escaped(text: &str) -> String {
    text.chars().flat_map(|c| "*?[]\\".contains(c).then_some('\\').into_iter().chain([c])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_no_pattern() {
        assert_eq!(escaped("a*[b]:job:"), "a\\*\\[b\\]:job:");
    }
}
