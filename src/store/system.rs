//! What belongs to the installation as a whole: Redis' clock and health, layout version, secret,
//! heartbeats.

use std::{collections::HashMap, time::Duration};

use redis::cmd;

use super::{Store, StoreError, entries::millis, pressure::is_full};

/// Version of the key layout that this build writes.
pub const LAYOUT: u32 = 1;

/// How long a daemon counts as seen after its last beat (its hash); jobs for its channels are taken
/// for ten minutes.
pub const SEEN: Duration = Duration::from_mins(10);

/// What Redis says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerInfo {
    /// Its version, `7.0.15`.
    pub version: String,
    /// `noeviction`, `allkeys-lru` ...
    pub maxmemory_policy: String,
    /// Limit in bytes, 0 for none.
    pub maxmemory_bytes: u64,
    /// In use now.
    pub used_memory_bytes: u64,
    /// Whether the append-only file is on.
    pub append_only: bool,
    /// Whether its last write to disk failed.
    pub saving_fails: bool,
}

/// The oldest Redis whose scripts and streams do what we need.
pub const REDIS_AT_LEAST: (u32, u32) = (7, 0);

/// Major and minor of `7.0.15`.
pub fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

impl ServerInfo {
    /// Why its version cannot be used, if so.
    pub fn too_old(&self) -> Option<String> {
        let (major, minor) = REDIS_AT_LEAST;
        let good = version(&self.version).is_some_and(|version| version >= REDIS_AT_LEAST);
        (!good).then(|| format!("{}: at least {major}.{minor} is needed", self.version))
    }

    /// Why its maxmemory-policy cannot be used, if so.
    pub fn evicts(&self) -> Option<String> {
        let policy = &self.maxmemory_policy;
        let advice = "set it to noeviction (CONFIG SET maxmemory-policy noeviction)";
        (policy != "noeviction").then(|| format!("{policy} would drop orders: {advice}"))
    }

    fn read(text: &str) -> Self {
        let fields: HashMap<&str, &str> = text.lines().filter_map(|line| line.trim_end().split_once(':')).collect();
        let number = |name: &str| fields.get(name).and_then(|v| v.parse().ok()).unwrap_or(0);
        let word = |name: &str| fields.get(name).copied().unwrap_or("").to_owned();
        Self {
            version: word("redis_version"),
            maxmemory_policy: word("maxmemory_policy"),
            maxmemory_bytes: number("maxmemory"),
            used_memory_bytes: number("used_memory"),
            append_only: fields.get("aof_enabled") == Some(&"1"),
            saving_fails: ["aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status"]
                .iter()
                .any(|name| fields.get(name) == Some(&"err")),
        }
    }

    /// Of two masters, what is worse of each: the older version, a policy that evicts, the fuller memory, no file.
    fn or_worse(self, other: Self) -> Self {
        let share = |info: &Self| match info.maxmemory_bytes {
            0 => 0,
            limit => u128::from(info.used_memory_bytes) * 1_000_000 / u128::from(limit),
        };
        let (full, less) = if share(&other) > share(&self) { (other, self) } else { (self, other) };
        let evicts = less.maxmemory_policy != "noeviction";
        let numbers = |version: &String| version.split('.').map(|n| n.parse().unwrap_or(0)).collect::<Vec<u32>>();
        Self {
            append_only: full.append_only && less.append_only,
            saving_fails: full.saving_fails || less.saving_fails,
            maxmemory_policy: if evicts { less.maxmemory_policy } else { full.maxmemory_policy },
            version: std::cmp::min_by_key(full.version, less.version, numbers),
            maxmemory_bytes: full.maxmemory_bytes,
            used_memory_bytes: full.used_memory_bytes,
        }
    }

    /// Whether no new work may be taken: from 85 % of `maxmemory` on.
    pub fn is_nearly_full(&self) -> bool {
        is_full(false, self.used_memory_bytes, self.maxmemory_bytes)
    }
}

impl Store {
    /// What Redis says of itself; of a cluster, the fullest of its masters for all of them.
    pub async fn server_info(&self) -> Result<ServerInfo, StoreError> {
        let mut worst: Option<ServerInfo> = None;
        for master in 0..self.connection.masters().await? {
            let mut ask = cmd("INFO");
            ask.arg("server").arg("memory").arg("persistence");
            let info = ServerInfo::read(&self.connection.at_master::<String>(master, &ask).await?);
            worst = Some(match worst {
                Some(worst) => worst.or_worse(info),
                None => info,
            });
        }
        worst.ok_or_else(|| StoreError::Unavailable("the cluster has no masters".into()))
    }

    /// Redis' clock in epoch ms.
    pub async fn now_ms(&self) -> Result<i64, StoreError> {
        let (seconds, micros): (i64, i64) = self.connection.query(&cmd("TIME")).await?;
        Ok(seconds * 1000 + micros / 1000)
    }

    /// Notes our layout; refuses when a newer one is in use.
    pub async fn check_layout(&self) -> Result<Result<(), u32>, StoreError> {
        let key = self.keys.schema();
        self.surely::<()>("SETNX", &key, LAYOUT).await?;
        let found: u32 = self.connection.query(cmd("GET").arg(&key)).await?;
        Ok(if found > LAYOUT { Err(found) } else { Ok(()) })
    }

    /// The HMAC key of links and references, made once by whoever comes first.
    pub async fn secret(&self, fresh: &str) -> Result<String, StoreError> {
        let key = self.keys.secret();
        self.surely::<()>("SETNX", &key, fresh).await?;
        self.connection.query(cmd("GET").arg(&key)).await
    }

    /// A heartbeat: who runs, what it serves, and what others must know of its channels.
    pub async fn beat(
        &self,
        incarnation: &str,
        fields: &[(&str, String)],
        channels: &[(String, Vec<(&str, String)>)],
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let key = self.keys.worker(incarnation);
        // A daemon that a full Redis kept silent would seem to be gone.
        self.surely::<()>("HSET", &key, fields).await?;
        self.surely::<()>("ZADD", &self.keys.workers(), (now_ms, incarnation)).await?;
        for (channel, told) in channels {
            self.surely::<()>("HSET", &self.keys.channel(channel), (("seen_at", now_ms), told)).await?;
        }
        let mut pipeline = redis::pipe();
        pipeline.cmd("PEXPIRE").arg(&key).arg(30_000).ignore();
        let old = now_ms - i64::try_from(millis(SEEN)).unwrap_or(600_000);
        pipeline.cmd("ZREMRANGEBYSCORE").arg(self.keys.workers()).arg("-inf").arg(old).ignore();
        self.connection.pipeline(&pipeline).await
    }

    /// Whether a daemon seen in the last ten minutes serves `channel`.
    pub async fn is_channel_served(&self, channel: &str, now_ms: i64) -> Result<bool, StoreError> {
        let seen: Option<i64> =
            self.connection.query(cmd("HGET").arg(self.keys.channel(channel)).arg("seen_at")).await?;
        let window = i64::try_from(millis(SEEN)).unwrap_or(600_000);
        Ok(seen.is_some_and(|at| now_ms - at < window))
    }

    /// Heartbeats of the daemons that beat lately.
    pub async fn workers(&self) -> Result<Vec<(String, HashMap<String, String>)>, StoreError> {
        let names: Vec<String> =
            self.connection.query(cmd("ZREVRANGE").arg(self.keys.workers()).arg(0).arg(99)).await?;
        let mut pipeline = redis::pipe();
        for name in &names {
            pipeline.cmd("HGETALL").arg(self.keys.worker(name));
        }
        let hashes: Vec<HashMap<String, String>> =
            if names.is_empty() { Vec::new() } else { self.connection.pipeline(&pipeline).await? };
        Ok(names.into_iter().zip(hashes).filter(|(_, h)| !h.is_empty()).collect())
    }

    /// Removes a heartbeat at the end of a daemon.
    pub async fn stop_beating(&self, incarnation: &str) -> Result<(), StoreError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("DEL").arg(self.keys.worker(incarnation)).ignore();
        pipeline.cmd("ZREM").arg(self.keys.workers()).arg(incarnation).ignore();
        self.connection.pipeline(&pipeline).await
    }
}
