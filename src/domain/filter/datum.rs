//! What a case holds in a column, borrowed from its text.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use super::decimal::Decimal;

/// One value of a case.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Datum<'a> {
    /// Nothing stands there.
    Absent,
    /// A text.
    Text(Cow<'a, str>),
    /// A number that can be compared.
    Number(Decimal),
    /// A truth value.
    Bool(bool),
    /// Texts and numbers of a list, each as its text.
    Set(Vec<Cow<'a, str>>),
    /// An object, or a number beyond what is compared: not empty, and equal to nothing.
    Other,
}

impl Datum<'_> {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Absent => true,
            Self::Text(text) => text.trim().is_empty(),
            Self::Set(members) => members.iter().all(|member| member.trim().is_empty()),
            Self::Number(_) | Self::Bool(_) | Self::Other => false,
        }
    }
}

impl<'de> Deserialize<'de> for Datum<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DatumVisitor)
    }
}

struct DatumVisitor;

impl<'de> Visitor<'de> for DatumVisitor {
    type Value = Datum<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Datum<'de>, E> {
        Ok(Datum::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Datum<'de>, E> {
        Ok(Datum::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Datum<'de>, E> {
        Ok(Datum::Bool(value))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Datum<'de>, E> {
        Ok(Datum::Number(Decimal::of_whole(number)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Datum<'de>, E> {
        Ok(i64::try_from(number).map_or(Datum::Other, |number| Datum::Number(Decimal::of_whole(number))))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Datum<'de>, E> {
        let decimal = Number::from_f64(number).as_ref().and_then(Decimal::of_json);
        Ok(decimal.map_or(Datum::Other, Datum::Number))
    }

    fn visit_unit<E>(self) -> Result<Datum<'de>, E> {
        Ok(Datum::Absent)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Datum<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = access.next_element::<Member<'de>>()? {
            members.extend(member.0);
        }
        Ok(Datum::Set(members))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Datum<'de>, A::Error> {
        while access.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Datum::Other)
    }
}

/// A member of a set, as its text; a list or an object in a list is none.
struct Member<'a>(Option<Cow<'a, str>>);

impl<'de> Deserialize<'de> for Member<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MemberVisitor).map(Self)
    }
}

struct MemberVisitor;

impl<'de> Visitor<'de> for MemberVisitor {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a member of a list")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(if value { "true" } else { "false" })))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(number.to_string())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(number.to_string())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(number.to_string())))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        while access.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        while access.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}
