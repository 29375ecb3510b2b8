//! The unsubscribe link of a commercial message (PO-24, BM-18, BM-19).
//!
//! A link ends with a token of 16 characters: three for the *circle* (the orders, or the cases, of one campaign, which
//! are numbered once for the whole installation), five for the recipient's number, and eight of a keyed digest of both.
//! So nothing is kept per message, a link cannot be guessed nor counted up, every link of a recipient is the same, and
//! all links are of one length, which makes the count of SMS parts exact before any is made. A code in an index would
//! save six characters and cost 70 bytes of Redis a message.

use super::keyed;
use super::word::words;

/// Characters of the circle's number, while there are fewer than 62^3 of them; then it is longer.
const CIRCLE_CHARS: usize = 3;

/// Characters of the recipient's number: up to 916 millions.
const NUMBER_CHARS: usize = 5;

/// Characters of the digest: 62^8 is 2^47, out of reach of guessing over a network.
const DIGEST_CHARS: usize = 8;

/// Longest token that is looked at.
const MAX_CHARS: usize = 24;

/// The placeholder by which a text says where the link stands.
pub const PLACEHOLDER: &str = "unsubscribe";

words! {
    /// Whose numbers a run counts.
    pub enum CircleKind {
        /// Payment orders.
        Orders = "orders",
        /// Cases.
        Cases = "cases",
    }
}

/// The orders, or the cases, of one campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circle {
    /// Which of the two.
    pub kind: CircleKind,
    /// The campaign.
    pub campaign: String,
}

impl Circle {
    /// As the index of circles names it: `cases/<campaign>`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.kind, self.campaign)
    }

    /// Reads [`Circle::name`].
    pub fn parse(name: &str) -> Option<Self> {
        let (kind, campaign) = name.split_once('/')?;
        Some(Self { kind: CircleKind::parse(kind)?, campaign: campaign.to_owned() })
    }
}

/// What the links of one circle begin with, up to the recipient's number: `https://sms.example/u/00A`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkBase(String);

impl LinkBase {
    /// The links of the circle with this number, which lead to `address`.
    pub fn new(address: &str, circle: u64) -> Self {
        Self(format!("{}/{}", address.trim_end_matches('/'), base62(circle, CIRCLE_CHARS)))
    }

    /// From the text a run keeps.
    pub fn of_run(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// The text a run keeps.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The link of one recipient.
    pub fn link(&self, secret: &[u8], circle: &Circle, number: u64) -> String {
        [self.0.as_str(), &base62(number, NUMBER_CHARS), &digest(secret, circle, number)].concat()
    }

    /// A link of the real length that belongs to nobody, for a preview (PO-15).
    pub fn sample(&self) -> String {
        [self.0.as_str(), &"x".repeat(NUMBER_CHARS + DIGEST_CHARS)].concat()
    }
}

/// What the messages of one commercial run end with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// What its links begin with.
    pub base: LinkBase,
    /// Stands before a link at the end of a text; may be empty.
    pub label: String,
    /// Whose numbers it counts.
    pub circle: Circle,
}

impl Offer {
    /// The link of one recipient.
    pub fn link(&self, secret: &[u8], number: u64) -> String {
        self.base.link(secret, &self.circle, number)
    }

    /// What the text with this link ends with.
    pub fn farewell<'a>(&'a self, link: &'a str) -> Farewell<'a> {
        Farewell { link, label: &self.label }
    }
}

/// How a commercial text offers its end: the link, and the word before it where the text does not place it itself.
#[derive(Debug, Clone, Copy)]
pub struct Farewell<'a> {
    /// The link.
    pub link: &'a str,
    /// Stands before the link at the end of the text; may be empty.
    pub label: &'a str,
}

impl Farewell<'_> {
    /// Puts label and link behind a text that does not hold the link as it is: whatever a template asks or filters, a
    /// commercial text has it (BM-19).
    pub fn stand_in(&self, text: &mut String) {
        if text.contains(self.link) {
            return;
        }
        for word in [self.label, self.link] {
            if !text.is_empty() && !word.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
        }
    }
}

impl Farewell<'_> {
    /// The same for HTML: a paragraph with the link at its end, unless the link stands in it.
    pub fn stand_in_html(&self, html: &mut String) {
        let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
        let link = escaped(self.link);
        if html.contains(&link) || html.contains(self.link) {
            return;
        }
        let paragraph = format!("<p>{} <a href=\"{link}\">{link}</a></p>", escaped(self.label));
        let end = html.rfind("</body>").unwrap_or(html.len());
        html.insert_str(end, &paragraph);
    }
}

/// The end of a link, as it came in; whose it is and whether it was signed, the circle's name tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Number of the circle.
    pub circle: u64,
    /// Number of the recipient in it.
    pub number: u64,
    digest: String,
}

impl Token {
    /// Reads a token; nothing if it is not of the form of one.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_CHARS || !keyed::is_base62(text) {
            return None;
        }
        let (rest, digest) = text.split_at_checked(text.len().checked_sub(DIGEST_CHARS)?)?;
        let (circle, number) = rest.split_at_checked(rest.len().checked_sub(NUMBER_CHARS)?)?;
        if circle.len() < CIRCLE_CHARS {
            return None;
        }
        Some(Self { circle: number_of(circle)?, number: number_of(number)?, digest: digest.to_owned() })
    }

    /// Whether we made it for a recipient of this circle.
    pub fn is_of(&self, secret: &[u8], circle: &Circle) -> bool {
        keyed::equal(&digest(secret, circle, self.number), &self.digest)
    }
}

fn digest(secret: &[u8], circle: &Circle, number: u64) -> String {
    keyed::digest(secret, "unsubscribe", &[circle.name().as_bytes(), &number.to_be_bytes()], DIGEST_CHARS)
}

/// A number in at least so many characters of base62.
fn base62(mut number: u64, width: usize) -> String {
    let mut digits = Vec::with_capacity(width);
    while number > 0 || digits.len() < width {
        let digit = usize::try_from(number % 62).unwrap_or(0);
        digits.push(keyed::ALPHABET.get(digit).copied().unwrap_or(b'0'));
        number /= 62;
    }
    digits.iter().rev().map(|byte| char::from(*byte)).collect()
}

fn number_of(text: &str) -> Option<u64> {
    text.bytes().try_fold(0_u64, |number, byte| {
        let digit = keyed::ALPHABET.iter().position(|known| *known == byte)?;
        number.checked_mul(62)?.checked_add(u64::try_from(digit).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECRET: &[u8] = b"secret";

    fn cases() -> Circle {
        Circle { kind: CircleKind::Cases, campaign: "nov-dues".to_owned() }
    }

    fn token(link: &str) -> Token {
        Token::parse(link.rsplit('/').next().unwrap()).unwrap()
    }

    #[test]
    fn bm_19_a_link_is_short_and_every_link_of_a_circle_is_of_one_length() {
        let base = LinkBase::new("https://s.example/u/", 7);
        let link = base.link(SECRET, &cases(), 1);
        assert!(link.starts_with("https://s.example/u/00700001"), "{link}");
        assert_eq!(link.len(), "https://s.example/u/".len() + 16);
        for number in [2, 61, 62, 1_000_000, 916_132_831] {
            assert_eq!(base.link(SECRET, &cases(), number).len(), link.len(), "{number}");
        }
        assert_eq!(base.sample().len(), link.len());
        assert_eq!(LinkBase::of_run(base.as_str()), Some(base));
    }

    #[test]
    fn bm_18_a_link_cannot_be_made_up_nor_counted_up() {
        let link = LinkBase::new("https://s.example/u", 7).link(SECRET, &cases(), 41);
        let known = token(&link);
        assert_eq!((known.circle, known.number), (7, 41));
        assert!(known.is_of(SECRET, &cases()));
        assert!(!known.is_of(b"other", &cases()));
        assert!(!known.is_of(SECRET, &Circle { kind: CircleKind::Orders, ..cases() }));
        assert!(!known.is_of(SECRET, &Circle { campaign: "dec-dues".to_owned(), ..cases() }));
        assert!(!Token { number: 42, ..known }.is_of(SECRET, &cases()));
    }

    #[test]
    fn what_is_no_token_is_none() {
        for text in [
            "",
            "short",
            "00700001abcdefg",
            "0070000-abcdefgh",
            "007 0001abcdefgh",
            &"a".repeat(25),
            "ñandú007000000001",
        ] {
            assert_eq!(Token::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_circle_is_named_and_read_again() {
        assert_eq!(cases().name(), "cases/nov-dues");
        assert_eq!(Circle::parse("cases/nov-dues"), Some(cases()));
        assert_eq!(Circle::parse("others/nov-dues"), None);
    }

    #[test]
    fn bm_19_the_link_stands_behind_the_text_with_its_label() {
        let after = |text: &str, label: &str| {
            let mut text = text.to_owned();
            Farewell { link: "LINK", label }.stand_in(&mut text);
            text
        };
        assert_eq!(after("Hola", "Stop:"), "Hola Stop: LINK");
        assert_eq!(after("Hola", ""), "Hola LINK");
        assert_eq!(after("", ""), "LINK");
        assert_eq!(after("Baja LINK", "Stop:"), "Baja LINK");
    }

    proptest! {
        #[test]
        fn any_link_of_ours_is_known_again(circle in 0_u64..10_000_000, number in 0_u64..916_132_832) {
            let link = LinkBase::new("http://h", circle).link(SECRET, &cases(), number);
            let known = token(&link);
            prop_assert_eq!((known.circle, known.number), (circle, number));
            prop_assert!(known.is_of(SECRET, &cases()));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,30}|[0-9A-Za-z]{0,30}") {
            let _ = Token::parse(&text);
        }
    }
}
