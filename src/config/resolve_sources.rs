//! The section `sources`: where rows may come from, and the bounds they are read in.

use std::path::Path;
use std::time::Duration;

use super::raw;
use super::resolve::Surroundings;
use super::rules::{HOUR, MINUTE, duration, number, show, size};
use super::{ConfigError, SourceSettings, UrlSettings};

/// A terabyte.
const MOST_BYTES: u64 = 1_099_511_627_776;

pub(super) fn sources(
    raw: &raw::Sources,
    state_dir: &Path,
    around: &Surroundings,
) -> Result<SourceSettings, ConfigError> {
    let spool_dir = match raw.spool_dir.as_str() {
        "" => state_dir.join("spool"),
        text => around.folder("sources.spool_dir", text)?,
    };
    Ok(SourceSettings {
        spool_dir,
        max_rows: number("sources.max_rows", raw.max_rows, 1, 100_000_000)?,
        max_line_bytes: size("sources.max_line_bytes", raw.max_line_bytes, 256, 16_777_216)?,
        slice_rows: size("sources.slice_rows", raw.slice_rows.into(), 1, 10_000)?,
        kept_errors: number("sources.kept_errors", raw.kept_errors, 0, 1_000_000)?,
        max_bytes: number("sources.max_bytes", raw.max_bytes, 1_024, MOST_BYTES)?,
        error_file_max_bytes: number("sources.error_file_max_bytes", raw.error_file_max_bytes, 0, MOST_BYTES)?,
        seek: duration("sources.seek", &raw.seek, Duration::ZERO, HOUR)?,
        url: url(raw)?,
    })
}

fn url(raw: &raw::Sources) -> Result<UrlSettings, ConfigError> {
    let hosts = raw.url_hosts.iter().map(|text| host(text)).collect::<Result<_, _>>()?;
    let timeout = duration("sources.url_timeout", &raw.url_timeout, Duration::from_secs(1), 24 * HOUR)?;
    let idle = duration("sources.url_idle", &raw.url_idle, Duration::from_millis(100), 10 * MINUTE)?;
    if idle > timeout {
        return Err(ConfigError::Contradiction {
            key: "sources.url_idle".to_owned(),
            value: show(&raw.url_idle),
            other_key: "sources.url_timeout".to_owned(),
            other: show(&raw.url_timeout),
            rule: "one silence cannot last longer than the whole".to_owned(),
        });
    }
    Ok(UrlSettings { hosts, allow_http: raw.url_allow_http, allow_private: raw.url_allow_private, timeout, idle })
}

fn host(text: &str) -> Result<String, ConfigError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    let named = text.strip_prefix("*.").unwrap_or(text);
    if !named.is_empty() && named.chars().all(plain) {
        return Ok(text.to_ascii_lowercase());
    }
    let rule = "is a list of hosts such as \"files.example\", \"*.files.example\" or \"files.example:8443\"";
    Err(ConfigError::value("sources.url_hosts", show(text), rule))
}
