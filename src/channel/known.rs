//! The providers whose requests and answers are known: which file says what of which.
//!
//! What a user may still set is kept: the base address, credentials, sender, rate, time-outs, further codes.

use super::http::{HttpProvider, Known};
use super::settings::{ChannelSettings, Provider};
use super::{ChannelError, infobip, twilio, whatsapp_cloud};

#[cfg(test)]
mod tests;

/// The channel of a known provider.
pub(super) fn build(settings: &ChannelSettings, provider: Provider) -> Result<HttpProvider, ChannelError> {
    let base = match settings.url.trim_end_matches('/') {
        "" => provider.url().unwrap_or_default(),
        base => base,
    };
    let (filled, known): (_, &Known) = match provider {
        Provider::Twilio => (twilio::settings(settings, base), &twilio::KNOWN),
        Provider::Infobip => (infobip::settings(settings, base), &infobip::KNOWN),
        Provider::WhatsappCloud => (whatsapp_cloud::settings(settings, base), &whatsapp_cloud::KNOWN),
    };
    let filled = ChannelSettings { method: "POST".to_owned(), ..filled };
    HttpProvider::build(&filled, known)
}

/// The codes of the settings, and those of the provider.
pub(super) fn with(of_settings: &[String], of_provider: &[&str]) -> Vec<String> {
    of_settings.iter().cloned().chain(of_provider.iter().map(|code| (*code).to_owned())).collect()
}
