//! Safetensors files and indexes made to break a reader: every one is refused with place and reason.

use reverie_model::CheckpointError;
use serde_json::json;

use crate::fixtures::{Scratch, decoder_part, golden, raw_tensors, safetensors_bytes};

fn file(header: &str, data_bytes: usize) -> Vec<u8> {
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], header.as_bytes(), &vec![0; data_bytes]].concat()
}

/// What opening a folder with this main file says: offset and reason.
fn refusal(bytes: &[u8]) -> (u64, String) {
    let scratch = Scratch::with_golden_configs();
    scratch.write("model.safetensors", bytes);
    match scratch.open() {
        Err(CheckpointError::Format { path, offset, reason }) => {
            assert!(path.ends_with("model.safetensors"), "{}", path.display());
            (offset, reason)
        }
        other => panic!("wanted a format error, got {other:?}"),
    }
}

#[test]
fn broken_headers_are_refused_with_a_reason() {
    let huge = |length: u64| length.to_le_bytes().to_vec();
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(9999), "]".repeat(9999));
    let entry = |shape: &str, start: u64, end: u64| {
        format!("{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":[{start},{end}]}}")
    };
    let one = |shape: &str, start, end| format!("{{\"a\":{}}}", entry(shape, start, end));
    let two = |first: String, second: String| format!("{{\"a\":{first},\"b\":{second}}}");
    let twice = format!("{{\"a\":{0},\"a\":{0}}}", entry("[1]", 0, 4));
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", vec![], "0 bytes cannot hold"),
        ("seven bytes", vec![0; 7], "7 bytes cannot hold"),
        ("header beyond the file", huge(1000), "a header of 1000 bytes in a file of 8"),
        ("header of 2^63", huge(1 << 63), "at most 100000000 are allowed"),
        ("header above the limit", huge(100_000_001), "at most 100000000 are allowed"),
        ("not JSON", file("hello", 0), "JSON"),
        ("not UTF-8", file("{\"a\u{0}\":1}", 0), "JSON"),
        ("a list", file("[]", 0), "JSON"),
        ("duplicate name", file(&twice, 4), "key \"a\" is given twice"),
        ("deep JSON", file(&deep, 0), "JSON"),
        ("unknown field", file("{\"a\":{\"x\":1}}", 0), "JSON"),
        ("negative size", file(&one("[-1]", 0, 4), 4), "JSON"),
        ("metadata that is no text", file("{\"__metadata__\":{\"a\":1}}", 0), "JSON"),
        (
            "overlap",
            file(&two(entry("[2]", 0, 8), entry("[2]", 4, 12)), 12),
            "\"b\" overlaps the one before",
        ),
        ("gap", file(&two(entry("[1]", 0, 4), entry("[1]", 8, 12)), 12), "\"b\" leaves a gap"),
        ("first gap", file(&one("[1]", 4, 8), 8), "leaves a gap"),
        ("end before start", file(&one("[1]", 0, 0), 0), "needs 4 bytes"),
        ("end beyond the file", file(&one("[4]", 0, 16), 8), "outside the file"),
        ("shape against bytes", file(&one("[3]", 0, 16), 16), "needs 12 bytes"),
        ("zero dimension", file(&one("[0]", 0, 0), 0), "dimension of size 0"),
        ("product overflow", file(&one("[4294967296,4294967296,16]", 0, 0), 0), "overflows"),
        ("offset overflow", file(&one("[1]", 0, u64::MAX), 0), "overflows"),
        ("too many dimensions", file(&one("[1,1,1,1,1,1,1,1,1]", 0, 4), 4), "9 dimensions"),
        (
            "unknown type",
            file("{\"a\":{\"dtype\":\"F4\",\"shape\":[2],\"data_offsets\":[0,1]}}", 1),
            "element type \"F4\"",
        ),
        ("one byte too many", file(&one("[1]", 0, 4), 5), "end after 4 bytes, the file after 5"),
    ];
    for (what, bytes, wanted) in cases {
        let (_, reason) = refusal(&bytes);
        assert!(reason.contains(wanted), "{what}: {reason}");
    }
    let mut not_utf8 = file("{\"ab\":1}", 0);
    not_utf8[10] = 0xff;
    assert!(refusal(&not_utf8).1.contains("JSON"));
}

#[test]
fn an_error_in_the_header_names_its_byte() {
    let (offset, _) = refusal(&file("{\"a\":!}", 0));
    assert_eq!(offset, 8 + 6);
}

#[test]
fn a_file_cut_anywhere_is_refused_without_panic() {
    let whole = safetensors_bytes(&decoder_part(&raw_tensors(&golden())));
    let scratch = Scratch::with_golden_configs();
    let cuts = (0..400).chain((400..whole.len()).step_by(4999)).chain([whole.len() - 1]);
    for cut in cuts {
        scratch.write("model.safetensors", &whole[..cut]);
        let error = scratch.open().unwrap_err();
        assert!(matches!(error, CheckpointError::Format { .. }), "cut at {cut}: {error}");
    }
}

/// What opening a folder with this index says, where `one.safetensors` holds the decoder.
fn index_refusal(change: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>)) -> String {
    let scratch = Scratch::with_golden_configs();
    let tensors = decoder_part(&raw_tensors(&golden()));
    scratch.write_safetensors("one.safetensors", &tensors);
    scratch.write_safetensors("two.safetensors", &tensors[..1]);
    let mut map: serde_json::Map<_, _> =
        tensors.iter().map(|tensor| (tensor.name.clone(), json!("one.safetensors"))).collect();
    change(&mut map);
    let index = json!({ "weight_map": map });
    scratch.write("model.safetensors.index.json", index.to_string().as_bytes());
    match scratch.open() {
        Err(CheckpointError::Format { path, reason, .. }) => {
            assert!(path.ends_with("model.safetensors.index.json"));
            reason
        }
        other => panic!("wanted a format error, got {other:?}"),
    }
}

#[test]
fn an_index_cannot_lead_out_of_the_folder_or_contradict_its_shards() {
    let name = "lm_head.weight";
    for outside in ["../one.safetensors", "/etc/passwd", "a/../../one.safetensors", ""] {
        let reason = index_refusal(|map| {
            map.insert(name.to_owned(), json!(outside));
        });
        assert!(reason.contains("lies outside the folder"), "{outside}: {reason}");
    }
    let reason = index_refusal(|map| {
        map.insert(name.to_owned(), json!("three.safetensors"));
    });
    assert!(reason.contains("shard \"three.safetensors\" is missing"), "{reason}");
    let reason = index_refusal(|map| {
        map.insert(name.to_owned(), json!("two.safetensors"));
        map.insert("model.norm.weight".to_owned(), json!("two.safetensors"));
    });
    assert!(reason.contains("\"model.norm.weight\" should be in \"two.safetensors\""), "{reason}");
    assert!(reason.contains("\"lm_head.weight\" is in \"one.safetensors\", against"), "{reason}");
    let reason = index_refusal(|map| {
        map.insert("model.extra.weight".to_owned(), json!("one.safetensors"));
    });
    assert!(reason.contains("\"model.extra.weight\" should be in"), "{reason}");
}

#[test]
fn an_index_that_lists_a_tensor_twice_is_refused() {
    let scratch = Scratch::with_golden_configs();
    let index = br#"{"weight_map": {"a": "one.safetensors", "a": "two.safetensors"}}"#;
    scratch.write("model.safetensors.index.json", index);
    let error = scratch.open().unwrap_err().to_string();
    assert!(error.contains("key \"a\" is given twice"), "{error}");
}
