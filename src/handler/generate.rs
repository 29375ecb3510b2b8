//! generate: the payment orders of a campaign, and the run that sends them.
//!
//! The way: what the job names is there (payment point, channel, currency), a list or an address is copied, the gates
//! are judged by a first pass, the campaign is created, a scheduled one waits for its time, the rows become orders
//! slice by slice, and a delivery becomes a run. What reads the rows is [`intake`](super::intake). Each step finds its own work done when it is repeated,
//! so a job killed anywhere goes on where it was and makes each order once (DA-2).

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio::sync::mpsc;

use crate::{
    domain::{clock::EpochMs, contact::Country, expiry::Expiry, money::Currency, name::JobId, trace::Trace},
    job::{DeadCode, Delivery, GenerateJob, OrderRow, Outcome, RowsSpec, Warning, WarningCode},
    orders::local::Mint,
    source::{SourceError, SourceSpec},
    store::{
        StoreError,
        campaigns::{Begun, Creation},
        leases::Lease,
    },
    telemetry::work,
};

pub mod census;
mod create;
mod deliver;
mod first_pass;
pub mod forecast;
pub mod gates;
mod report;
pub(super) mod resolve;
pub mod slices;

use first_pass::Passed;
use resolve::Resolved;
use slices::{Progress, Writer};

use super::{
    Context, blocking,
    creating::{self, Creator},
    intake::{Begun as BegunSource, Intake, Stop, error_log::ErrorLog, reading::Reading},
    trouble,
};

/// A job that waits for another of its campaign, or for a paused campaign, looks again after this.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// The stretches of numbers that a job's orders have in its campaign.
struct Batches {
    /// Highest number before the present one.
    base: u64,
    /// The present one.
    batch: u32,
    /// Those of the same job before another job numbered rows.
    earlier: Vec<u32>,
}

impl Batches {
    /// Whether this job made the campaign.
    fn is_first(&self) -> bool {
        self.all().any(|batch| batch == 1)
    }

    fn all(&self) -> impl Iterator<Item = u32> {
        self.earlier.iter().copied().chain([self.batch])
    }
}

/// Runs the job of that id and trace.
pub async fn run(ctx: &Arc<Context>, of: (&JobId, Option<Trace>), job: GenerateJob, lease: &Lease) -> Outcome {
    match Generation::new(ctx, of, &job, lease).run().await {
        Ok(outcome) => outcome,
        Err(Stop::With(outcome)) => *outcome,
        Err(Stop::Store(error)) => trouble::outcome(&error),
    }
}

/// A campaign whose own job cannot go on has failed (PO-6); the job, mended, takes it up again.
pub async fn give_up(ctx: &Context, campaign: &str, id: &JobId, why: &str) -> Result<(), StoreError> {
    let field = format!("batch:{id}");
    let found = ctx.store.campaign_fields(campaign, &[&field]).await?;
    let Some(batch) = found.into_iter().next().flatten() else { return Ok(()) };
    ctx.store.end_batch(campaign, id.as_str()).await?;
    ctx.store.forget_accepted_source(campaign, id.as_str()).await?;
    if batch == "1" {
        let why = [("failed_reason", why.to_owned())];
        ctx.store.set_campaign_state(campaign, &["scheduled", "running", "paused"], "failed", &why).await?;
    } else {
        ctx.store.close_campaign(campaign).await?;
    }
    Ok(())
}

/// One generate job under way.
struct Generation<'a> {
    ctx: &'a Arc<Context>,
    id: &'a JobId,
    trace: Option<Trace>,
    job: &'a GenerateJob,
    lease: &'a Lease,
    campaign: &'a str,
    intake: Intake<'a>,
}

impl<'a> Generation<'a> {
    fn new(
        ctx: &'a Arc<Context>,
        (id, trace): (&'a JobId, Option<Trace>),
        job: &'a GenerateJob,
        lease: &'a Lease,
    ) -> Self {
        let intake = Intake::new(ctx, id, &job.rows, lease);
        Self { ctx, id, trace, job, lease, campaign: job.campaign.as_str(), intake }
    }

    async fn run(&self) -> Result<Outcome, Stop> {
        let ended = self.work().await;
        if let Ok(outcome) = &ended {
            self.unstage(outcome).await?;
        }
        if let Err(Stop::With(outcome)) = &ended {
            self.give_up(outcome).await?;
            self.unstage(outcome).await?;
        }
        ended
    }

    /// Closes the campaign where this outcome ends its job; a dead one is closed when the queue ends it.
    async fn give_up(&self, outcome: &Outcome) -> Result<(), StoreError> {
        match outcome {
            Outcome::Rejected { rejection } => give_up(self.ctx, self.campaign, self.id, rejection.code.as_str()).await,
            Outcome::Dead { .. }
            | Outcome::Done { .. }
            | Outcome::Again
            | Outcome::Retry { .. }
            | Outcome::Snooze { .. } => Ok(()),
        }
    }

    async fn work(&self) -> Result<Outcome, Stop> {
        let now = EpochMs(self.ctx.store.now_ms().await?);
        let resolved = self.resolve(now).await?;
        self.look_at_campaign().await?;
        self.intake.room().await?;
        let source = self.intake.stage(&resolved.limits, self.begun().await?.as_ref()).await?;
        let passed = self.first_pass(&resolved, &source, now).await?;
        self.enter(&resolved, &passed.digest).await?;
        self.foretell(&passed).await?;
        if let Delivery::At(at, _) = &self.job.delivery
            && now < *at
        {
            self.accept_for_later(&passed.digest).await?;
            return Ok(Outcome::Snooze { until: *at });
        }
        let batches = self.begin().await?;
        let progress = self.generate(&resolved, source, passed, batches.base).await?;
        self.ctx.store.end_batch(self.campaign, self.id.as_str()).await?;
        if progress.orders == 0 {
            return Ok(self.nothing(&progress));
        }
        self.warn_at_end(&progress).await?;
        self.deliver(&resolved, &batches, &progress).await
    }

    /// Removes the copy of the source, unless the job goes on with it.
    async fn unstage(&self, outcome: &Outcome) -> Result<(), StoreError> {
        self.intake.unstage(outcome, self.begun().await?.is_some());
        Ok(())
    }

    /// The source that orders were made of before.
    async fn begun(&self) -> Result<Option<BegunSource>, StoreError> {
        let progress = self.progress().await?.filter(|progress| progress.orders > 0);
        Ok(progress.map(|progress| BegunSource { digest: progress.digest, format: progress.format }))
    }

    /// What an error of the source means for the job.
    async fn trouble(&self, error: SourceError) -> Result<Stop, Stop> {
        self.intake.trouble(error, self.begun().await?.is_some()).await
    }

    /// A job that was here before looks at its campaign first: the source of a paused or cancelled one is not read.
    async fn look_at_campaign(&self) -> Result<(), Stop> {
        if self.captured().await?.batch.is_none() {
            return Ok(());
        }
        let state = self.ctx.store.campaign_fields(self.campaign, &["state"]).await?.into_iter().next().flatten();
        match state.as_deref() {
            Some("cancelled") => Err(self.cancelled().await?.into()),
            Some("paused") => Err(self.look_again().await?.into()),
            _ => Ok(()),
        }
    }

    async fn look_again(&self) -> Result<Outcome, StoreError> {
        Ok(Outcome::Snooze { until: EpochMs(self.ctx.store.now_ms().await?).plus(LOOK_AGAIN) })
    }

    async fn progress(&self) -> Result<Option<Progress>, StoreError> {
        let field = format!("checkpoint:{}", self.id);
        let found = self.ctx.store.campaign_fields(self.campaign, &[&field]).await?;
        Ok(found.into_iter().next().flatten().and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Creates the campaign or joins it.
    async fn enter(&self, resolved: &Resolved, source_digest: &str) -> Result<(), Stop> {
        let job = self.job;
        let text = |value: Option<&str>| value.unwrap_or("").to_owned();
        let mut fields = vec![
            ("name", job.name.clone().unwrap_or_else(|| self.campaign.to_owned())),
            ("category", resolved.category.to_string()),
            ("payment_point", resolved.payment_point.clone()),
            ("link_base", resolved.link_base.clone()),
            ("delivery", job.delivery.as_str().to_owned()),
            ("country", text(job.country.as_ref().map(Country::code))),
            ("currency", text(job.currency.map(Currency::code))),
            ("source_digest", source_digest.to_owned()),
            ("index_reference", if self.ctx.config.orders.index_reference { "1" } else { "" }.to_owned()),
        ];
        match &resolved.expiry {
            Expiry::In(duration) => fields.push(("expires_in_seconds", duration.as_secs().to_string())),
            Expiry::At(at) => fields.push(("expires_at", at.0.to_string())),
        }
        let state = match &job.delivery {
            Delivery::At(at, _) => {
                fields.push(("scheduled_at", at.0.to_string()));
                "scheduled"
            }
            Delivery::None | Delivery::Now(_) => "running",
        };
        fields.retain(|(_, value)| !value.is_empty());
        if job.append {
            self.check_match(resolved).await?;
        }
        match self.ctx.store.create_campaign(self.campaign, self.id.as_str(), job.append, state, &fields).await? {
            Creation::Created { .. } | Creation::Joined { .. } | Creation::Resumed { .. } => {
                Ok(self.warn_of_same_source(source_digest).await?)
            }
            Creation::Exists { job } => Err(resolve::exists_already(self.campaign, &job).into()),
        }
    }

    /// The same file again is not blocked, but warned of (PO-21). Rows in the job itself are not remembered: each of
    /// many small jobs would leave a key behind.
    async fn warn_of_same_source(&self, digest: &str) -> Result<(), StoreError> {
        if matches!(self.job.rows, RowsSpec::Inline(_)) {
            return Ok(());
        }
        let (store, job) = (&self.ctx.store, self.id.as_str());
        let keep = self.ctx.config.source_digest_retention;
        let Some((campaign, first)) = store.remember_source(digest, self.campaign, job, keep).await? else {
            return Ok(());
        };
        let sentence =
            format!("a source with the same bytes was that of the job \"{first}\" of the campaign \"{campaign}\"");
        store.add_warnings(self.campaign, job, &[Warning::new(WarningCode::SameSource, sentence)]).await
    }

    /// Waits for its turn in the campaign; a paused campaign generates nothing, a cancelled one ends.
    async fn begin(&self) -> Result<Batches, Stop> {
        let store = &self.ctx.store;
        let state = store.set_campaign_state(self.campaign, &["scheduled", "failed"], "running", &[]).await?;
        match state.as_str() {
            "cancelled" => return Err(self.cancelled().await?.into()),
            "paused" => return Err(self.look_again().await?.into()),
            _ => {}
        }
        let mut over = String::new();
        loop {
            match store.begin_batch(self.campaign, self.id.as_str(), &over).await? {
                Begun::Begun { base, batch, earlier } => return Ok(Batches { base, batch, earlier }),
                Begun::Gone => return Err(self.cancelled().await?.into()),
                Begun::Busy { job } if job != over && self.is_over(&job).await? => over = job,
                Begun::Busy { .. } => return Err(self.look_again().await?.into()),
            }
        }
    }

    /// Whether a job that says it generates will never go on.
    async fn is_over(&self, job: &str) -> Result<bool, StoreError> {
        match self.ctx.store.job_field(job, "state").await?.as_deref() {
            Some(state) => Ok(state == "dead" || state == "rejected"),
            // Without an id a job has no status at first; its entry is there as long as it is at work.
            None => match job.split_once(':') {
                Some((queue, entry)) if JobId::of_wire(job).is_ok_and(|id| id.is_of_entry()) => {
                    Ok(!self.ctx.store.entry_exists(queue, entry).await?)
                }
                _ => Ok(true),
            },
        }
    }

    /// Rows to orders, slice by slice.
    async fn generate(
        &self,
        resolved: &Resolved,
        source: SourceSpec,
        passed: Passed,
        base: u64,
    ) -> Result<Progress, Stop> {
        let format = if let SourceSpec::Staged { format, .. } = &source { *format } else { None };
        let fresh =
            Progress { digest: passed.digest, encoding: passed.encoding, format, last: base, ..Progress::default() };
        let mut progress = self.progress().await?.filter(|p| p.orders > 0 || p.digest == fresh.digest).unwrap_or(fresh);
        progress.last = progress.last.max(base);
        let sources = &self.ctx.config.sources;
        let (sender, mut stretches) = mpsc::channel(2);
        let rules = resolved.rules.clone();
        let reading = Reading {
            spec: source,
            limits: resolved.limits.clone(),
            encoding: progress.encoding,
            from: progress.at,
            size: sources.slice_rows,
            judge: Box::new(move |columns| OrderRow::decode(columns, &rules)),
        };
        let reading = tokio::task::spawn_blocking(work::carried(move || reading.read(&sender)));
        let mut writer = Writer {
            store: &self.ctx.store,
            mint: Mint {
                store: &self.ctx.store,
                secret: &self.ctx.secret,
                campaign: self.campaign,
                code_length: self.ctx.config.orders.short_code_length,
            },
            publisher: &self.ctx.publisher,
            by_platform: self.ctx.points.contains_key(&resolved.payment_point),
            job: self.id.as_str(),
            expiry: &resolved.expiry,
            currency: self.job.currency,
            errors_kept: sources.kept_errors,
            log: ErrorLog::new(
                sources.spool_dir.clone(),
                self.id.as_str(),
                self.intake.host(),
                sources.error_file_max_bytes,
            ),
            index_references: self.ctx.store.is_reference_indexed(self.campaign).await?,
        };
        let creator = Creator::of(self.ctx, self.campaign).await?;
        if creator.is_some() {
            // Whatever becomes of this job, its orders are looked after.
            creating::arm(self.ctx, self.campaign, creating::HANDED_OVER).await?;
        }
        let mut armed = false;
        while let Some(stretch) = stretches.recv().await {
            if self.intake.is_stopped() {
                return Err(Outcome::Again.into());
            }
            let stretch = match stretch {
                Ok(stretch) => stretch,
                Err(error) => return Err(self.broke_off(error, &progress).await?),
            };
            self.intake.room().await?;
            let had_file = !progress.errors.parts.is_empty();
            let state = writer.write(stretch, &mut progress).await?;
            if !had_file && let Some(part) = progress.errors.parts.first() {
                let file = [("error_file", part.file.clone())];
                self.ctx.store.set_campaign_fields(self.campaign, &file).await?;
            }
            self.lease.progressed();
            match state.as_str() {
                "cancelled" | "gone" => return Err(self.cancelled().await?.into()),
                "paused" => {
                    return Err(self.look_again().await?.into());
                }
                _ => {}
            }
            if !armed && progress.orders > 0 {
                self.arm_expiry().await?;
                armed = true;
            }
            if let Some(creator) = &creator {
                self.create_orders(creator, false).await?;
            }
        }
        drop(stretches);
        // The reader has nothing left to say: it has ended or is about to.
        let _ = reading.await;
        if !armed && progress.orders > 0 {
            // All was written before a crash, perhaps all but the alarm.
            self.arm_expiry().await?;
        }
        if let Some(creator) = &creator {
            self.create_orders(creator, true).await?;
        }
        Ok(progress)
    }

    /// Sets the alarm for the first order that expires; the sweep goes on from there.
    async fn arm_expiry(&self) -> Result<(), Stop> {
        let field = format!("batch:{}", self.id);
        let batch = self.ctx.store.campaign_fields(self.campaign, &[&field]).await?;
        let batch = batch.into_iter().next().flatten().unwrap_or_default();
        let now = EpochMs(self.ctx.store.now_ms().await?);
        // Not before the shortest expiry there is; the sweep then finds the real time.
        let at = now.plus(crate::domain::expiry::MIN);
        self.ctx.store.arm(&format!("expire|{}|{batch}", self.campaign), at.0).await?;
        Ok(())
    }

    fn nothing(&self, progress: &Progress) -> Outcome {
        Outcome::Dead { code: DeadCode::NothingGenerated, sentence: nothing_generated(progress.refused, self.campaign) }
    }

    /// Cancelled while it was at work: what is generated stays, and the job is done (PO-20).
    async fn cancelled(&self) -> Result<Outcome, StoreError> {
        self.ctx.store.end_batch(self.campaign, self.id.as_str()).await?;
        let orders = self.progress().await?.map_or(0, |p| p.orders);
        Ok(Outcome::done(json!({ "campaign": self.campaign, "cancelled": true, "orders": orders })))
    }
}

/// The sentence of a job of whose rows none could be generated.
pub(super) fn nothing_generated(refused: u64, campaign: &str) -> String {
    format!("all {refused} rows were refused: see `remesa campaign errors {campaign}`")
}
