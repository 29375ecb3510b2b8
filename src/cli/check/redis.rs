//! Redis: reached, new enough, keeping what it is given, with a clock like ours; and the daemons on it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{
    app,
    cli::format,
    config::{Config, RedisTarget},
    operate::place::place,
    store::{
        Store,
        system::{LAYOUT, REDIS_AT_LEAST, ServerInfo, version},
    },
};

use super::{Finding, bad, good, warning};

/// Clocks that differ by more are worth knowing: Redis' clock rules all due times.
const SKEW_LIMIT: Duration = Duration::from_secs(2);

/// Looks at Redis; where it answers, the store is given back.
pub(super) async fn look(config: &Config) -> (Vec<Finding>, Option<Store>) {
    let store = match app::store(config) {
        Ok(store) => store,
        Err(error) => return (vec![bad("redis", format!("{error:#}"))], None),
    };
    if let Err(error) = store.now_ms().await {
        let findings = match &config.redis.target {
            RedisTarget::Embedded { program, .. } => vec![
                embedded_program(program).await,
                warning("daemon", "no daemon is running: its embedded Redis is not there to be looked at"),
            ],
            RedisTarget::Server { .. } => vec![bad("redis", format!("{} does not answer: {error}", place(config)))],
        };
        return (findings, None);
    }
    let mut findings = vec![good("redis", format!("{} answers", place(config)))];
    match store.server_info().await {
        Ok(info) => findings.extend(server(&info)),
        Err(error) => findings.push(bad("redis", format!("INFO is refused: {error}"))),
    }
    findings.push(layout(&store).await);
    if let (Ok(redis_ms), Ok(local)) = (store.now_ms().await, SystemTime::now().duration_since(UNIX_EPOCH)) {
        findings.push(clocks(redis_ms, i64::try_from(local.as_millis()).unwrap_or(i64::MAX)));
    }
    findings.push(match store.workers().await {
        Ok(workers) if workers.is_empty() => warning("daemon", "no daemon is running"),
        Ok(workers) => {
            let names: Vec<_> = workers.into_iter().map(|(incarnation, _)| incarnation).collect();
            good("daemon", format!("running: {}", names.join(", ")))
        }
        Err(error) => bad("daemon", error.to_string()),
    });
    (findings, Some(store))
}

/// What the server says of itself.
fn server(info: &ServerInfo) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.push(match info.too_old() {
        None => good("version", info.version.clone()),
        Some(why) => bad("version", why),
    });
    findings.push(match info.evicts() {
        None => good("maxmemory-policy", "noeviction"),
        Some(why) => bad("maxmemory-policy", why),
    });
    findings.push(if info.append_only {
        good("append-only file", "on")
    } else {
        warning("append-only file", "off: what Redis holds is lost when it ends; set appendonly yes")
    });
    if info.saving_fails {
        let why =
            "Redis could not write its file the last time: it refuses writes, or loses them; see its log and its disk";
        findings.push(bad("persistence", why));
    }
    findings.push(match info.maxmemory_bytes {
        0 => good("memory", format!("{} in use, no limit", format::bytes(info.used_memory_bytes))),
        limit => {
            let used = format!("{} of {} in use", format::bytes(info.used_memory_bytes), format::bytes(limit));
            if info.is_nearly_full() {
                bad("memory", format!("{used}: over 85 % nothing is generated"))
            } else {
                good("memory", used)
            }
        }
    });
    findings
}

async fn layout(store: &Store) -> Finding {
    let found: Result<Option<u32>, _> = store.connection.query(redis::cmd("GET").arg(store.keys.schema())).await;
    match found {
        Ok(None) => good("layout of the keys", "none yet"),
        Ok(Some(layout)) if layout <= LAYOUT => good("layout of the keys", layout.to_string()),
        Ok(Some(layout)) => bad("layout of the keys", format!("{layout} is newer than this version's {LAYOUT}")),
        Err(error) => bad("layout of the keys", error.to_string()),
    }
}

fn clocks(redis_ms: i64, local_ms: i64) -> Finding {
    let skew = Duration::from_millis(redis_ms.abs_diff(local_ms));
    let found = format!("Redis and this machine are {} apart", format::duration(skew));
    if skew > SKEW_LIMIT {
        warning("clocks", format!("{found}: Redis' clock rules every due time and lease"))
    } else {
        good("clocks", found)
    }
}

async fn embedded_program(program: &str) -> Finding {
    let what = "embedded redis";
    let said = tokio::process::Command::new(program).arg("--version").output().await;
    let Ok(said) = said else {
        return bad(what, format!("no program {program}: install the package redis-server, or set redis.url"));
    };
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    let found = text.split_whitespace().find_map(|word| word.strip_prefix("v=")).unwrap_or_default();
    if version(found).is_some_and(|version| version >= REDIS_AT_LEAST) {
        good(what, format!("{program} {found}"))
    } else {
        bad(what, format!("{program} {found}: at least {}.{} is needed", REDIS_AT_LEAST.0, REDIS_AT_LEAST.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::check::Grade;

    fn info() -> ServerInfo {
        ServerInfo {
            version: "7.0.15".to_owned(),
            maxmemory_policy: "noeviction".to_owned(),
            maxmemory_bytes: 0,
            used_memory_bytes: 1,
            append_only: true,
            saving_fails: false,
        }
    }

    fn worst(info: &ServerInfo) -> Vec<String> {
        server(info).into_iter().filter(|f| f.grade != Grade::Good).map(|f| f.what).collect()
    }

    #[test]
    fn a_redis_that_evicts_is_old_or_forgets_is_found() {
        assert_eq!(worst(&info()), Vec::<String>::new());
        assert_eq!(worst(&ServerInfo { version: "6.2.14".to_owned(), ..info() }), ["version"]);
        assert_eq!(worst(&ServerInfo { version: "10.0.0".to_owned(), ..info() }), Vec::<String>::new());
        assert_eq!(worst(&ServerInfo { maxmemory_policy: "allkeys-lru".to_owned(), ..info() }), ["maxmemory-policy"]);
        assert_eq!(worst(&ServerInfo { append_only: false, ..info() }), ["append-only file"]);
        assert_eq!(worst(&ServerInfo { saving_fails: true, ..info() }), ["persistence"]);
        assert_eq!(worst(&ServerInfo { maxmemory_bytes: 100, used_memory_bytes: 90, ..info() }), ["memory"]);
    }

    #[test]
    fn clocks_that_differ_are_worth_knowing() {
        assert_eq!(clocks(10_000, 9_000).grade, Grade::Good);
        assert_eq!(clocks(10_000, 15_000).grade, Grade::Warning);
        assert!(clocks(10_000, 15_000).found.starts_with("Redis and this machine are 5s apart"));
    }
}
