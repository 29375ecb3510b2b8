//! Enumerations whose values are lower-case words on the wire, and the refusal of a wrong state.
//!
//! [`words!`] writes the enum, its closed list `ALL`, `as_str`, `parse`, `Display` and serde from
//! one table, so that a word stands in one place. [`WrongState`] is the answer to an action that
//! the present state does not allow: it names the state and what is allowed instead (DA-7).

use std::fmt;

/// Declares an enum of wire words: `words! { /// doc  pub enum X { /// doc  A = "a", } }`.
macro_rules! words {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $name { $($(#[$vmeta])* $variant,)+ }

        impl $name {
            /// Every value, in the order of the documentation.
            $vis const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word on the wire.
            $vis const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The value of a wire word, if it is one.
            $vis fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                Self::parse(&word).ok_or_else(|| {
                    serde::de::Error::custom(format_args!(
                        "{} is not one of {}",
                        $crate::domain::Excerpt::of(&word),
                        [$($word,)+].join(", "),
                    ))
                })
            }
        }
    };
}
pub(crate) use words;

/// An action came to something whose state does not allow it; code `wrong_state` (DA-7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongState<S, A: 'static> {
    /// The state found.
    pub state: S,
    /// What is allowed in that state; empty when it is an end.
    pub allowed: &'static [A],
}

impl<S, A> WrongState<S, A> {
    /// The stable code of this refusal.
    pub const fn code(&self) -> &'static str {
        "wrong_state"
    }
}

impl<S: fmt::Display, A: fmt::Display> fmt::Display for WrongState<S, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the state is {}, which allows ", self.state)?;
        let Some((first, rest)) = self.allowed.split_first() else {
            return f.write_str("nothing further");
        };
        write!(f, "only {first}")?;
        rest.iter().try_for_each(|action| write!(f, ", {action}"))
    }
}

impl<S: fmt::Display + fmt::Debug, A: fmt::Display + fmt::Debug> std::error::Error
    for WrongState<S, A>
{
}

#[cfg(test)]
mod tests {
    use super::*;

    words! {
        /// A lamp, for the test.
        enum Lamp {
            /// It burns.
            On = "on",
            /// It does not.
            Off = "off",
        }
    }

    #[test]
    fn every_word_comes_back_as_its_value() {
        for lamp in Lamp::ALL {
            assert_eq!(Lamp::parse(lamp.as_str()), Some(*lamp));
            let json = serde_json::to_string(lamp).unwrap();
            assert_eq!(serde_json::from_str::<Lamp>(&json).unwrap(), *lamp);
        }
        assert_eq!(Lamp::parse("ON"), None);
    }

    #[test]
    fn an_unknown_word_is_refused_with_the_known_ones() {
        let error = serde_json::from_str::<Lamp>("\"dim\"")
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("\"dim\" is not one of on, off"),
            "{error}"
        );
    }

    #[test]
    fn da_7_a_wrong_state_names_the_state_and_what_is_allowed() {
        let wrong = WrongState {
            state: Lamp::On,
            allowed: &[Lamp::Off, Lamp::On],
        };
        assert_eq!(
            wrong.to_string(),
            "the state is on, which allows only off, on"
        );
        assert_eq!(wrong.code(), "wrong_state");
        let end: WrongState<Lamp, Lamp> = WrongState {
            state: Lamp::On,
            allowed: &[],
        };
        assert_eq!(
            end.to_string(),
            "the state is on, which allows nothing further"
        );
    }
}
