//! Texts of grammars, drawn blindly: whatever may come next is followed, and the end is always JSON of its schema.
//! And schemas that nobody can follow.

use std::path::Path;

use reverie_model::json_grammar::{
    GrammarError, JsonGrammar, JsonGrammars, MAX_SCHEMA_BYTES, TokenAlphabet,
};
use reverie_model::token_sampler::{TokenMask, TokenSampler};
use reverie_model::tokenizer::Tokenizer;
use serde_json::{Value, json};

/// One token for each byte, then some words, then the end.
fn alphabet() -> TokenAlphabet {
    let mut bytes: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    bytes.extend(["true", "\": ", "{\"", "1", "é"].map(|word| word.as_bytes().to_vec()));
    bytes.push(Vec::new());
    TokenAlphabet { eos: bytes.len() as u32 - 1, bytes }
}

fn compile(schema: &Value) -> Result<JsonGrammar, GrammarError> {
    JsonGrammars::new(alphabet).compile(&schema.to_string())
}

/// A text drawn without any model; `None` if it is not whole after `limit` tokens.
fn draw(grammar: &JsonGrammar, alphabet: &TokenAlphabet, seed: u64, limit: u64) -> Option<String> {
    let size = alphabet.bytes.len();
    let sampler =
        TokenSampler { temperature: 1.0, top_p: 1.0, top_k: 0, min_p: 0.0, seed, choice: 0 };
    let (mut text, mut written) = (grammar.begin(), Vec::new());
    for position in 0..limit {
        let mut mask = TokenMask::allow_all(size);
        text.restrict(&mut mask).expect("something can come next");
        let token = sampler.sample(&mut vec![0.0; size], position, &mask);
        if token == alphabet.eos {
            return Some(String::from_utf8(written).expect("whole characters"));
        }
        assert!(!text.is_complete(), "nothing follows a whole text");
        text.push(token).expect("it was allowed");
        written.extend_from_slice(&alphabet.bytes[token as usize]);
        if text.is_complete() {
            return Some(String::from_utf8(written).expect("whole characters"));
        }
    }
    None
}

fn card() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 6},
            "round": {"type": "boolean"},
            "size": {"type": "integer", "minimum": 0, "maximum": 99},
            "color": {"enum": ["red", "blue"]},
            "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "maxItems": 2},
        },
        "required": ["name", "round", "size", "color", "tags"],
        "additionalProperties": false,
        "$defs": {"tag": {"type": "string", "maxLength": 3}},
    })
}

fn assert_is_card(value: &Value) {
    let fields = value.as_object().expect("an object");
    assert_eq!(fields.len(), 5, "{value}");
    assert!(value["name"].as_str().expect("a string").chars().count() <= 6, "{value}");
    assert!(value["round"].is_boolean(), "{value}");
    assert!(value["size"].as_u64().expect("a number") <= 99, "{value}");
    assert!(["red", "blue"].contains(&value["color"].as_str().expect("a string")), "{value}");
    let tags = value["tags"].as_array().expect("an array");
    assert!(tags.len() <= 2 && tags.iter().all(|tag| tag.is_string()), "{value}");
}

#[test]
fn whatever_is_drawn_is_json_of_its_schema() {
    let (grammar, alphabet) = (compile(&card()).expect("it can be followed"), alphabet());
    let mut whole = 0;
    for seed in 0..60 {
        let Some(text) = draw(&grammar, &alphabet, seed, 400) else { continue };
        whole += 1;
        assert_is_card(&serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}")));
        assert!(!text.contains("  ") || text.contains('"'), "{text}");
    }
    assert!(whole > 50, "{whole} of 60 came to an end");
}

#[test]
fn the_embedded_models_tokens_write_json_too() {
    let mini = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/mini");
    let config: Value =
        serde_json::from_slice(&std::fs::read(mini.join("config.json")).expect("a file"))
            .expect("JSON");
    let size = config["vocab_size"].as_u64().expect("a number") as usize;
    let tokenizer = Tokenizer::load(&mini, size).expect("a tokenizer");
    let alphabet = tokenizer.alphabet(size);
    let again = tokenizer.alphabet(size);
    let grammars =
        JsonGrammars::new(move || TokenAlphabet { bytes: again.bytes.clone(), eos: again.eos });
    let grammar = grammars.compile(&card().to_string()).expect("it can be followed");
    for seed in 0..20 {
        let Some(text) = draw(&grammar, &alphabet, seed, 400) else { continue };
        assert_is_card(&serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}")));
    }
}

#[test]
fn a_text_is_followed_the_same_from_its_tokens_alone() {
    let (grammar, alphabet) = (compile(&card()).expect("it can be followed"), alphabet());
    let (mut one, mut other) = (grammar.begin(), grammar.begin());
    let mut written = Vec::new();
    for byte in br#"{"name": "a", "round": tru"# {
        let mut mask = TokenMask::allow_all(alphabet.bytes.len());
        one.restrict(&mut mask).expect("something can come next");
        one.push(u32::from(*byte)).expect("it was allowed");
        written.push(u32::from(*byte));
    }
    written.iter().for_each(|token| other.push(*token).expect("it was allowed"));
    let mask = |text: &mut reverie_model::json_grammar::JsonText| {
        let mut mask = TokenMask::allow_all(alphabet.bytes.len());
        text.restrict(&mut mask).expect("something can come next");
        mask
    };
    assert_eq!(mask(&mut one), mask(&mut other));
    assert!(!mask(&mut one).is_forbidden(u32::from(b'e')), "`true` goes on");
    assert!(one.push(u32::from(b'x')).is_err(), "and not otherwise");
}

#[test]
fn a_number_may_end_or_go_on_and_is_not_complete() {
    let grammar = compile(&json!({"type": "integer"})).expect("it can be followed");
    let mut text = grammar.begin();
    text.push(u32::from(b'5')).expect("it was allowed");
    let mut mask = TokenMask::allow_all(alphabet().bytes.len());
    text.restrict(&mut mask).expect("something can come next");
    assert!(!mask.is_forbidden(alphabet().eos) && !mask.is_forbidden(u32::from(b'0')));
    assert!(!text.is_complete());
}

#[test]
fn what_cannot_be_followed_is_refused_and_says_why() {
    let wide: Vec<String> = (0..4000).map(|number| format!("{number:020}")).collect();
    let mut deep = json!({"type": "string"});
    for _ in 0..60 {
        deep = json!({"type": "array", "items": deep});
    }
    for schema in [
        json!(true),
        json!([]),
        json!({"type": "no type"}),
        json!({"$ref": "#/$defs/missing"}),
        json!({"$ref": "https://example.org/schema"}),
        json!({"type": "string", "pattern": "("}),
        json!({"type": "object", "x-guidance": {"lenient": true}}),
        json!({"type": "object", "x-guidance": 1}),
        json!({"type": "object", "propertyNames": {"pattern": "a"}, "dependentSchemas": {"a": false}}),
        json!({"enum": []}),
        json!({"type": "integer", "minimum": 5, "maximum": 4}),
        deep,
        json!({"enum": wide}),
    ] {
        let error = compile(&schema).err().unwrap_or_else(|| panic!("followed: {schema:.80}"));
        assert!(error.to_string().len() < 400, "{error}");
    }
    let long = json!({"description": "x".repeat(MAX_SCHEMA_BYTES)});
    assert_eq!(compile(&long).err(), Some(GrammarError::TooLarge));
}

#[test]
fn hostile_schemas_take_no_more_than_the_limits_grant() {
    // Each either is refused or can be followed for some tokens; none runs away or takes the process with it.
    let doubling: serde_json::Map<String, Value> = (0..24)
        .map(|level| {
            let next = json!({"$ref": format!("#/$defs/d{}", level + 1)});
            (
                format!("d{level}"),
                json!({"anyOf": [next.clone(), {"allOf": [next, {"type": "object"}]}]}),
            )
        })
        .chain([("d24".to_owned(), json!({"type": "object"}))])
        .collect();
    for schema in [
        json!({"$ref": "#"}),
        json!({"allOf": [{"$ref": "#"}]}),
        json!({"anyOf": [{"$ref": "#"}, {"type": "null"}]}),
        json!({"type": "array", "items": {"$ref": "#"}}),
        json!({"type": "array", "minItems": 100_000_000, "items": {"type": "null"}}),
        json!({"type": "string", "minLength": 1_000_000_000}),
        json!({"type": "string", "pattern": "^(a|b|ab)*c{0,5000}$"}),
        json!({"type": "string", "pattern": "((a{1000}){1000}){1000}"}),
        json!({"type": "number", "multipleOf": 0.000_000_1}),
        json!({"$ref": "#/$defs/d0", "$defs": doubling}),
    ] {
        if let Ok(grammar) = compile(&schema) {
            let _whole_or_not = draw(&grammar, &alphabet(), 1, 40);
        }
    }
}

#[test]
fn remainders_beyond_counting_are_refused_before_they_are_counted() {
    let refused = |schema: &Value| match compile(schema) {
        Err(GrammarError::Unusable { reason }) => reason.contains("`multipleOf`"),
        Err(_) | Ok(_) => false,
    };
    let number = |divisor: Value| json!({"type": "number", "multipleOf": divisor});
    let both = |one: u32, other: u32| json!({"allOf": [number(json!(one)), number(json!(other))]});
    let reference = json!({"allOf": [{"$ref": "#/$defs/a"}, {"minimum": 1}]});
    for schema in [
        number(json!(999_983)),
        number(json!(4_294_967_291_u64)),
        number(json!(1.000_000_000_1)),
        number(json!(1e300)),
        number(json!(1e-300)),
        both(307, 311),
        json!({"anyOf": vec![reference; 30], "$defs": {"a": number(json!(997))}}),
    ] {
        assert!(refused(&schema), "{schema}");
    }
    for schema in
        [number(json!(0.01)), number(json!(2.5)), number(json!(1000)), both(12, 18), both(100, 100)]
    {
        assert!(compile(&schema).is_ok(), "{schema}");
    }
}

#[test]
fn what_takes_too_much_from_the_beginning_is_refused_when_it_is_compiled() {
    let properties: serde_json::Map<String, Value> =
        (0..900).map(|number| (format!("p{number}"), json!({"type": "null"}))).collect();
    let wide = json!({"type": "object", "properties": properties, "additionalProperties": false});
    let error = compile(&wide).expect_err("it takes too much");
    assert!(matches!(error, GrammarError::Unusable { .. }), "{error}");
}
