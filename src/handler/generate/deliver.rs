//! The end of a generate job: a run over its orders, or a campaign at rest.
//!
//! A run takes in exactly the numbers of one batch; a job whose rows lie in two stretches, because another
//! job numbered rows in between, gets a run over each. So no order is in two runs of its generation.

use crate::{
    domain::unsubscribe::CircleKind,
    handler::{commercial, contact_rules},
    job::{Delivery, Dispatch, Next, Outcome},
    store::{StoreError, runs::CreatedRun},
};

use super::{
    super::{context::RunShape, intake::Stop},
    Batches, Generation,
    resolve::Resolved,
    slices::Progress,
};

type RunFields = Vec<(&'static str, String)>;

impl Generation<'_> {
    /// Starts a run over each stretch of this job's orders, if something is to be sent.
    pub(super) async fn deliver(
        &self,
        resolved: &Resolved,
        batches: &Batches,
        progress: &Progress,
    ) -> Result<Outcome, Stop> {
        let dispatch = match &self.job.delivery {
            Delivery::None => return self.rest(batches, progress).await,
            Delivery::Now(dispatch) | Delivery::At(_, dispatch) => dispatch,
        };
        let (slots, fields) = self.run_fields(resolved, dispatch).await?;
        let mut next = Vec::new();
        for batch in batches.all() {
            let Some(ordinals) = self.stretch(batch).await? else { continue };
            let run = format!("delivery@{batch}");
            match self.ctx.store.create_run(self.campaign, &run, ordinals, slots, &fields).await? {
                CreatedRun::Refused { .. } => return Ok(self.cancelled().await?),
                CreatedRun::Created { .. } | CreatedRun::Exists { .. } => {
                    next.push(Next { campaign: self.campaign.to_owned(), run, at: None });
                }
            }
        }
        let run = next.last().map(|next| next.run.clone());
        Ok(Outcome::Done { result: self.result(progress, run.as_deref()).await?, next })
    }

    /// Nothing is to be sent: the campaign comes to rest.
    async fn rest(&self, batches: &Batches, progress: &Progress) -> Result<Outcome, Stop> {
        let store = &self.ctx.store;
        let to = if batches.is_first() { "generated" } else { "delivered" };
        let running = store.campaign_fields(self.campaign, &["running_runs"]).await?.into_iter().next().flatten();
        if running.is_none_or(|runs| runs == "0")
            && store.set_campaign_state(self.campaign, &["running"], to, &[]).await? == "paused"
        {
            return Ok(self.look_again().await?);
        }
        Ok(Outcome::done(self.result(progress, None).await?))
    }

    /// What the runs of this job share: how many slots, and their fields.
    async fn run_fields(&self, resolved: &Resolved, dispatch: &Dispatch) -> Result<(u32, RunFields), Stop> {
        let RunShape { slots, idempotent } = self.ctx.run_shape(dispatch.channel.as_str()).await?;
        let mut fields = vec![
            ("campaign", self.campaign.to_owned()),
            ("job", self.id.to_string()),
            ("channel", dispatch.channel.to_string()),
            ("idempotent", u8::from(idempotent).to_string()),
            ("audience", "orders".to_owned()),
            ("text", dispatch.text.clone()),
            ("link_base", resolved.link_base.clone()),
        ];
        let orders = (self.campaign, CircleKind::Orders);
        fields.extend(commercial::run_fields(&self.ctx.config, &self.ctx.store, resolved.category, orders).await??);
        let (config, store) = (&self.ctx.config, &self.ctx.store);
        fields.extend(
            contact_rules::bounds(config, Some(store), dispatch.channel.as_str(), resolved.category, &dispatch.rules)
                .await?
                .fields(),
        );
        if let Some(place) = dispatch.url {
            fields.push(("url_place", place.as_str().to_owned()));
        }
        if dispatch.transliterate {
            fields.push(("transliterate", "1".to_owned()));
        }
        fields.extend(self.trace.map(|trace| ("traceparent", trace.to_string())));
        if let Some(currency) = self.job.currency {
            fields.push(("currency", currency.code().to_owned()));
        }
        Ok((slots, fields))
    }

    /// First and last number of a batch; nothing when no order of it was written.
    async fn stretch(&self, batch: u32) -> Result<Option<(u64, u64)>, StoreError> {
        let (base, last) = (format!("base:{batch}"), format!("last:{batch}"));
        let found = self.ctx.store.campaign_fields(self.campaign, &[&base, &last]).await?;
        let mut numbers = found.into_iter().map(|text| text.and_then(|t| t.parse::<u64>().ok()));
        Ok(match (numbers.next().flatten(), numbers.next().flatten()) {
            (Some(base), Some(last)) => Some((base + 1, last)),
            _ => None,
        })
    }
}
