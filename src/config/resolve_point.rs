//! The `[payment_points.<name>]` tables, judged.
//!
//! Refused: an `http` payment point without an address or an api key, a connection that may take longer
//! than the request.

use std::collections::BTreeMap;
use std::time::Duration;

use super::resolve::Surroundings;
use super::resolve_channel::{credentials, retry, timeouts};
use super::rules::{HOUR, MINUTE, address_base, duration, name, number, one_of, show};
use super::{ConfigError, OrderProvider, PaymentPoint, raw};
use crate::domain::retry::RetryPolicy;
use crate::orders::settings::PlatformSettings;

/// Judges all payment points.
pub(super) fn payment_points(
    raw: BTreeMap<String, raw::PaymentPoint>,
    orders: &raw::Orders,
    around: &Surroundings,
) -> Result<BTreeMap<String, PaymentPoint>, ConfigError> {
    let default_base = address_base("orders.link_base", &orders.link_base)?;
    let mut points = BTreeMap::new();
    for (point, settings) in raw {
        let table = format!("payment_points.{point}");
        let known = [("local", false), ("http", true)];
        let is_http = one_of(&format!("{table}.provider"), &settings.provider, &known)?;
        let link_base = match settings.link_base.as_str() {
            "" => default_base.clone(),
            text => address_base(&format!("{table}.link_base"), text)?,
        };
        let name = name(&table, &point)?;
        let provider = if is_http {
            OrderProvider::Http(Box::new(platform(&table, &point, settings, around)?))
        } else {
            OrderProvider::Local
        };
        points.insert(point, PaymentPoint { name, provider, link_base });
    }
    Ok(points)
}

fn platform(
    table: &str,
    point: &str,
    raw: raw::PaymentPoint,
    around: &Surroundings,
) -> Result<PlatformSettings, ConfigError> {
    let key = |field: &str| format!("{table}.{field}");
    let (timeout, connect_timeout) = timeouts(table, &raw.timeout, &raw.connect_timeout)?;
    let (base, cap) = retry(table, &raw.retry_base, &raw.retry_cap)?;
    let mut secrets = credentials(table, raw.credentials, around)?;
    let api_key = secrets.remove("api_key").ok_or_else(|| {
        let rule = "holds no api_key: credentials = { api_key = \"file:payments-key\" }".to_owned();
        ConfigError::Unusable { key: key("credentials"), rule }
    })?;
    if let Some(other) = secrets.keys().next() {
        let rule = "is none that a payment platform needs: there is only api_key".to_owned();
        return Err(ConfigError::Unusable { key: format!("{table}.credentials.{other}"), rule });
    }
    let id = |field: &str, text: &str| {
        let plain = text.len() <= 128 && text.bytes().all(|b| b.is_ascii_graphic());
        let rule = "must be at most 128 printable ASCII characters";
        if plain { Ok(text.to_owned()) } else { Err(ConfigError::value(key(field), show(text), rule)) }
    };
    let payment_point_id = id("payment_point_id", &raw.payment_point_id)?;
    Ok(PlatformSettings {
        name: point.to_owned(),
        url: url(&key("url"), raw.url)?,
        api_key,
        organization_id: id("organization_id", &raw.organization_id)?,
        payment_point_id: if payment_point_id.is_empty() { point.to_owned() } else { payment_point_id },
        rate_per_second: number(&key("rate_per_second"), raw.rate_per_second, 0, 1_000_000)?,
        in_flight: number(&key("in_flight"), raw.in_flight, 1, 1_000)?,
        timeout,
        connect_timeout,
        pool_idle: duration(&key("pool_idle"), &raw.pool_idle, Duration::ZERO, 5 * MINUTE)?,
        idempotent: raw.idempotent,
        lookup_after: duration(&key("lookup_after"), &raw.lookup_after, Duration::from_millis(10), HOUR)?,
        retry: RetryPolicy { max_attempts: number(&key("retry_attempts"), raw.retry_attempts, 1, 100)?, base, cap },
        breaker_failures: number(&key("breaker_failures"), raw.breaker_failures, 1, 100_000)?,
        breaker_cooldown: duration(&key("breaker_cooldown"), &raw.breaker_cooldown, Duration::from_millis(100), HOUR)?,
    })
}

fn url(key: &str, text: String) -> Result<String, ConfigError> {
    let plain = !text.contains(['?', '#', '@', ' ']);
    if plain && (text.starts_with("http://") || text.starts_with("https://")) {
        return Ok(text);
    }
    let rule = "must be an http or https address: the base of the platform's API";
    Err(ConfigError::value(key, show(&text), rule))
}
