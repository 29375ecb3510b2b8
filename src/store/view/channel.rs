//! Whether a channel sends, and why not.

use super::{Hash, text};
use crate::domain::{actor::actor, clock::EpochMs};

/// Whether a channel sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelState {
    /// It does.
    Open,
    /// Somebody, or a provider that refuses us, paused it.
    Paused {
        /// Why.
        reason: String,
    },
    /// The provider asked us to wait.
    Blocked {
        /// Until then.
        until: EpochMs,
        /// Its code.
        reason: String,
    },
    /// The breaker is open.
    Breaker {
        /// Until then; one message tries the provider after it.
        until: EpochMs,
        /// The failure that opened it.
        reason: String,
    },
}

impl ChannelState {
    /// What its hash says at `now_ms`.
    pub fn of(hash: &Hash, now_ms: i64) -> Self {
        let until = |field: &str| hash.get(field).and_then(|at| at.parse::<i64>().ok());
        if let Some(reason) = hash.get("paused") {
            return Self::Paused { reason: reason.clone() };
        }
        if let Some(at) = until("blocked_until").filter(|at| *at > now_ms) {
            return Self::Blocked { until: EpochMs(at), reason: text(hash, "blocked_reason") };
        }
        // A breaker whose time is up is half open: it stays listed until a probe has closed it.
        if let Some(at) = until("breaker_until") {
            return Self::Breaker { until: EpochMs(at), reason: text(hash, "breaker_reason") };
        }
        Self::Open
    }

    /// The word for programs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Paused { .. } => "paused",
            Self::Blocked { .. } => "blocked",
            Self::Breaker { .. } => "breaker",
        }
    }
}

impl std::fmt::Display for ChannelState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open => f.write_str("sends"),
            Self::Paused { reason } => write!(f, "paused ({})", actor(reason)),
            Self::Blocked { until, reason } => write!(f, "blocked by the provider until {until} ({reason})"),
            Self::Breaker { until, reason } => write!(f, "breaker open until {until} ({reason})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::hash, *};

    #[test]
    fn a_channel_shows_its_strongest_reason() {
        let state = |fields: &[(&str, &str)]| ChannelState::of(&hash(fields), 1000);
        assert_eq!(state(&[("blocked_until", "900")]), ChannelState::Open);
        assert_eq!(state(&[("blocked_until", "1100"), ("breaker_until", "1200")]).word(), "blocked");
        assert_eq!(state(&[("breaker_until", "900"), ("breaker_reason", "connect")]).word(), "breaker");
        assert_eq!(state(&[("paused", "ana"), ("blocked_until", "1100")]).to_string(), "paused (ana)");
    }
}
