//! What would become of a bulk message: whom it goes to, and what each of them would read, as the campaign stands now.
//!
//! Cases or orders are read in stretches and written by what a turn writes with ([`compose`]), so that what is counted is
//! what leaves. Memory is one stretch at any size. What is only known at its time is not in it: what was `unknown` of an
//! earlier run, caps, what others change meanwhile.

use std::{collections::BTreeMap, ops::RangeInclusive, sync::Arc};

use crate::{
    domain::{
        audience::Audience,
        campaign::Category,
        case::{Case, ContactKind},
        clock::EpochMs,
        contact::Address,
        content::Compiled,
        delivery::DeliveryId,
        money::Currency,
        order::Order,
        sift::{Sieve, Sifted},
        sms,
        text::{Words, needs_order},
        unsubscribe::{Circle, CircleKind, LinkBase, Offer},
    },
    job::{BulkMessage, Envelope, Frequency, RecurringJob, Rejection, SendJob},
    store::{Store, StoreError, runs::Recipient},
};

use super::{
    super::{
        commercial,
        generate::forecast::Lane,
        recurring, send,
        tally::Tally,
        turn::{
            plan::Writing,
            prepare::{Unsent, compose},
        },
    },
    Surroundings,
    report::{AudienceReport, Messages, Report, Sending, Verdict},
};

/// Cases or orders read by one command.
const STRETCH: u64 = 1000;

/// Due times of a permanent message that are shown.
const COMING: usize = 5;

/// A bulk message that is asked about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    /// Its envelope.
    pub envelope: &'a Envelope,
    /// The message.
    pub message: &'a BulkMessage,
    /// The name of its run or definition.
    pub name: &'a str,
    /// When it is sent first.
    pub at: EpochMs,
    /// Messages shown.
    pub samples: usize,
}

/// What is counted of the recipients.
struct Count<'a> {
    store: &'a Store,
    campaign: &'a str,
    writing: Writing,
    needs_order: bool,
    category: Category,
    definition: &'a str,
    unsubscribe: Option<String>,
    now: EpochMs,
    min_life: std::time::Duration,
    tally: Tally,
    audience: AudienceReport,
    skipped: BTreeMap<String, u64>,
}

impl Surroundings<'_> {
    /// What would become of a `send` job.
    pub(super) async fn preview_send(
        &self,
        envelope: &Envelope,
        job: &SendJob,
        samples: usize,
        told: impl FnMut(u64),
    ) -> Result<Option<Report>, StoreError> {
        let at = match job.frequency {
            Frequency::None => envelope.at.unwrap_or(self.now),
            Frequency::At(at) => at,
        };
        let asked = Asked { envelope, message: &job.bulk, name: job.message.as_str(), at, samples };
        let judged = match self.store {
            Some(store) => send::is_free(store, job).await?,
            None => Ok(()),
        };
        self.preview_bulk(asked, judged, told).await
    }

    /// What would become of a `recurring` job: its first run, and when the next ones come.
    pub(super) async fn preview_recurring(
        &self,
        envelope: &Envelope,
        job: &RecurringJob,
        samples: usize,
        told: impl FnMut(u64),
    ) -> Result<Option<Report>, StoreError> {
        let schedule = job.times.schedule(job.times.starts_at.unwrap_or(self.now));
        let coming = schedule.coming(EpochMs(self.now.0.saturating_sub(1)));
        let left = job.times.max_runs.map_or(COMING, |runs| usize::try_from(runs).unwrap_or(COMING).min(COMING));
        let coming: Vec<EpochMs> = coming.take(left).collect();
        let too_short = job.times.frequency.check(self.config.recurring_min_interval);
        let judged = match (too_short, coming.first()) {
            (Err(error), _) => Err(Rejection::of_code(error.code(), Some("every"), &error)),
            (Ok(()), None) => Err(recurring::nothing_due()),
            (Ok(()), Some(_)) => Ok(()),
        };
        let at = coming.first().copied().unwrap_or(self.now);
        let asked = Asked { envelope, message: &job.bulk, name: job.recurring.as_str(), at, samples };
        let report = self.preview_bulk(asked, judged, told).await?;
        Ok(report.map(|report| Report { coming, ..report }))
    }

    /// What would become of a bulk message; nothing when it was stopped. `told` hears how many recipients were read.
    pub(super) async fn preview_bulk(
        &self,
        asked: Asked<'_>,
        judged: Result<(), Rejection>,
        mut told: impl FnMut(u64),
    ) -> Result<Option<Report>, StoreError> {
        let Some(store) = self.store else {
            return Err(StoreError::Unavailable("the recipients of a bulk message stand in Redis".to_owned()));
        };
        let campaign = asked.message.campaign.as_str();
        let expired = asked.envelope.not_after.filter(|not_after| *not_after < self.now);
        let judged = expired.map_or(judged, |not_after| Err(Rejection::expired(not_after, self.now)));
        let content = match send::check(self.config, store, asked.message, self.now).await? {
            Ok(content) => content,
            Err(rejection) => return Ok(Some(Report::refused(campaign.to_owned(), &rejection))),
        };
        let compiled = match Compiled::compile(&content) {
            Ok(compiled) => compiled.transliterated(asked.message.transliterate),
            Err(error) => {
                let refused = Rejection::of_code(error.code(), Some(error.field()), &error);
                return Ok(Some(Report::refused(campaign.to_owned(), &refused)));
            }
        };
        let mut count = self.count(store, &asked, &content.text, compiled).await?;
        let (mut first, last) = (1, count.audience.recipients);
        while first <= last {
            if self.stop.is_cancelled() {
                return Ok(None);
            }
            let numbers = first..=last.min(first.saturating_add(STRETCH - 1));
            first = numbers.end() + 1;
            count.stretch(numbers).await?;
            told(first - 1);
        }
        let rules = (count.category, &asked.message.rules);
        let lane = Lane::look(self.config, self.store, &asked.message.channel, rules, self.now).await?;
        let course = lane.course(self.now, asked.at);
        let Count { tally, audience, skipped, .. } = count;
        let verdict = judged.map_or_else(|rejection| Verdict::rejected(&rejection), |()| Verdict::done());
        Ok(Some(Report {
            verdict,
            audience: Some(audience),
            sending: Some(Sending::of(lane, &course, tally.parts)),
            messages: Some(Messages::of(&tally, skipped)),
            ..Report::new(campaign.to_owned())
        }))
    }

    /// Nothing counted yet.
    async fn count<'a>(
        &self,
        store: &'a Store,
        asked: &Asked<'a>,
        text: &str,
        compiled: Compiled,
    ) -> Result<Count<'a>, StoreError> {
        let message = asked.message;
        let campaign = message.campaign.as_str();
        let found = store.campaign_fields(campaign, &["next", "cases", "link_base", "currency", "category"]).await?;
        let mut found = found.into_iter().map(Option::unwrap_or_default);
        let mut next = || found.next().unwrap_or_default();
        let orders = next().parse::<u64>().map_or(0, |next| next.saturating_sub(1));
        let cases = next().parse::<u64>().unwrap_or(0);
        let (link_base, currency) = (next(), Currency::parse(&next()).ok());
        let category = Category::parse(&next()).unwrap_or_default();
        let recipients = if message.audience == Audience::Cases { cases } else { orders };
        let address = self.config.channels.get(message.channel.as_str()).map_or(ContactKind::Mobile, |c| c.address);
        let sieve = (message.audience == Audience::Cases).then(|| {
            Arc::new(Sieve {
                run: asked.name.to_owned(),
                only_active: message.only_active,
                contacts: message.contacts,
                filter: message.filter.clone(),
                channel: address,
            })
        });
        let (kind, url) = (circle(message.audience), commercial::check(self.config, category).ok().flatten());
        let offer = url.map(|url| Offer {
            base: LinkBase::new(url, 0),
            label: self.config.unsubscribe.label.clone(),
            circle: Circle { kind, campaign: campaign.to_owned() },
        });
        let unsubscribe = offer.as_ref().map(|offer| offer.base.sample());
        Ok(Count {
            store,
            campaign,
            needs_order: needs_order(&compiled),
            tally: Tally::new(text, asked.samples),
            writing: Writing {
                words: Words::Bulk(compiled),
                sieve,
                address,
                offer,
                link_base,
                currency,
                max_parts: self.config.max_parts,
            },
            category,
            definition: asked.name,
            unsubscribe,
            now: asked.at.max(self.now),
            min_life: self.config.orders.floor,
            audience: AudienceReport {
                of: message.audience.to_string(),
                recipients,
                matched: 0,
                left_out: BTreeMap::new(),
                further: 0,
            },
            skipped: BTreeMap::new(),
        })
    }
}

const fn circle(audience: Audience) -> CircleKind {
    match audience {
        Audience::Orders => CircleKind::Orders,
        Audience::Cases => CircleKind::Cases,
    }
}

impl Count<'_> {
    /// Reads, writes and counts one stretch.
    async fn stretch(&mut self, numbers: RangeInclusive<u64>) -> Result<(), StoreError> {
        let recipients = match self.writing.sieve.clone() {
            Some(sieve) => self.cases(&sieve, numbers).await?,
            None => self.orders(numbers).await?,
        };
        let mut written = Vec::with_capacity(recipients.len());
        for recipient in &recipients {
            match compose(&self.writing, recipient, self.unsubscribe.as_deref()) {
                (who, Ok((to, message))) => written.push((recipient.of.n, to, message.text, who.parts)),
                (_, Err(Unsent::Failed(reason))) => self.tally.fail(recipient.of.n, reason),
                (_, Err(Unsent::Skipped(reason) | Unsent::Waits(reason))) => self.skip(&reason),
                // Both belong to the gate, which comes later.
                (_, Err(Unsent::Released | Unsent::Held { .. })) => {}
            }
        }
        let addresses: Vec<&Address> = written.iter().map(|(_, to, _, _)| to).collect();
        let bars = self.store.barred(&addresses, self.category).await?;
        for ((number, to, text, _), bar) in written.iter().zip(bars) {
            if let Some(bar) = bar {
                self.skip(&bar.to_string());
                continue;
            }
            let measure = sms::measure(text);
            self.tally.keep(*number, &to.masked(), text, &measure, None);
            self.tally.count(*number, &measure, std::iter::empty());
        }
        Ok(())
    }

    fn skip(&mut self, reason: &str) {
        *self.skipped.entry(reason.to_owned()).or_default() += 1;
    }

    async fn orders(&mut self, numbers: RangeInclusive<u64>) -> Result<Vec<Recipient>, StoreError> {
        let texts = self.store.orders(self.campaign, numbers.clone()).await?;
        self.audience.matched += texts.len() as u64;
        let recipients = numbers.zip(texts).map(|(n, text)| {
            let order = text.unwrap_or_default();
            let of = DeliveryId { n, contact: 0 };
            recipient(of, self.why_not(&order), order, String::new())
        });
        Ok(recipients.collect())
    }

    async fn cases(&mut self, sieve: &Sieve, numbers: RangeInclusive<u64>) -> Result<Vec<Recipient>, StoreError> {
        let texts = self.store.cases(self.campaign, numbers.clone()).await?;
        let mut kept = Vec::with_capacity(texts.len());
        for (n, text) in numbers.zip(texts) {
            let read = text.and_then(|text| Some((sieve.judge(&text).ok()?, Case::from_json(&text).ok()?, text)));
            let Some((sifted, case, text)) = read else {
                self.skip("no_case");
                continue;
            };
            match sifted {
                Sifted::LeftOut(reason) => *self.audience.left_out.entry(reason.to_owned()).or_default() += 1,
                Sifted::Kept { further } => {
                    self.audience.matched += 1;
                    self.audience.further += further.len() as u64;
                    let further = further.into_iter().filter_map(|index| u32::try_from(index).ok());
                    for contact in std::iter::once(0).chain(further) {
                        kept.push((DeliveryId { n, contact }, case.order, case.reply_to.clone(), text.clone()));
                    }
                }
            }
        }
        let asked: Vec<u64> = kept.iter().filter(|_| self.needs_order).filter_map(|(_, order, _, _)| *order).collect();
        let mut orders = self.store.orders(self.campaign, asked.into_iter()).await?.into_iter();
        let recipients = kept.into_iter().map(|(of, order, reply_to, case)| {
            let order = order.filter(|_| self.needs_order).map(|_| orders.next().flatten().unwrap_or_default());
            let skip = if reply_to.is_some_and(|message| message == self.definition) {
                "opened_by_reply".to_owned()
            } else {
                order.as_ref().map(|order| self.why_not(order)).unwrap_or_default()
            };
            recipient(of, skip, order.unwrap_or_default(), case)
        });
        Ok(recipients.collect())
    }

    /// Why an order's message would not leave, as the claim says it (PO-18, PO-19).
    fn why_not(&self, order: &str) -> String {
        let Ok(order) = Order::from_json(order) else { return "no_order".to_owned() };
        let state = order.state_at(self.now);
        if !order.is_payable(self.now) {
            return format!("order_{state}");
        }
        let too_soon = order.expires_at.since(self.now) < self.min_life;
        if too_soon { "expires_too_soon".to_owned() } else { String::new() }
    }
}

/// A recipient as a claim would bring it.
const fn recipient(of: DeliveryId, skip: String, order: String, case: String) -> Recipient {
    Recipient { of, attempt: 1, key_attempt: 1, doubt: false, cell: String::new(), skip, order, case }
}
