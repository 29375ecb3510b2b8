//! The facts that the plans are made of, read from Redis.
//!
//! Bounded, whatever the size of a campaign: some runs, some deliveries, some entries of a queue, each read by pipelines.
//! Where the pace of runs is wanted they are looked at twice, all of them together.

mod jobs;
mod recipients;

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use redis::cmd;

use crate::{
    config::Config,
    domain::{clock::EpochMs, name::JobId},
    operate::pace::Speed,
    queue::QueueId,
    store::{
        Store, StoreError,
        pressure::is_full,
        view::{CampaignView, ChannelState, RunView},
    },
};

use super::{
    Answer, Around, Reason, ReasonCode, Subject, campaign,
    campaign::CampaignFacts,
    channel::ChannelFacts,
    recurring::{self, RecurringFacts},
    run::{self, AutoPause, Pause, RunFacts, Turns},
};

/// Runs in progress that are looked at for how many share a channel.
const ACTIVE: usize = 1000;

/// Runs of a campaign that are told one by one.
const RUNS: usize = 20;

/// Runs of a campaign of which is read whether they are over.
const RUNS_LOOKED_AT: usize = 1000;

type Hash = HashMap<String, String>;

/// Reads the facts.
pub(super) struct Gather<'a> {
    store: &'a Store,
    config: &'a Config,
    measure: Duration,
    /// What holds for everything.
    pub(super) around: Around,
    /// Daemons that serve a channel.
    served: HashMap<String, usize>,
    /// Runs with recipients that wait, and those recipients, by channel.
    sharing: HashMap<String, (u64, u64)>,
}

impl<'a> Gather<'a> {
    /// Reads what holds for everything.
    pub(super) async fn begin(store: &'a Store, config: &'a Config, measure: Duration) -> Result<Self, StoreError> {
        let now = EpochMs(store.now_ms().await?);
        let info = store.server_info().await?;
        let seen: Option<u8> = store.connection.query(cmd("HGET").arg(store.keys.depth()).arg("redis:full")).await?;
        let full = is_full(seen == Some(1), info.used_memory_bytes, info.maxmemory_bytes);
        let workers = store.workers().await?;
        let mut served: HashMap<String, usize> = HashMap::new();
        for (_, worker) in &workers {
            let channels = worker.get("channels").map_or("", String::as_str);
            for channel in channels.split(',').filter(|name| !name.is_empty()) {
                *served.entry(channel.to_owned()).or_default() += 1;
            }
        }
        let around = Around { now, full, daemons: workers.len() };
        let sharing = sharing(store).await?;
        Ok(Self { store, config, measure, around, served, sharing })
    }

    /// A channel; none where nobody knows it.
    pub(super) async fn channel(&self, name: &str) -> Result<Option<ChannelFacts>, StoreError> {
        let hash = self.store.channel(name).await?;
        let known = self.config.channels.contains_key(name) || !hash.is_empty() || self.served.contains_key(name);
        Ok(known.then(|| self.channel_of(name, &hash)))
    }

    fn channel_of(&self, name: &str, hash: &Hash) -> ChannelFacts {
        let (runs, recipients) = self.sharing.get(name).copied().unwrap_or_default();
        ChannelFacts {
            name: name.to_owned(),
            state: ChannelState::of(hash, self.around.now.0),
            paused_at: time(hash, "paused_at"),
            served_by: self.served.get(name).copied().unwrap_or(0),
            seen_at: time(hash, "seen_at"),
            per_second: self.config.channels.get(name).map(|settings| u64::from(settings.rate_per_second)),
            runs,
            recipients,
        }
    }

    /// A run; none where there is none.
    pub(super) async fn run(&self, campaign: &str, run: &str) -> Result<Option<RunFacts>, StoreError> {
        Ok(self.runs(campaign, &[run.to_owned()]).await?.pop())
    }

    /// The answer about a run, or about a message that waits for its time and has none yet.
    pub(super) async fn run_or_promise(&self, campaign: &str, run: &str) -> Result<Option<Answer>, StoreError> {
        if let Some(facts) = self.run(campaign, run).await? {
            return Ok(Some(run::plan(&facts, &self.around)));
        }
        let Some(promise) = self.store.promised_message(campaign, run).await? else { return Ok(None) };
        let subject = Subject::Run { campaign: campaign.to_owned(), run: run.to_owned() };
        if promise.cancelled {
            let reason = Reason::tells(ReasonCode::RunCancelled, "it was cancelled before its time");
            return Ok(Some(Answer::ended(subject, "cancelled", vec![reason])));
        }
        let job = match JobId::of_wire(&promise.job) {
            Ok(id) => self.job_alone(&id).await?,
            Err(_) => None,
        };
        Ok(job.map(|job| Answer { subject, state: "scheduled".to_owned(), ..job }))
    }

    /// Runs of a campaign, those that are there.
    async fn runs(&self, campaign: &str, names: &[String]) -> Result<Vec<RunFacts>, StoreError> {
        let keys = &self.store.keys;
        let above = self.store.campaign_fields(campaign, &["state", "paused_by", "paused_at"]).await?;
        let campaign_pause = pause_of(&above);
        let (began, before) = (Instant::now(), self.run_hashes(campaign, names).await?);
        let any_runs = before.iter().any(|hash| hash.get("state").is_some_and(|state| state == "running"));
        let (hashes, within) = if self.measure.is_zero() || !any_runs {
            (before.clone(), None)
        } else {
            tokio::time::sleep(self.measure).await;
            (self.run_hashes(campaign, names).await?, Some(began.elapsed()))
        };
        let mut facts = Vec::new();
        for ((name, hash), earlier) in names.iter().zip(hashes).zip(before) {
            if hash.is_empty() {
                continue;
            }
            let channel = hash.get("channel").cloned().unwrap_or_default();
            let mut pipeline = redis::pipe();
            pipeline.cmd("HGETALL").arg(keys.channel(&channel));
            pipeline.cmd("HGETALL").arg(keys.slots(campaign, name));
            let (channel_hash, slots): (Hash, Hash) = self.store.connection.pipeline(&pipeline).await?;
            let length = self.store.queue_length(&QueueId::Batch(channel.clone()).name()).await?;
            let view = RunView::of(campaign, name, &hash, None, &ChannelState::Open);
            let ended_before = RunView::of(campaign, name, &earlier, None, &ChannelState::Open).ended();
            let speed = within.map(|within| Speed { done: view.ended().saturating_sub(ended_before), within });
            let shown = RunView::of(
                campaign,
                name,
                &hash,
                campaign_pause.as_ref().map(|pause| pause.job.clone()),
                &ChannelState::of(&channel_hash, self.around.now.0),
            );
            let mut turns = turns_of(&slots, self.around.now);
            turns.waiting = length.waiting;
            facts.push(RunFacts {
                view: shown,
                campaign_pause: campaign_pause.clone(),
                pause: hash.get("paused_by").map(|job| Pause { job: job.clone(), at: time(&hash, "paused_at") }),
                auto_pause: hash.get("auto_paused").map(|reason| AutoPause {
                    reason: reason.clone(),
                    errors: number(&hash, "auto_paused_errors"),
                    attempts: number(&hash, "auto_paused_attempts"),
                    at: time(&hash, "auto_paused_at"),
                }),
                hours: time(&hash, "held_until").map(|at| (at, hash.get("held_reason").cloned().unwrap_or_default())),
                ended_by: ["cancelled_by", "failed_reason", "not_sent_reason"]
                    .into_iter()
                    .find_map(|field| hash.get(field).cloned()),
                cursor: number(&hash, "cursor"),
                batches: batches_of(&slots),
                next_due: self.store.next_retry(campaign, name).await?.and_then(|due| score_time(&due.to_string())),
                turns,
                parts: number(&hash, "parts_hint").max(1),
                channel: self.channel_of(&channel, &channel_hash),
                speed,
            });
        }
        Ok(facts)
    }

    async fn run_hashes(&self, campaign: &str, names: &[String]) -> Result<Vec<Hash>, StoreError> {
        let mut pipeline = redis::pipe();
        for name in names {
            pipeline.cmd("HGETALL").arg(self.store.keys.run(campaign, name));
        }
        if names.is_empty() { Ok(Vec::new()) } else { self.store.connection.pipeline(&pipeline).await }
    }

    /// The names of the runs of a campaign that are not over, newest first.
    async fn open_runs(&self, campaign: &str) -> Result<Vec<String>, StoreError> {
        let mut names = self.store.run_names(campaign).await?;
        names.truncate(RUNS_LOOKED_AT);
        let mut pipeline = redis::pipe();
        for name in &names {
            pipeline.cmd("HGET").arg(self.store.keys.run(campaign, name)).arg("state");
        }
        if names.is_empty() {
            return Ok(names);
        }
        let states: Vec<Option<String>> = self.store.connection.pipeline(&pipeline).await?;
        let open = names.into_iter().zip(states).filter(|(_, state)| state.as_deref() == Some("running"));
        Ok(open.map(|(name, _)| name).collect())
    }

    /// The answer about a campaign.
    pub(super) async fn campaign(&self, campaign: &str) -> Result<Option<Answer>, StoreError> {
        let hash = self.store.campaign(campaign).await?;
        if hash.is_empty() {
            return Ok(None);
        }
        let mut names = self.open_runs(campaign).await?;
        let more_runs = u64::try_from(names.len().saturating_sub(RUNS)).unwrap_or(0);
        names.truncate(RUNS);
        names.reverse();
        let pause = pause_of(&["state", "paused_by", "paused_at"].map(|field| hash.get(field).cloned()));
        let filler = hash.get("generating").or_else(|| hash.get("job").filter(|_| is_scheduled(&hash)));
        let filled_by = match filler.and_then(|id| JobId::of_wire(id).ok()) {
            Some(id) => self.job_alone(&id).await?.filter(|answer| answer.verdict != super::Verdict::Ended),
            None => None,
        };
        let facts = CampaignFacts {
            view: CampaignView::of(campaign, &hash),
            pause,
            cancelled_by: hash.get("cancelled_by").cloned(),
            filled_by,
            unsettled: self.store.unsettled_orders(campaign).await?,
            runs: self.runs(campaign, &names).await?,
            more_runs,
            recurring: self.definitions(campaign).await?,
        };
        Ok(Some(campaign::plan(&facts, &self.around)))
    }

    async fn definitions(&self, campaign: &str) -> Result<Vec<RecurringFacts>, StoreError> {
        let mut found = Vec::new();
        let all = self.store.definitions(campaign).await?.into_iter();
        for (name, _) in all.filter(|(_, definition)| definition.state != "stopped").take(RUNS) {
            found.extend(self.definition(campaign, &name).await?);
        }
        Ok(found)
    }

    async fn definition(&self, campaign: &str, name: &str) -> Result<Option<RecurringFacts>, StoreError> {
        let Some(definition) = self.store.definition(campaign, name).await? else { return Ok(None) };
        let above = self.store.campaign_fields(campaign, &["state", "paused_by", "paused_at"]).await?;
        let under_way = match &definition.last_run {
            Some(run) => {
                let state = cmd("HGET").arg(self.store.keys.run(campaign, run)).arg("state").clone();
                let state: Option<String> = self.store.connection.query(&state).await?;
                Some(run.clone()).filter(|_| state.as_deref() == Some("running"))
            }
            None => None,
        };
        Ok(Some(RecurringFacts {
            campaign: campaign.to_owned(),
            name: name.to_owned(),
            definition,
            campaign_pause: pause_of(&above),
            under_way,
        }))
    }

    /// The answer about a permanent message.
    pub(super) async fn recurring(&self, campaign: &str, name: &str) -> Result<Option<Answer>, StoreError> {
        let facts = self.definition(campaign, name).await?;
        Ok(facts.map(|facts| recurring::plan(&facts, &self.around)))
    }
}

/// How many runs have recipients waiting, and how many, by channel.
async fn sharing(store: &Store) -> Result<HashMap<String, (u64, u64)>, StoreError> {
    let runs: Vec<_> = store.active(ACTIVE).await?.into_iter().filter(|(_, run)| !run.is_empty()).collect();
    let mut sharing: HashMap<String, (u64, u64)> = HashMap::new();
    if runs.is_empty() {
        return Ok(sharing);
    }
    let mut pipeline = redis::pipe();
    for (campaign, run) in &runs {
        let fields = ["channel", "state", "queued", "paused_by", "auto_paused"];
        pipeline.cmd("HMGET").arg(store.keys.run(campaign, run)).arg(&fields);
    }
    let found: Vec<Vec<Option<String>>> = store.connection.pipeline(&pipeline).await?;
    for fields in found {
        let [Some(channel), Some(state), queued, None, None] = fields.as_slice() else { continue };
        let queued: u64 = queued.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0);
        if state == "running" && queued > 0 {
            let (runs, recipients) = sharing.entry(channel.clone()).or_default();
            (*runs, *recipients) = (*runs + 1, *recipients + queued);
        }
    }
    Ok(sharing)
}

fn is_scheduled(campaign: &Hash) -> bool {
    campaign.get("state").is_some_and(|state| state == "scheduled" || state == "paused")
}

/// Who paused a campaign: from its `state`, `paused_by` and `paused_at`.
fn pause_of(fields: &[Option<String>]) -> Option<Pause> {
    let [Some(state), by, at] = fields else { return None };
    let at = at.as_deref().and_then(|at| at.parse().ok()).map(EpochMs);
    (state == "paused").then(|| Pause { job: by.clone().unwrap_or_default(), at })
}

/// How the slots stand: `<k>:owner` and `<k>:until` of each.
fn turns_of(slots: &Hash, now: EpochMs) -> Turns {
    let mut turns = Turns::default();
    for (field, owner) in slots.iter().filter(|(_, owner)| !owner.is_empty()) {
        let Some(slot) = field.strip_suffix(":owner") else { continue };
        let until = time(slots, &format!("{slot}:until"));
        if !owner.is_empty() && until.is_some_and(|until| until > now) {
            turns.taken += 1;
        } else {
            turns.left += 1;
        }
    }
    turns
}

/// What slots took and have not claimed: of `<k>:batches`, `from-to-next;` each.
fn batches_of(slots: &Hash) -> Vec<(u64, u64)> {
    let texts = slots.iter().filter(|(field, _)| field.ends_with(":batches")).map(|(_, text)| text);
    let batches = texts.flat_map(|text| text.split(';')).filter_map(|batch| {
        let mut numbers = batch.split('-').map(str::parse::<u64>);
        let (_, to, next) = (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
        (next <= to).then_some((next, to))
    });
    batches.collect()
}

fn time(hash: &Hash, field: &str) -> Option<EpochMs> {
    hash.get(field)?.parse().ok().map(EpochMs)
}

/// A score that is a time; those of what is in flight lie beyond all times.
fn score_time(score: &str) -> Option<EpochMs> {
    const FAR_MS: i64 = 4_000_000_000_000;
    score.split('.').next()?.parse().ok().filter(|ms| *ms < FAR_MS).map(EpochMs)
}

fn number(hash: &Hash, field: &str) -> u64 {
    hash.get(field).and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(fields: &[(&str, &str)]) -> Hash {
        fields.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn slots_are_taken_left_or_idle() {
        let slots = [("0:owner", "d1"), ("0:until", "900"), ("1:owner", "d1"), ("1:until", "1100"), ("2:owner", "")];
        assert_eq!(turns_of(&hash(&slots), EpochMs(1000)), Turns { taken: 1, left: 1, waiting: 0 });
    }

    #[test]
    fn what_slots_have_not_claimed_of_their_batches_is_read() {
        let slots = hash(&[("0:batches", "1-200-201;201-400-250;"), ("0:until", "1")]);
        assert_eq!(batches_of(&slots), [(250, 400)]);
    }

    #[test]
    fn the_score_of_what_is_in_flight_is_no_time() {
        assert_eq!(score_time("1763719200000"), Some(EpochMs(1_763_719_200_000)));
        assert_eq!(score_time("9000000000000003"), None);
    }
}
