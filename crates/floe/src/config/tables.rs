//! What only the file can say: tables, which have no flag.

use serde::de::value::Error;
use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize};

use super::access::{AccessWebhookTable, JwtTable};
use super::limits::{LimitTables, NamespaceTables};

/// The tables of a file.
///
/// A new one is a field here, which may be left out of a file (`#[serde(default)]`), and refuses
/// what it does not know (`deny_unknown_fields`); its secrets are of a type that serializes as
/// `(set)`, since `floe config print` shows tables as they serialize.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FileTables {
    /// What callers may have and do.
    #[serde(default)]
    pub limits: LimitTables,
    /// What single namespaces have instead.
    #[serde(default)]
    pub namespace: NamespaceTables,
    /// Issuers of signed tokens.
    #[serde(default)]
    pub jwt: Vec<JwtTable>,
    /// Somebody who is asked about credentials that nothing else knows.
    #[serde(default)]
    pub access_webhook: Option<AccessWebhookTable>,
}

/// Returns the names of a struct's fields, as they are in a file.
pub fn names_of<T: for<'de> Deserialize<'de>>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    // It ends with an error, since there is nothing to read.
    let _ = T::deserialize(Names(&mut names));
    names
}

/// Learns which fields a struct asks for.
struct Names<'n>(&'n mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Names<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(serde::de::Error::custom("only structs have fields"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
