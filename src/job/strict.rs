//! JSON read without choosing: an object that names a field twice is refused.
//!
//! The usual reader keeps the last of two equal names. In a job that would mean that two programs can read the same
//! text as two different campaigns.

use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Marks our own message among the parser's.
const TWICE: &str = "field stands twice: ";

/// Why a text is not a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StrictError {
    /// Not JSON; the parser's words.
    NotJson(String),
    /// This field stands twice in one object.
    Twice(String),
}

/// Reads one JSON value.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, StrictError> {
    serde_json::from_slice::<Strict>(bytes).map(|strict| strict.0).map_err(|error| {
        let reason = error.to_string();
        match reason.split_once(TWICE) {
            Some((_, field)) => {
                StrictError::Twice(field.rsplit_once(" at line").map_or(field, |(name, _)| name).to_owned())
            }
            None => StrictError::NotJson(reason),
        }
    })
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Seed.deserialize(deserializer).map(Self)
    }
}

#[derive(Clone, Copy)]
struct Seed;

impl<'de> DeserializeSeed<'de> for Seed {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = access.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            let value = access.next_value_seed(self)?;
            if object.contains_key(&name) {
                return Err(de::Error::custom(format_args!("{TWICE}{name}")));
            }
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn values_of_every_kind_are_read() {
        let text = br#"{"a":[1,-2,1.5,true,null,"x"],"b":{"c":{}}}"#;
        assert_eq!(parse(text), Ok(json!({"a":[1,-2,1.5,true,null,"x"],"b":{"c":{}}})));
    }

    #[test]
    fn a_field_that_stands_twice_is_named_at_any_depth() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"b":[{"a":1,"a":2}]}"#] {
            assert_eq!(parse(text.as_bytes()), Err(StrictError::Twice("a".to_owned())));
        }
    }

    #[test]
    fn a_thousand_brackets_are_refused_without_a_stack_overflow() {
        assert!(matches!(parse("[".repeat(100_000).as_bytes()), Err(StrictError::NotJson(_))));
    }

    proptest! {
        #[test]
        fn what_the_usual_reader_reads_is_read_alike(text in r#"[\[\]{}:,"a-c0-9. ]{0,30}"#) {
            let usual: Result<Value, _> = serde_json::from_str(&text);
            match (usual, parse(text.as_bytes())) {
                (Ok(usual), Ok(strict)) => prop_assert_eq!(usual, strict),
                (Ok(_), Err(StrictError::Twice(_))) | (Err(_), Err(_)) => {}
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }
}
