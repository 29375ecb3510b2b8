//! Permanent messages: a definition, the decision about its due times, its state.
//!
//! A definition lives with its campaign, so that one script sees it together with its campaign and the run before.
//! Guarantees: a due time is decided once, against the version and the time that the decider saw; a decided run is
//! named in `pending` until `create_run.lua` makes it and takes the name out in one step, so that whoever comes next
//! finishes what a dead daemon began, and nobody makes it twice. What it does not do: compute times (`domain/frequency`).

use std::collections::HashMap;

use redis::cmd;

use super::{Answer, Store, StoreError, entries::millis, scripts};
use crate::{
    domain::{clock::EpochMs, frequency::tick::Plan, trace::Trace},
    metrics::labels::DueResult,
};

/// Definitions read by one round trip.
const STRETCH: usize = 100;

/// The member of the alarm clock that rings for a definition.
pub fn alarm(campaign: &str, name: &str) -> String {
    format!("recurring|{campaign}|{name}")
}

/// One definition as it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Definition {
    /// `active`, `paused` or `stopped`.
    pub state: String,
    /// From 1; each change adds one.
    pub version: u64,
    /// The job's own fields, JSON.
    pub definition: String,
    /// Its words, JSON.
    pub content: String,
    /// The job that wrote this version.
    pub job: String,
    /// The trace that job belongs to, and so the runs of this version.
    pub trace: Option<Trace>,
    /// The first due time.
    pub first: EpochMs,
    /// The next due time, unless it is paused or at its end.
    pub next_at: Option<EpochMs>,
    /// A run that was decided and is not made yet.
    pub pending: Option<String>,
    /// A due time that stands in line behind a run under way.
    pub queued: Option<EpochMs>,
    /// Due times whose runs a server lost with their decisions, while their messages were written again: `<ms>,<ms>`.
    pub lost: Option<String>,
    /// The latest run.
    pub last_run: Option<String>,
    /// Runs decided.
    pub runs: u64,
    /// Due times that got no run.
    pub missed: u64,
    /// Due times passed over because the run before was under way.
    pub overlapped: u64,
    /// Why it is stopped: `max_runs`, `until`, or the job that stopped it or its campaign.
    pub reason: Option<String>,
    /// Whether a command stopped it, and not its own end.
    pub is_stopped_by_command: bool,
    /// The job that paused it.
    pub paused_by: Option<String>,
    /// Since when it is paused.
    pub paused_at: Option<EpochMs>,
}

impl Definition {
    fn of(hash: &HashMap<String, String>) -> Option<Self> {
        let text = |field: &str| hash.get(field).cloned();
        let number = |field: &str| hash.get(field).and_then(|text| text.parse().ok()).unwrap_or(0);
        let time = |field: &str| hash.get(field).and_then(|text| text.parse().ok()).map(EpochMs);
        Some(Self {
            state: text("state")?,
            version: number("version"),
            definition: text("definition")?,
            content: text("content").unwrap_or_default(),
            job: text("job").unwrap_or_default(),
            trace: hash.get("traceparent").and_then(|text| Trace::parse(text)),
            first: time("first").unwrap_or_default(),
            next_at: time("next_at"),
            pending: text("pending"),
            queued: time("queued"),
            lost: text("lost"),
            last_run: text("last_run"),
            runs: number("runs"),
            missed: number("missed"),
            overlapped: number("overlapped"),
            reason: text("reason"),
            is_stopped_by_command: hash.contains_key("stopped_by"),
            paused_by: text("paused_by"),
            paused_at: time("paused_at"),
        })
    }
}

/// A definition to be written.
#[derive(Debug)]
pub struct NewDefinition<'a> {
    /// The campaign.
    pub campaign: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The version it replaces; 0 where there is none.
    pub replaces: u64,
    /// Its next due time.
    pub next_at: EpochMs,
    /// Its fields.
    pub fields: Vec<(&'static str, String)>,
    /// Fields that it does not have, and an earlier version may have had.
    pub absent: Vec<&'static str>,
}

/// What came of writing a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Defined {
    /// It is written.
    Written {
        /// Its version.
        version: u64,
    },
    /// It is not what it was read as: look again.
    Stale,
    /// The campaign is gone or cancelled.
    Refused {
        /// Its state; empty when it is gone.
        state: String,
    },
}

/// What was decided about the due times that have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    /// What became of the one that was to get a run, if one was.
    pub due: Option<DueResult>,
}

/// What came of asking for a run now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskedNow {
    /// This run was decided, now or when the same job asked before.
    Run(String),
    /// Another run is about to be made: look again.
    Stale,
    /// There is no such definition.
    Gone,
    /// Not in this state, of the definition or of its campaign.
    Wrong(String),
    /// This run of it is under way.
    UnderWay(String),
}

/// What came of an action on a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DefinitionActed {
    /// Done.
    Done,
    /// It was so already.
    Same,
    /// There is no such definition.
    Gone,
    /// Not from this state.
    Wrong(String),
    /// It changed meanwhile: look again.
    Stale,
}

impl Store {
    /// A definition, if there is one.
    pub async fn definition(&self, campaign: &str, name: &str) -> Result<Option<Definition>, StoreError> {
        let hash = self.hash(&self.keys.recurring(campaign, name)).await?;
        Ok(Definition::of(&hash))
    }

    /// The names of a campaign's definitions, in the order they were made.
    async fn definition_names(&self, campaign: &str) -> Result<Vec<String>, StoreError> {
        let mut range = cmd("ZRANGE");
        range.arg(self.keys.definitions(campaign)).arg(0).arg(-1);
        self.connection.query(&range).await
    }

    /// Some fields of each of them. There may be thousands, of a few kilobytes each: who looks at all of them now and then
    /// reads no more than it needs.
    async fn of_definitions<const N: usize>(
        &self,
        campaign: &str,
        fields: [&str; N],
    ) -> Result<Vec<(String, [Option<String>; N])>, StoreError> {
        let names = self.definition_names(campaign).await?;
        let mut found = Vec::with_capacity(names.len());
        for names in names.chunks(STRETCH) {
            let mut pipeline = redis::pipe();
            for name in names {
                pipeline.cmd("HMGET").arg(self.keys.recurring(campaign, name)).arg(&fields);
            }
            let values: Vec<[Option<String>; N]> = self.connection.pipeline(&pipeline).await?;
            found.extend(names.iter().cloned().zip(values));
        }
        Ok(found)
    }

    /// The alarms that a campaign's definitions are to have, and when.
    async fn alarms(&self, campaign: &str) -> Result<Vec<(String, EpochMs)>, StoreError> {
        let all = self.of_definitions(campaign, ["state", "next_at", "pending", "queued", "lost"]).await?;
        let due = all.into_iter().filter_map(|(name, [state, next_at, pending, queued, lost])| {
            let now = (pending.is_some() || queued.is_some() || lost.is_some()).then_some(EpochMs(0));
            let next = next_at.filter(|_| state.as_deref() == Some("active"));
            let at = now.or_else(|| next?.parse().ok().map(EpochMs))?;
            Some((alarm(campaign, &name), at))
        });
        Ok(due.collect())
    }

    /// Whether a campaign has a definition that is not stopped for good.
    pub async fn has_lasting_definitions(&self, campaign: &str) -> Result<bool, StoreError> {
        let all = self.of_definitions(campaign, ["state"]).await?;
        Ok(all.into_iter().any(|(_, [state])| state.is_some_and(|state| state != "stopped")))
    }

    /// The definitions of a campaign, in the order they were made.
    pub async fn definitions(&self, campaign: &str) -> Result<Vec<(String, Definition)>, StoreError> {
        let names = self.definition_names(campaign).await?;
        let mut found = Vec::with_capacity(names.len());
        for names in names.chunks(STRETCH) {
            let mut pipeline = redis::pipe();
            for name in names {
                pipeline.cmd("HGETALL").arg(self.keys.recurring(campaign, name));
            }
            let hashes: Vec<HashMap<String, String>> = self.connection.pipeline(&pipeline).await?;
            let read = names.iter().zip(hashes).filter_map(|(name, hash)| Some((name.clone(), Definition::of(&hash)?)));
            found.extend(read);
        }
        Ok(found)
    }

    /// Campaigns that have definitions, among these.
    pub async fn with_definitions(&self, campaigns: &[String]) -> Result<Vec<String>, StoreError> {
        let mut pipeline = redis::pipe();
        for campaign in campaigns {
            pipeline.cmd("EXISTS").arg(self.keys.definitions(campaign));
        }
        let there: Vec<bool> = self.connection.pipeline(&pipeline).await?;
        Ok(campaigns.iter().zip(there).filter(|(_, there)| *there).map(|(campaign, _)| campaign.clone()).collect())
    }

    /// Sets the alarms of definitions that have something due and no alarm: one that was lost with the last moments of a
    /// Redis that failed. Returns how many.
    pub async fn rearm_definitions(&self) -> Result<usize, StoreError> {
        let (mut offset, mut armed) = (0, 0);
        loop {
            let campaigns = self.campaign_names(offset, STRETCH).await?;
            offset += campaigns.len();
            if campaigns.is_empty() {
                return Ok(armed);
            }
            for campaign in self.with_definitions(&campaigns).await? {
                for stretch in self.alarms(&campaign).await?.chunks(STRETCH) {
                    let mut scores = cmd("ZMSCORE");
                    scores.arg(self.keys.scheduled());
                    for (member, _) in stretch {
                        scores.arg(member);
                    }
                    let scores: Vec<Option<String>> = self.connection.query(&scores).await?;
                    for ((member, at), _) in stretch.iter().zip(scores).filter(|(_, score)| score.is_none()) {
                        self.arm(member, at.0).await?;
                        armed += 1;
                    }
                }
            }
        }
    }

    /// Writes a definition.
    pub async fn define(&self, new: &NewDefinition<'_>) -> Result<Defined, StoreError> {
        self.announce(new.campaign).await?;
        let mut call = scripts::DEFINE
            .call(&[&self.keys.campaign(new.campaign)])
            .arg(new.name)
            .arg(new.replaces)
            .arg(new.next_at.0)
            .arg(new.fields.len() * 2);
        for (field, value) in &new.fields {
            call.push(*field);
            call.push(value);
        }
        for field in &new.absent {
            call.push(*field);
        }
        let mut answer = Answer::new(call.run(&self.connection).await?);
        Ok(match answer.text()?.as_str() {
            "written" => {
                let version = answer.number()?;
                self.publish_soon(new.campaign, &answer.text()?).await;
                Defined::Written { version }
            }
            "stale" => Defined::Stale,
            _ => Defined::Refused { state: answer.text()? },
        })
    }

    /// Records what is done about the due times that have come. Nothing when the definition is not what it was read as.
    pub async fn tick(
        &self,
        campaign: &str,
        name: &str,
        seen: &Definition,
        plan: &Plan,
    ) -> Result<Option<Decided>, StoreError> {
        let time = |at: Option<EpochMs>| at.map(|at| at.0.to_string()).unwrap_or_default();
        self.announce(campaign).await?;
        let call = scripts::TICK
            .call(&[&self.keys.campaign(campaign)])
            .arg(name)
            .arg(seen.version)
            .arg(time(seen.next_at))
            .arg(time(plan.run))
            .arg(time(plan.missed))
            .arg(plan.missed_count)
            .arg(time(plan.next))
            .arg(millis(plan.half_interval));
        let mut answer = Answer::new(call.run(&self.connection).await?);
        if !self.decided(campaign, &mut answer).await? {
            return Ok(None);
        }
        Ok(Some(Decided { due: DueResult::parse(&answer.text()?) }))
    }

    /// Begins the run that stands in line, once the run before has ended. False while it has not.
    pub async fn tick_queued(&self, campaign: &str, name: &str, due: EpochMs) -> Result<bool, StoreError> {
        self.announce(campaign).await?;
        let call = scripts::TICK_QUEUED.call(&[&self.keys.campaign(campaign)]).arg(name).arg(due.0);
        self.decided(campaign, &mut Answer::new(call.run(&self.connection).await?)).await
    }

    /// Decides a lost run again, the one of the earliest `due` time; `next` is the due time after it. False while another
    /// run is under way.
    pub async fn tick_lost(
        &self,
        campaign: &str,
        name: &str,
        lost: &str,
        (due, next): (EpochMs, Option<EpochMs>),
    ) -> Result<bool, StoreError> {
        self.announce(campaign).await?;
        let call = scripts::TICK_LOST
            .call(&[&self.keys.campaign(campaign)])
            .arg(name)
            .arg(lost)
            .arg(due.0)
            .arg(next.map(|at| at.0.to_string()).unwrap_or_default());
        self.decided(campaign, &mut Answer::new(call.run(&self.connection).await?)).await
    }

    async fn decided(&self, campaign: &str, answer: &mut Answer) -> Result<bool, StoreError> {
        if answer.text()? != "decided" {
            return Ok(false);
        }
        self.publish_soon(campaign, &answer.text()?).await;
        Ok(true)
    }

    /// Counts the due time of a decided run as missed, because the run cannot be made.
    pub async fn drop_decided(&self, campaign: &str, name: &str, run: &str, why: &str) -> Result<(), StoreError> {
        self.announce(campaign).await?;
        let call = scripts::DROP_DECIDED.call(&[&self.keys.campaign(campaign)]).arg(name).arg(run).arg(why);
        let outbox: String = call.run(&self.connection).await?;
        self.publish_soon(campaign, &outbox).await;
        Ok(())
    }

    /// Decides a run of a definition now; the same job is told the same run again.
    pub async fn run_now(&self, campaign: &str, name: &str, job: &str) -> Result<AskedNow, StoreError> {
        self.announce(campaign).await?;
        let call = scripts::RUN_NOW.call(&[&self.keys.campaign(campaign)]).arg(name).arg(job);
        let mut answer = Answer::new(call.run(&self.connection).await?);
        Ok(match answer.text()?.as_str() {
            "run" => {
                let run = answer.text()?;
                self.publish_soon(campaign, &answer.text()?).await;
                AskedNow::Run(run)
            }
            "stale" => AskedNow::Stale,
            "gone" => AskedNow::Gone,
            "under_way" => AskedNow::UnderWay(answer.text()?),
            _ => AskedNow::Wrong(answer.text()?),
        })
    }

    /// Pauses, resumes or stops (`cancel`) a definition; for `resume` with the version that was seen and what is due next.
    pub async fn act_on_definition(
        &self,
        campaign: &str,
        name: &str,
        action: &str,
        who: &str,
        (version, next_at): (u64, Option<EpochMs>),
    ) -> Result<DefinitionActed, StoreError> {
        self.announce(campaign).await?;
        let call = scripts::ACT_DEFINITION
            .call(&[&self.keys.campaign(campaign)])
            .arg(name)
            .arg(action)
            .arg(who)
            .arg(version)
            .arg(next_at.map(|at| at.0.to_string()).unwrap_or_default());
        let mut answer = Answer::new(call.run(&self.connection).await?);
        Ok(match answer.text()?.as_str() {
            "done" => {
                self.publish_soon(campaign, &answer.text()?).await;
                DefinitionActed::Done
            }
            "same" => DefinitionActed::Same,
            "gone" => DefinitionActed::Gone,
            "stale" => DefinitionActed::Stale,
            _ => DefinitionActed::Wrong(answer.text()?),
        })
    }
}
