//! What a generate job names: payment point, channel, currency, expiry; captured where the campaign has them.
//!
//! A job is refused here, before anything is read or written, when a name stands for nothing or a rule
//! is broken by the job alone. What a campaign captured at its creation holds for its own job, whatever
//! the configuration says by now (PO-16).

use serde_json::{Map, Value};

use crate::{
    domain::{
        clock::EpochMs,
        expiry::Expiry,
        message::Vars,
        money::Currency,
        short_code::{ShortCode, link},
        sms,
    },
    job::{Delivery, Dispatch, Rejection, RejectionCode, RowRules},
    source::SourceLimits,
    store::StoreError,
};

use super::{Generation, Stop};

/// What the job's names stand for.
pub(super) struct Resolved {
    pub(super) payment_point: String,
    pub(super) link_base: String,
    pub(super) expiry: Expiry,
    pub(super) rules: RowRules,
    pub(super) limits: SourceLimits,
}

/// The captured settings of a campaign that a job of it goes by, whatever the configuration says now (PO-16).
#[derive(Debug, Default)]
pub(super) struct Captured {
    /// The batch of the job in the campaign, when it was here before.
    pub(super) batch: Option<u32>,
    pub(super) payment_point: Option<String>,
    pub(super) link_base: Option<String>,
}

impl Generation<'_> {
    pub(super) async fn captured(&self) -> Result<Captured, StoreError> {
        let batch = format!("batch:{}", self.id);
        let found = self.ctx.store.campaign_fields(self.campaign, &[&batch, "payment_point", "link_base"]).await?;
        let mut found = found.into_iter();
        let mut next = || found.next().flatten();
        Ok(Captured { batch: next().and_then(|n| n.parse().ok()), payment_point: next(), link_base: next() })
    }

    /// What the job names, or why it is refused.
    pub(super) async fn resolve(&self, now: EpochMs) -> Result<Resolved, Stop> {
        let (config, job) = (&self.ctx.config, self.job);
        let captured = self.captured().await?;
        let (mut captured_point, mut captured_base) = (None, None);
        if captured.batch == Some(1) {
            (captured_point, captured_base) = (captured.payment_point, captured.link_base);
        }
        let default_point = captured_point.as_deref().unwrap_or(config.orders.default_payment_point.as_str());
        let payment_point = job.payment_point.as_ref().map_or(default_point, |n| n.as_str());
        let Some(point) = config.payment_point(payment_point) else {
            let known: Vec<&str> = config.payment_points.keys().map(String::as_str).collect();
            let rule = format!("\"{payment_point}\" is not configured; there are: {}", known.join(", "));
            return Err(Rejection::of_field(RejectionCode::UnknownPaymentPoint, "payment_point", rule).into());
        };
        let currencies: Vec<Currency> = config.orders.currencies.clone();
        if let Some(currency) = job.currency
            && !currencies.is_empty()
            && !currencies.contains(&currency)
        {
            let rule = format!("{} is not among orders.currencies", currency.code());
            return Err(Rejection::of_field(RejectionCode::CurrencyNotAllowed, "currency", rule).into());
        }
        let expiry = job.expiry.unwrap_or(Expiry::In(config.orders.expires_in));
        let counted_from = match &job.delivery {
            Delivery::At(at, _) => (*at).max(now),
            Delivery::None | Delivery::Now(_) => now,
        };
        // Once begun, a row whose bound is crossed is refused by itself (PO-7).
        let begun = captured.batch.is_some() && self.progress().await?.is_some();
        if !begun && let Err(error) = expiry.check(counted_from) {
            return Err(Rejection::of_code(error.code(), Some(expiry_field(&expiry)), error).into());
        }
        if let Some(dispatch) = job.delivery.dispatch() {
            self.check_dispatch(dispatch, &point.link_base, now).await?;
        }
        Ok(Resolved {
            payment_point: payment_point.to_owned(),
            link_base: captured_base.unwrap_or_else(|| point.link_base.clone()),
            expiry,
            rules: RowRules {
                country: job.country,
                currency: job.currency,
                currencies,
                max_amount_minor: config.orders.max_amount_minor,
            },
            limits: SourceLimits {
                spool_dir: config.sources.spool_dir.clone(),
                max_rows: config.sources.max_rows,
                max_line_bytes: config.sources.max_line_bytes,
                max_bytes: config.sources.max_bytes,
                stop: self.stop.clone(),
            },
        })
    }

    async fn check_dispatch(&self, dispatch: &Dispatch, link_base: &str, now: EpochMs) -> Result<(), Stop> {
        let channel = dispatch.channel.as_str();
        if !self.ctx.channels.contains_key(channel) && !self.ctx.store.is_channel_served(channel, now.0).await? {
            let mut known: Vec<&str> = self.ctx.channels.keys().map(String::as_str).collect();
            known.sort_unstable();
            let rule = format!(
                "no daemon seen in the last 10 minutes serves \"{channel}\"; this one serves: {}",
                known.join(", ")
            );
            return Err(Rejection::of_field(RejectionCode::UnknownChannel, "channel", rule).into());
        }
        // The shortest the text can be: every variable one character, the link of its real length.
        let vars: Map<String, Value> =
            dispatch.message.variables().iter().map(|name| (name.clone(), Value::from("x"))).collect();
        let code = ShortCode::sample(self.ctx.config.orders.short_code_length);
        let url = link(link_base, &code);
        let max = self.ctx.config.max_parts;
        if let Ok(text) = dispatch.message.render(&Vars::new(&vars, &[]), &url) {
            let parts = sms::parts(&text);
            if parts > max {
                let rule =
                    format!("the text takes {parts} parts with its link, the maximum is {max} (messages.max_parts)");
                return Err(Rejection::of_field(RejectionCode::TextTooLong, "message.text", rule).into());
            }
        }
        Ok(())
    }

    /// What all orders of a campaign share is not changed by an append: the orders name it by the campaign.
    pub(super) async fn check_match(&self, resolved: &Resolved) -> Result<(), Stop> {
        let theirs = self.ctx.store.campaign_fields(self.campaign, &["state", "currency", "payment_point"]).await?;
        let [Some(_), currency, payment_point] = theirs.as_slice() else { return Ok(()) };
        let ours = self.job.currency.map(|c| c.code().to_owned());
        let point = Some(resolved.payment_point.clone());
        for (field, theirs, ours) in [("currency", currency, ours), ("payment_point", payment_point, point)] {
            if *theirs != ours {
                let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
                let rule = format!("\"{}\" has {}, this job has {}", self.campaign, shown(theirs), shown(&ours));
                return Err(Rejection::of_field(RejectionCode::CampaignMismatch, field, rule).into());
            }
        }
        Ok(())
    }
}

fn expiry_field(expiry: &Expiry) -> &'static str {
    match expiry {
        Expiry::In(_) => "expires_in",
        Expiry::At(_) => "expires_at",
    }
}
