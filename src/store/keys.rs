//! Every key of Remesa in Redis: its builder, type, owner and retention, in one file.
//!
//! A campaign's name stands in braces, so that all keys of a campaign hash to one Redis Cluster
//! slot and a script over them is atomic there. No script touches keys of two slots.
//!
//! | Key | Type | Written by | Kept |
//! |---|---|---|---|
//! | `jobs:<queue>` | stream | producers; `batch:<channel>` only by daemons | until settled |
//! | `job:<id>` | hash | acceptance, settling | 24 h after its end with an `id`, else 1 h |
//! | `waiters:<id>` | set | acceptance of `after` | until the job ends, at most 25 h |
//! | `scheduled` | zset | the alarm clock | until fired |
//! | `active` | zset | runs in progress, campaigns with unpublished events | until done |
//! | `history:<step>` | hash | the tellers: what waited and was sent in half a minute | 62 min |
//! | `rejected`, `dead`, `results` | streams | settling, publisher | capped by bytes |
//! | `audit` | stream | whoever acts, and daemons by themselves | capped by bytes |
//! | `{C}:recurring:<name>`, `{C}:definitions` | hash, zset | recurring | with the campaign |
//! | `{C}:*` | see below | handlers | with the campaign |
//! | `{C}:import:<job>` | string | import: how far it is | a week behind its last slice, 1 h behind its end |
//! | `source:<digest>` | string | generate: the first job that had this source | `retention.source_digests` |
//! | `sought:<job>` | hash | generate: daemons that looked for the file in vain | `sources.seek` and 10 minutes |
//! | `links:<first 3>` | hash | generate | with the campaign |
//! | `template:<name>` | hash | import | for good |
//! | `templates` | zset by name | import | for good |
//! | `channel:<name>` | hash | governor | for good |
//! | `worker:<incarnation>` | hash | heartbeat | 30 s without a beat |
//! | `server` | hash | the barrier: which server this is, and who is done with it | for good |
//! | `{C}:run:<R>:early` | hash | re-assertion: deliveries of a run that is lost, until it is made again | 1 h |
//! | `optout:<kind>`, `blocked:<kind>` | sets of addresses | `opt_out`, unsubscribing | for good |
//! | `outbound:<digest>` | zset | turns of channels that take replies | `replies.within` |
//! | `reply:<digest>`, `{C}:reply:<digest>` | strings | replies | `replies.within` |
//! | `unsubscribe` | hash | runs of commercial campaigns: circle <-> its number in links | with the campaign; the last number for good |
//! | `cap:<digest>` | zset of deliveries by time | the gate: what an address got lately | the longest period of a cap |
//! | `forget:<job>` | string | how far a `forget` is | 24 h; the number it looks for only until its end |
//! | `forgotten` | zset by end | `forget` | `retention.forgotten` |

use crate::domain::{contact::AddressKind, optout::Bar};

/// Width of a ledger page: recipient `n` is field `n % 128` of page `n / 128`.
pub const LEDGER_PAGE: u64 = 128;

/// Number of index hashes of a campaign.
pub const INDEX_SHARDS: u32 = 4096;

/// Builds key names under one prefix.
#[derive(Debug, Clone)]
pub struct Keys {
    prefix: String,
}

impl Keys {
    /// Keys under `prefix` (without the colon).
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    fn plain(&self, rest: &str) -> String {
        let mut key = String::with_capacity(self.prefix.len() + 1 + rest.len());
        key.push_str(&self.prefix);
        key.push(':');
        key.push_str(rest);
        key
    }

    fn of_campaign(&self, campaign: &str, rest: &str) -> String {
        format!("{}:{{{campaign}}}:{rest}", self.prefix)
    }

    /// Stream of a queue: `generate`, `control`, `batch:<channel>`.
    pub fn jobs(&self, queue: &str) -> String {
        self.plain(&format!("jobs:{queue}"))
    }

    /// A job's status and result (hash).
    pub fn job(&self, id: &str) -> String {
        self.plain(&format!("job:{id}"))
    }

    /// Ids of the jobs parked behind this one (set).
    pub fn waiters(&self, id: &str) -> String {
        self.plain(&format!("waiters:{id}"))
    }

    /// The alarm clock (zset by due time in epoch ms).
    pub fn scheduled(&self) -> String {
        self.plain("scheduled")
    }

    /// Running runs `<C>/<R>` and campaigns with unpublished events `<C>/` (zset by last progress).
    pub fn active(&self) -> String {
        self.plain("active")
    }

    /// Depth of queues and channels, each second (hash).
    pub fn depth(&self) -> String {
        self.plain("depth")
    }

    /// What waited and what was sent in one step of the last hour (hash).
    pub fn history(&self, step: i64) -> String {
        self.plain(&format!("history:{step}"))
    }

    /// Refused jobs (stream).
    pub fn rejected(&self) -> String {
        self.plain("rejected")
    }

    /// Jobs that ended dead (stream).
    pub fn dead(&self) -> String {
        self.plain("dead")
    }

    /// What was done, and by whom (stream).
    pub fn audit(&self) -> String {
        self.plain("audit")
    }

    /// Events for other systems (stream).
    pub fn results(&self) -> String {
        self.plain("results")
    }

    /// All campaigns (zset by creation time).
    pub fn campaigns(&self) -> String {
        self.plain("campaigns")
    }

    /// A channel's shared state (hash): theoretical time, blocks, breaker, pause.
    pub fn channel(&self, name: &str) -> String {
        self.plain(&format!("channel:{name}"))
    }

    /// Heartbeat of a daemon (hash with TTL).
    pub fn worker(&self, incarnation: &str) -> String {
        self.plain(&format!("worker:{incarnation}"))
    }

    /// Names of the incarnations that beat lately (zset by beat).
    pub fn workers(&self) -> String {
        self.plain("workers")
    }

    /// Which server this is, and whether recipients may be claimed on it (hash).
    pub fn server(&self) -> String {
        self.plain("server")
    }

    /// How far a `forget` is (string, JSON).
    pub fn forget(&self, job: &str) -> String {
        self.plain(&format!("forget:{job}"))
    }

    /// What was forgotten: no person, only keyed digests and counts (zset of JSON by end in epoch ms).
    pub fn forgotten(&self) -> String {
        self.plain("forgotten")
    }

    /// Addresses of a kind that may not be written to (set).
    pub fn barred(&self, bar: Bar, kind: AddressKind) -> String {
        let list = match bar {
            Bar::OptedOut => "optout",
            Bar::Blocked => "blocked",
        };
        self.plain(&format!("{list}:{kind}"))
    }

    /// Orders and cases of campaigns by their number in unsubscribe links (hash: `#<number>` and name, both ways).
    pub fn unsubscribe(&self) -> String {
        self.plain("unsubscribe")
    }

    /// The latest messages to an address over a channel, by a keyed digest of both (zset by time).
    pub fn outbound(&self, digest: &str) -> String {
        self.plain(&format!("outbound:{digest}"))
    }

    /// When a reply was first told, or that it is kept (string with TTL).
    pub fn reply(&self, digest: &str) -> String {
        self.plain(&format!("reply:{digest}"))
    }

    /// What was sent lately to the address of this digest (zset: delivery by the time of its reservation).
    pub fn cap(&self, digest: &str) -> String {
        self.plain(&format!("cap:{digest}"))
    }

    /// No key, but the channel on which something is published for the replicas to have.
    pub fn waited(&self) -> String {
        self.plain("waited")
    }

    /// Layout version of the keys (string).
    pub fn schema(&self) -> String {
        self.plain("schema")
    }

    /// The HMAC key of links and references (string).
    pub fn secret(&self) -> String {
        self.plain("secret")
    }

    /// Short codes by their first three characters (hash: rest -> `C/n`).
    pub fn links(&self, first3: &str) -> String {
        self.plain(&format!("links:{first3}"))
    }

    /// Which job first had the source with this SHA-256 (string: `C/job`).
    pub fn source(&self, digest: &str) -> String {
        self.plain(&format!("source:{digest}"))
    }

    /// Which daemons looked for the file of a job in vain (hash: incarnation -> epoch ms).
    pub fn sought(&self, job: &str) -> String {
        self.plain(&format!("sought:{job}"))
    }

    /// A template of messages (hash).
    pub fn template(&self, name: &str) -> String {
        self.plain(&format!("template:{name}"))
    }

    /// The names of all templates (zset, all of one score).
    pub fn templates(&self) -> String {
        self.plain("templates")
    }

    /// Whether a key has our prefix.
    pub fn is_ours(&self, key: &str) -> bool {
        key.strip_prefix(&self.prefix).is_some_and(|rest| rest.starts_with(':'))
    }

    /// A campaign's name, state, settings and totals (hash).
    pub fn campaign(&self, campaign: &str) -> String {
        self.of_campaign(campaign, "campaign")
    }

    /// One order (JSON string).
    pub fn order(&self, campaign: &str, number: u64) -> String {
        self.of_campaign(campaign, &format!("order:{number}"))
    }

    /// One case (JSON string).
    pub fn case(&self, campaign: &str, number: u64) -> String {
        self.of_campaign(campaign, &format!("case:{number}"))
    }

    /// How far an import is (string, JSON).
    pub fn import(&self, campaign: &str, job: &str) -> String {
        self.of_campaign(campaign, &format!("import:{job}"))
    }

    /// The index hash that holds `field` (`o:<row key>`, `r:<reference>`, `c:<case id>`).
    pub fn index(&self, campaign: &str, field: &str) -> String {
        self.index_at(campaign, index_shard(field))
    }

    /// One of a campaign's index hashes.
    pub fn index_at(&self, campaign: &str, shard: u32) -> String {
        self.of_campaign(campaign, &format!("index:{shard}"))
    }

    /// The runs of a campaign by creation (zset).
    pub fn runs(&self, campaign: &str) -> String {
        self.of_campaign(campaign, "runs")
    }

    /// Which cases have a message of a definition of which nobody knows whether it was sent (hash: number ->
    /// `<run>|<delivery>;` ...).
    pub fn unknown(&self, campaign: &str, definition: &str) -> String {
        self.of_campaign(campaign, &format!("unknown:{definition}"))
    }

    /// Messages that wait for their time (hash: name -> JSON).
    pub fn promised(&self, campaign: &str) -> String {
        self.of_campaign(campaign, "promised")
    }

    /// One run: flags, counters, cursor (hash).
    pub fn run(&self, campaign: &str, run: &str) -> String {
        self.of_campaign(campaign, &format!("run:{run}"))
    }

    /// The ledger page of recipient `number` (hash).
    pub fn ledger(&self, campaign: &str, run: &str, number: u64) -> String {
        self.of_campaign(campaign, &format!("run:{run}:ledger:{}", number / LEDGER_PAGE))
    }

    /// Retries of a run by due time (zset).
    pub fn retry(&self, campaign: &str, run: &str) -> String {
        self.of_campaign(campaign, &format!("run:{run}:retry"))
    }

    /// Slots of a run (hash).
    pub fn slots(&self, campaign: &str, run: &str) -> String {
        self.of_campaign(campaign, &format!("run:{run}:slots"))
    }

    /// Events written with their cause and not yet published (stream).
    pub fn outbox(&self, campaign: &str) -> String {
        self.of_campaign(campaign, "outbox")
    }

    /// Orders that a payment platform was certainly not asked for yet (zset by the time from which it may be).
    pub fn creating(&self, campaign: &str) -> String {
        self.of_campaign(campaign, "creating")
    }

    /// Orders in somebody's hands (zset by the end of the claim).
    pub fn asked(&self, campaign: &str) -> String {
        self.of_campaign(campaign, "asked")
    }

    /// Orders of which nobody knows whether the platform has them (zset by the time of the next look).
    pub fn doubt(&self, campaign: &str) -> String {
        self.of_campaign(campaign, "doubt")
    }

    /// A permanent message (hash).
    pub fn recurring(&self, campaign: &str, name: &str) -> String {
        self.of_campaign(campaign, &format!("recurring:{name}"))
    }

    /// The permanent messages of a campaign by creation (zset).
    pub fn definitions(&self, campaign: &str) -> String {
        self.of_campaign(campaign, "definitions")
    }

    /// Refused rows, the first 10,000 (list of JSON).
    pub fn errors(&self, campaign: &str) -> String {
        self.of_campaign(campaign, "errors")
    }
}

/// Which of the 4096 index hashes holds `field`.
pub fn index_shard(field: &str) -> u32 {
    crc32fast::hash(field.as_bytes()) % INDEX_SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_campaign_share_the_hash_tag() {
        let keys = Keys::new("remesa");
        assert_eq!(keys.order("nov", 7), "remesa:{nov}:order:7");
        assert_eq!(keys.ledger("nov", "delivery@1", 129), "remesa:{nov}:run:delivery@1:ledger:1");
        assert_eq!(keys.links("abc"), "remesa:links:abc");
    }

    #[test]
    fn the_index_shard_is_the_crc32_of_the_field() {
        // `redis-cli` users compute it the same way: crc32("o:A-1") mod 4096.
        assert_eq!(index_shard("o:A-1"), crc32fast::hash(b"o:A-1") % 4096);
    }
}
