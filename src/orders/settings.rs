//! What a payment platform is told to be: the resolved settings of an `http` payment point.
//!
//! Plain data; `config` builds it. The name of the payment point is also the name under which all
//! daemons share its rate, its blocks and its breaker.

use std::fmt;
use std::time::Duration;

use crate::domain::retry::RetryPolicy;
use crate::wire::Secret;

/// How a payment platform is reached and how hard.
#[derive(Clone, PartialEq, Eq)]
pub struct PlatformSettings {
    /// The payment point.
    pub name: String,
    /// Base address, such as `https://apis.mymoid.com/payments/v1`.
    pub url: String,
    /// `x-api-key`.
    pub api_key: Secret,
    /// `x-organization-id`, where the platform wants it.
    pub organization_id: String,
    /// `x-payment-point-id`: what the platform calls this payment point.
    pub payment_point_id: String,
    /// Requests a second over all daemons; 0 = unlimited.
    pub rate_per_second: u32,
    /// Most requests at once, per daemon.
    pub in_flight: u32,
    /// From the request to the end of the reply.
    pub timeout: Duration,
    /// For the TCP and TLS connection.
    pub connect_timeout: Duration,
    /// Idle connections are closed after this.
    pub pool_idle: Duration,
    /// The platform answers a repeated `Idempotency-Key` with the first order.
    pub idempotent: bool,
    /// An order whose answer was lost is looked up no earlier than this.
    pub lookup_after: Duration,
    /// How often and how patiently one order is asked for before its job goes on without it.
    pub retry: RetryPolicy,
    /// Failures in a row that open the breaker.
    pub breaker_failures: u32,
    /// How long the breaker stays open before one request is let through.
    pub breaker_cooldown: Duration,
}

impl PlatformSettings {
    /// How long one order may take at most: a look-up and a request, each with its connection.
    pub fn longest(&self) -> Duration {
        (self.timeout + self.connect_timeout) * 2
    }
}

impl fmt::Debug for PlatformSettings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("PlatformSettings")
            .field("name", &self.name)
            .field("payment_point_id", &self.payment_point_id)
            .field("rate_per_second", &self.rate_per_second)
            .finish_non_exhaustive()
    }
}
