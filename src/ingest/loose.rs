//! JSON values read loosely: a wrong type is an answer, not the end of the body.
//!
//! serde stops a whole document at the first value of the wrong type. Here any value can be read: [`Loose`] says
//! what it was, nested values that nobody wants are read past without memory or recursion, and the only serde
//! error left is broken syntax. Texts are borrowed from the body where they have no escapes.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Any JSON value; arrays and objects only as what a [`Nested`] made of them.
pub(super) enum Loose<'a, Read = ()> {
    Null,
    Bool,
    Int(i128),
    Float(f64),
    Text(Cow<'a, str>),
    Array,
    Object,
    Read(Read),
}

impl<Read> Loose<'_, Read> {
    /// What it was, for an error message.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Loose::Null => "null",
            Loose::Bool => "true or false",
            Loose::Int(_) | Loose::Float(_) => "a number",
            Loose::Text(_) => "a string",
            Loose::Array => "an array",
            Loose::Object | Loose::Read(_) => "an object",
        }
    }
}

impl<'de> Deserialize<'de> for Loose<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ReadWith(()).deserialize(deserializer)
    }
}

/// What to do with an array or an object; by default they are read past.
pub(super) trait Nested<'de>: Sized {
    type Read;

    fn array<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Loose<'de, Self::Read>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Loose::Array)
    }

    fn object<A: MapAccess<'de>>(self, mut map: A) -> Result<Loose<'de, Self::Read>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Loose::Object)
    }
}

impl Nested<'_> for () {
    type Read = ();
}

/// Reads one value, giving arrays and objects to a [`Nested`].
pub(super) struct ReadWith<N>(pub(super) N);

impl<'de, N: Nested<'de>> DeserializeSeed<'de> for ReadWith<N> {
    type Value = Loose<'de, N::Read>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, N: Nested<'de>> Visitor<'de> for ReadWith<N> {
    type Value = Loose<'de, N::Read>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Loose::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Loose::Bool)
    }

    fn visit_i64<E>(self, int: i64) -> Result<Self::Value, E> {
        Ok(Loose::Int(int.into()))
    }

    fn visit_u64<E>(self, int: u64) -> Result<Self::Value, E> {
        Ok(Loose::Int(int.into()))
    }

    fn visit_f64<E>(self, float: f64) -> Result<Self::Value, E> {
        Ok(Loose::Float(float))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Loose::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Loose::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        self.0.array(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        self.0.object(map)
    }
}

/// An object's field name, borrowed when it has no escapes.
pub(super) struct Name<'a>(pub(super) Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}
