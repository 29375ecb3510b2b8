//! What lies outside: the providers of channels, and payment platforms.

use std::time::Instant;

use tokio::net::TcpStream;

use crate::{
    channel::{
        SANDBOX_DEFAULT_URL,
        settings::{ChannelKind, ChannelSettings},
    },
    cli::format,
    config::{Config, OrderProvider},
    orders::http::Platform,
    wire::DeliverError,
};

use super::{Finding, bad, good, warning};

/// Every channel's provider is connected to; `remesa channels test` asks it more.
pub(super) async fn channels(config: &Config) -> Vec<Finding> {
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
pub fn listens(settings: &ChannelSettings) -> Option<(String, u16)> {
    match &settings.kind {
        ChannelKind::Smtp(smtp) => Some((smtp.host.clone(), smtp.port)),
        ChannelKind::Known(provider) if settings.url.is_empty() => provider.url().and_then(address),
        ChannelKind::Sandbox if settings.url.is_empty() => address(SANDBOX_DEFAULT_URL),
        ChannelKind::Http | ChannelKind::Known(_) | ChannelKind::Sandbox => address(&settings.url),
    }
}

/// Every payment platform is asked for one page: it answers, and it knows our key.
pub(super) async fn platforms(config: &Config) -> Vec<Finding> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_channel_is_tried_unless_it_is_templated() {
        let at = |url: &str| address(url).map(|(host, port)| format!("{host} {port}"));
        assert_eq!(at("https://api.example/v1/{{ to }}/send").as_deref(), Some("api.example 443"));
        assert_eq!(at("http://[::1]:9465/messages").as_deref(), Some("::1 9465"));
        assert_eq!(at("https://{{ credentials.host }}/x"), None);
    }
}
