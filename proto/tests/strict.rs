//! What is not a request is refused by its place, and nothing of it is repeated.

use reverie_proto::ParseError;
use reverie_proto::parse::chat_request;

const MESSAGES: &str = r#""model":"m","messages":[{"role":"user","content":"hi"}]"#;

fn with(fields: &str) -> Result<(), ParseError> {
    chat_request(format!("{{{MESSAGES},{fields}}}").as_bytes()).map(|_| ())
}

fn in_message(fields: &str) -> Result<(), ParseError> {
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user",{fields}}}]}}"#);
    chat_request(body.as_bytes()).map(|_| ())
}

fn invalid(param: &str, wanted: &str) -> Result<(), ParseError> {
    Err(ParseError::Invalid { param: param.into(), wanted: wanted.into() })
}

#[test]
fn what_is_not_json_is_placed_by_its_byte() {
    let deep = "[".repeat(900_000);
    let unclosed = format!("{{{MESSAGES}");
    let trailing = format!("{{{MESSAGES}}} x");
    let cases: [(&[u8], usize); 8] = [
        (b"", 0),
        (unclosed.as_bytes(), unclosed.len() - 1),
        (trailing.as_bytes(), trailing.len() - 1),
        (b"\xef\xbb\xbf{}", 0),
        (b"{\"model\":\"\xff\"}", 10),
        (b"{\"model\":\"\\ud800\"}", 16),
        (b"{\n\"model\": NaN}", 11),
        (b"{\"model\": Infinity}", 9),
    ];
    for (body, around) in cases {
        match chat_request(body) {
            Err(ParseError::Syntax { offset }) => {
                assert!(offset.abs_diff(around) <= 1, "{body:?}: {offset} is not about {around}");
            }
            other => panic!("{body:?}: {other:?}"),
        }
    }
    let tools = format!("{{{MESSAGES},\"tools\":{deep}");
    assert!(matches!(chat_request(tools.as_bytes()), Err(ParseError::Syntax { .. })));
    assert!(matches!(chat_request(deep.as_bytes()), Err(ParseError::Syntax { .. })));
}

#[test]
fn a_body_that_is_no_object_is_refused() {
    for body in ["[]", "1", "null", "\"text\""] {
        let error = chat_request(body.as_bytes()).unwrap_err();
        assert!(matches!(error, ParseError::Syntax { .. }), "{body}: {error:?}");
    }
}

#[test]
fn an_unknown_field_is_named_wherever_it_is() {
    let unknown = |param: &str| Err(ParseError::UnknownField { param: param.into() });
    assert_eq!(with(r#""chat_template":"x""#), unknown("chat_template"));
    assert_eq!(with(r#""prompt_token_ids":[1]"#), unknown("prompt_token_ids"));
    assert_eq!(in_message(r#""content":"x","role_name":1"#), unknown("messages[0].role_name"));
    assert_eq!(
        in_message(r#""content":[{"type":"text","text":"x","cache_control":{}}]"#),
        unknown("messages[0].content[0].cache_control")
    );
    assert_eq!(
        in_message(r#""content":[{"type":"image_url","image_url":{"url":"x","size":1}}]"#),
        unknown("messages[0].content[0].image_url.size")
    );
    assert_eq!(with(r#""stream_options":{"x":1}"#), unknown("stream_options.x"));
}

#[test]
fn a_field_given_twice_is_named_wherever_it_is() {
    let twice = |param: &str| Err(ParseError::DuplicateField { param: param.into() });
    assert_eq!(with(r#""model":"n""#), twice("model"));
    assert_eq!(with(r#""seed":1,"seed":1"#), twice("seed"));
    assert_eq!(with(r#""logit_bias":{"5":1,"5":2}"#), twice("logit_bias.5"));
    assert_eq!(in_message(r#""content":"x","content":"y""#), twice("messages[0].content"));
    assert_eq!(
        in_message(r#""content":[{"type":"text","text":"x","text":"y"}]"#),
        twice("messages[0].content[0].text")
    );
}

#[test]
fn a_field_that_is_needed_is_named() {
    let missing = |param: &str| Err(ParseError::MissingField { param: param.into() });
    let parse = |body: &str| chat_request(body.as_bytes()).map(|_| ());
    assert_eq!(parse(r#"{"messages":[]}"#), missing("model"));
    assert_eq!(parse(r#"{"model":"m"}"#), missing("messages"));
    assert_eq!(parse(r#"{"model":"m","messages":[{}]}"#), missing("messages[0].role"));
    assert_eq!(
        in_message(r#""content":[{"type":"image_url","image_url":{}}]"#),
        missing("messages[0].content[0].image_url.url")
    );
}

#[test]
fn numbers_are_of_their_type_and_range() {
    let whole = "a whole number of at least 0";
    assert_eq!(with(r#""seed":-1"#), invalid("seed", whole));
    assert_eq!(with(r#""seed":1.0"#), invalid("seed", whole));
    assert_eq!(with(r#""seed":18446744073709551616"#), invalid("seed", whole));
    assert_eq!(with(r#""seed":-0"#), invalid("seed", whole));
    assert_eq!(with(r#""max_tokens":"5""#), invalid("max_tokens", whole));
    assert_eq!(with(r#""top_k":9223372036854775808"#), invalid("top_k", "a whole number"));
    assert_eq!(with(r#""temperature":1e999"#), invalid("temperature", "a finite number"));
    assert_eq!(with(r#""temperature":true"#), invalid("temperature", "a number"));
    assert_eq!(with(r#""temperature":-0.0"#), Ok(()));
    assert_eq!(with(r#""temperature":1"#), Ok(()), "a whole number is a number");
}

#[test]
fn wrong_types_are_placed_and_never_repeated() {
    let canary = r#"canary, expected canary"#;
    for fields in [
        format!(r#""temperature":"{canary}""#),
        format!(r#""sampler":"{canary}""#),
        format!(r#""image_choice":"{canary}""#),
        format!(r#""stream":"{canary}""#),
        format!(r#""messages":"{canary}""#),
    ] {
        let error = with(&fields).unwrap_err().to_string();
        assert!(!error.contains("canary"), "{error}");
    }
    assert_eq!(with(r#""stream":"yes""#), invalid("stream", "a boolean"));
    assert_eq!(
        in_message(r#""content":7"#),
        invalid("messages[0].content", "a string or an array of parts")
    );
    assert_eq!(
        in_message(r#""content":[{"type":"text"}]"#),
        invalid("messages[0].content[0]", "`text` with `text`, or `image_url` with `image_url`")
    );
    let role = chat_request(br#"{"model":"m","messages":[{"role":"tool","content":"x"}]}"#);
    assert!(
        matches!(&role, Err(ParseError::Invalid { param, .. }) if param == "messages[0].role"),
        "{role:?}"
    );
}

#[test]
fn a_clients_own_key_is_repeated_short_and_plain() {
    let key = "\\u202ekey\\n".repeat(1000);
    let error = with(&format!(r#""metadata":{{"{key}":1}}"#)).unwrap_err();
    let ParseError::Invalid { param, .. } = &error else { panic!("{error:?}") };
    assert!(param.chars().count() <= 128);
    assert!(!param.contains(['\n', '\u{202e}']));
}

#[test]
fn what_cannot_be_done_is_accepted_only_when_it_is_empty() {
    let harmless = r#""tools":[],"logit_bias":{},"tool_choice":"none","logit_bias":null"#;
    assert!(with(harmless).is_err(), "logit_bias is given twice");
    for fields in [
        r#""tools":[]"#,
        r#""tools":null"#,
        r#""logit_bias":{}"#,
        r#""tool_choice":"none""#,
        r#""response_format":{"type":"text"}"#,
        r#""metadata":null"#,
    ] {
        assert_eq!(with(fields), Ok(()), "{fields}");
    }
    let unsupported = |param: &str| Err(ParseError::Unsupported { param: param.into() });
    assert_eq!(with(r#""tools":[{"type":"function"}]"#), unsupported("tools"));
    assert_eq!(
        in_message(r#""content":"x","tool_calls":[1]"#),
        unsupported("messages[0].tool_calls")
    );
    assert_eq!(
        in_message(r#""content":"x","refusal":null,"annotations":[],"audio":null"#),
        Ok(()),
        "what software development kits echo"
    );
    assert_eq!(in_message(r#""content":"{}","parsed":{"any":["thing"]}"#), Ok(()));
    let kept = r#""content":"x","provider_specific_fields":{"refusal":null,"content_parts":7}"#;
    assert!(in_message(kept).is_err(), "what is understood of it must be right");
}

#[test]
fn arrays_end_where_no_request_needs_more() {
    let many = |item: &str, count: usize| vec![item; count].join(",");
    let too_many = |param: &str, limit: &str| {
        Err(ParseError::TooMany { param: param.into(), limit: limit.into() })
    };
    let stop = format!(r#""stop":[{}]"#, many("\"x\"", 17));
    assert_eq!(with(&stop), too_many("stop", "16"));
    let parts = many(r#"{"type":"text","text":""}"#, 1025);
    let parts = format!(r#""content":[{parts}]"#);
    assert_eq!(in_message(&parts), too_many("messages[0].content", "1024"));
    let messages = many(r#"{"role":"user","content":"x"}"#, 4097);
    let body = format!(r#"{{"model":"m","messages":[{messages}]}}"#);
    assert_eq!(chat_request(body.as_bytes()).map(|_| ()), too_many("messages", "4096"));
}

#[test]
fn objects_and_arrays_that_nobody_needs_are_not_read_to_their_end() {
    // What follows the fault is no JSON: had it been read, the fault would be a `Syntax`.
    let fault = chat_request(format!("{{{MESSAGES},\"tools\":[1,").as_bytes()).unwrap_err();
    assert_eq!(fault, ParseError::Unsupported { param: "tools".to_owned() });
    let biases: Vec<_> = (0..1025).map(|id| format!(r#""{id}":1"#)).collect();
    let begun = format!(r#"{{{MESSAGES},"logit_bias":{{{},"#, biases.join(","));
    let fault = chat_request(begun.as_bytes()).unwrap_err();
    let limit = "1024".to_owned();
    assert_eq!(fault, ParseError::TooMany { param: "logit_bias".to_owned(), limit });
    let biases = biases[..1024].join(",");
    assert_eq!(with(&format!(r#""logit_bias":{{{biases}}}"#)), Ok(()));
    let pairs: Vec<_> = (0..17).map(|index| format!(r#""{index}":"x""#)).collect();
    let begun = format!(r#"{{{MESSAGES},"metadata":{{{},"#, pairs.join(","));
    let fault = chat_request(begun.as_bytes()).unwrap_err();
    let limit = "16".to_owned();
    assert_eq!(fault, ParseError::TooMany { param: "metadata".to_owned(), limit });
    let pairs = pairs[..16].join(",");
    assert_eq!(with(&format!(r#""metadata":{{{pairs}}}"#)), Ok(()));
}
