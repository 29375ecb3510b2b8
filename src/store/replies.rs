//! Replies into Redis: the message they answer, the case they belong to, the wish they are.
//!
//! Guarantees: a reply is kept once, however often it is told (the script that keeps it knows it by its digest); case,
//! counters and event change in one step; a wish such as STOP counts whether or not anything is found. What failed
//! half-way is simply told again. The latest messages to an address are remembered under a keyed digest, before they
//! leave, so that no death loses one; whether one left the ledger says when a reply comes.

use redis::{cmd, pipe};

use crate::{
    config::Config,
    domain::{
        case::{Case, CaseState, Reply},
        clock::EpochMs,
        contact::{Address, sought},
        delivery::{Cell, DeliveryState},
        optout::{By, Change},
        reply::{Candidate, Fate, Inbound, Outbound, REMEMBERED, Words, choose, fate, outbound_digest},
        unsubscribe::{Circle, CircleKind},
    },
    job::event::{CASE, CaseEvent, REPLY, ReplyEvent},
    metrics::labels::ReplyResult,
};

use super::{
    Answer, Store, StoreError,
    cases::case_field,
    entries::millis,
    keys::{LEDGER_PAGE, index_shard},
    outbox::Event,
    scripts,
};

/// A case that changes under our hands is read again so often.
const TRIES: usize = 8;

/// States of a message that may have reached somebody.
const REACHED: [DeliveryState; 6] = [
    DeliveryState::Sending,
    DeliveryState::Unknown,
    DeliveryState::Sent,
    DeliveryState::Delivered,
    DeliveryState::Undelivered,
    DeliveryState::Expired,
];

/// What is marked as kept.
const KEPT: &str = "kept";

/// By which rules replies are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyRules {
    /// A message is answered within this time.
    pub within: std::time::Duration,
    /// Whether a closed case is opened again.
    pub reopen: bool,
    /// Words that are a wish.
    pub words: Words,
}

impl ReplyRules {
    /// Those of a configuration.
    pub fn of(config: &Config) -> Self {
        let settings = &config.replies;
        Self { within: settings.within, reopen: settings.reopen, words: settings.words.clone() }
    }
}

/// What a reply did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// It had been kept before.
    pub again: bool,
    /// The message it answers.
    pub answers: Option<Outbound>,
    /// The case it is kept on.
    pub case: Option<u64>,
    /// Whether that case was opened for it.
    pub opened: bool,
    /// Put on the list of opt-outs, or taken off it.
    pub wish: Option<bool>,
}

impl From<&Taken> for ReplyResult {
    fn from(taken: &Taken) -> Self {
        match taken {
            Taken { again: true, .. } => Self::Again,
            Taken { opened: true, .. } => Self::Opened,
            Taken { answers: Some(_), .. } => Self::Kept,
            Taken { .. } => Self::Unknown,
        }
    }
}

impl Store {
    /// Remembers that these messages are about to leave, the latest few of each address.
    pub async fn remember_outbound(
        &self,
        secret: &[u8],
        channel: &str,
        messages: impl Iterator<Item = (Outbound, &Address)>,
        within: std::time::Duration,
    ) -> Result<(), StoreError> {
        let now_ms = self.now_ms().await?;
        let mut pipeline = pipe();
        for (outbound, address) in messages {
            let key = self.keys.outbound(&outbound_digest(secret, channel, address));
            let beyond = -1 - isize::try_from(REMEMBERED).unwrap_or(5);
            pipeline.cmd("ZADD").arg(&key).arg(now_ms).arg(outbound.to_text()).ignore();
            pipeline.cmd("ZREMRANGEBYRANK").arg(&key).arg(0).arg(beyond).ignore();
            pipeline.cmd("PEXPIRE").arg(&key).arg(millis(within)).ignore();
        }
        self.connection.pipeline(&pipeline).await
    }

    /// Forgets what an address got over these channels; what it answered later belongs to nothing.
    pub async fn forget_outbound(
        &self,
        secret: &[u8],
        channels: impl Iterator<Item = &str>,
        address: &Address,
    ) -> Result<(), StoreError> {
        let mut pipeline = pipe();
        for channel in channels {
            pipeline.cmd("DEL").arg(self.keys.outbound(&outbound_digest(secret, channel, address))).ignore();
        }
        self.connection.pipeline(&pipeline).await
    }

    /// Takes one reply.
    pub async fn take_reply(&self, secret: &[u8], rules: &ReplyRules, inbound: &Inbound) -> Result<Taken, StoreError> {
        let digest = inbound.digest(secret).unwrap_or_else(|| format!("{:016x}", rand::random::<u64>()));
        let now = EpochMs(self.now_ms().await?);
        let wish = rules.words.wish(&inbound.text);
        let mut taken = Taken { again: false, answers: None, case: None, opened: false, wish };
        // The first telling says when it was: whatever comes of a second one is the same event.
        let told = self.first_told(&digest, inbound.at.map_or(now, |at| at.min(now)), rules).await?;
        let Some(at) = told else { return Ok(Taken { again: true, ..taken }) };
        let candidates = self.candidates(secret, rules, inbound, now).await?;
        let chosen = choose(&candidates);
        taken.answers = chosen.map(|candidate| candidate.outbound.clone());
        if let Some(adds) = wish {
            let change = if adds { Change::opt_out(By::Word) } else { Change::opt_in(By::Word) };
            let of = taken.answers.as_ref().map(|answers| (&answers.circle, answers.number));
            self.change_optouts(change, std::slice::from_ref(&inbound.from), of).await?;
        }
        let person = &sought::person(secret, &inbound.from.identity());
        let telling = Telling { inbound, digest: &digest, person, at, wish };
        if let Some(Candidate { outbound, case: Some(_) }) = chosen
            && let Some((number, opened)) = self.keep_on_case(rules, &telling, outbound, now).await?
        {
            (taken.case, taken.opened) = (Some(number), opened);
            if opened {
                let case = Outbound { number, opened: true, ..outbound.clone() };
                let one = std::iter::once((case, &inbound.from));
                self.remember_outbound(secret, &inbound.channel, one, rules.within).await?;
            }
        }
        if taken.case.is_none() {
            self.publish(&[telling.event(taken.answers.as_ref(), None, false)]).await?;
        }
        self.mark_kept(&digest, rules).await?;
        Ok(taken)
    }

    /// When a reply was first told; none where it is kept already.
    async fn first_told(&self, digest: &str, at: EpochMs, rules: &ReplyRules) -> Result<Option<EpochMs>, StoreError> {
        let key = self.keys.reply(digest);
        let arguments = (at.0, "NX", "GET", "PX", millis(rules.within));
        let known: Option<String> = self.surely("SET", &key, arguments).await?;
        Ok(match known {
            Some(known) if known == KEPT => None,
            Some(known) => Some(known.parse().map_or(at, EpochMs)),
            None => Some(at),
        })
    }

    async fn mark_kept(&self, digest: &str, rules: &ReplyRules) -> Result<(), StoreError> {
        self.surely::<()>("SET", &self.keys.reply(digest), (KEPT, "PX", millis(rules.within))).await
    }

    /// The messages that may be the one that is answered: the one that is named, else the latest to the address, newest
    /// first; with their cases.
    async fn candidates(
        &self,
        secret: &[u8],
        rules: &ReplyRules,
        inbound: &Inbound,
        now: EpochMs,
    ) -> Result<Vec<Candidate>, StoreError> {
        let mut found = Vec::new();
        if let Some(of) = &inbound.of {
            let (campaign, run) = (of.campaign.as_str(), of.run.as_str());
            let audience = self.run_field(campaign, run, "audience").await?;
            if let Some(kind) = audience.as_deref().and_then(CircleKind::parse) {
                let circle = Circle { kind, campaign: campaign.to_owned() };
                let named = Outbound { circle, run: run.to_owned(), number: of.n, contact: of.contact, opened: false };
                let candidate = self.candidate(named).await?;
                let is_open = candidate.case.as_ref().is_none_or(|case| case.state.is_active());
                found.push(candidate);
                if is_open {
                    return Ok(found);
                }
            }
        }
        let named = found.first().map(|candidate| candidate.outbound.clone());
        for outbound in self.latest(secret, rules, inbound, now).await? {
            let belongs = match &named {
                // A case that was closed may have been followed by one that an earlier reply opened.
                Some(named) => outbound.opened && outbound.circle == named.circle && outbound.run == named.run,
                None => outbound.opened || self.left(&outbound).await?,
            };
            if belongs {
                found.push(self.candidate(outbound).await?);
            }
        }
        Ok(found)
    }

    async fn latest(
        &self,
        secret: &[u8],
        rules: &ReplyRules,
        inbound: &Inbound,
        now: EpochMs,
    ) -> Result<Vec<Outbound>, StoreError> {
        let key = self.keys.outbound(&outbound_digest(secret, &inbound.channel, &inbound.from));
        let since = now.minus(rules.within).0;
        let mut range = cmd("ZREVRANGEBYSCORE");
        range.arg(key).arg("+inf").arg(since).arg("LIMIT").arg(0).arg(REMEMBERED);
        let texts: Vec<String> = self.connection.query(&range).await?;
        Ok(texts.iter().filter_map(|text| Outbound::parse(text)).collect())
    }

    /// Whether a message may have reached somebody, as the ledger has it.
    async fn left(&self, outbound: &Outbound) -> Result<bool, StoreError> {
        let Outbound { circle, run, number, contact, .. } = outbound;
        let page = self.keys.ledger(&circle.campaign, run, *number);
        // The first contact of a recipient may be kept under its number alone.
        let field = (number % LEDGER_PAGE).to_string();
        let fields = [format!("{field}.{contact}"), field];
        let cells: Vec<Option<String>> = self.connection.query(cmd("HMGET").arg(page).arg(&fields)).await?;
        let cell = cells.into_iter().flatten().next().and_then(|cell| Cell::parse(&cell).ok());
        Ok(cell.is_some_and(|cell| REACHED.contains(&cell.state)))
    }

    async fn candidate(&self, outbound: Outbound) -> Result<Candidate, StoreError> {
        let case = match outbound.circle.kind {
            CircleKind::Orders => None,
            CircleKind::Cases => self.case(&outbound.circle.campaign, outbound.number).await?.map(|(_, case)| case),
        };
        Ok(Candidate { outbound, case })
    }

    async fn case(&self, campaign: &str, number: u64) -> Result<Option<(String, Case)>, StoreError> {
        let text = self.cases(campaign, std::iter::once(number)).await?.into_iter().next().flatten();
        Ok(text.and_then(|text| Case::from_json(&text).ok().map(|case| (text, case))))
    }

    /// Keeps a reply on its case, or on one that is opened for it. Says which, and whether it was opened; none where the
    /// case is gone.
    async fn keep_on_case(
        &self,
        rules: &ReplyRules,
        telling: &Telling<'_>,
        outbound: &Outbound,
        now: EpochMs,
    ) -> Result<Option<(u64, bool)>, StoreError> {
        let (campaign, run) = (outbound.circle.campaign.as_str(), outbound.run.as_str());
        let message = self.run_field(campaign, run, "definition").await?.unwrap_or_else(|| run.to_owned());
        self.announce(campaign).await?;
        for _ in 0..TRIES {
            let Some((text, case)) = self.case(campaign, outbound.number).await? else { return Ok(None) };
            let reply = Reply { at: telling.at, text: telling.inbound.text.clone(), run: Some(run.to_owned()) };
            let name = format!("reply:{}", telling.digest);
            let fate = fate(&case, reply, rules.reopen, &message, &name, now);
            let (after, opened) = match &fate {
                Fate::Kept(after) | Fate::Reopened(after) => (after, false),
                Fate::Opened(after) => (after, true),
            };
            let mut events = telling.event(Some(outbound), Some(after), opened).json;
            if let Fate::Reopened(after) = &fate {
                events.push(',');
                events.push_str(&reopened(campaign, after, now));
            }
            let before = if opened { "" } else { case.state.as_str() };
            let mut answer = Answer::new(
                scripts::ATTACH_REPLY
                    .call(&[&self.keys.campaign(campaign)])
                    .arg(telling.digest)
                    .arg(millis(rules.within))
                    .arg(events)
                    .arg(outbound.number)
                    .arg(text)
                    .arg(after.to_json())
                    .arg(before)
                    .arg(after.state.as_str())
                    .arg(index_shard(&case_field(&after.id)))
                    .arg(&after.id)
                    .run(&self.connection)
                    .await?,
            );
            match answer.text()?.as_str() {
                "moved" => {}
                "again" => {
                    let number = answer.number()?;
                    return Ok(Some((number, number != outbound.number)));
                }
                _ => {
                    let number = answer.number()?;
                    self.publish_soon(campaign, &answer.text()?).await;
                    return Ok(Some((number, opened)));
                }
            }
        }
        Err(StoreError::Unavailable(format!("a case of {campaign} changes all the time")))
    }
}

/// What is told of one reply.
struct Telling<'a> {
    inbound: &'a Inbound,
    digest: &'a str,
    person: &'a str,
    at: EpochMs,
    wish: Option<bool>,
}

impl Telling<'_> {
    fn event(&self, answers: Option<&Outbound>, case: Option<&Case>, opened: bool) -> Event {
        let id = match answers {
            Some(answers) => format!("{}/reply/{}", answers.circle.campaign, self.digest),
            None => format!("reply/{}", self.digest),
        };
        let of = |kind| answers.filter(|answers| answers.circle.kind == kind).map(|answers| answers.number);
        let told = ReplyEvent {
            event: &id,
            r#type: REPLY,
            channel: &self.inbound.channel,
            campaign: answers.map(|answers| answers.circle.campaign.as_str()),
            run: answers.map(|answers| answers.run.as_str()),
            order: of(CircleKind::Orders),
            // The number of a case that is opened is written in its place by the script.
            case: case.map(|case| case.number),
            id: case.map(|case| case.id.as_str()),
            opened: opened.then_some(true),
            answers: of(CircleKind::Cases).filter(|_| opened),
            contact: self.inbound.from.masked(),
            person: self.person,
            text: &self.inbound.text,
            listed: self.wish,
            provider_id: &self.inbound.id,
            at: self.at.0,
        };
        // Plain strings and numbers: there is nothing to refuse.
        let json = serde_json::to_string(&told).unwrap_or_default();
        Event { id, kind: REPLY.into(), json }
    }
}

fn reopened(campaign: &str, case: &Case, now: EpochMs) -> String {
    let state = CaseState::as_str(case.state);
    let id = format!("{campaign}/case/{}/{state}/{}", case.number, now.0);
    let told = CaseEvent {
        event: &id,
        r#type: CASE,
        campaign,
        case: case.number,
        id: &case.id,
        state,
        reason: None,
        run: None,
        outcome: None,
        forgotten: None,
        at: now.0,
    };
    serde_json::to_string(&told).unwrap_or_default()
}
