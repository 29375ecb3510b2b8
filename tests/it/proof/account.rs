//! The account: what the ledger says against what the provider accepted, the cases, the counters and the results.
//!
//! Nothing here believes our own records of what was sent: messages are counted where they arrived. A recipient that does
//! not add up is a [`Finding`]; the first of them are shown with all that is known of them, in order of time.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use redis::streams::StreamRangeReply;
use remesa::sandbox::Received;
use serde_json::Value;

use super::world::{CASES, IN_FLIGHT, ORDERS, PERMANENT, World, campaigns};
use crate::support::ledger::campaign_audit;

/// Findings shown with their timeline.
const SHOWN: usize = 3;

/// One delivery: campaign, run, number and contact as `<n>.<contact>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Of {
    campaign: String,
    run: String,
    delivery: String,
}

impl Of {
    /// Whether it is about the same recipient, in whichever run and through whichever contact.
    fn is_of(&self, other: &Self) -> bool {
        let number = |of: &Self| of.delivery.split('.').next().map(str::to_owned);
        self.campaign == other.campaign && number(self) == number(other)
    }
}

/// A recipient that does not add up.
struct Finding {
    of: Of,
    what: String,
}

/// All that was found out.
struct Account {
    cells: BTreeMap<Of, String>,
    arrived: HashMap<Of, Vec<Received>>,
    events: HashMap<Of, Vec<Value>>,
    findings: Vec<Finding>,
}

/// Draws it up, and fails with what does not add up.
pub(super) async fn draw_up(world: &mut World) {
    let mut account =
        Account { cells: BTreeMap::new(), arrived: arrived(world), events: HashMap::new(), findings: Vec::new() };
    for campaign in campaigns() {
        // Every counter against its ledger.
        campaign_audit(&mut world.db, campaign).await;
        cells(&mut world.db, campaign, &mut account.cells).await;
    }
    account.events = events(&mut world.db).await;
    account.check_deliveries();
    account.check_cases(world).await;
    assert!(account.findings.is_empty(), "{}", account.story(world));
    account.check_numbers(world);
}

/// What the provider accepted, by delivery.
fn arrived(world: &World) -> HashMap<Of, Vec<Received>> {
    let mut arrived: HashMap<Of, Vec<Received>> = HashMap::new();
    let mut after = 0;
    loop {
        let page = world.sandbox.inbox(None, after, 1000);
        let Some(last) = page.last() else { return arrived };
        after = last.number;
        for message in page {
            let reference = message.reference.clone().expect("every message has our reference");
            let parts: Vec<&str> = reference.split('/').collect();
            let of = Of { campaign: parts[0].to_owned(), run: parts[1].to_owned(), delivery: parts[2].to_owned() };
            arrived.entry(of).or_default().push(message);
        }
    }
}

/// The ledger of every run of a campaign.
async fn cells(db: &mut MultiplexedConnection, campaign: &str, cells: &mut BTreeMap<Of, String>) {
    let runs: Vec<String> = db.zrange(format!("remesa:{{{campaign}}}:runs"), 0, -1).await.unwrap();
    for run in runs {
        let key = format!("remesa:{{{campaign}}}:run:{run}");
        let (first, end): (u64, u64) =
            redis::pipe().hget(&key, "first").hget(&key, "end").query_async(db).await.unwrap();
        for n in first..=end {
            let of = Of { campaign: campaign.to_owned(), run: run.clone(), delivery: format!("{n}.0") };
            cells.insert(of, "q,0,0,,".to_owned());
        }
        for page in first / 128..=end / 128 {
            let found: HashMap<String, String> = db.hgetall(format!("{key}:ledger:{page}")).await.unwrap();
            for (field, cell) in found {
                let (n, contact) = field.split_once('.').unwrap_or((&field, "0"));
                let n = page * 128 + n.parse::<u64>().unwrap();
                let of = Of { campaign: campaign.to_owned(), run: run.clone(), delivery: format!("{n}.{contact}") };
                cells.insert(of, cell);
            }
        }
    }
}

/// What the results stream tells of each delivery.
async fn events(db: &mut MultiplexedConnection) -> HashMap<Of, Vec<Value>> {
    let mut events: HashMap<Of, Vec<Value>> = HashMap::new();
    let all: StreamRangeReply = db.xrange_all("remesa:results").await.unwrap();
    for entry in all.ids.iter().filter(|entry| entry.get::<String>("type").as_deref() == Some("delivery")) {
        let event: Value = serde_json::from_str(&entry.get::<String>("data").unwrap()).unwrap();
        let id = event["event"].as_str().unwrap().to_owned();
        let parts: Vec<&str> = id.split('/').collect();
        let of = Of { campaign: parts[0].to_owned(), run: parts[1].to_owned(), delivery: parts[2].to_owned() };
        events.entry(of).or_default().push(event);
    }
    events
}

impl Account {
    fn find(&mut self, of: &Of, what: impl Into<String>) {
        self.findings.push(Finding { of: of.clone(), what: what.into() });
    }

    /// Each delivery by itself: its cell, the provider, the results.
    fn check_deliveries(&mut self) {
        for (of, cell) in self.cells.clone() {
            let parts: Vec<&str> = cell.splitn(5, ',').collect();
            let (letter, attempt) = (parts[0], parts[1]);
            let accepted = self.arrived.get(&of).map_or(0, Vec::len);
            let state = match letter {
                "s" => "sent",
                "n" => "unknown",
                "k" => "skipped",
                "f" => "failed",
                _ => {
                    self.find(&of, "it is not at its end");
                    continue;
                }
            };
            match (letter, accepted) {
                ("s", 1) | ("n", 0 | 1) | ("k" | "f", 0) => {}
                (_, 0) => self.find(&of, "it is told as sent, and the provider never accepted it"),
                (_, 1) => self.find(&of, "the provider accepted it, and it is told otherwise"),
                (_, times) => self.find(&of, format!("the provider accepted it {times} times")),
            }
            // Those left out before the run came to them are counted, not told one by one.
            let told = self.events.get(&of).is_some_and(|events| {
                events.iter().any(|event| event["state"] == state && event["attempt"].as_u64() == attempt.parse().ok())
            });
            if letter != "k" && !told {
                self.find(&of, "the results stream does not tell its outcome");
            }
        }
        let strangers: Vec<Of> = self.arrived.keys().filter(|of| !self.cells.contains_key(of)).cloned().collect();
        for of in strangers {
            self.find(&of, "the provider accepted it, and the ledger does not know it");
        }
    }

    /// Nobody is missing, and no more are in doubt than can be.
    fn check_numbers(&self, world: &World) {
        let seed = world.seed;
        let count = |wanted: &str| self.cells.keys().filter(|of| of.campaign == wanted).count();
        for campaign in ORDERS {
            assert_eq!(count(campaign), world.size.orders, "seed {seed}: recipients of {campaign}");
        }
        assert_eq!(count(CASES), 2 * world.size.cases, "seed {seed}: recipients of {CASES}");
        let unknown = self.cells.values().filter(|cell| cell.starts_with('n')).count() as u64;
        let stats = world.sandbox.stats();
        let in_flight: u64 = world.struck.iter().map(|(_, fault)| fault.in_flight(IN_FLIGHT)).sum();
        let answers = stats.answers;
        let most = in_flight + answers.cut + answers.failed + answers.reset + answers.hung + answers.broken;
        assert!(unknown <= most, "seed {seed}: {unknown} unknown, at most {most} can be, after {:?}", world.struck);
        let faults: Vec<_> = world.struck.iter().map(|(_, fault)| fault).collect();
        eprintln!("seed {seed}: {} deliveries, {unknown} unknown of at most {most} after {faults:?}", self.cells.len());
        assert_eq!(stats.counts.repeated_recipients, 0, "seed {seed}: a number was sent to twice");
    }

    /// A case is closed exactly when one of its messages was accepted; the permanent message reached each one once.
    async fn check_cases(&mut self, world: &mut World) {
        for (campaign, cases) in [(CASES, world.size.cases), (PERMANENT, world.size.permanent)] {
            for n in 1..=cases {
                let text: String = world.db.get(format!("remesa:{{{campaign}}}:case:{n}")).await.unwrap();
                let case: Value = serde_json::from_str(&text).unwrap();
                let number = format!("{n}.");
                let of_case = |of: &Of| of.campaign == campaign && of.delivery.starts_with(&number);
                let cells: Vec<(Of, String)> = self
                    .cells
                    .iter()
                    .filter(|(of, _)| of_case(of))
                    .map(|(of, cell)| (of.clone(), cell.clone()))
                    .collect();
                let with = |letter| cells.iter().filter(|(_, cell)| cell.starts_with(letter)).count();
                let (sent, unknown) = (with('s'), with('n'));
                let Some((of, _)) = cells.last() else { panic!("seed {}: case {n} of {campaign} is lost", world.seed) };
                if (case["state"] == "closed") != (sent > 0) {
                    self.find(of, format!("the case is {}, and {sent} of its messages were sent", case["state"]));
                }
                if campaign == PERMANENT && sent + unknown != 1 {
                    self.find(of, format!("the permanent message came to it {sent} times, and {unknown} in doubt"));
                }
            }
        }
    }

    /// What does not add up, and the timelines of the first ones.
    fn story(&self, world: &World) -> String {
        let mut story = format!("seed {}: {} recipients do not add up\n", world.seed, self.findings.len());
        for finding in self.findings.iter().take(SHOWN) {
            let Of { campaign, run, delivery } = &finding.of;
            // Writing to a string does not fail.
            let _ = writeln!(story, "\n{campaign}/{run}/{delivery}: {}", finding.what);
            for (at, line) in self.timeline(world, &finding.of) {
                let _ = writeln!(story, "  {at} {line}");
            }
            for (of, cell) in self.cells.iter().filter(|(of, _)| of.is_of(&finding.of)) {
                let _ = writeln!(story, "  ledger: {}/{} {cell}", of.run, of.delivery);
            }
        }
        story
    }

    /// What happened to a recipient, in every run of its campaign.
    fn timeline(&self, world: &World, of: &Of) -> Vec<(i64, String)> {
        let faults = world.struck.iter().map(|(at, fault)| (*at, format!("fault: {fault:?}")));
        let mut timeline: Vec<(i64, String)> = faults.collect();
        for (Of { run, delivery, .. }, messages) in self.arrived.iter().filter(|(other, _)| other.is_of(of)) {
            timeline.extend(messages.iter().map(|message| {
                let Received { id, idempotency_key: key, at_ms, .. } = message;
                (*at_ms, format!("{run}/{delivery}: the provider accepted {id} under the key {key:?}"))
            }));
        }
        for (Of { run, delivery, .. }, events) in self.events.iter().filter(|(other, _)| other.is_of(of)) {
            timeline.extend(events.iter().map(|event| {
                let (state, reason, attempt) = (&event["state"], &event["reason"], &event["attempt"]);
                let at = event["at"].as_i64().unwrap_or_default();
                (at, format!("{run}/{delivery}: told {state} {reason} (attempt {attempt})"))
            }));
        }
        timeline.sort();
        timeline
    }
}
