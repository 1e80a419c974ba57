//! JSON whose shape a schema decides: which tokens may come next in a text, by the llguidance crate. Knows token ids
//! and their bytes, neither logits nor requests.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::thread;

use llguidance::api::{ParserLimits, StopReason, TopLevelGrammar};
use llguidance::toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie};
use llguidance::{JsonCompileOptions, Matcher, ParserFactory};
use serde_json::Value;

use crate::token_sampler::TokenMask;

/// A longer schema is refused.
pub const MAX_SCHEMA_BYTES: usize = 64 << 10;
/// Arrays and objects of a schema lie in one another no deeper.
const MAX_SCHEMA_DEPTH: usize = 48;
/// Compiling descends with the schema.
const COMPILER_STACK_BYTES: usize = 16 << 20;
/// Bytes of the library's own words that are passed on.
const MAX_REASON_CHARS: usize = 256;
/// States of automata that a schema's `multipleOf` may ask for: the library makes one for each remainder, however many,
/// before it looks at its own bounds. So many take a fraction of a second.
const MAX_REMAINDERS: u64 = 20_000;
/// Digits behind the point of a number that others shall be multiples of.
const MAX_DECIMALS: usize = 16;
/// Tokens of a text that are tried before a schema is taken.
const NUM_TRIED_TOKENS: usize = 4;
/// What the library's words begin with where it panicked; a trace of calls follows.
const PANIC: &str = "panic:";
/// By which a schema could set the library's options.
const OPTIONS_KEY: &str = "x-guidance";

/// Why a schema cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrammarError {
    /// It is longer or deeper than any schema need be.
    #[error("is longer than {MAX_SCHEMA_BYTES} bytes or deeper than {MAX_SCHEMA_DEPTH} levels")]
    TooLarge,
    /// It is no schema, is never fulfilled, asks for what is not supported, or takes too much to follow.
    #[error("cannot be followed: {reason}")]
    Unusable {
        /// In the library's words.
        reason: String,
    },
    /// A text left the grammar, or following it took too much.
    #[error("the grammar cannot be followed any further: {reason}")]
    Lost {
        /// In the library's words.
        reason: String,
    },
}

/// What a vocabulary's tokens write: their bytes by id, none of control tokens; and the id that ends a text.
pub struct TokenAlphabet {
    /// Bytes by id.
    pub bytes: Vec<Vec<u8>>,
    /// The end of a text.
    pub eos: u32,
}

/// Compiles schemas for one vocabulary. What that takes of memory (some MiB) is taken with the first schema.
pub struct JsonGrammars {
    alphabet: Box<dyn Fn() -> TokenAlphabet + Send + Sync>,
    factory: OnceLock<Result<ParserFactory, GrammarError>>,
}

impl JsonGrammars {
    /// For the vocabulary that `alphabet` spells out.
    pub fn new(alphabet: impl Fn() -> TokenAlphabet + Send + Sync + 'static) -> Self {
        Self { alphabet: Box::new(alphabet), factory: OnceLock::new() }
    }

    /// The grammar of JSON that `schema` (a JSON object) describes. Between its tokens stand no spaces but one after
    /// each comma and colon, so that no text can go on with spaces for ever. Bounded by the schema's size, by the remainders
    /// that it asks for and by the library's limits on grammars and automata; on a thread of its own whose stack it needs.
    ///
    /// # Errors
    /// [`GrammarError::TooLarge`], [`GrammarError::Unusable`].
    pub fn compile(&self, schema: &str) -> Result<JsonGrammar, GrammarError> {
        if schema.len() > MAX_SCHEMA_BYTES {
            return Err(GrammarError::TooLarge);
        }
        let compile = || {
            let schema: Value = serde_json::from_str(schema).map_err(|error| unusable(&error))?;
            self.compile_value(schema)
        };
        thread::scope(|scope| {
            let builder = thread::Builder::new().name("grammar".to_owned());
            let compiler = builder.stack_size(COMPILER_STACK_BYTES).spawn_scoped(scope, compile);
            let compiler = compiler.map_err(|error| unusable(&error))?;
            compiler.join().unwrap_or_else(|_panic| Err(unusable(&"the compiler gave up")))
        })
    }

    fn compile_value(&self, mut schema: Value) -> Result<JsonGrammar, GrammarError> {
        if depth(&schema) > MAX_SCHEMA_DEPTH {
            return Err(GrammarError::TooLarge);
        }
        match schema.as_object() {
            None => return Err(unusable(&"a schema is an object")),
            Some(keys) if keys.contains_key(OPTIONS_KEY) => {
                return Err(unusable(&format!("`{OPTIONS_KEY}` is no keyword")));
            }
            Some(_) => {}
        }
        if remainders(&schema).is_none_or(|num_states| num_states > MAX_REMAINDERS) {
            return Err(unusable(&"`multipleOf` asks for too many remainders"));
        }
        let factory = self.factory.get_or_init(|| factory(&(self.alphabet)()));
        let factory = factory.as_ref().map_err(GrammarError::clone)?;
        options().apply_to(&mut schema);
        let parser = factory.create_parser(TopLevelGrammar::from_json_schema(schema));
        let matcher = Matcher::new(Ok(parser.map_err(|error| unusable(&error))?));
        try_beginning(matcher.deep_clone())?;
        Ok(JsonGrammar(Arc::new(matcher)))
    }
}

/// Writes the first tokens of some text: what takes too much to follow mostly does so from the beginning.
fn try_beginning(mut text: Matcher) -> Result<(), GrammarError> {
    let unfulfilled = || unusable(&"nothing fulfils it");
    if text.is_stopped() {
        return Err(unfulfilled());
    }
    for _ in 0..NUM_TRIED_TOKENS {
        let allowed = text.compute_mask().map_err(|error| unusable(&error))?;
        let token = allowed.first_bit_set().ok_or_else(unfulfilled)?;
        text.consume_token(token as u32).map_err(|error| unusable(&error))?;
        if text.is_stopped() {
            break;
        }
    }
    Ok(())
}

/// How many remainders an automaton may have to tell apart for `schema`, at most: as many as the least common multiple of
/// its `multipleOf`, without their points, for each place that says one or refers to another. `None` if that is
/// beyond counting.
fn remainders(schema: &Value) -> Option<u64> {
    let (mut multiple, mut num_places) = (1, 0_u64);
    let mut left = vec![schema];
    while let Some(value) = left.pop() {
        match value {
            Value::Array(items) => left.extend(items),
            Value::Object(fields) => {
                if let Some(divisor) = fields.get("multipleOf").and_then(Value::as_f64) {
                    multiple = common_multiple(multiple, without_point(divisor)?)?;
                }
                num_places += u64::from(fields.contains_key("multipleOf"));
                num_places += u64::from(fields.contains_key("$ref"));
                left.extend(fields.values());
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    if multiple == 1 { Some(1) } else { multiple.checked_mul(num_places) }
}

/// The digits of a decimal number, as the library takes them: 25 of 2.5. What is no number to divide by, it refuses.
fn without_point(number: f64) -> Option<u64> {
    let mut digits = number.abs();
    for _ in 0..MAX_DECIMALS {
        if digits.fract() == 0.0 {
            return (digits <= MAX_REMAINDERS as f64).then_some((digits as u64).max(1));
        }
        digits *= 10.0;
    }
    None
}

fn common_multiple(one: u64, other: u64) -> Option<u64> {
    let (mut divisor, mut rest) = (one, other);
    while rest != 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    (one / divisor).checked_mul(other)
}

impl fmt::Debug for JsonGrammars {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("JsonGrammars").finish_non_exhaustive()
    }
}

fn factory(alphabet: &TokenAlphabet) -> Result<ParserFactory, GrammarError> {
    let info = TokRxInfo::new(alphabet.bytes.len() as u32, alphabet.eos);
    let trie = TokTrie::from(&info, &alphabet.bytes);
    let tokens: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
    let mut factory = ParserFactory::new_simple(&tokens).map_err(|error| unusable(&error))?;
    // Its errors shall name the fault, not repeat texts and grammars.
    *factory.limits_mut() = ParserLimits { verbose_errors: false, ..ParserLimits::default() };
    factory.quiet();
    Ok(factory)
}

fn options() -> JsonCompileOptions {
    JsonCompileOptions {
        item_separator: ", ".to_owned(),
        key_separator: ": ".to_owned(),
        whitespace_flexible: false,
        ..JsonCompileOptions::default()
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
    }
}

fn in_short(reason: &dyn fmt::Display) -> String {
    let plain = |char: char| if char.is_control() { ' ' } else { char };
    let reason = reason.to_string();
    if reason.trim_start().starts_with(PANIC) {
        return "it is beyond what the grammar's library can do".to_owned();
    }
    reason.chars().take(MAX_REASON_CHARS).map(plain).collect()
}

fn unusable(reason: &dyn fmt::Display) -> GrammarError {
    GrammarError::Unusable { reason: in_short(reason) }
}

fn lost(reason: &dyn fmt::Display) -> GrammarError {
    GrammarError::Lost { reason: in_short(reason) }
}

/// A compiled schema.
#[derive(Clone)]
pub struct JsonGrammar(Arc<Matcher>);

impl JsonGrammar {
    /// A text of this grammar that has not begun.
    pub fn begin(&self) -> JsonText {
        JsonText(self.0.deep_clone())
    }
}

impl fmt::Debug for JsonGrammar {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("JsonGrammar").finish_non_exhaustive()
    }
}

/// A text of a grammar as it grows. The same tokens always come to the same state.
pub struct JsonText(Matcher);

impl JsonText {
    /// Forbids every token that cannot come next; the end of the text is one of those that can, once it is whole.
    ///
    /// # Errors
    /// [`GrammarError::Lost`], also if nothing can come next.
    pub fn restrict(&mut self, forbidden: &mut TokenMask) -> Result<(), GrammarError> {
        let allowed = self.0.compute_mask_or_eos().map_err(|error| lost(&error))?;
        forbidden.forbid_all_but(allowed.as_slice());
        if forbidden.forbids_all() {
            return Err(lost(&"no token can come next"));
        }
        Ok(())
    }

    /// Adds a token that [`Self::restrict`] allowed.
    ///
    /// # Errors
    /// [`GrammarError::Lost`].
    pub fn push(&mut self, token: u32) -> Result<(), GrammarError> {
        self.0.consume_token(token).map_err(|error| lost(&error))
    }

    /// Whether the text is whole and nothing can follow.
    pub fn is_complete(&self) -> bool {
        let reason = self.0.stop_reason();
        matches!(
            reason,
            StopReason::NoExtension | StopReason::NoExtensionBias | StopReason::EndOfSentence
        )
    }
}
