//! A converted folder: the same tensors bit for bit, the same configuration, and a manifest that
//! notices damage.

use std::path::Path;

use reverie_model::CheckpointError;
use reverie_model::checkpoint::{Checkpoint, Converter, Manifest, convert};

use crate::fixtures::{Scratch, golden_folder, mini_folder, raw_tensors};

const TOKENIZER: &str = "{\"version\":\"1.0\"}";

fn converted(source: &Path, scratch: &Scratch) -> (Checkpoint, Manifest) {
    let destination = scratch.path().join("converted");
    let manifest = convert(source, &destination, TOKENIZER, &mut |_| {}).expect("a conversion");
    (Checkpoint::open(&destination).expect("a converted folder"), manifest)
}

#[test]
fn a_converted_checkpoint_equals_its_source_bit_for_bit() {
    for folder in [golden_folder(), mini_folder()] {
        let scratch = Scratch::new();
        let source = Checkpoint::open(&folder).unwrap();
        let (result, manifest) = converted(&folder, &scratch);
        assert_eq!(result.config(), source.config());
        assert!(raw_tensors(&result) == raw_tensors(&source), "some tensor differs");
        assert_eq!(result.manifest(), Some(&manifest));
        let (before, after) = (source.weights_content(), result.weights_content());
        assert_eq!(before.digest(), after.digest(), "the weights are the same in any layout");
        assert_eq!(after.stated(), Some(after.digest().as_str()), "and the manifest says so");
        assert_eq!(before.stated(), None);
        assert_eq!(manifest.num_tensors, source.tensors().len());
        let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
        assert_eq!(result.verify_checksums().unwrap(), bytes);
    }
}

#[test]
fn a_converted_folder_converts_again_to_the_same_weights() {
    let scratch = Scratch::new();
    let (_, first) = converted(&golden_folder(), &scratch);
    let again = scratch.path().join("again");
    let second =
        convert(&scratch.path().join("converted"), &again, TOKENIZER, &mut |_| {}).unwrap();
    assert_eq!(first, second);
}

#[test]
fn a_converted_folder_is_complete() {
    let scratch = Scratch::new();
    let (_, manifest) = converted(&golden_folder(), &scratch);
    let paths: Vec<&str> = manifest.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "added_tokens.json",
            "clip/config.json",
            "config.json",
            "generation_config.json",
            "model.safetensors",
            "preprocessor_config.json",
            "scheduler/scheduler_config.json",
            "special_tokens_map.json",
            "tokenizer.json",
            "tokenizer.model",
            "tokenizer_config.json",
            "unet/config.json",
            "vae/config.json",
        ]
    );
    let text = std::fs::read_to_string(scratch.path().join("converted/config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(config["special_tokens2ids_dict"]["[PAD]"], 480);
}

#[test]
fn built_in_components_are_written_out() {
    // A flat configuration without a schedule or preprocessor of its own.
    let source = Scratch::new();
    for name in [
        "config.json",
        "model.safetensors",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    ] {
        source.write(name, &std::fs::read(mini_folder().join(name)).unwrap());
    }
    let scratch = Scratch::new();
    let (result, _) = converted(source.path(), &scratch);
    assert_eq!(result.config(), source.open().unwrap().config());
    assert!(scratch.path().join("converted/scheduler/scheduler_config.json").is_file());
    assert!(scratch.path().join("converted/preprocessor_config.json").is_file());
}

#[test]
fn large_tensors_start_at_multiples_of_64_bytes_and_standard_readers_agree() {
    let scratch = Scratch::new();
    let (result, _) = converted(&golden_folder(), &scratch);
    let path = scratch.path().join("converted/model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let (header, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!((8 + header) % 64, 0);
    for (name, info) in metadata.tensors() {
        let (start, end) = info.data_offsets;
        let alignment = 1 << (end - start).trailing_zeros().min(6);
        assert_eq!(start % alignment, 0, "{name}");
    }
    assert_eq!(metadata.tensors().len(), result.tensors().len());
}

#[test]
fn a_small_limit_makes_shards_with_an_index() {
    let scratch = Scratch::new();
    let destination = scratch.path().join("converted");
    let converter = Converter { shard_bytes: 1 << 20 };
    let mut last = 0;
    let mut progress = |progress: reverie_model::checkpoint::ConvertProgress<'_>| {
        assert!(progress.bytes_done > last && progress.bytes_done <= progress.bytes_total);
        last = progress.bytes_done;
    };
    let manifest =
        converter.convert(&golden_folder(), &destination, TOKENIZER, &mut progress).unwrap();
    let shards: Vec<_> =
        manifest.files.iter().filter(|file| file.path.ends_with(".safetensors")).collect();
    assert!(shards.len() >= 3, "{}", shards.len());
    assert!(shards.iter().all(|shard| shard.bytes < (1 << 20) + 200_000));
    let source = Checkpoint::open(&golden_folder()).unwrap();
    assert_eq!(last, source.tensors().map(|tensor| tensor.bytes).sum::<u64>());
    let result = Checkpoint::open(&destination).unwrap();
    assert!(raw_tensors(&result) == raw_tensors(&source), "some tensor differs");
}

#[test]
fn a_changed_byte_is_noticed_by_checksum_and_a_changed_length_at_once() {
    let scratch = Scratch::new();
    let (result, _) = converted(&golden_folder(), &scratch);
    drop(result);
    let path = scratch.path().join("converted/model.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() - 1000;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let damaged = Checkpoint::open(&scratch.path().join("converted")).unwrap();
    let weights = damaged.weights_content();
    assert_ne!(Some(weights.digest().as_str()), weights.stated(), "other weights, another digest");
    match damaged.verify_checksums() {
        Err(CheckpointError::Checksum { path: found, .. }) => assert_eq!(found, path),
        other => panic!("wanted a checksum error, got {other:?}"),
    }
    drop(damaged);
    bytes.pop();
    std::fs::write(&path, &bytes).unwrap();
    let error = Checkpoint::open(&scratch.path().join("converted")).unwrap_err().to_string();
    assert!(error.contains("the manifest says"), "{error}");
}

#[test]
fn a_manifest_cannot_lead_out_of_its_folder() {
    let scratch = Scratch::new();
    converted(&golden_folder(), &scratch);
    scratch.edit("converted/reverie_manifest.json", |manifest| {
        manifest["files"][0]["path"] = serde_json::json!("../added_tokens.json");
    });
    let error = Checkpoint::open(&scratch.path().join("converted")).unwrap_err().to_string();
    assert!(error.contains("lies outside the folder"), "{error}");
}

#[test]
fn nothing_is_overwritten_and_a_failure_leaves_nothing() {
    let scratch = Scratch::new();
    scratch.write("occupied/file", b"mine");
    let occupied = scratch.path().join("occupied");
    let error = convert(&golden_folder(), &occupied, TOKENIZER, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("not empty"), "{error}");
    assert_eq!(std::fs::read(occupied.join("file")).unwrap(), b"mine");

    let destination = scratch.path().join("failed");
    let in_the_way = scratch.path().join("failed.partial/tokenizer.json");
    let failed = convert(&golden_folder(), &destination, TOKENIZER, &mut |_| {
        std::fs::write(&in_the_way, "").unwrap();
    });
    assert!(matches!(failed, Err(CheckpointError::Io { path, .. }) if path == in_the_way));
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 1);

    std::fs::create_dir(scratch.path().join("empty")).unwrap();
    convert(&golden_folder(), &scratch.path().join("empty"), TOKENIZER, &mut |_| {}).unwrap();
}
