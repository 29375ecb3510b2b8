//! The facts about a job: its status, its place among those that wait, what it comes after, the run it started.

use std::time::Duration;

use redis::cmd;

use crate::{
    domain::{clock::EpochMs, name::JobId},
    job::{QueueName, RawJob},
    operate::why::{
        Answer, Verdict,
        job::{self, JobFacts, Place},
        run,
    },
    queue::{QueueId, pressure},
    store::{StoreError, entries::EntryBody},
};

use super::Gather;

/// Entries of a queue that are looked through for a job.
const ENTRIES: u64 = 1000;

/// Entries read at once: each may hold a mebibyte.
const ENTRIES_AT_ONCE: usize = 20;

impl Gather<'_> {
    /// The answer about a job, with its run.
    pub(in crate::operate::why) async fn job(&self, id: &JobId) -> Result<Option<Answer>, StoreError> {
        let Some(mut facts) = self.job_facts(id).await? else { return Ok(None) };
        let field = |name: &str| facts.status.get(name).filter(|text| !text.is_empty()).cloned();
        if let (Some("done"), Some(campaign), Some(run)) = (field("state").as_deref(), field("campaign"), field("run"))
        {
            let answer = self.run(&campaign, &run).await?.map(|run| run::plan(&run, &self.around));
            facts.run = answer.filter(|answer| answer.verdict != Verdict::Ended);
        }
        Ok(Some(job::plan(&facts, &self.around)))
    }

    pub(super) async fn job_alone(&self, id: &JobId) -> Result<Option<Answer>, StoreError> {
        Ok(self.job_facts(id).await?.map(|facts| job::plan(&facts, &self.around)))
    }

    async fn job_facts(&self, id: &JobId) -> Result<Option<JobFacts>, StoreError> {
        let status = self.store.job(id.as_str()).await?;
        let place = if status.is_empty() { self.place(id).await? } else { None };
        if status.is_empty() && place.is_none() {
            return Ok(None);
        }
        let after = match status.get("payload").filter(|_| status.get("state").is_some_and(|state| state == "parked")) {
            Some(payload) => self.after(payload).await?,
            None => Vec::new(),
        };
        let queue = place.as_ref().map(|place| place.queue.as_str()).or(status.get("queue").map(String::as_str));
        let fills = queue.and_then(QueueName::parse).is_some_and(|queue| pressure::fills(&QueueId::Jobs(queue)));
        Ok(Some(JobFacts { id: id.clone(), status, place, after, fills, run: None }))
    }

    /// The jobs that one comes after, with their states.
    async fn after(&self, payload: &str) -> Result<Vec<(String, Option<String>)>, StoreError> {
        let job: serde_json::Value = serde_json::from_str(payload).unwrap_or_default();
        let after = job.get("after").and_then(serde_json::Value::as_array).into_iter().flatten();
        let ids: Vec<String> = after.filter_map(|id| id.as_str().map(str::to_owned)).collect();
        let states = if ids.is_empty() { Vec::new() } else { self.store.job_states(&ids).await? };
        Ok(ids.into_iter().zip(states).collect())
    }

    /// Where a job waits that nobody has read: looked for by its entry, or by its id among the oldest entries.
    async fn place(&self, id: &JobId) -> Result<Option<Place>, StoreError> {
        if let Some((queue, entry)) = id.as_str().rsplit_once(':').filter(|_| id.is_of_entry()) {
            if !self.store.entry_exists(queue, entry).await? {
                return Ok(None);
            }
            let mut range = cmd("XRANGE");
            range.arg(self.store.keys.jobs(queue)).arg("-").arg(format!("({entry}")).arg("COUNT").arg(ENTRIES_AT_ONCE);
            let before: Vec<redis::Value> = self.store.connection.query(&range).await?;
            let more = before.len() == ENTRIES_AT_ONCE;
            return self.placed(queue, u64::try_from(before.len()).unwrap_or(0), more).await.map(Some);
        }
        for queue in QueueName::ALL {
            let (mut from, mut looked_at) = ("-".to_owned(), 0);
            while looked_at < ENTRIES {
                let entries = self.store.entries_from(queue.as_str(), &from, ENTRIES_AT_ONCE).await?;
                for entry in &entries {
                    if is_job(&entry.body, id) {
                        return self.placed(queue.as_str(), looked_at, false).await.map(Some);
                    }
                    looked_at += 1;
                }
                match entries.last() {
                    Some(last) if entries.len() == ENTRIES_AT_ONCE => from = format!("({}", last.id),
                    _ => break,
                }
            }
        }
        Ok(None)
    }

    async fn placed(&self, queue: &str, before: u64, more: bool) -> Result<Place, StoreError> {
        let length = self.store.queue_length(queue).await?;
        let since = length.oldest_in_hand_ms.map_or(Duration::ZERO, |at| self.around.now.since(EpochMs(at)));
        let ahead = before.saturating_sub(length.in_hand);
        Ok(Place { queue: queue.to_owned(), ahead, more, running: length.in_hand, oldest_running: since })
    }
}

fn is_job(body: &EntryBody, id: &JobId) -> bool {
    match body {
        // Parsing is for the few that hold the id at all.
        EntryBody::Job(bytes) => {
            let holds = bytes.windows(id.as_str().len()).any(|part| part == id.as_str().as_bytes());
            holds && RawJob::parse(bytes).ok().and_then(|raw| raw.id()).is_some_and(|found| found == *id)
        }
        EntryBody::Ref(found) => found == id.as_str(),
        EntryBody::Slot(_) | EntryBody::Unknown => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_found_in_an_entry_by_its_id_and_not_by_its_text() {
        let id = JobId::parse("gen-1").unwrap();
        let job = |text: &str| EntryBody::Job(text.as_bytes().to_vec());
        assert!(is_job(&job(r#"{"id":"gen-1"}"#), &id));
        assert!(!is_job(&job(r#"{"id":"other","name":"gen-1"}"#), &id));
        assert!(is_job(&EntryBody::Ref("gen-1".to_owned()), &id));
    }
}
