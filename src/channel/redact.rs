//! What a channel's settings show of themselves in logs and errors.
//!
//! Query strings, user information, header values and bodies are left out whole: people paste tokens into all of
//! them. Credentials hide themselves ([`super::settings::Secret`]).

use std::fmt;

use super::settings::ChannelSettings;

/// Scheme, host and path of an address; what stands before `@` and after `?` or `#` is left out.
fn address(url: &str) -> String {
    let shown = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = shown.split_once("://") else { return "(hidden)".to_owned() };
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

impl fmt::Debug for ChannelSettings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ChannelSettings")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("url", &address(&self.url))
            .field("method", &self.method)
            .field("headers", &self.headers.keys())
            .field("body_bytes", &self.body.len())
            .field("sender", &self.sender)
            .field("credentials", &self.credentials.keys())
            .field("rate_per_second", &self.rate_per_second)
            .field("in_flight", &self.in_flight)
            .field("timeout", &self.timeout)
            .field("idempotent", &self.idempotent)
            .field("on_unknown", &self.on_unknown)
            .field("contact", &self.contact)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn an_address_loses_its_user_its_query_and_its_fragment() {
        assert_eq!(address("https://me:pw@api.example:8443/v1/x?key=s3cret#top"), "https://api.example:8443/v1/x");
        assert_eq!(address("https://api.example?key=s3cret"), "https://api.example");
        assert_eq!(address("s3cret"), "(hidden)");
    }
}
