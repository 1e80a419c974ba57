//! `logit_bias`: what a request adds to the logits of tokens, by their ids.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::parse::TOO_MANY;

/// At most this many tokens, checked while parsing.
pub const MAX_BIASED_TOKENS: usize = 1024;

/// Token ids (strings in JSON, as all keys are) and what is added to their logits.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct LogitBias(pub BTreeMap<u32, f64>);

impl<'de> Deserialize<'de> for LogitBias {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LogitBiasVisitor)
    }
}

struct LogitBiasVisitor;

impl<'de> Visitor<'de> for LogitBiasVisitor {
    type Value = LogitBias;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object of token ids and numbers")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<LogitBias, A::Error> {
        let mut bias = BTreeMap::new();
        while let Some(key) = fields.next_key::<String>()? {
            let Some(id) = token_id(&key) else {
                return Err(A::Error::invalid_value(Unexpected::Other("a key"), &self));
            };
            if bias.len() == MAX_BIASED_TOKENS {
                return Err(A::Error::custom(format_args!("{TOO_MANY}{MAX_BIASED_TOKENS}")));
            }
            if bias.insert(id, fields.next_value()?).is_some() {
                return Err(A::Error::custom(format_args!("duplicate field `{id}`")));
            }
        }
        Ok(LogitBias(bias))
    }
}

/// One way of writing each id: digits alone, without leading zeros.
fn token_id(key: &str) -> Option<u32> {
    let is_plain = key.bytes().all(|byte| byte.is_ascii_digit());
    let is_shortest = key == "0" || !key.starts_with('0');
    if is_plain && is_shortest { key.parse().ok() } else { None }
}
