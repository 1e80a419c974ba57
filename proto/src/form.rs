//! The text fields of a form (`multipart/form-data`) as a request: the same fields and the same faults as in
//! JSON, where every value is a string.

use serde::de::value::MapDeserializer;
use serde::de::{Deserializer, Error as _, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;

/// A form's fields, as something to deserialise from.
pub(crate) fn deserializer(
    fields: Vec<(String, String)>,
) -> MapDeserializer<'static, impl Iterator<Item = (String, FormValue)>, serde_json::Error> {
    MapDeserializer::new(fields.into_iter().map(|(name, value)| (name, FormValue(value))))
}

/// One value: what it is, the field that wants it decides.
pub(crate) struct FormValue(String);

impl FormValue {
    fn is_no<T>(&self, wanted: &str) -> Result<T, serde_json::Error> {
        Err(serde_json::Error::invalid_value(Unexpected::Str(&self.0), &wanted))
    }
}

impl IntoDeserializer<'_, serde_json::Error> for FormValue {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for FormValue {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_string(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.0.as_str() {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            _ => self.is_no("true or false"),
        }
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        // `parse` alone would take a plus sign, which JSON does not.
        let plain = self.0.bytes().all(|byte| byte.is_ascii_digit());
        match self.0.parse() {
            Ok(number) if plain => visitor.visit_u64(number),
            Ok(_) | Err(_) => self.is_no("u64"),
        }
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        let digits = self.0.strip_prefix('-').unwrap_or(&self.0);
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        match self.0.parse() {
            Ok(number) if plain => visitor.visit_i64(number),
            Ok(_) | Err(_) => self.is_no("i64"),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.0.parse::<f64>() {
            Ok(number) if number.is_finite() => visitor.visit_f64(number),
            Ok(_) | Err(_) => self.is_no("f64"),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_enum(self.0.into_deserializer())
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u16 u32 u128 f32 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}
