//! What cannot be served is refused before any port opens, with the exit code and the words that help.

use serde_json::json;

use crate::process::{Ran, Scratch, argument, mini, run};

/// `reverie serve` on a model that it refuses.
#[track_caller]
fn refused(model: &str, more: &[&str]) -> Ran {
    let arguments = [&["serve", "--port", "0", "--device", "cpu", "--model", model], more].concat();
    let ran = run(&arguments);
    assert!(!ran.stderr.contains("listening"), "a port was opened:\n{}", ran.stderr);
    assert!(ran.stderr.contains("reverie: "), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");
    ran
}

#[track_caller]
fn assert_says(ran: &Ran, words: &[&str]) {
    for word in words {
        assert!(ran.stderr.contains(word), "`{word}` is not in:\n{}", ran.stderr);
    }
}

#[test]
fn a_missing_folder_is_named_and_ends_with_65() {
    let scratch = Scratch::new();
    let missing = scratch.join("nowhere");
    let ran = refused(argument(&missing), &[]);
    assert_eq!(ran.code, Some(65));
    assert_says(&ran, &[argument(&missing)]);
}

#[test]
fn missing_extra_and_misshapen_tensors_are_listed_all_at_once() {
    let scratch = Scratch::golden();
    std::fs::remove_file(scratch.join("dream_embedding.bin")).unwrap();
    scratch.edit("config.json", |config| config["intermediate_size"] = json!(168));
    scratch.edit("components/clip-vit-tiny/config.json", |clip| {
        clip["num_hidden_layers"] = json!(4);
    });
    scratch.edit("components/stable-diffusion-tiny/vae/config.json", |vae| {
        vae["use_quant_conv"] = json!(false);
    });
    let ran = refused(argument(scratch.path()), &[]);
    assert_eq!(ran.code, Some(65));
    assert_says(
        &ran,
        &[
            "missing: all 1 tensors of the dream queries",
            "missing: model.clip_vision_embedding.clip_vision_model.vision_model.encoder.layers.3.",
            "unexpected: stable_diffusion_head.vae.quant_conv.weight [8, 8, 1, 1]",
            "model.layers.0.mlp.gate_proj.weight is [160, 64], wanted [168, 64]",
            "model.layers.1.mlp.down_proj.weight is [64, 160], wanted [64, 168]",
        ],
    );
}

#[test]
fn contradicting_special_ids_end_with_78_and_both_sources() {
    let scratch = Scratch::golden();
    scratch.edit("config.json", |config| {
        let ids = &mut config["special_tokens2ids_dict"]["additional_special_tokens"];
        ids["<dream_start>"] = json!(482);
        ids["<dream_end>"] = json!(483);
    });
    let ran = refused(argument(scratch.path()), &[]);
    assert_eq!(ran.code, Some(78));
    assert_says(&ran, &["special token <dream_", "482", "483", "config.json"]);
}

#[test]
fn a_pickle_that_calls_the_system_is_refused_by_its_opcode() {
    let scratch = Scratch::golden();
    let path = scratch.join("pytorch_model.bin");
    let mut archive = std::fs::read(&path).unwrap();
    let harmless = b"ctorch._utils\n_rebuild_tensor_v2\n";
    let attack = b"cposix\nsystem\n(X\x07\x00\x00\x00exit 42tR0000";
    let place = archive.windows(harmless.len()).position(|window| window == harmless);
    let place = place.expect("torch rebuilds tensors by this name");
    archive[place..place + harmless.len()].copy_from_slice(&attack[..harmless.len()]);
    std::fs::write(&path, archive).unwrap();
    let ran = refused(argument(scratch.path()), &[]);
    assert_eq!(ran.code, Some(65));
    assert_says(&ran, &["pytorch_model.bin", "GLOBAL 'c'", "posix.system"]);
}

#[test]
fn wrong_flags_end_with_2_and_name_the_flag() {
    let model = mini();
    for (flags, word) in [
        (vec!["--no-such-flag"], "--no-such-flag"),
        (vec!["--max-waiting", "0"], "--max-waiting"),
        (vec!["--port", "70000"], "--port"),
        (vec!["--dtype", "int4"], "--dtype"),
        (vec!["--host", "localhost.example"], "--host"),
    ] {
        let ran = run(&[&["serve", "--model", argument(&model)], &flags[..]].concat());
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert_says(&ran, &[word]);
    }
    assert_eq!(run(&["no-such-verb"]).code, Some(2));
    assert_eq!(run::<&str>(&[]).code, Some(2));
    let alone = run(&["verify", "--model", argument(&model)]);
    assert_eq!(alone.code, Some(2), "{}", alone.stderr);
    assert_says(&alone, &["--goldens"]);
}

#[test]
fn a_precision_that_the_device_lacks_is_refused_with_the_one_that_it_has() {
    let model = mini();
    let ran = refused(argument(&model), &["--dtype", "bf16"]);
    assert_eq!(ran.code, Some(71));
    assert_says(&ran, &["bf16", "--dtype f32"]);
}

#[test]
fn a_template_with_an_unknown_field_ends_with_78_and_the_fields_name() {
    let scratch = Scratch::golden();
    let template = std::fs::read(mini().join("reverie_template.json")).unwrap();
    std::fs::write(scratch.join("reverie_template.json"), template).unwrap();
    scratch.edit("reverie_template.json", |template| template["sytem"] = json!("typo"));
    let ran = refused(argument(scratch.path()), &[]);
    assert_eq!(ran.code, Some(78));
    assert_says(&ran, &["reverie_template.json", "sytem"]);
}

#[test]
fn a_taken_port_ends_with_71_and_the_address() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let model = mini();
    let arguments = ["serve", "--device", "cpu", "--model", argument(&model), "--port", &port];
    let ran = run(&arguments);
    assert_eq!(ran.code, Some(71));
    assert_says(&ran, &[&format!("127.0.0.1:{port}")]);
}
