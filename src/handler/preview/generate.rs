//! What would become of a `generate` job: the checks of its handler one by one, and its first pass over the source.

use crate::{
    domain::campaign::Category,
    job::{DeadCode, Envelope, GenerateJob, Rejection},
    store::StoreError,
};

use super::{
    super::{
        blocking,
        generate::{
            self,
            census::Terms,
            forecast::{self, Lane},
            gates::{self, Look, Need, Survey},
            resolve::{self, Captured, Resolved},
        },
    },
    Surroundings,
    report::{Report, Sending, Verdict},
    source::Unread,
};

/// What the source of a job holds, or why it is not read.
enum Found {
    Survey(Box<Survey>),
    Unread(Unread),
}

impl Surroundings<'_> {
    /// What would become of a generate job; nothing when it was stopped.
    pub(super) async fn preview_generate(
        &self,
        envelope: &Envelope,
        job: &GenerateJob,
        samples: usize,
        told: impl FnMut(u64) + Send + 'static,
    ) -> Result<Option<Report>, StoreError> {
        let campaign = job.campaign.to_string();
        let category = match self.store {
            Some(store) => store.campaign_fields(&campaign, &["category"]).await?.into_iter().next().flatten(),
            None => None,
        };
        let captured = Captured { category: category.as_deref().and_then(Category::parse), ..Captured::default() };
        let resolved = match resolve::names(self.config, job, captured, self.stop.clone()) {
            Ok(resolved) => resolved,
            Err(rejection) => return Ok(Some(Report::refused(campaign, &rejection))),
        };
        let judged = self.judge_job(envelope, job, &resolved).await?;
        let from = forecast::may_start(job, envelope.at, self.now);
        let lane = match job.delivery.dispatch() {
            Some(dispatch) => {
                let rules = (resolved.category, &dispatch.rules);
                Some((Lane::look(self.config, self.store, &dispatch.channel, rules, self.now).await?, dispatch))
            }
            None => None,
        };
        let terms = lane.as_ref().map(|(lane, dispatch)| {
            let course = lane.course(self.now, from);
            Box::new(forecast::terms(self.config, &resolved, dispatch, (lane, course), samples))
        });
        let report = Report::new(campaign).with_expiry(&resolved.expiry, from);
        let found = match self.survey(job, &resolved, terms, told).await? {
            Found::Survey(found) => found,
            Found::Unread(Unread::Refused(rejection)) => {
                let refused = judged.err().unwrap_or(rejection);
                return Ok(Some(Report { verdict: Verdict::rejected(&refused), ..report }));
            }
            Found::Unread(Unread::Stopped) => return Ok(None),
        };
        let judged = judged.and_then(|()| gates::judge(&found, Need::of(job)));
        let verdict = self.verdict(judged, job, &resolved, &found).await?;
        let sending = lane.zip(found.census.as_deref()).map(|((lane, _), census)| Sending::of_orders(lane, census));
        Ok(Some(Report { verdict, sending, ..report.with_survey(&found) }))
    }

    /// The first pass over the source.
    async fn survey(
        &self,
        job: &GenerateJob,
        resolved: &Resolved,
        terms: Option<Box<Terms>>,
        told: impl FnMut(u64) + Send + 'static,
    ) -> Result<Found, StoreError> {
        let (limits, rules) = (resolved.limits.clone(), resolved.rules.clone());
        let copied = match self.copied(&job.rows, &limits).await? {
            Ok(copied) => copied,
            Err(unread) => return Ok(Found::Unread(unread)),
        };
        let source = copied.source.clone();
        let found = blocking(move || gates::survey(&source, &limits, &rules, &Look::Whole(terms), told)).await;
        Ok(found.map_or_else(|error| Found::Unread(error.into()), |found| Found::Survey(Box::new(found))))
    }

    /// What the job itself decides, as acceptance and the beginning of its handler judge it.
    async fn judge_job(
        &self,
        envelope: &Envelope,
        job: &GenerateJob,
        resolved: &Resolved,
    ) -> Result<Result<(), Rejection>, StoreError> {
        let late = envelope.not_after.filter(|not_after| *not_after < self.now);
        if let Some(not_after) = late {
            return Ok(Err(Rejection::expired(not_after, self.now)));
        }
        if let Err(rejection) = resolve::check_expiry(&resolved.expiry, job, self.now) {
            return Ok(Err(rejection));
        }
        let Some(dispatch) = job.delivery.dispatch() else { return Ok(Ok(())) };
        let served = resolve::check_channel(self.config, self.store, &dispatch.channel, self.now).await?;
        Ok(served.and_then(|()| resolve::check_text(self.config, dispatch, resolved)))
    }

    /// The verdict, once the source is known: the campaign is looked at last, as the job does.
    async fn verdict(
        &self,
        so_far: Result<(), Rejection>,
        job: &GenerateJob,
        resolved: &Resolved,
        found: &Survey,
    ) -> Result<Verdict, StoreError> {
        let judged = match so_far {
            Ok(()) => self.judge_campaign(job, resolved).await?,
            Err(rejection) => Err(rejection),
        };
        Ok(match judged {
            Err(rejection) => Verdict::rejected(&rejection),
            Ok(()) if found.orders() == 0 => Verdict::dead(
                DeadCode::NothingGenerated,
                generate::nothing_generated(found.through.rows, job.campaign.as_str()),
            ),
            Ok(()) => Verdict::done(),
        })
    }

    async fn judge_campaign(
        &self,
        job: &GenerateJob,
        resolved: &Resolved,
    ) -> Result<Result<(), Rejection>, StoreError> {
        let Some(store) = self.store else { return Ok(Ok(())) };
        if job.append {
            return resolve::check_match(store, job, &resolved.payment_point).await;
        }
        let found = store.campaign_fields(job.campaign.as_str(), &["state", "job"]).await?;
        Ok(match found.as_slice() {
            [Some(_), maker] => {
                Err(resolve::exists_already(job.campaign.as_str(), maker.as_deref().unwrap_or_default()))
            }
            _ => Ok(()),
        })
    }
}
