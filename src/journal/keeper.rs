//! The keeper: opens the barrier on a server once what was done before stands there.
//!
//! For each server that is new to us, the same at the start: the barrier is closed; what stands in the journal of another
//! server is written again, and so are the outcomes that a dead incarnation could not record; then outcomes may be
//! written; when all daemons are that far, or silent for a lease, receipts are written again and recipients may be claimed. Meanwhile nothing is in
//! memory but a few lines. Afterwards it tidies the journal as long as that server answers.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::{
    metrics::Metrics,
    store::{
        ServerIdentity, Store, StoreError,
        barrier::Barrier,
        leases::Registry,
        publisher::{Parcel, Publisher},
        reassert::{Origin, Reasserted, Reassertion, Remembered},
        receipts::Received,
    },
};

use super::{
    Journal,
    line::{Entry, Line},
    segments::{self, Past},
    whom,
};

/// How often the journal is tidied, at the least.
const TIDY: Duration = Duration::from_secs(5);

/// How often others are looked for that are not done yet.
const LOOK: Duration = Duration::from_millis(50);

/// How often the others are shown that we are at it: well within the shortest lease.
const SIGN: Duration = Duration::from_millis(250);

/// The wait before a server that failed is tried again; doubled each time.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Lines written again in one round trip.
const LINES: usize = 16;

/// Keeps the journal of one daemon.
#[derive(Debug)]
pub struct Keeper {
    /// A store with a connection of its own.
    pub store: Store,
    /// The journal.
    pub journal: Arc<Journal>,
    /// The barrier that it opens.
    pub barrier: Arc<Barrier>,
    /// The slots in hand.
    pub registry: Arc<Registry>,
    /// Where events go.
    pub publisher: Publisher,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Who we are.
    pub incarnation: String,
    /// Earlier incarnations of this instance, known to be dead.
    pub dead: Vec<String>,
    /// Others that give no sign are waited for no longer than this.
    pub lease: Duration,
}

impl Keeper {
    /// Works until `end`.
    pub async fn run(self, end: CancellationToken) {
        let mut servers = self.store.connection.servers();
        loop {
            let server = servers.borrow_and_update().clone().map(Arc::new);
            tokio::select! {
                () = end.cancelled() => return,
                changed = servers.changed() => if changed.is_err() { return },
                () = self.keep(server.as_ref()) => {}
            }
        }
    }

    /// One server, until it is another one.
    async fn keep(&self, server: Option<&Arc<ServerIdentity>>) {
        self.barrier.close();
        let Some(server) = server else { return std::future::pending().await };
        let store = self.store.only_on(server);
        let mut back_off = BACK_OFF.0;
        while let Err(error) = self.enter(&store, server).await {
            tracing::warn!(%error, "what was done before is not written again yet: nobody is claimed");
            tokio::time::sleep(back_off).await;
            back_off = (back_off * 2).min(BACK_OFF.1);
        }
        // Others wait for us no longer than a lease: one that has drained, and has no other reason to speak to the server,
        // must find out well before that it is another one.
        let mut tick = tokio::time::interval(TIDY.min(self.lease / 4));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            // A server that answers has what was recorded a minute ago.
            self.journal.tidy(store.now_ms().await.is_ok());
        }
    }

    /// Opens the barrier on a server, in its two steps.
    async fn enter(&self, store: &Store, server: &Arc<ServerIdentity>) -> Result<(), StoreError> {
        let began = Instant::now();
        store.meet_server(server, &self.incarnation, &self.dead).await?;
        let past = self.journal.turn_over(server);
        let (announced, lines) = (HashSet::new(), Vec::new());
        let mut again = Again { keeper: self, store, server, signed: began, announced, lines, changed: 0 };
        again.write(&past).await?;
        let changed = again.changed;
        self.barrier.open_to_outcomes(server);
        if changed > 0 {
            self.metrics.reasserted(changed);
            let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(deliveries = changed, took_ms, "written again: redis had lost them, or never had them");
        }
        let settled: Vec<&str> = self.dead.iter().map(String::as_str).chain([self.incarnation.as_str()]).collect();
        let mut told = false;
        while let Some(left) = store.pass_barrier(server, &self.incarnation, &settled, self.lease).await? {
            if !told {
                let at_most_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
                tracing::info!(at_most_ms, "waiting for what the other daemons did before");
                told = true;
            }
            tokio::time::sleep(left.clamp(Duration::from_millis(1), LOOK)).await;
        }
        // What they are about may be another daemon's: it stands there by now.
        let receipts = again.receipts(&past).await?;
        if receipts > 0 {
            self.metrics.reasserted(receipts);
            tracing::warn!(receipts, "written again: redis had lost them");
        }
        self.barrier.open(server);
        Ok(())
    }
}

/// Writing again, under way.
struct Again<'a> {
    keeper: &'a Keeper,
    store: &'a Store,
    server: &'a ServerIdentity,
    /// When the others were last shown that we are at it.
    signed: Instant,
    /// Campaigns of which the reconciler knows that they may have events.
    announced: HashSet<String>,
    lines: Vec<Reassertion>,
    changed: u64,
}

impl Again<'_> {
    async fn write(&mut self, past: &[Past]) -> Result<(), StoreError> {
        let recorded = self.recorded_by_the_dead(past);
        for segment in past {
            let Some((on, entries)) = open(segment) else { continue };
            let ours = segment.author == self.keeper.incarnation;
            let lost = on != *self.server;
            // Outcomes of our own that this server has not taken yet are still in our hands.
            if ours && !lost {
                continue;
            }
            for Entry { line, events } in entries {
                match line {
                    Line::Claims(claims) if lost => {
                        let remembered = claims.remembered();
                        self.push(claims.origin.into_owned(), ours, remembered).await?;
                    }
                    Line::Outcomes(outcomes)
                        if lost || !recorded.contains(&(segment.author.as_str(), outcomes.batch)) =>
                    {
                        let remembered = outcomes.remembered(events);
                        self.push(outcomes.origin.into_owned(), ours, remembered).await?;
                    }
                    Line::Reserved(reserved) if lost => self.store.reserve_again(&reserved).await?,
                    Line::Freed(notes) if lost => self.store.free_contacts(&notes).await?,
                    Line::Server(_)
                    | Line::Claims(_)
                    | Line::Outcomes(_)
                    | Line::Recorded(_)
                    | Line::Reserved(_)
                    | Line::Freed(_)
                    | Line::Receipts(_) => {}
                }
            }
        }
        self.flush().await
    }

    /// Receipts of another server. Returns how many this one did not have.
    async fn receipts(&mut self, past: &[Past]) -> Result<u64, StoreError> {
        let mut changed = 0;
        for segment in past {
            let Some((_, entries)) = open(segment).filter(|(on, _)| on != self.server) else { continue };
            for entry in entries {
                if let Line::Receipts(arrived) = entry.line {
                    let received = self.store.receive(&arrived, &self.keeper.publisher).await?;
                    changed += received.iter().filter(|one| **one == Received::Applied).map(|_| 1).sum::<u64>();
                }
            }
        }
        Ok(changed)
    }

    async fn push(&mut self, origin: Origin, ours: bool, remembered: Vec<Remembered>) -> Result<(), StoreError> {
        let Origin { campaign, run, slot, fence, .. } = &origin;
        let held = ours && self.keeper.registry.works_on((campaign, run, *slot), Some(*fence));
        self.lines.push(Reassertion { origin, held, remembered });
        if self.lines.len() < LINES { Ok(()) } else { self.flush().await }
    }

    /// Batches of dead incarnations that Redis had, wherever that stands.
    fn recorded_by_the_dead<'a>(&self, past: &'a [Past]) -> HashSet<(&'a str, u64)> {
        let mut recorded = HashSet::new();
        for segment in past.iter().filter(|segment| segment.author != self.keeper.incarnation) {
            let Some((_, entries)) = open(segment) else { continue };
            for entry in entries {
                if let Line::Recorded(batch) = entry.line {
                    recorded.insert((segment.author.as_str(), batch));
                }
            }
        }
        recorded
    }

    async fn flush(&mut self) -> Result<(), StoreError> {
        let mut lines = std::mem::take(&mut self.lines);
        if lines.is_empty() {
            return Ok(());
        }
        if self.signed.elapsed() >= SIGN {
            self.store.meet_server(self.server, &self.keeper.incarnation, &self.keeper.dead).await?;
            self.signed = Instant::now();
        }
        let now_ms = self.store.now_ms().await?;
        for Reassertion { origin, remembered, .. } in &mut lines {
            whom::tell(self.store, &origin.campaign, remembered).await?;
            if !self.announced.contains(&origin.campaign) {
                // The intent first: the reconciler publishes what we leave behind.
                self.store.touch_active(&origin.campaign, "", now_ms).await?;
                self.announced.insert(origin.campaign.clone());
            }
        }
        match self.reassert(&lines).await {
            Err(error) if error.is_transient() => return Err(error),
            Ok(()) => return Ok(()),
            Err(_) => {}
        }
        // One of them is refused: the others are not to suffer from it.
        for line in &lines {
            match self.reassert(std::slice::from_ref(line)).await {
                Err(error) if error.is_transient() => return Err(error),
                Err(error) => {
                    let Origin { campaign, run, .. } = &line.origin;
                    tracing::error!(campaign, run, %error, "claims or outcomes could not be written again");
                }
                Ok(()) => {}
            }
        }
        Ok(())
    }

    async fn reassert(&mut self, lines: &[Reassertion]) -> Result<(), StoreError> {
        let Keeper { incarnation, lease, publisher, .. } = self.keeper;
        let all = self.store.reassert(incarnation, *lease, lines).await?;
        for (Reassertion { origin, .. }, Reasserted { changed, outbox_id, events }) in lines.iter().zip(all) {
            self.changed += changed;
            match outbox_id {
                Some(outbox_id) => {
                    publisher.publish(Parcel { campaign: origin.campaign.clone(), outbox_id, events });
                }
                None => self.store.publish(&events).await?,
            }
        }
        Ok(())
    }
}

/// On which server the lines of a file happened, and the lines.
fn open(segment: &Past) -> Option<(ServerIdentity, impl Iterator<Item = Entry> + use<>)> {
    let mut entries = match segments::read(segment) {
        Ok(entries) => entries?,
        Err(error) => {
            tracing::error!(%error, file = %segment.path.display(), "a file of the journal cannot be read");
            return None;
        }
    };
    let Line::Server(server) = entries.next()?.line else { return None };
    Some((server.into_owned(), entries))
}
