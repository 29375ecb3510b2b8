//! send: one bulk message over the cases or the orders of a campaign becomes a run, now or at its time.
//!
//! [`check`] says whether what a message names is there, and gives its words; [`start`] makes the run. Both are asked by
//! `send` here and by each tick of a permanent message. A message's name is taken once in its campaign: a scheduled one
//! holds it, with its words, from its acceptance on (BM-21). Each step finds its own work done when it is repeated, so a
//! job killed anywhere goes on where it was and makes one run.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::{
    config::Config,
    domain::{
        audience::{Audience, Contacts},
        campaign::Category,
        case::ContactKind,
        clock::EpochMs,
        contact_rules::Bounds,
        content::{Compiled, Content},
        message::Vars,
        name::JobId,
        sms, text,
        trace::Trace,
        unsubscribe::CircleKind,
    },
    job::{BulkMessage, Frequency, Next, Outcome, QueueName, Rejection, RejectionCode, SendJob, Warning, Words},
    store::{Store, StoreError, messages::Promised, runs::CreatedRun},
};

use super::{Context, commercial, contact_rules, generate::resolve::check_channel, trouble};

/// What a run is to be made of.
#[derive(Debug)]
pub struct Start<'a> {
    /// The run's name: the message's, or `<definition>@<due ms>`.
    pub run: &'a str,
    /// Whom it is for.
    pub message: &'a BulkMessage,
    /// What it says, from [`check`].
    pub content: &'a Content,
    /// The job that asks for it.
    pub job: &'a str,
    /// The trace that job belongs to.
    pub trace: Option<Trace>,
    /// The permanent message it belongs to; else the message's own name.
    pub definition: &'a str,
    /// Further fields of the run's hash.
    pub fields: &'a [(&'static str, String)],
}

/// What became of the wish for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Started {
    /// It is there, made now or before by the same job: its slots are to be put to work.
    Run {
        /// Its slots.
        next: Next,
        /// Cases or orders that it goes over.
        recipients: u64,
    },
    /// Another job made a run of this name.
    Taken {
        /// That job.
        job: String,
    },
    /// The campaign is gone or cancelled.
    Refused {
        /// Its state; empty when it is gone.
        state: String,
    },
    /// It cannot be made with this configuration.
    Impossible(Rejection),
}

/// Runs the job of that id and trace.
pub async fn run(ctx: &Arc<Context>, of: (&JobId, Option<Trace>), job: &SendJob) -> Outcome {
    match work(ctx, of, job).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(rejection)) => rejection.into(),
        Err(error) => trouble::outcome(&error),
    }
}

async fn work(
    ctx: &Context,
    (id, trace): (&JobId, Option<Trace>),
    job: &SendJob,
) -> Result<Result<Outcome, Rejection>, StoreError> {
    let (campaign, message) = (job.bulk.campaign.as_str(), job.message.as_str());
    let now = EpochMs(ctx.store.now_ms().await?);
    let promised = ctx.store.promised_message(campaign, message).await?;
    let content = match promised {
        Some(promise) if promise.job == id.as_str() => {
            if promise.cancelled {
                return Ok(Ok(cancelled(campaign)));
            }
            if let Err(rejection) = check(&ctx.config, &ctx.store, &job.bulk, now).await? {
                return Ok(Err(rejection));
            }
            promise.content
        }
        Some(promise) => return Ok(Err(exists(job, &promise.job))),
        None => match check(&ctx.config, &ctx.store, &job.bulk, now).await? {
            Ok(content) => content,
            Err(rejection) => return Ok(Err(rejection)),
        },
    };
    let wanted = match job.frequency {
        Frequency::At(at) => at,
        Frequency::None => now,
    };
    let (opens, warnings) = foretell(ctx, id, &job.bulk, wanted).await?;
    if let Frequency::At(at) = job.frequency
        && now < at
    {
        return wait(ctx, id, job, content, at).await;
    }
    let wanted = Start {
        run: message,
        message: &job.bulk,
        content: &content,
        job: id.as_str(),
        trace,
        definition: message,
        fields: &[],
    };
    Ok(match start(ctx, wanted).await? {
        Started::Run { next, recipients } => {
            let result = json!({
                "campaign": campaign, "run": message, "recipients": recipients, "estimated_start": opens,
                "warnings": warnings,
            });
            Ok(Outcome::Done { result, next: vec![next] })
        }
        Started::Taken { job: other } => Err(exists(job, &other)),
        Started::Refused { state } if state == "cancelled" || state.is_empty() => Err(not_in_state(campaign, &state)),
        // It was cancelled while it began.
        Started::Refused { .. } => Ok(cancelled(campaign)),
        Started::Impossible(rejection) => Err(rejection),
    })
}

/// When the messages may leave that are wanted then, and what to warn of: also in the campaign, as soon as the job is
/// accepted (BM-1).
async fn foretell(
    ctx: &Context,
    id: &JobId,
    message: &BulkMessage,
    wanted: EpochMs,
) -> Result<(EpochMs, Vec<Warning>), StoreError> {
    let campaign = message.campaign.as_str();
    let category = ctx.store.campaign_fields(campaign, &["category"]).await?.into_iter().next().flatten();
    let category = category.as_deref().and_then(Category::parse).unwrap_or_default();
    let bounds = bounds(ctx, message, category).await?;
    let warnings: Vec<Warning> = contact_rules::warning(&bounds.hours, wanted).into_iter().collect();
    ctx.store.add_warnings(campaign, id.as_str(), &warnings).await?;
    Ok((bounds.hours.opens(wanted), warnings))
}

/// What binds a message of a campaign of that category.
async fn bounds(ctx: &Context, message: &BulkMessage, category: Category) -> Result<Bounds, StoreError> {
    contact_rules::bounds(&ctx.config, Some(&ctx.store), message.channel.as_str(), category, &message.rules).await
}

/// Takes the message's name and keeps its words until its time.
async fn wait(
    ctx: &Context,
    id: &JobId,
    job: &SendJob,
    content: Content,
    at: EpochMs,
) -> Result<Result<Outcome, Rejection>, StoreError> {
    let (campaign, message) = (job.bulk.campaign.as_str(), job.message.as_str());
    if let Some(other) = ctx.store.run_field(campaign, message, "job").await? {
        return Ok(Err(exists(job, &other)));
    }
    let promise = Promised { job: id.to_string(), at, content, cancelled: false };
    let holder = ctx.store.promise_message(campaign, message, &promise).await?;
    Ok(if holder.job == id.as_str() { Ok(Outcome::Snooze { until: at }) } else { Err(exists(job, &holder.job)) })
}

/// Whether nobody has a message's name yet.
pub async fn is_free(store: &Store, job: &SendJob) -> Result<Result<(), Rejection>, StoreError> {
    let (campaign, message) = (job.bulk.campaign.as_str(), job.message.as_str());
    let waits = store.promised_message(campaign, message).await?.map(|promise| promise.job);
    let holder = match waits {
        Some(job) => Some(job),
        None => store.run_field(campaign, message, "job").await?,
    };
    Ok(holder.map_or(Ok(()), |other| Err(exists(job, &other))))
}

/// Cancels a message that waits for its time: its job ends now. Returns whether that is news; nothing where none waits.
pub async fn withdraw(ctx: &Context, campaign: &str, message: &str) -> Result<Option<bool>, StoreError> {
    let Some(promise) = ctx.store.cancel_promised(campaign, message).await? else { return Ok(None) };
    if !promise.cancelled {
        let now = ctx.store.now_ms().await?;
        ctx.store.arm(&format!("job|{}|{}", QueueName::Send, promise.job), now).await?;
    }
    Ok(Some(!promise.cancelled))
}

/// What a message says, if all that it names is there.
pub async fn check(
    config: &Config,
    store: &Store,
    message: &BulkMessage,
    now: EpochMs,
) -> Result<Result<Content, Rejection>, StoreError> {
    let campaign = message.campaign.as_str();
    let found = store.campaign_fields(campaign, &["state", "category"]).await?;
    let [state, category] = found.as_slice() else { return Ok(Err(not_in_state(campaign, ""))) };
    match state.as_deref() {
        None => return Ok(Err(not_in_state(campaign, ""))),
        Some(state @ "cancelled") => return Ok(Err(not_in_state(campaign, state))),
        Some(_) => {}
    }
    let category = category.as_deref().and_then(Category::parse).unwrap_or_default();
    if let Err(rejection) = commercial::check(config, category) {
        return Ok(Err(rejection));
    }
    if let Err(rejection) = check_channel(config, Some(store), &message.channel, now).await? {
        return Ok(Err(rejection));
    }
    Ok(words(store, &message.words).await?.and_then(|content| fits(config, message, content)))
}

/// Whether the text can fit at all (PO-13), with each variable one character: what a recipient's own values make too long
/// fails alone. Only an SMS has parts.
fn fits(config: &Config, message: &BulkMessage, content: Content) -> Result<Content, Rejection> {
    let is_sms = config.channels.get(message.channel.as_str()).is_none_or(|c| c.address == ContactKind::Mobile);
    let compiled = Compiled::compile(&content).map(|compiled| compiled.transliterated(message.transliterate));
    let Ok(compiled) = compiled else { return Ok(content) };
    let short: Map<String, Value> = compiled.variables().iter().map(|name| (name.clone(), Value::from("x"))).collect();
    let parts = compiled.render(&Vars::new(&short, &[])).map_or(0, |rendered| sms::parts(&rendered.text));
    let max = config.max_parts;
    if is_sms && parts > max {
        let rule = format!("the text takes {parts} parts, the maximum is {max} (messages.max_parts)");
        return Err(Rejection::of_field(RejectionCode::TextTooLong, "text", rule));
    }
    Ok(content)
}

/// The words of a message, or of the template it names.
async fn words(store: &Store, words: &Words) -> Result<Result<Content, Rejection>, StoreError> {
    let name = match words {
        Words::Written(content) => return Ok(Ok(content.clone())),
        Words::Template(name) => name,
    };
    let Some(template) = store.template(name.as_str()).await? else {
        let rule = format!("there is no template \"{name}\": import it first");
        return Ok(Err(Rejection::of_field(RejectionCode::UnknownTemplate, "template", rule)));
    };
    Ok(Ok(template.content))
}

/// Makes the run of a message, or finds it.
pub async fn start(ctx: &Context, start: Start<'_>) -> Result<Started, StoreError> {
    let message = start.message;
    let campaign = message.campaign.as_str();
    let found = ctx.store.campaign_fields(campaign, &["next", "cases", "link_base", "currency", "category"]).await?;
    let mut found = found.into_iter().map(Option::unwrap_or_default);
    let mut next = || found.next().unwrap_or_default();
    let orders = next().parse::<u64>().map_or(0, |next| next.saturating_sub(1));
    let cases = next().parse::<u64>().unwrap_or(0);
    let last = match message.audience {
        Audience::Orders => orders,
        Audience::Cases => cases,
    };
    let shape = ctx.run_shape(message.channel.as_str()).await?;
    let flag = |on: bool| if on { "1" } else { "" }.to_owned();
    let mut fields = vec![
        ("campaign", campaign.to_owned()),
        ("job", start.job.to_owned()),
        ("name", message.name.clone().unwrap_or_default()),
        ("channel", message.channel.to_string()),
        ("idempotent", u8::from(shape.idempotent).to_string()),
        ("audience", message.audience.to_string()),
        ("definition", start.definition.to_owned()),
        // A content is made of texts: there is nothing to refuse.
        ("content", serde_json::to_string(start.content).unwrap_or_default()),
        ("transliterate", flag(message.transliterate)),
        ("link_base", next()),
        ("currency", next()),
    ];
    let category = Category::parse(&next()).unwrap_or_default();
    let circle = match message.audience {
        Audience::Orders => CircleKind::Orders,
        Audience::Cases => CircleKind::Cases,
    };
    match commercial::run_fields(&ctx.config, &ctx.store, category, (campaign, circle)).await? {
        Ok(more) => fields.extend(more),
        Err(rejection) => return Ok(Started::Impossible(rejection)),
    }
    if message.audience == Audience::Cases {
        let sifted = message.only_active || message.contacts == Contacts::All || message.filter.is_some();
        // A filter is made of plain values: there is nothing to refuse.
        let filter = message.filter.as_ref().map(|filter| serde_json::to_string(filter).unwrap_or_default());
        let needs_order = Compiled::compile(start.content).is_ok_and(|content| text::needs_order(&content));
        fields.extend([
            // Everybody up to this number is sifted; without it there is nothing to sift.
            ("sifted", if sifted { "0" } else { "" }.to_owned()),
            ("needs_order", flag(needs_order)),
            ("filter", filter.unwrap_or_default()),
            ("contacts", message.contacts.to_string()),
            ("only_active", flag(message.only_active)),
            ("close_cases", flag(message.close_cases)),
        ]);
    }
    let bounds = bounds(ctx, message, category).await?;
    fields.extend(bounds.fields());
    fields.extend(start.trace.map(|trace| ("traceparent", trace.to_string())));
    fields.extend(start.fields.iter().cloned());
    fields.retain(|(_, value)| !value.is_empty());
    let created = ctx.store.create_run(campaign, start.run, (1, last), shape.slots, &fields).await?;
    let run = Started::Run {
        next: Next { campaign: campaign.to_owned(), run: start.run.to_owned(), at: None },
        recipients: last,
    };
    Ok(match created {
        CreatedRun::Created { .. } => run,
        CreatedRun::Exists { job, .. } if job == start.job => run,
        CreatedRun::Exists { job, .. } => Started::Taken { job },
        CreatedRun::Refused { state } => Started::Refused { state },
    })
}

fn cancelled(campaign: &str) -> Outcome {
    Outcome::done(json!({ "campaign": campaign, "cancelled": true }))
}

fn exists(job: &SendJob, other: &str) -> Rejection {
    let (campaign, message) = (&job.bulk.campaign, &job.message);
    let rule =
        format!("\"{message}\" of \"{campaign}\" was made by the job \"{other}\"; a message's name is taken once");
    Rejection::of_field(RejectionCode::MessageExists, "message", rule)
}

pub(super) fn not_in_state(campaign: &str, state: &str) -> Rejection {
    if state.is_empty() {
        let rule = format!("there is no campaign \"{campaign}\": import its cases or generate its orders first");
        return Rejection::of_field(RejectionCode::UnknownCampaign, "campaign", rule);
    }
    let rule = format!("the campaign \"{campaign}\" is {state}: nothing is sent in it any more");
    Rejection::of_field(RejectionCode::WrongState, "campaign", rule)
}
