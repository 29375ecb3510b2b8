//! What a generate job names: payment point, channel, currency, expiry; captured where the campaign has them.
//!
//! A job is refused here, before anything is read or written, when a name stands for nothing or a rule
//! is broken by the job alone. What a campaign captured at its creation holds for its own job, whatever
//! the configuration says by now (PO-16). The checks are functions of their own: a preview asks them one
//! by one and goes on.

use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    domain::{
        campaign::Category,
        clock::EpochMs,
        column::ORDERS,
        expiry::Expiry,
        message::Vars,
        money::Currency,
        name::Name,
        short_code::{ShortCode, link},
        sms,
        unsubscribe::{Farewell, PLACEHOLDER},
    },
    handler::commercial,
    job::{Delivery, Dispatch, GenerateJob, Rejection, RejectionCode, RowRules},
    source::SourceLimits,
    store::{Store, StoreError},
};

use super::{
    super::intake::{Stop, source_limits},
    Generation,
};

/// What the job's names stand for.
pub(in crate::handler) struct Resolved {
    pub(in crate::handler) payment_point: String,
    pub(in crate::handler) link_base: String,
    pub(in crate::handler) category: Category,
    pub(in crate::handler) expiry: Expiry,
    pub(in crate::handler) rules: RowRules,
    pub(in crate::handler) limits: SourceLimits,
}

/// The captured settings of a campaign that a job of it goes by, whatever the configuration says now (PO-16).
#[derive(Debug, Default)]
pub(in crate::handler) struct Captured {
    /// The batch of the job in the campaign, when it was here before.
    pub(in crate::handler) batch: Option<u32>,
    pub(in crate::handler) payment_point: Option<String>,
    pub(in crate::handler) link_base: Option<String>,
    /// The campaign's, whoever made it (PO-24).
    pub(in crate::handler) category: Option<Category>,
}

impl Generation<'_> {
    pub(in crate::handler) async fn captured(&self) -> Result<Captured, StoreError> {
        let batch = format!("batch:{}", self.id);
        let fields = [batch.as_str(), "payment_point", "link_base", "category"];
        let mut found = self.ctx.store.campaign_fields(self.campaign, &fields).await?.into_iter();
        let mut next = || found.next().flatten();
        Ok(Captured {
            batch: next().and_then(|n| n.parse().ok()),
            payment_point: next(),
            link_base: next(),
            category: next().as_deref().and_then(Category::parse),
        })
    }

    /// What the job names, or why it is refused.
    pub(super) async fn resolve(&self, now: EpochMs) -> Result<Resolved, Stop> {
        let (config, job) = (&self.ctx.config, self.job);
        let captured = self.captured().await?;
        // Once begun, a row whose bound is crossed is refused by itself (PO-7).
        let begun = captured.batch.is_some() && self.progress().await?.is_some();
        let resolved = names(config, job, captured, self.intake.stop.clone())?;
        if !begun {
            check_expiry(&resolved.expiry, job, now)?;
        }
        if let Some(dispatch) = job.delivery.dispatch() {
            check_channel(config, Some(&self.ctx.store), &dispatch.channel, now).await??;
            check_text(config, dispatch, &resolved)?;
        }
        Ok(resolved)
    }

    /// What all orders of a campaign share is not changed by an append: the orders name it by the campaign.
    pub(super) async fn check_match(&self, resolved: &Resolved) -> Result<(), Stop> {
        Ok(check_match(&self.ctx.store, self.job, &resolved.payment_point).await??)
    }
}

/// Payment point and currency, and what follows from them.
pub(in crate::handler) fn names(
    config: &Config,
    job: &GenerateJob,
    captured: Captured,
    stop: CancellationToken,
) -> Result<Resolved, Rejection> {
    check_category(job, &captured)?;
    let category = job.category.or(captured.category).unwrap_or_default();
    commercial::check(config, category)?;
    let (mut captured_point, mut captured_base) = (None, None);
    if captured.batch == Some(1) {
        (captured_point, captured_base) = (captured.payment_point, captured.link_base);
    }
    let default_point = captured_point.as_deref().unwrap_or(config.orders.default_payment_point.as_str());
    let payment_point = job.payment_point.as_ref().map_or(default_point, |n| n.as_str());
    let Some(point) = config.payment_point(payment_point) else {
        let known: Vec<&str> = config.payment_points.keys().map(String::as_str).collect();
        let rule = format!("\"{payment_point}\" is not configured; there are: {}", known.join(", "));
        return Err(Rejection::of_field(RejectionCode::UnknownPaymentPoint, "payment_point", rule));
    };
    let currencies: Vec<Currency> = config.orders.currencies.clone();
    if let Some(currency) = job.currency
        && !currencies.is_empty()
        && !currencies.contains(&currency)
    {
        let rule = format!("{} is not among orders.currencies", currency.code());
        return Err(Rejection::of_field(RejectionCode::CurrencyNotAllowed, "currency", rule));
    }
    Ok(Resolved {
        payment_point: payment_point.to_owned(),
        link_base: captured_base.unwrap_or_else(|| point.link_base.clone()),
        category,
        expiry: job.expiry.unwrap_or(Expiry::In(config.orders.expires_in)),
        rules: RowRules {
            country: job.country,
            currency: job.currency,
            currencies,
            max_amount_minor: config.orders.max_amount_minor,
        },
        limits: source_limits(config, &ORDERS, stop),
    })
}

/// The bounds of the expiry, counted from the generation (PO-7).
pub(in crate::handler) fn check_expiry(expiry: &Expiry, job: &GenerateJob, now: EpochMs) -> Result<(), Rejection> {
    let counted_from = match &job.delivery {
        Delivery::At(at, _) => (*at).max(now),
        Delivery::None | Delivery::Now(_) => now,
    };
    let field = match expiry {
        Expiry::In(_) => "expires_in",
        Expiry::At(_) => "expires_at",
    };
    expiry.check(counted_from).map_err(|error| Rejection::of_code(error.code(), Some(field), error))
}

/// Whether somebody serves the channel: this configuration, or a daemon seen lately.
pub(in crate::handler) async fn check_channel(
    config: &Config,
    store: Option<&Store>,
    channel: &Name,
    now: EpochMs,
) -> Result<Result<(), Rejection>, StoreError> {
    let channel = channel.as_str();
    if config.channels.contains_key(channel) {
        return Ok(Ok(()));
    }
    if let Some(store) = store
        && store.is_channel_served(channel, now.0).await?
    {
        return Ok(Ok(()));
    }
    let known: Vec<&str> = config.channels.keys().map(String::as_str).collect();
    let rule =
        format!("no daemon seen in the last 10 minutes serves \"{channel}\"; this one serves: {}", known.join(", "));
    Ok(Err(Rejection::of_field(RejectionCode::UnknownChannel, "channel", rule)))
}

/// Whether the text can fit at all (PO-13): with every variable one character, or with none where it asks for them,
/// and the link of its real length. What a row's own variables make too long fails alone.
pub(in crate::handler) fn check_text(
    config: &Config,
    dispatch: &Dispatch,
    resolved: &Resolved,
) -> Result<(), Rejection> {
    let message = &dispatch.message;
    let short: Map<String, Value> = message.variables().iter().map(|name| (name.clone(), Value::from("x"))).collect();
    let code = ShortCode::sample(config.orders.short_code_length);
    let url = link(&resolved.link_base, &code);
    let farewell = commercial::sample(config, resolved.category);
    let unsubscribe = farewell.as_ref().map_or("", |(link, _)| link.as_str());
    let built_in = [(PLACEHOLDER, unsubscribe)];
    let none = Map::new();
    let parts = [&short, &none].into_iter().filter_map(|vars| {
        let mut text = message.render(&Vars::new(vars, &built_in), &url).ok()?;
        if let Some((link, label)) = &farewell {
            Farewell { link, label }.stand_in(&mut text);
        }
        Some(sms::parts(&text))
    });
    let Some(parts) = parts.min() else { return Ok(()) };
    let max = config.max_parts;
    if parts <= max {
        return Ok(());
    }
    let rule = format!("the text takes {parts} parts with its link, the maximum is {max} (messages.max_parts)");
    Err(Rejection::of_field(RejectionCode::TextTooLong, "message.text", rule))
}

/// Whether an appended job goes with its campaign; a campaign that is not there yet takes any.
pub(in crate::handler) async fn check_match(
    store: &Store,
    job: &GenerateJob,
    payment_point: &str,
) -> Result<Result<(), Rejection>, StoreError> {
    let campaign = job.campaign.as_str();
    // Without a job it was made by an import, and takes any generate job.
    let theirs = store.campaign_fields(campaign, &["job", "currency", "payment_point"]).await?;
    let [Some(_), currency, point] = theirs.as_slice() else { return Ok(Ok(())) };
    let ours = job.currency.map(|c| c.code().to_owned());
    let pairs = [("currency", currency, ours), ("payment_point", point, Some(payment_point.to_owned()))];
    let differing = pairs.into_iter().find(|(_, theirs, ours)| *theirs != ours);
    Ok(differing
        .map_or(Ok(()), |(field, theirs, ours)| Err(mismatch(campaign, field, theirs.as_deref(), ours.as_deref()))))
}

/// Whether the job's category is the campaign's, whoever made it: what was promised to its people holds (PO-24).
fn check_category(job: &GenerateJob, captured: &Captured) -> Result<(), Rejection> {
    match (captured.category, job.category) {
        (Some(theirs), Some(ours)) if theirs != ours => {
            Err(mismatch(job.campaign.as_str(), "category", Some(theirs.as_str()), Some(ours.as_str())))
        }
        _ => Ok(()),
    }
}

fn mismatch(campaign: &str, field: &'static str, theirs: Option<&str>, ours: Option<&str>) -> Rejection {
    let (theirs, ours) = (theirs.unwrap_or("none"), ours.unwrap_or("none"));
    let rule = format!("\"{campaign}\" has {theirs}, this job has {ours}");
    Rejection::of_field(RejectionCode::CampaignMismatch, field, rule)
}

/// The refusal of a campaign that another job made.
pub(in crate::handler) fn exists_already(campaign: &str, job: &str) -> Rejection {
    let rule = format!("\"{campaign}\" was made by the job \"{job}\"; set \"append\":true to add rows to it");
    Rejection::of_field(RejectionCode::CampaignExists, "campaign", rule)
}
