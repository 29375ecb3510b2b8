//! The trace that a producer's work belongs to: `traceparent` of the W3C's Trace Context.
//!
//! A producer writes it beside its job; whatever follows from the job carries the same trace id, up to the request that
//! reaches a provider, which names a span of its own. One that is not as the standard says is ignored, as the standard
//! asks: a trace is worth no refusal. Of a later version only what this one knows is read.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};

/// The header of a request, and the field of an entry.
pub const HEADER: &str = "traceparent";

/// Longest `traceparent` that is looked at: this version has 55 bytes, a later one may have more.
const MAX_BYTES: usize = 256;

/// Flags that mean something and may be passed on: `sampled`, and `random` of level 2.
const KNOWN_FLAGS: u8 = 0b11;

/// A place in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    id: NonZeroU128,
    span: NonZeroU64,
    flags: u8,
}

impl Trace {
    /// Reads `<version>-<trace id>-<span id>-<flags>` in lower-case hexadecimal. Nothing where it is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_BYTES {
            return None;
        }
        let mut parts = text.splitn(5, '-');
        let (version, id, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        // Only a later version may have more.
        if !is_hex(version, 2) || version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        if !is_hex(id, 32) || !is_hex(span, 16) || !is_hex(flags, 2) {
            return None;
        }
        Some(Self {
            id: NonZeroU128::new(u128::from_str_radix(id, 16).ok()?)?,
            span: NonZeroU64::new(u64::from_str_radix(span, 16).ok()?)?,
            flags: u8::from_str_radix(flags, 16).ok()? & KNOWN_FLAGS,
        })
    }

    /// The trace's id, as logs and tools write it.
    pub fn id(&self) -> String {
        format!("{:032x}", self.id)
    }

    /// A step of our own in the same trace.
    #[must_use]
    pub const fn step(self, span: NonZeroU64) -> Self {
        Self { span, ..self }
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.id, self.span, self.flags)
    }
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_trace_goes_on_under_its_id_with_a_step_of_our_own() {
        let trace = Trace::parse(GIVEN).unwrap();
        assert_eq!(trace.to_string(), GIVEN);
        assert_eq!(trace.id(), "0af7651916cd43dd8448eb211c80319c");
        let step = trace.step(NonZeroU64::new(0xab).unwrap());
        assert_eq!(step.to_string(), "00-0af7651916cd43dd8448eb211c80319c-00000000000000ab-01");
    }

    #[test]
    fn a_later_version_is_read_as_far_as_this_one_goes() {
        let later = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff-what-the-future-says";
        assert_eq!(Trace::parse(later).unwrap().to_string().replace("-03", "-01"), GIVEN);
    }

    #[test]
    fn what_is_not_as_the_standard_says_is_no_trace() {
        for wrong in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "+34600123456",
        ] {
            assert_eq!(Trace::parse(wrong), None, "{wrong:?}");
        }
        assert_eq!(Trace::parse(&format!("01-{}-{}", &GIVEN[3..], "x".repeat(300))), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_what_is_read_reads_back(text in ".{0,80}", hex in "[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}") {
            for text in [text, hex] {
                if let Some(read) = Trace::parse(&text) {
                    prop_assert_eq!(Trace::parse(&read.to_string()), Some(read));
                }
            }
        }
    }
}
