//! A run compiled: its channel, its text, what all its links share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use crate::{
    domain::{
        audience::{Audience, Contacts},
        campaign::Category,
        case::ContactKind,
        contact_rules::Bounds,
        money::Currency,
        sift::Sieve,
        text::Words,
        trace::Trace,
        unsubscribe::{CircleKind, Offer},
    },
    job::RejectionCode,
    store::StoreError,
};

use super::super::{Context, ServedChannel, commercial};

/// What the messages of a run are written from; the same for a preview.
#[derive(Debug)]
pub struct Writing {
    /// What they say.
    pub words: Words,
    /// What the run asks of its cases; none where it is for orders.
    pub sieve: Option<Arc<Sieve>>,
    /// What the channel writes to.
    pub address: ContactKind,
    /// What each message ends with; always there where the category is commercial (BM-19).
    pub offer: Option<Offer>,
    /// What stands before the short code of a link.
    pub link_base: String,
    /// The currency of orders that name none.
    pub currency: Option<Currency>,
    /// More parts than this are not sent (PO-13).
    pub max_parts: usize,
}

/// What a turn needs to know of its run.
#[derive(Debug)]
pub struct RunPlan {
    /// The channel, served by this daemon.
    pub channel: Arc<ServedChannel>,
    /// What its messages are written from.
    pub writing: Writing,
    /// Whether an accepted message closes its case (BM-14).
    pub closes_cases: bool,
    /// The number of its last recipient.
    pub last: u64,
    /// When it was made, and by which job: tells it from another run of its name.
    pub made: (String, String),
    /// The trace that job belongs to.
    pub trace: Option<Trace>,
    /// Which lists of addresses count (PO-24).
    pub category: Category,
    /// An order with less life left is not sent (PO-19).
    pub min_life: Duration,
    /// When its messages may leave, and how many an address gets.
    pub bounds: Bounds,
    /// Parts of a message as last seen, for the next reservation.
    pub parts_hint: AtomicU32,
    /// The same as the run's hash says it.
    pub parts_told: AtomicU32,
}

const fn circle_kind(sieve: Option<&Sieve>) -> CircleKind {
    match sieve {
        Some(_) => CircleKind::Cases,
        None => CircleKind::Orders,
    }
}

/// What a run of this hash asks of its cases; nothing where it is for orders.
fn sieve<'a>(
    run: &str,
    channel: ContactKind,
    field: impl Fn(&str) -> &'a str,
) -> Result<Option<Sieve>, serde_json::Error> {
    if Audience::parse(field("audience")) != Some(Audience::Cases) {
        return Ok(None);
    }
    let filter = field("filter");
    Ok(Some(Sieve {
        run: run.to_owned(),
        only_active: field("only_active") == "1",
        contacts: Contacts::parse(field("contacts")).unwrap_or_default(),
        filter: if filter.is_empty() { None } else { Some(serde_json::from_str(filter)?) },
        channel,
    }))
}

/// What became of the wish for a plan.
#[derive(Debug)]
pub enum Loaded {
    /// Here it is.
    Plan(Arc<RunPlan>),
    /// There is no such run.
    Gone,
    /// Its channel is not this daemon's.
    Foreign {
        /// That channel.
        channel: String,
    },
    /// Nobody can send it.
    Broken {
        /// Why, as a code.
        code: &'static str,
    },
}

impl Writing {
    /// From the fields of a run's hash; or the code of why its text or filter cannot be read.
    pub fn of_fields<'a>(
        campaign: &str,
        run: &str,
        address: ContactKind,
        max_parts: usize,
        field: impl Fn(&str) -> &'a str + Copy,
    ) -> Result<Self, &'static str> {
        let sieve = sieve(run, address, field).map_err(|_| RejectionCode::InvalidFilter.as_str())?;
        Ok(Self {
            words: Words::compile(field)?,
            offer: commercial::offer(campaign, circle_kind(sieve.as_ref()), field),
            sieve: sieve.map(Arc::new),
            address,
            link_base: field("link_base").to_owned(),
            currency: Currency::parse(field("currency")).ok(),
            max_parts,
        })
    }
}

impl RunPlan {
    /// The plan of a run, compiled once.
    pub async fn load(ctx: &Context, campaign: &str, run: &str) -> Result<Loaded, StoreError> {
        let created_at = ctx.store.run_field(campaign, run, "created_at").await?.unwrap_or_default();
        if let Some(known) = ctx.plans.get(campaign, run, &created_at) {
            return Ok(Loaded::Plan(known));
        }
        let hash = ctx.store.run(campaign, run).await?;
        if hash.is_empty() {
            return Ok(Loaded::Gone);
        }
        let text = |field: &str| hash.get(field).map_or("", String::as_str);
        let Some(channel) = ctx.channels.get(text("channel")) else {
            return Ok(Loaded::Foreign { channel: text("channel").to_owned() });
        };
        let category = Category::parse(text("category")).unwrap_or_default();
        let writing = match Writing::of_fields(campaign, run, channel.settings().address, ctx.config.max_parts, text) {
            Ok(writing) => writing,
            Err(code) => {
                tracing::error!(campaign, run, code, "the text or the filter of this run cannot be read");
                return Ok(Loaded::Broken { code });
            }
        };
        if category == Category::Commercial && writing.offer.is_none() {
            tracing::error!(campaign, run, "a commercial run without unsubscribe links is not sent");
            return Ok(Loaded::Broken { code: RejectionCode::CategoryUnavailable.as_str() });
        }
        let bounds = match Bounds::of_run(text) {
            Ok(bounds) => bounds,
            Err(error) => {
                tracing::error!(campaign, run, %error, "nobody can read what binds this run: it is not sent");
                return Ok(Loaded::Broken { code: RejectionCode::InvalidHours.as_str() });
            }
        };
        let hint = text("parts_hint").parse().unwrap_or(1);
        let plan = Arc::new(Self {
            channel: Arc::clone(channel),
            writing,
            closes_cases: text("close_cases") == "1",
            last: text("end").parse().unwrap_or(0),
            made: (text("created_at").to_owned(), text("job").to_owned()),
            trace: Trace::parse(text("traceparent")),
            category,
            min_life: ctx.config.orders.floor,
            bounds,
            parts_hint: AtomicU32::new(hint),
            parts_told: AtomicU32::new(hint),
        });
        ctx.plans.keep(campaign, run, &created_at, &plan);
        Ok(Loaded::Plan(plan))
    }

    /// Whose numbers its recipients have.
    pub fn circle_kind(&self) -> CircleKind {
        circle_kind(self.writing.sieve.as_deref())
    }

    /// Tells the run's hash how many parts its messages have, when that changed: the depth counts with it.
    pub async fn tell_parts(&self, ctx: &Context, campaign: &str, run: &str) {
        let hint = self.parts_hint.load(Ordering::Relaxed);
        if self.parts_told.swap(hint, Ordering::Relaxed) != hint
            && let Err(error) = ctx.store.set_parts_hint(campaign, run, hint).await
        {
            tracing::debug!(campaign, run, %error, "the depth counts with other parts for now");
        }
    }
}
