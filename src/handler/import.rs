//! import: the cases of a campaign, and templates of messages.
//!
//! The way: the source is found, copied where need be, and read through once; the campaign is made where there is none;
//! templates are written; the rows become cases slice by slice ([`slices`]). An id that is known is updated, never doubled:
//! so a job killed anywhere goes on where it was, a job run again changes nothing, and several imports may come into one
//! campaign at once. The campaign's state is left alone: cases are there for whoever sends.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::mpsc;

use crate::{
    domain::{clock::EpochMs, column::CASES, contact::Country, name::JobId},
    job::{CaseRow, DeadCode, ImportJob, ImportedCases, Outcome, Rejection, RejectionCode},
    source::{SourceError, SourceLimits, SourceSpec, digest},
    store::{Store, StoreError, leases::Lease, templates::StoredTemplate},
    telemetry::work,
};

pub mod report;
pub mod slices;

use super::{
    Context, blocking,
    intake::{Intake, Stop, error_log::ErrorLog, first::read_through, reading::Reading, source_limits},
    trouble,
};
use report::{Ids, Progress};
use slices::{Writer, Wrote};

/// Runs the job.
pub async fn run(ctx: &Arc<Context>, id: &JobId, job: ImportJob, lease: &Lease) -> Outcome {
    let ended = async {
        if let Some(cases) = &job.cases {
            return Import::new(ctx, id, &job, cases, lease).run().await;
        }
        write_templates(ctx, id, &job).await?;
        Ok(Outcome::done(json!({ "templates": report::names(&job) })))
    };
    match ended.await {
        Ok(outcome) => outcome,
        Err(Stop::With(outcome)) => *outcome,
        Err(Stop::Store(error)) => trouble::outcome(&error),
    }
}

async fn write_templates(ctx: &Context, id: &JobId, job: &ImportJob) -> Result<(), StoreError> {
    let now = EpochMs(ctx.store.now_ms().await?);
    for template in &job.templates {
        let (name, content) = (template.name.to_string(), template.content.clone());
        ctx.store.write_template(&StoredTemplate { name, content, updated_at: now, job: id.to_string() }).await?;
    }
    Ok(())
}

/// One import of cases under way.
struct Import<'a> {
    ctx: &'a Arc<Context>,
    id: &'a JobId,
    job: &'a ImportJob,
    cases: &'a ImportedCases,
    campaign: &'a str,
    lease: &'a Lease,
    intake: Intake<'a>,
}

impl<'a> Import<'a> {
    fn new(
        ctx: &'a Arc<Context>,
        id: &'a JobId,
        job: &'a ImportJob,
        cases: &'a ImportedCases,
        lease: &'a Lease,
    ) -> Self {
        let intake = Intake::new(ctx, id, &cases.rows, lease);
        Self { ctx, id, job, cases, campaign: cases.campaign.as_str(), lease, intake }
    }

    async fn run(&self) -> Result<Outcome, Stop> {
        let ended = self.work().await;
        let outcome = match &ended {
            Ok(outcome) => outcome,
            Err(Stop::With(outcome)) => outcome,
            Err(Stop::Store(_)) => return ended,
        };
        self.intake.unstage(outcome, self.checkpoint().await?.is_some());
        ended
    }

    async fn work(&self) -> Result<Outcome, Stop> {
        let before = self.checkpoint().await?;
        let known = before.as_deref().and_then(|text| serde_json::from_str::<Progress>(text).ok());
        judge_campaign(&self.ctx.store, self.cases).await??;
        self.intake.room().await?;
        let limits = source_limits(&self.ctx.config, &CASES, self.intake.stop.clone());
        let begun = known.as_ref().map(Progress::begun);
        let source = self.intake.stage(&limits, begun.as_ref()).await?;
        let progress = match known {
            Some(progress) => self.look_at_source(&source, &limits, progress).await?,
            None => self.first_pass(&source, &limits).await?,
        };
        let country = self.enter().await?;
        write_templates(self.ctx, self.id, self.job).await?;
        let progress = self.write(source, limits, progress, before, country).await?;
        self.ctx.store.expire_import(self.campaign, self.id.as_str(), report::KEPT_BEHIND_END).await?;
        if progress.cases() == 0 {
            let sentence =
                format!("all {} rows were refused: see `remesa campaign errors {}`", progress.refused, self.campaign);
            return Ok(Outcome::Dead { code: DeadCode::NothingImported, sentence });
        }
        Ok(Outcome::done(report::result(self.campaign, self.job, &progress, &self.ctx.config.sources)))
    }

    async fn checkpoint(&self) -> Result<Option<String>, StoreError> {
        self.ctx.store.import_checkpoint(self.campaign, self.id.as_str()).await
    }

    /// Reads the source through before anything is written.
    async fn first_pass(&self, source: &SourceSpec, limits: &SourceLimits) -> Result<Progress, Stop> {
        let (spec, bounds) = (source.clone(), limits.clone());
        let (through, ids) = match blocking(move || read_through(&spec, &bounds, Ids::default, |_| ())).await {
            Ok(found) => found,
            Err(error) => return Err(self.intake.trouble(error, false).await?),
        };
        self.intake.found().await?;
        Ok(Progress::begin(through, source, &ids))
    }

    /// A source of which cases were written has to be the same.
    async fn look_at_source(
        &self,
        source: &SourceSpec,
        limits: &SourceLimits,
        progress: Progress,
    ) -> Result<Progress, Stop> {
        let (spec, bounds) = (source.clone(), limits.clone());
        match blocking(move || digest(&spec, &bounds)).await {
            Ok(digest) if digest == progress.digest || !self.intake.may_change() => Ok(progress),
            Ok(_) => Err(changed(&progress, "")),
            Err(error) => Err(self.intake.trouble(error, true).await?),
        }
    }

    /// Makes the campaign where there is none. Returns the country whose numbers need no prefix.
    async fn enter(&self) -> Result<Option<Country>, Stop> {
        let name = self.cases.name.as_deref().unwrap_or(self.campaign);
        let country = self.cases.country.as_ref().map_or("", Country::code);
        let category = self.cases.category.unwrap_or_default();
        let entered = self.ctx.store.enter_import(self.campaign, name, country, category.as_str()).await?;
        Ok(self.cases.country.or_else(|| Country::parse(entered.country.as_deref()?).ok()))
    }

    /// Rows to cases, slice by slice.
    async fn write(
        &self,
        source: SourceSpec,
        limits: SourceLimits,
        mut progress: Progress,
        before: Option<String>,
        country: Option<Country>,
    ) -> Result<Progress, Stop> {
        let sources = &self.ctx.config.sources;
        let (sender, mut stretches) = mpsc::channel(2);
        let reading = Reading {
            spec: source,
            limits,
            encoding: progress.encoding,
            from: progress.at,
            size: sources.slice_rows,
            judge: Box::new(move |columns| CaseRow::decode(columns, country)),
        };
        let reading = tokio::task::spawn_blocking(work::carried(move || reading.read(&sender)));
        let (spool, job) = (sources.spool_dir.clone(), self.id.as_str());
        let log = ErrorLog::new(spool, job, self.intake.host(), sources.error_file_max_bytes);
        let mut writer = Writer {
            store: &self.ctx.store,
            campaign: self.campaign,
            job,
            errors_kept: sources.kept_errors,
            log,
            checkpoint: before,
        };
        while let Some(stretch) = stretches.recv().await {
            if self.intake.is_stopped() {
                return Err(Outcome::Again.into());
            }
            let stretch = match stretch {
                Ok(stretch) => stretch,
                Err(error) => return Err(self.broke_off(error, &progress).await?),
            };
            self.intake.room().await?;
            match writer.write(stretch, &mut progress).await? {
                Wrote::All => self.lease.progressed(),
                Wrote::Lost => return Err(Outcome::Again.into()),
                Wrote::Stopped { state } => return Err(closed(self.campaign, &state).into()),
            }
        }
        drop(stretches);
        // The reader has nothing left to say: it has ended or is about to.
        let _ = reading.await;
        Ok(progress)
    }

    /// The source cannot be read on in the middle of it.
    async fn broke_off(&self, error: SourceError, progress: &Progress) -> Result<Stop, Stop> {
        if error.is_of_content() {
            return Ok(changed(progress, &format!(": {error}")));
        }
        self.intake.trouble(error, progress.cases() > 0).await
    }
}

/// A cancelled campaign takes no cases, and its category is not changed from behind.
pub(super) async fn judge_campaign(store: &Store, cases: &ImportedCases) -> Result<Result<(), Rejection>, StoreError> {
    let campaign = cases.campaign.as_str();
    let found = store.campaign_fields(campaign, &["state", "category"]).await?;
    let [state, category] = found.as_slice() else { return Ok(Ok(())) };
    if state.as_deref() == Some("cancelled") {
        return Ok(Err(closed(campaign, "cancelled")));
    }
    if let (Some(theirs), Some(ours)) = (category, cases.category)
        && theirs != ours.as_str()
    {
        let rule = format!("\"{campaign}\" has {theirs}, this job has {ours}");
        return Ok(Err(Rejection::of_field(RejectionCode::CampaignMismatch, "category", rule)));
    }
    Ok(Ok(()))
}

fn closed(campaign: &str, state: &str) -> Rejection {
    let rule = format!("the campaign \"{campaign}\" is {state}: it takes no cases any more");
    Rejection::of_field(RejectionCode::WrongState, "campaign", rule)
}

fn changed(progress: &Progress, why: &str) -> Stop {
    let sentence = format!("the source changed after {} cases were imported of it{why}", progress.cases());
    Outcome::Dead { code: DeadCode::SourceChanged, sentence }.into()
}
