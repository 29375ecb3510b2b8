//! A whole answer of the other side, and the wait that it asks for.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

use super::failure::LONGEST_WAIT;

/// A whole answer. `body` is `None` where it did not arrive whole or is over the limit.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Option<Bytes>,
}

impl Reply {
    /// What `Retry-After` asks for.
    pub fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        retry_after(&self.headers, now)
    }
}

/// `Retry-After` in seconds or as a date (RFC 9110, section 10.2.3), at most [`LONGEST_WAIT`]. A date is compared
/// with the server's own `Date` where it sends one, so that two clocks that disagree do not matter.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let asked = text(RETRY_AFTER)?;
    let wait = if asked.bytes().all(|b| b.is_ascii_digit()) && !asked.is_empty() {
        // A number beyond u64 is a long wait too.
        Duration::from_secs(asked.parse().unwrap_or(u64::MAX))
    } else {
        let until = httpdate::parse_http_date(asked).ok()?;
        let from = text(DATE).and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or(now);
        until.duration_since(from).unwrap_or(Duration::ZERO)
    };
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn wait(value: &str, date: Option<&str>) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(value).unwrap());
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_str(date).unwrap());
        }
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        retry_after(&headers, now).map(|wait| wait.as_secs())
    }

    #[test]
    fn a_wait_is_read_in_seconds_and_as_a_date() {
        // 784111777 is the RFC's own example, Sun, 06 Nov 1994 08:49:37 GMT.
        assert_eq!(wait("120", None), Some(120));
        assert_eq!(wait(" 0 ", None), Some(0));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:47 GMT", None), Some(10));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:47 GMT", Some("Sun, 06 Nov 1994 08:49:42 GMT")), Some(5));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT", None), Some(0), "a date that has passed");
        assert_eq!(wait("99999999999999999999999", None), Some(86_400));
        for nonsense in ["soon", "", "-1", "1.5"] {
            assert_eq!(wait(nonsense, None), None, "{nonsense:?}");
        }
    }
}
