//! Reading a case as far as a filter asks: the columns it names, borrowed from the text; all else is passed over.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::column::{Column, Place};
use super::datum::Datum;

/// What the case in this text has in those columns, in their order.
pub(super) fn read<'a>(columns: &[Column], case: &'a str) -> Result<Vec<Datum<'a>>, serde_json::Error> {
    let mut data = vec![Datum::Absent; columns.len()];
    let mut deserializer = serde_json::Deserializer::from_str(case);
    Object { columns, place: Place::Case, data: &mut data }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(data)
}

/// One object of a case, and where its columns go.
struct Object<'r, 'a> {
    columns: &'r [Column],
    place: Place,
    data: &'r mut [Datum<'a>],
}

impl Object<'_, '_> {
    fn has_columns_in(&self, place: Place) -> bool {
        self.columns.iter().any(|column| column.place() == place)
    }
}

impl<'de> DeserializeSeed<'de> for Object<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_, 'de> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object of a case")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = access.next_key()? {
            let inner = match (self.place, key.as_ref()) {
                (Place::Case, "client") => Some(Place::Client),
                (Place::Case, "vars") => Some(Place::Vars),
                _ => None,
            };
            if let Some(place) = inner.filter(|place| self.has_columns_in(*place)) {
                access.next_value_seed(Object { columns: self.columns, place, data: &mut *self.data })?;
                continue;
            }
            let wanted = |column: &Column| column.place() == self.place && column.field() == key;
            match self.columns.iter().position(wanted) {
                None => {
                    access.next_value::<IgnoredAny>()?;
                }
                Some(place) => {
                    let slot = self.data.get_mut(place).ok_or_else(|| A::Error::custom("a column without a place"))?;
                    *slot = access.next_value()?;
                }
            }
        }
        Ok(())
    }
}

/// The name of a field, borrowed where nothing in it is escaped.
struct Key<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("the name of a field")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}
