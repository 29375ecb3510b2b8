//! Who may see, and who may act: tokens, and the sessions that browsers get for one.
//!
//! Of a token only digests are kept. A session says whose it is and until when, and is signed with a key that is derived
//! from the token: nothing is stored, several daemons with the same tokens know each other's sessions, and a token that
//! is taken away or changed ends every session made with it. Whatever is compared is compared whole, whoever it is of.

use sha2::{Digest as _, Sha256};

use super::{clock::EpochMs, keyed, name::Name, word::words};

/// Fewest characters of a token: 32 of a random one cannot be guessed.
pub const TOKEN_MIN_CHARS: usize = 32;

/// Most characters of a token.
pub const TOKEN_MAX_CHARS: usize = 512;

/// Stands between the parts of a session; no name has it, and a cookie may hold it.
const BETWEEN: char = '~';

words! {
    /// What a token is good for; the later ones may do what the earlier ones may.
    pub enum Role {
        /// Look everything up, contacts masked.
        Read = "read",
        /// Act, too, and see what the configuration lets anybody see.
        Operator = "operator",
    }
}

/// Who has a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Holder {
    /// The token's name: who did what was done with it.
    pub name: Name,
    /// What it is good for.
    pub role: Role,
    digest: [u8; 32],
    key: [u8; 32],
}

impl Holder {
    /// The holder of this token.
    pub fn new(name: Name, role: Role, token: &str) -> Self {
        Self { name, role, digest: digest("remesa token", token), key: digest("remesa session key", token) }
    }

    /// A session until `until`, told apart from its others by `nonce`.
    pub fn session(&self, until: EpochMs, nonce: u128) -> String {
        let open = format!("{}{BETWEEN}{}{BETWEEN}{nonce:032x}", self.name, until.0);
        let seal = self.seal("session", &open);
        format!("{open}{BETWEEN}{seal}")
    }

    /// What a form of this session must name: a page of another site cannot know it.
    pub fn csrf(&self, session: &str) -> String {
        self.seal("form", session)
    }

    fn seal(&self, label: &str, text: &str) -> String {
        keyed::digest(&self.key, label, &[text.as_bytes()], keyed::MAX_CHARS)
    }
}

impl std::fmt::Debug for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Holder").field("name", &self.name).field("role", &self.role).finish_non_exhaustive()
    }
}

fn digest(label: &str, token: &str) -> [u8; 32] {
    Sha256::new().chain_update(label).chain_update([0]).chain_update(token).finalize().into()
}

/// Everybody who has a token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holders(Vec<Holder>);

impl Holders {
    /// These.
    pub fn new(holders: impl IntoIterator<Item = Holder>) -> Self {
        Self(holders.into_iter().collect())
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Holder> {
        self.0.iter()
    }

    /// Whether nobody has one.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whose token this is. All of them are looked at, each to its end.
    pub fn by_token(&self, token: &str) -> Option<&Holder> {
        let asked = digest("remesa token", token);
        let mut found = None;
        for holder in &self.0 {
            if keyed::equal_bytes(&holder.digest, &asked) {
                found = Some(holder);
            }
        }
        found
    }

    /// Whose session this is, if it is one and holds at `now`.
    pub fn by_session(&self, session: &str, now: EpochMs) -> Option<&Holder> {
        let (open, seal) = session.rsplit_once(BETWEEN)?;
        let (name, rest) = open.split_once(BETWEEN)?;
        let (until, _) = rest.split_once(BETWEEN)?;
        let holder = self.0.iter().find(|holder| holder.name.as_str() == name)?;
        if !keyed::equal(&holder.seal("session", open), seal) {
            return None;
        }
        until.parse().ok().filter(|until| now.0 < *until).map(|_| holder)
    }
}

/// Whether a form names the word of its session.
pub fn is_csrf(expected: &str, given: &str) -> bool {
    keyed::equal(expected, given)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANA: &str = "ana-has-a-token-of-32-characters";
    const EVA: &str = "eva-has-a-token-of-32-characters";

    fn holder(name: &str, role: Role, token: &str) -> Holder {
        Holder::new(Name::parse(name).unwrap(), role, token)
    }

    fn both() -> Holders {
        Holders::new([holder("ana", Role::Operator, ANA), holder("eva", Role::Read, EVA)])
    }

    #[test]
    fn a_token_is_known_whole_and_never_in_part() {
        let both = both();
        assert_eq!(both.by_token(ANA).map(|holder| holder.name.as_str()), Some("ana"));
        assert_eq!(both.by_token(EVA).map(|holder| holder.role), Some(Role::Read));
        for wrong in ["", "ana", &ANA[..31], &format!("{ANA} "), &ANA.to_uppercase()] {
            assert_eq!(both.by_token(wrong), None, "{wrong:?}");
        }
        assert_eq!(Holders::default().by_token(ANA), None);
    }

    #[test]
    fn a_session_is_its_holders_until_it_ends() {
        let both = both();
        let session = both.by_token(ANA).unwrap().session(EpochMs(1_000), 7);
        let whose = |session: &str, now| both.by_session(session, EpochMs(now)).map(|holder| holder.name.to_string());
        assert_eq!(whose(&session, 999), Some("ana".to_owned()));
        assert_eq!(whose(&session, 1_000), None);
        for (before, after) in [("ana~", "eva~"), ("~1000~", "~9999~"), ("7~", "8~"), ("~", "")] {
            let forged = session.replacen(before, after, 1);
            assert_ne!(forged, session);
            assert_eq!(whose(&forged, 0), None, "{forged}");
        }
        for nonsense in ["", "~", "~~~", "ana", "ana~1000~7", "ana~x~7~seal"] {
            assert_eq!(whose(nonsense, 0), None, "{nonsense}");
        }
    }

    #[test]
    fn a_changed_token_ends_the_sessions_made_with_the_old_one() {
        let session = both().by_token(ANA).unwrap().session(EpochMs(1_000), 7);
        let changed = Holders::new([holder("ana", Role::Operator, EVA)]);
        assert_eq!(changed.by_session(&session, EpochMs(0)), None);
        let lowered = Holders::new([holder("ana", Role::Read, ANA)]);
        assert_eq!(lowered.by_session(&session, EpochMs(0)).map(|holder| holder.role), Some(Role::Read));
    }

    #[test]
    fn the_word_of_a_form_is_its_sessions_and_nobody_elses() {
        let both = both();
        let (ana, eva) = (both.by_token(ANA).unwrap(), both.by_token(EVA).unwrap());
        let (one, other) = (ana.session(EpochMs(1), 1), ana.session(EpochMs(1), 2));
        assert!(is_csrf(&ana.csrf(&one), &ana.csrf(&one)));
        assert!(!is_csrf(&ana.csrf(&one), &ana.csrf(&other)));
        assert!(!is_csrf(&ana.csrf(&one), &eva.csrf(&one)));
        assert!(!is_csrf(&ana.csrf(&one), ""));
    }

    #[test]
    fn nobody_prints_a_token() {
        let shown = format!("{:?}", both());
        assert!(shown.contains("ana") && !shown.contains("digest") && !shown.contains("key"), "{shown}");
    }
}
