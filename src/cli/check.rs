//! `remesa check`: is everything there that a daemon needs?
//!
//! Looks and changes nothing. A finding is good, worth knowing (a warning), or bad; one bad finding makes the
//! exit code 1. A configuration that cannot be used ends the command before, with its own exit code 78.

use std::{
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use serde_json::json;
use tokio::net::TcpStream;

use crate::{
    app,
    channel::{
        SANDBOX_DEFAULT_URL,
        settings::{ChannelKind, ChannelSettings},
    },
    config::{Config, OrderProvider, RedisTarget},
    operate::place::place,
    orders::http::Platform,
    store::{
        Store,
        system::{LAYOUT, REDIS_AT_LEAST, ServerInfo, version},
    },
    wire::DeliverError,
};

use super::{
    context::{Globals, quiet_logs, redis_cli},
    error::Said,
    format, output,
};

const EXAMPLES: &str = "\
Examples:
  remesa check
  remesa check --config /etc/remesa/remesa.toml
  remesa check --json";

/// Clocks that differ by more are worth knowing: Redis' clock rules all due times.
const SKEW_LIMIT: Duration = Duration::from_secs(2);

/// Arguments of `remesa check`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    format: output::Format,
}

/// How a thing was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Grade {
    Good,
    Warning,
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    grade: Grade,
    what: String,
    found: String,
}

fn good(what: &str, found: impl Into<String>) -> Finding {
    Finding { grade: Grade::Good, what: what.to_owned(), found: found.into() }
}

fn warning(what: &str, found: impl Into<String>) -> Finding {
    Finding { grade: Grade::Warning, what: what.to_owned(), found: found.into() }
}

fn bad(what: &str, found: impl Into<String>) -> Finding {
    Finding { grade: Grade::Bad, what: what.to_owned(), found: found.into() }
}

/// Runs the command.
pub async fn run(globals: &Globals, args: Args) -> anyhow::Result<()> {
    let config = globals.config()?;
    quiet_logs()?;
    let mut findings =
        vec![good("configuration", format!("{} channels, prefix {}", config.channels.len(), config.prefix))];
    findings.extend(redis(&config).await);
    findings.push(state_dir(&config.state_dir));
    findings.push(spool(&config.sources.spool_dir));
    findings.extend(channels(&config).await);
    findings.extend(platforms(&config).await);
    print(&config, &findings, args.format)?;
    if findings.iter().any(|finding| finding.grade == Grade::Bad) { Err(Said.into()) } else { Ok(()) }
}

async fn redis(config: &Config) -> Vec<Finding> {
    let store = match app::store(config) {
        Ok(store) => store,
        Err(error) => return vec![bad("redis", format!("{error:#}"))],
    };
    if let Err(error) = store.now_ms().await {
        return match &config.redis.target {
            RedisTarget::Embedded { program, .. } => vec![
                embedded_program(program).await,
                warning("daemon", "no daemon is running: its embedded Redis is not there to be looked at"),
            ],
            RedisTarget::Server { .. } => vec![bad("redis", format!("{} does not answer: {error}", place(config)))],
        };
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
    findings
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

fn state_dir(folder: &Path) -> Finding {
    let what = "state folder";
    match writable(folder) {
        Ok(true) => good(what, folder.display().to_string()),
        Ok(false) => good(what, format!("{}: made at the first start", folder.display())),
        Err(error) => bad(what, format!("{}: {error}", folder.display())),
    }
}

fn spool(folder: &Path) -> Finding {
    let what = "spool folder";
    match writable(folder) {
        Ok(true) => good(what, folder.display().to_string()),
        Ok(false) => {
            let folder = folder.display();
            warning(what, format!("{folder} is not there: jobs with \"rows_from\" find no file (mkdir -p {folder})"))
        }
        // The daemon only reads it; who puts files there may be another user.
        Err(error) => warning(what, format!("{} is not writable for this user: {error}", folder.display())),
    }
}

/// Whether a file can be made in it; `false` when the folder is not there.
fn writable(folder: &Path) -> std::io::Result<bool> {
    match std::fs::metadata(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
        Ok(_) => tempfile::tempfile_in(folder).map(|_| true),
    }
}

async fn channels(config: &Config) -> Vec<Finding> {
    if config.channels.is_empty() {
        return vec![warning("channels", "none: nothing can be sent; define [channels.<name>]")];
    }
    let mut findings = Vec::new();
    for (name, settings) in &config.channels {
        findings.push(channel(name, settings).await);
    }
    findings
}

async fn channel(name: &str, settings: &ChannelSettings) -> Finding {
    let what = format!("channel {name}");
    let kind = settings.kind.as_str();
    let Some((host, port)) = listens(settings) else {
        return warning(&what, format!("{kind}: its host is templated and was not tried"));
    };
    let connecting = TcpStream::connect((host.as_str(), port));
    match tokio::time::timeout(settings.connect_timeout, connecting).await {
        Ok(Ok(_)) => good(&what, format!("{kind}: {host}:{port} accepts connections")),
        Ok(Err(error)) => bad(&what, format!("{kind}: {host}:{port} cannot be reached: {error}")),
        Err(_) => {
            let limit = format::duration(settings.connect_timeout);
            bad(&what, format!("{kind}: {host}:{port} does not answer within {limit}"))
        }
    }
}

/// Where the provider of a channel listens.
fn listens(settings: &ChannelSettings) -> Option<(String, u16)> {
    match &settings.kind {
        ChannelKind::Smtp(smtp) => Some((smtp.host.clone(), smtp.port)),
        ChannelKind::Known(provider) if settings.url.is_empty() => provider.url().and_then(address),
        ChannelKind::Sandbox if settings.url.is_empty() => address(SANDBOX_DEFAULT_URL),
        ChannelKind::Http | ChannelKind::Known(_) | ChannelKind::Sandbox => address(&settings.url),
    }
}

/// Every payment platform is asked for one page: it answers, and it knows our key.
async fn platforms(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, point) in &config.payment_points {
        let OrderProvider::Http(settings) = &point.provider else { continue };
        let what = format!("payment point {name}");
        let platform = match Platform::build(settings) {
            Ok(platform) => platform,
            Err(error) => {
                findings.push(bad(&what, error.to_string()));
                continue;
            }
        };
        findings.push(match platform.probe(Instant::now() + settings.longest()).await {
            Ok(()) => good(&what, "the payment platform answers and knows us"),
            Err(DeliverError::NotSent) => bad(&what, "the payment platform was not reached in time"),
            Err(DeliverError::Failure(failure)) => bad(&what, format!("the payment platform: {failure}")),
        });
    }
    findings
}

/// Host and port of a URL whose path may be a template.
fn address(url: &str) -> Option<(String, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next()?;
    if host.contains('{') {
        return None;
    }
    let parsed = reqwest::Url::parse(&format!("{scheme}://{host}")).ok()?;
    let name = parsed.host_str()?.trim_start_matches('[').trim_end_matches(']').to_owned();
    Some((name, parsed.port_or_known_default()?))
}

fn print(config: &Config, findings: &[Finding], shown: output::Format) -> std::io::Result<()> {
    let redis_cli = redis_cli(config);
    if shown.json {
        let good = findings.iter().all(|finding| finding.grade != Grade::Bad);
        return output::json(&json!({ "good": good, "redis_cli": redis_cli, "findings": findings }));
    }
    for finding in findings {
        let mark = match finding.grade {
            Grade::Good => "ok  ",
            Grade::Warning => "warn",
            Grade::Bad => "BAD ",
        };
        output::line(format_args!("{mark}  {}: {}", finding.what, finding.found))?;
    }
    output::line("")?;
    output::line(format_args!("other programs reach this Redis with: {redis_cli}"))?;
    let add = format!("XADD {}:jobs:generate '*' job \"$(cat job.json)\"", config.prefix);
    output::line(format_args!("a job from a shell: {redis_cli} {add}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> ServerInfo {
        ServerInfo {
            version: "7.0.15".to_owned(),
            maxmemory_policy: "noeviction".to_owned(),
            maxmemory_bytes: 0,
            used_memory_bytes: 1,
            append_only: true,
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
        assert_eq!(worst(&ServerInfo { maxmemory_bytes: 100, used_memory_bytes: 90, ..info() }), ["memory"]);
    }

    #[test]
    fn the_address_of_a_channel_is_tried_unless_it_is_templated() {
        let at = |url: &str| address(url).map(|(host, port)| format!("{host} {port}"));
        assert_eq!(at("https://api.example/v1/{{ to }}/send").as_deref(), Some("api.example 443"));
        assert_eq!(at("http://[::1]:9465/messages").as_deref(), Some("::1 9465"));
        assert_eq!(at("https://{{ credentials.host }}/x"), None);
    }

    #[test]
    fn clocks_that_differ_are_worth_knowing() {
        assert_eq!(clocks(10_000, 9_000).grade, Grade::Good);
        assert_eq!(clocks(10_000, 15_000).grade, Grade::Warning);
        assert!(clocks(10_000, 15_000).found.starts_with("Redis and this machine are 5s apart"));
    }

    #[test]
    fn a_folder_that_is_not_there_is_told_from_one_that_cannot_be_used() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(spool(folder.path()).grade, Grade::Good);
        assert_eq!(spool(&folder.path().join("none")).grade, Grade::Warning);
        assert_eq!(state_dir(&folder.path().join("none")).grade, Grade::Good);
    }
}
