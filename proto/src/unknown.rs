//! Requests with fields that are not known here, as gateways send them on: which they are, and the same request
//! without them. What is known is read as strictly as ever.

use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, Visitor, value};
use serde::forward_to_deserialize_any;

/// A body without the fields of its outermost object that `T` does not know, and the names of these; `None` if
/// there are none, or if it is no JSON object, which reading it says better.
pub fn without_unknown_fields<T: DeserializeOwned>(body: &[u8]) -> Option<(Vec<u8>, Vec<String>)> {
    serde_json::from_slice::<IgnoredAny>(body).ok()?;
    let known = known_fields::<T>();
    let (mut kept, mut unknown) = (Vec::new(), Vec::new());
    for field in fields(body)? {
        let name: String = serde_json::from_slice(field.key).ok()?;
        if known.contains(&name.as_str()) {
            kept.push(field.whole);
        } else {
            unknown.push(name);
        }
    }
    if unknown.is_empty() {
        return None;
    }
    let mut without = vec![b'{'];
    without.extend(kept.join(&b','));
    without.push(b'}');
    Some((without, unknown))
}

/// A field of an object, as it is written.
struct Field<'a> {
    /// Its name, quoted.
    key: &'a [u8],
    /// Name, colon and value.
    whole: &'a [u8],
}

/// The fields of the outermost object of `body`, which is valid JSON.
fn fields(body: &[u8]) -> Option<Vec<Field<'_>>> {
    let start = body.iter().position(|byte| !byte.is_ascii_whitespace())?;
    if body[start] != b'{' {
        return None;
    }
    let (mut depth, mut in_string, mut is_escaped) = (0, false, false);
    let (mut begin, mut colon) = (start + 1, None);
    let mut fields = Vec::new();
    for (at, byte) in body.iter().enumerate().skip(start) {
        if in_string {
            in_string = is_escaped || *byte != b'"';
            is_escaped = !is_escaped && *byte == b'\\';
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b':' if depth == 1 => colon = colon.or(Some(at)),
            _ => {}
        }
        let is_last = depth == 0;
        if is_last || (depth == 1 && *byte == b',') {
            if let Some(colon) = colon.take() {
                fields.push(Field { key: &body[begin..colon], whole: &body[begin..at] });
            }
            begin = at + 1;
        }
        if is_last {
            break;
        }
    }
    Some(fields)
}

/// The names that `T` is read by.
fn known_fields<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut known: &'static [&'static str] = &[];
    // It is asked for its fields and given nothing: that it cannot be read then is no news.
    let _not_read = T::deserialize(FieldNames(&mut known));
    known
}

/// Whoever is read from it says which fields it has.
struct FieldNames<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for FieldNames<'_> {
    type Error = value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, value::Error> {
        Err(serde::de::Error::custom("only a struct has fields"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, value::Error> {
        *self.0 = fields;
        Err(serde::de::Error::custom("its fields are all that was asked for"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ChatCompletionRequest;

    fn without(body: &str) -> Option<(String, Vec<String>)> {
        let (body, unknown) = without_unknown_fields::<ChatCompletionRequest>(body.as_bytes())?;
        Some((String::from_utf8(body).expect("as it came"), unknown))
    }

    #[test]
    fn what_is_known_stays_as_it_was_typed() {
        let body = r#" { "model" : "a,\"b}" , "x":{"y":[1,",]}"]}, "seed": 1e400,"messages":[ {} ], "\u007a": 0 } "#;
        let (kept, unknown) = without(body).expect("unknown fields");
        assert_eq!(kept, r#"{ "model" : "a,\"b}" , "seed": 1e400,"messages":[ {} ]}"#);
        assert_eq!(unknown, ["x", "z"]);
    }

    #[test]
    fn a_request_of_known_fields_is_left_alone() {
        assert_eq!(without(r#"{"model":"m","model":"m"}"#), None, "reading it says what is wrong");
        for body in ["", "{", "[]", "{\"a\"}", "\"x\": 1", "{\"a\":1} x", "{}"] {
            assert_eq!(without(body), None, "{body}");
        }
    }

    #[test]
    fn only_the_outermost_object_is_looked_at() {
        let body = r#"{"messages":[{"role":"user","content":"x","name_":1}],"q":1,"stream_options":{"z":1}}"#;
        let (kept, unknown) = without(body).expect("an unknown field");
        assert!(kept.contains("name_") && kept.contains("\"z\""), "{kept}");
        assert_eq!(unknown, ["q"]);
    }

    #[test]
    fn fields_are_told_by_whoever_is_read() {
        let known = known_fields::<ChatCompletionRequest>();
        assert!(known.contains(&"messages") && known.contains(&"logit_bias") && known.len() > 40);
        assert!(known_fields::<String>().is_empty());
    }
}
