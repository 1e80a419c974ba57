//! Every recorded result against what the model computes from the golden checkpoint. A stage that is
//! skipped fails here, because each recorded tensor must be compared, or be listed as an input.

use std::collections::{BTreeMap, BTreeSet};

use reverie_model::Kernels;
use reverie_model::parity::{Check, Goldens, run};
use reverie_server::args::{DeviceChoice, DtypeChoice};
use reverie_server::startup::PreparedModel;
use reverie_tests::folders::{golden_checkpoint, golden_vectors};
use reverie_tests::goldens::{Vectors, json};

/// Recorded files, and the tensors in them that are not compared under their own names: what goes into
/// a comparison, the reference's padding quirk, and intermediate values whose successors are compared.
/// A leading or trailing `*` stands for anything.
const NOT_COMPARED: [(&str, &[&str]); 9] = [
    ("clip_preprocess", &["*_L_u8", "*_RGB_u8", "*_RGBA_u8", "*.rgb_u8"]),
    ("clip_features", &["pixel_values"]),
    ("llm", &["*.input_ids", "*.attention_mask", "*.pixel_values", "batch_*"]),
    ("dream", &["*.input_ids", "*.pixel_values", "batch_right*"]),
    ("unet", &["encoder_hidden_states", "*sample", "*.timestep", "*.timesteps"]),
    ("schedulers", &["init_noise", "model_outputs", "*.noises", "*.sigmas"]),
    ("vae", &["decode.latents_unscaled", "encode.image", "encode.image_u8", "encode.noise"]),
    ("t2i", &["*latents", "*.noises", "batch2_right*"]),
    ("interleaved", &["*.latents", "*.noises", "*.final_ids"]),
];

fn checks(kernels: Kernels) -> Vec<Check> {
    let prepared = PreparedModel::open(
        Some(&golden_checkpoint()),
        &std::env::temp_dir(),
        DeviceChoice::Cpu,
        DtypeChoice::F32,
    );
    let prepared = prepared.expect("the golden checkpoint").with_kernels(kernels);
    let model = prepared.load().expect("its weights");
    assert_eq!(model.decoder.kernels(), kernels);
    let mut checks = Vec::new();
    run(&model, &Goldens::new(&golden_vectors()), &mut |check| checks.push(check))
        .expect("every stage runs");
    checks
}

fn matches(pattern: &str, name: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(end), _) => name.ends_with(end),
        (None, Some(start)) => name.starts_with(start),
        (None, None) => name == pattern,
    }
}

#[test]
fn every_recorded_result_is_compared_and_within_its_tolerance() {
    let checks = Kernels::ALL.map(|kernels| {
        let checks = checks(kernels);
        let failed: Vec<_> = checks.iter().filter(|check| !check.passed()).collect();
        assert!(failed.is_empty(), "{kernels}: {failed:#?}");
        checks
    });
    let [checks, candles] = checks;
    assert_eq!(checks.len(), candles.len());

    let names: BTreeSet<&str> = checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(names.len(), checks.len(), "nothing is compared twice under one name");
    for (file, inputs) in NOT_COMPARED {
        let vectors = Vectors::read(file);
        let skipped: Vec<&str> = vectors
            .names()
            .filter(|name| !inputs.iter().any(|pattern| matches(pattern, name)))
            .filter(|name| !names.contains(name))
            .collect();
        assert!(skipped.is_empty(), "{file}: recorded, but not compared: {skipped:?}");
    }
    for index in 0..2 {
        assert!(names.contains(format!("batch_left.logits[{index}]").as_str()), "padded rows");
    }
}

#[test]
fn every_stage_makes_as_many_comparisons_as_its_recordings_hold() {
    let checks = checks(Kernels::Reverie);
    let mut found = BTreeMap::new();
    for check in &checks {
        *found.entry(check.stage).or_insert(0) += 1;
    }
    let schedulers = Vectors::read("schedulers");
    let num_samplers = schedulers.names().filter(|name| name.ends_with(".s4.timesteps")).count();
    let pictures = Vectors::read("t2i");
    let is_case = |name: &&str| name.ends_with(".trajectory") && !name.starts_with("batch2_right");
    let num_pictures = pictures.names().filter(is_case).count();
    assert!(num_samplers >= 9 && num_pictures >= 10, "{num_samplers}, {num_pictures}");
    let num_rows = json("tokenizer_cases.json")["rows"].as_array().map_or(0, Vec::len);
    let least = [
        ("tokenizer", 4), // special ids; ids and two decodings of all rows
        ("preprocess", 22),
        ("clip", 6),
        ("llm", 20),
        ("dream", 11),
        ("unet", 26),
        ("schedulers", num_samplers * (6 + 3)), // timesteps of six lengths, trajectories of three
        ("vae", 7),
        ("text_to_image", num_pictures * 3),
        ("interleaved", 2 * (3 + 2 * 7)),
    ];
    let rows = format!("rows[{num_rows}].ids");
    assert!(checks.iter().any(|check| check.name == rows), "all {num_rows} rows are encoded");
    for (stage, least) in least {
        let count = found.get(stage).copied().unwrap_or(0);
        assert!(count >= least, "{stage}: {count} comparisons, {least} recorded");
    }
}
