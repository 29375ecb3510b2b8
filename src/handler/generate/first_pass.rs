//! The first pass over the source, and what it means for the job.
//!
//! Of a source of which orders were made only its sameness is looked at again. Of one that was accepted for a later time
//! the first pass is made again then, and it must be the same: what a person was told (rows, numbers, warnings) holds.
//! Reading runs on a thread of its own and ends when the daemon drains.

use crate::{
    domain::clock::EpochMs,
    job::{DeadCode, Delivery, Outcome, Warning},
    source::{Encoding, SourceError, SourceSpec, digest},
    store::{StoreError, sources::accepted_field},
};

use super::{
    super::intake::{Stop, first::Through},
    Generation, blocking,
    forecast::{self, Estimate, Lane},
    gates::{self, Look, Need},
    resolve::Resolved,
    slices::Progress,
};

/// What the first pass hands on.
pub(super) struct Passed {
    pub(super) digest: String,
    pub(super) encoding: Encoding,
    pub(super) warnings: Vec<Warning>,
    /// When sending will start and end, where something is sent.
    pub(super) estimate: Option<Estimate>,
}

impl Generation<'_> {
    /// The first pass.
    pub(super) async fn first_pass(
        &self,
        resolved: &Resolved,
        source: &SourceSpec,
        now: EpochMs,
    ) -> Result<Passed, Stop> {
        let (source, limits, rules) = (source.clone(), resolved.limits.clone(), resolved.rules.clone());
        let may_change = self.intake.may_change();
        // Of a source of which nothing came, another may take the place.
        if let Some(progress) = self.progress().await?.filter(|p| p.orders > 0) {
            return match blocking(move || digest(&source, &limits)).await {
                Ok(digest) if digest == progress.digest || !may_change => {
                    Ok(Passed { digest, encoding: progress.encoding, warnings: Vec::new(), estimate: None })
                }
                Ok(_) => Err(changed(&format!("after {} orders were made of it", progress.orders))),
                Err(error) => Err(self.trouble(error).await?),
            };
        }
        let look = match self.job.delivery.dispatch() {
            None => Look::Rows,
            Some(dispatch) => {
                let config = &self.ctx.config;
                let lane = Lane::look(
                    config,
                    Some(&self.ctx.store),
                    &dispatch.channel,
                    (resolved.category, &dispatch.rules),
                    now,
                )
                .await?;
                let course = lane.course(now, forecast::may_start(self.job, None, now));
                Look::Whole(Some(Box::new(forecast::terms(config, resolved, dispatch, (&lane, course), 0))))
            }
        };
        let found = match blocking(move || gates::survey(&source, &limits, &rules, &look, |_| ())).await {
            Ok(found) => found,
            Err(error) => return Err(self.trouble(error).await?),
        };
        self.intake.found().await?;
        gates::judge(&found, Need::of(self.job))?;
        if let Some(accepted) = self.accepted().await?
            && accepted != found.through.digest
            && may_change
        {
            return Err(changed("between its acceptance and its time"));
        }
        let warnings = gates::warnings(&found);
        let estimate =
            found.census.map(|census| Estimate::of(&census.terms().course, &census.terms().hours, census.tally.parts));
        let Through { digest, encoding, .. } = found.through;
        Ok(Passed { digest, encoding, warnings, estimate })
    }

    /// Writes down when sending will start and end, and what to warn of, once the campaign is there (PO-7, PO-13).
    pub(super) async fn foretell(&self, passed: &Passed) -> Result<(), StoreError> {
        let (store, job) = (&self.ctx.store, self.id.as_str());
        if let Some(estimate) = &passed.estimate {
            // Plain values: there is nothing to refuse.
            let shown = serde_json::to_string(estimate).unwrap_or_default();
            store.set_estimate(self.campaign, job, &shown, (estimate.starts, estimate.ends)).await?;
        }
        store.add_warnings(self.campaign, job, &passed.warnings).await
    }

    /// Notes which source was accepted for the job's time.
    pub(super) async fn accept_for_later(&self, digest: &str) -> Result<(), StoreError> {
        let field = accepted_field(self.id.as_str());
        self.ctx.store.set_campaign_fields(self.campaign, &[(field.as_str(), digest.to_owned())]).await
    }

    async fn accepted(&self) -> Result<Option<String>, StoreError> {
        if !matches!(self.job.delivery, Delivery::At(..)) {
            return Ok(None);
        }
        let field = accepted_field(self.id.as_str());
        Ok(self.ctx.store.campaign_fields(self.campaign, &[&field]).await?.into_iter().next().flatten())
    }

    /// The source cannot be read on in the middle of the second pass.
    pub(super) async fn broke_off(&self, error: SourceError, progress: &Progress) -> Result<Stop, Stop> {
        if error.is_of_content() {
            return Ok(changed(&format!("after {} orders were made of it: {error}", progress.orders)));
        }
        self.trouble(error).await
    }
}

fn changed(when: &str) -> Stop {
    Outcome::Dead { code: DeadCode::SourceChanged, sentence: format!("the source changed {when}") }.into()
}
