//! The `http` kind: any provider with a JSON API.
//!
//! One message is one request. The order of the steps is the guarantee: a connection first, then the look at the
//! deadline, then at once the request; so nothing slow stands between the look and the socket. A request that hyper
//! gives back unwritten goes over another connection; once bytes may have left, there is no second try here.
//! Redirects are not followed and proxies from the environment are not used.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::time::timeout;

use super::failure::{Rules, Trouble, classify};
use super::line::{Ended, Endpoint};
use super::pool::Pool;
use super::reply::ReplyMap;
use super::request::RequestPlan;
use super::settings::ChannelSettings;
use super::{Accepted, ChannelError, DeliverError, Submission};
use crate::domain::failure::Failure;

/// How often a request is given back unwritten before that is called a failure: once for a connection that the
/// provider closed at that very moment, once more for bad luck. A provider that accepts connections only to close
/// them would otherwise be hammered until the deadline.
const UNWRITTEN_TRIES: u32 = 3;

/// A provider behind HTTP.
pub(super) struct HttpProvider {
    plan: RequestPlan,
    replies: ReplyMap,
    pool: Pool,
    timeout: Duration,
}

impl HttpProvider {
    /// Checks and compiles the settings; opens no connection.
    pub(super) fn build(settings: &ChannelSettings) -> Result<Self, ChannelError> {
        let plan = RequestPlan::build(settings)?;
        let endpoint = endpoint(settings, &plan)?;
        Ok(Self {
            pool: Pool::new(
                endpoint,
                usize::try_from(settings.in_flight).unwrap_or(usize::MAX),
                settings.pool_idle,
                settings.connect_timeout,
            ),
            plan,
            replies: ReplyMap {
                id_pointer: pointer(settings, "id_pointer", &settings.id_pointer)?,
                error_pointer: pointer(settings, "error_pointer", &settings.error_pointer)?,
                rules: Rules { idempotent: settings.idempotent, denied_codes: settings.denied_codes.clone() },
            },
            timeout: settings.timeout,
        })
    }

    /// See [`super::Channel::deliver`].
    pub(super) async fn deliver(&self, submission: &Submission<'_>) -> Result<Accepted, DeliverError> {
        let rules = &self.replies.rules;
        let mut request =
            self.plan.request(submission).map_err(|_| Failure::Permanent { code: "unrenderable_request".into() })?;
        for _ in 0..UNWRITTEN_TRIES {
            let mut line = self.pool.line(submission.deadline, rules).await?;
            if Instant::now() >= submission.deadline {
                self.pool.put_back(line);
                return Err(DeliverError::NotSent);
            }
            match timeout(self.timeout, line.ask(request)).await {
                Ok(Ok(reply)) => {
                    if line.is_reusable(&reply) {
                        self.pool.put_back(line);
                    }
                    return Ok(self.replies.read(&reply)?);
                }
                Ok(Err(Ended::NotWritten(unwritten))) => request = *unwritten,
                Ok(Err(Ended::Lost)) => return Err(classify(&Trouble::AnswerLost, rules).into()),
                Err(_) => return Err(classify(&Trouble::AnswerTimeout, rules).into()),
            }
        }
        Err(classify(&Trouble::ConnectionFailed, rules).into())
    }

    /// See [`super::Channel::drop_idle`].
    pub(super) fn drop_idle(&self) {
        self.pool.drop_idle();
    }
}

fn endpoint(settings: &ChannelSettings, plan: &RequestPlan) -> Result<Endpoint, ChannelError> {
    let refused = || ChannelError::Url { channel: settings.name.clone() };
    let secure = plan.base.scheme_str() == Some("https");
    let host = plan.base.host().ok_or_else(refused)?.trim_matches(['[', ']']).to_owned();
    let port = plan.base.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let tls = if secure {
        let name = ServerName::try_from(host.clone()).map_err(|_| refused())?;
        Some((Arc::new(tls_config(settings)?), name))
    } else {
        None
    };
    Ok(Endpoint { host, port, tls })
}

/// TLS 1.2 or later against the system's certificates.
fn tls_config(settings: &ChannelSettings) -> Result<rustls::ClientConfig, ChannelError> {
    let failed = |_| ChannelError::Tls { channel: settings.name.clone() };
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .with_platform_verifier()
        .map_err(failed)?
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn pointer(settings: &ChannelSettings, key: &'static str, text: &str) -> Result<String, ChannelError> {
    if text.is_empty() || text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err(ChannelError::Pointer { channel: settings.name.clone(), key })
    }
}
