//! Tokenizer files that lie, contradict each other or are torn: refused with the right error, never a
//! panic. Knows no model.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use reverie_model::CheckpointError;
use reverie_model::tokenizer::{SentencePieceModel, Tokenizer};
use serde_json::{Value, json};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The golden checkpoint's tokenizer files, to be spoilt.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("reverie-hostile-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let source = Path::new(ROOT).join("tests/goldens/checkpoint");
        for file in ["tokenizer.model", "tokenizer_config.json", "added_tokens.json", "config.json"]
        {
            std::fs::copy(source.join(file), path.join(file)).unwrap();
        }
        Self(path)
    }

    fn edit(&self, file: &str, change: impl Fn(&mut Value)) {
        let path = self.0.join(file);
        let mut value: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut value);
        std::fs::write(path, value.to_string()).unwrap();
    }

    fn remove(&self, file: &str) {
        std::fs::remove_file(self.0.join(file)).unwrap();
    }

    fn add_tokenizer_json(&self) {
        let extra = Path::new(ROOT).join("tests/goldens/extras/tokenizer.json");
        std::fs::copy(extra, self.0.join("tokenizer.json")).unwrap();
    }

    fn load(&self) -> Result<Tokenizer, CheckpointError> {
        Tokenizer::load(&self.0, 488)
    }

    fn error(&self) -> CheckpointError {
        self.load().unwrap_err()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn assert_contradiction(folder: &Folder, token: &str) {
    match folder.error() {
        CheckpointError::SpecialTokens { token: found, .. } => assert_eq!(found, token),
        other => panic!("a contradiction about {token} was wanted, found {other}"),
    }
}

#[test]
fn sources_that_disagree_on_a_control_token_are_refused() {
    let folder = Folder::new("added");
    folder.edit("added_tokens.json", |tokens| tokens["<im_end>"] = json!(484));
    assert_contradiction(&folder, "<im_end>");

    let folder = Folder::new("config");
    folder.edit("config.json", |c| c["special_tokens2ids_dict"]["[PAD]"] = json!(481));
    assert_contradiction(&folder, "[PAD]");

    let folder = Folder::new("nested");
    folder.edit("config.json", |c| {
        c["special_tokens2ids_dict"]["additional_special_tokens"]["<dream>"] = json!(481);
    });
    assert_contradiction(&folder, "<dream>");

    let folder = Folder::new("json");
    folder.add_tokenizer_json();
    folder.edit("tokenizer.json", |json| json["added_tokens"][4]["id"] = json!(483));
    assert_contradiction(&folder, "<im_start>");
}

#[test]
fn the_vocabulary_itself_is_a_source() {
    let folder = Folder::new("vocabulary");
    folder.remove("tokenizer_config.json");
    folder.edit("config.json", |c| c["special_tokens2ids_dict"]["</s>"] = json!(5));
    assert_contradiction(&folder, "</s>");
}

#[test]
fn wrong_ids_in_the_model_configuration_are_not_used() {
    let folder = Folder::new("wrong-bos");
    folder.edit("config.json", |config| {
        config["bos_token_id"] = json!(77);
        config["eos_token_id"] = json!("nonsense");
    });
    let special = *folder.load().unwrap().special();
    assert_eq!((special.bos, special.eos, special.pad), (1, 2, 480));
}

#[test]
fn a_control_token_that_no_file_states_is_named() {
    let folder = Folder::new("missing");
    folder.remove("added_tokens.json");
    folder.remove("config.json");
    folder.edit("tokenizer_config.json", |config| {
        config["added_tokens_decoder"].as_object_mut().unwrap().remove("487");
    });
    let error = folder.error();
    assert!(matches!(error, CheckpointError::Missing { .. }), "{error}");
    assert!(error.to_string().contains("<dream>"), "{error}");
}

#[test]
fn ids_beyond_the_embedding_matrix_are_refused() {
    let folder = Folder::new("beyond");
    let error = Tokenizer::load(&folder.0, 487).unwrap_err();
    assert!(error.to_string().contains("<dream> has the id 487"), "{error}");
}

#[test]
fn a_control_token_on_the_place_of_a_text_piece_is_refused() {
    let folder = Folder::new("taken");
    folder.remove("tokenizer_config.json");
    folder.remove("config.json");
    folder.edit("added_tokens.json", |tokens| tokens["<image>"] = json!(300));
    let error = folder.error();
    assert!(error.to_string().contains("gives <image> the id 300"), "{error}");
}

#[test]
fn two_control_tokens_of_one_id_and_gaps_are_refused() {
    for (token, id, wanted) in
        [("<image>", 485, "share the id 485"), ("<dream>", 470_000, "has the id 470000")]
    {
        let folder = Folder::new("shared");
        folder.remove("tokenizer_config.json");
        folder.remove("config.json");
        folder.edit("added_tokens.json", |tokens| tokens[token] = json!(id));
        let error = Tokenizer::load(&folder.0, 500_000).unwrap_err();
        assert!(error.to_string().contains(wanted), "{error}");
    }
}

#[test]
fn a_tokenizer_json_of_another_vocabulary_is_refused() {
    let folder = Folder::new("other-vocabulary");
    folder.add_tokenizer_json();
    assert!(folder.load().is_ok());
    folder.edit("tokenizer.json", |json| {
        let vocabulary = json["model"]["vocab"].as_object_mut().unwrap();
        vocabulary.insert("▁the".to_owned(), json!(260));
        vocabulary.insert("▁a".to_owned(), json!(262));
    });
    let error = folder.error();
    assert!(error.to_string().contains("the id 260 is \"▁the\" here"), "{error}");
}

#[test]
fn a_tokenizer_json_that_merges_text_into_a_control_token_is_refused() {
    let folder = Folder::new("merges");
    folder.remove("tokenizer.model");
    folder.add_tokenizer_json();
    folder.edit("tokenizer.json", |json| {
        let merges = json["model"]["merges"].as_array_mut().unwrap();
        merges.push(json!("< s>"));
    });
    let error = folder.error();
    assert!(error.to_string().contains("special token <s>"), "{error}");
}

#[test]
fn a_folder_without_a_tokenizer_says_what_was_wanted() {
    let folder = Folder::new("none");
    folder.remove("tokenizer.model");
    let error = folder.error();
    assert!(error.to_string().contains("tokenizer.model or tokenizer.json"), "{error}");
}

#[test]
fn a_torn_or_bent_tokenizer_model_never_panics() {
    let folder = Folder::new("torn");
    let path = folder.0.join("tokenizer.model");
    let whole = std::fs::read(&path).unwrap();
    let mut refused = 0;
    for length in (0..whole.len()).step_by(5) {
        refused += usize::from(SentencePieceModel::parse(&whole[..length], &path).is_err());
    }
    assert!(refused > whole.len() / 10, "{refused} of {} cuts refused", whole.len() / 5);
    let mut bent = whole.clone();
    for offset in (0..whole.len()).step_by(7) {
        for flip in [0x01, 0x80, 0xff] {
            bent[offset] = whole[offset] ^ flip;
            if let Err(error) = SentencePieceModel::parse(&bent, &path) {
                assert!(matches!(error, CheckpointError::Tokenizer { .. }), "{error}");
            }
        }
        bent[offset] = whole[offset];
    }
}

#[test]
fn models_that_are_not_plain_bpe_are_refused_with_the_reason() {
    let piece = |text: &str, kind: u8| {
        let mut message = vec![0x0a, text.len() as u8];
        message.extend(text.bytes());
        message.extend([0x18, kind]);
        let mut field = vec![0x0a, message.len() as u8];
        field.extend(message);
        field
    };
    let bpe = vec![0x12, 0x02, 0x18, 0x02];
    let cases: [(Vec<u8>, &str); 9] = [
        (vec![], "model type is 1"),
        (bpe.clone(), "0 unknown tokens"),
        ([piece("<unk>", 2), vec![0x12, 0x02, 0x18, 0x01]].concat(), "model type is 1"),
        ([piece("a", 4), bpe.clone()].concat(), "kind 4"),
        ([piece("a", 6), bpe.clone()].concat(), "marked as a byte"),
        ([piece("a", 1), piece("a", 1), piece("<unk>", 2), bpe.clone()].concat(), "occurs twice"),
        ([piece("", 1), bpe.clone()].concat(), "0 bytes"),
        (
            [piece("<unk>", 2), vec![0x12, 0x05, 0x18, 0x02, 0x98, 0x02, 0x01]].concat(),
            "<0x00> is missing",
        ),
        (
            [piece("<unk>", 2), bpe, vec![0x1a, 0x03, 0x12, 0x01, 0x00]].concat(),
            "normalisation table",
        ),
    ];
    for (bytes, wanted) in cases {
        let error = SentencePieceModel::parse(&bytes, Path::new("tokenizer.model")).unwrap_err();
        assert!(error.to_string().contains(wanted), "wanted {wanted:?}, found {error}");
    }
}
