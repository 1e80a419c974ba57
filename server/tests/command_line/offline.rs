//! The verbs that need no server: what they print, what they write.

use std::path::Path;

use serde_json::Value;

use crate::process::{Scratch, argument, golden_checkpoint, golden_vectors, mini, run, succeed};

fn inspect(folder: &Path) -> Value {
    let ran = succeed(&["inspect", "--json", argument(folder)]);
    serde_json::from_str(&ran.stdout).expect("JSON")
}

/// The sum of a number over all components.
fn total(report: &Value, field: &str) -> u64 {
    let components = report["components"].as_array().expect("components");
    components.iter().map(|part| part[field].as_u64().expect("a number")).sum()
}

#[test]
fn inspect_tells_people_and_programs_the_same() {
    for (folder, template, dream_start, positions) in
        [(golden_checkpoint(), "vicuna_v1.1", 483, 2048), (mini(), "mini", 1534, 1024)]
    {
        let report = inspect(&folder);
        assert_eq!(report["template"], template);
        assert_eq!(report["special_token_ids"]["<dream_start>"], dream_start, "{report:#}");
        assert_eq!(report["context"]["positions"], positions);
        let text = succeed(&["inspect", argument(&folder)]).stdout;
        for word in [
            "decoder".to_owned(),
            "UNet".to_owned(),
            format!("{}", total(&report, "tensors")),
            format!("{positions} positions"),
            format!("<dream_start> {dream_start}"),
            template.to_owned(),
        ] {
            assert!(text.contains(&word), "`{word}` is not in:\n{text}");
        }
    }
}

#[test]
fn a_converted_checkpoint_is_inspected_and_verified_like_its_source() {
    let scratch = Scratch::new();
    let converted = scratch.join("converted");
    let source = golden_checkpoint();
    let ran = succeed(&["convert", argument(&source), argument(&converted)]);
    let (before, after) = (inspect(&source), inspect(&converted));
    let num_tensors = total(&before, "tensors");
    assert!(ran.stdout.contains(&format!("{num_tensors} tensors")), "{}", ran.stdout);
    for field in ["components", "context", "special_token_ids", "memory", "template"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    let again = run(&["convert", argument(&source), argument(&converted)]);
    assert_ne!(again.code, Some(0), "nothing is overwritten");

    let checksums = |folder: &Path| run(&["inspect", argument(folder), "--checksums"]);
    assert_eq!(
        checksums(&converted).code,
        Some(0),
        "what was just written is as the manifest says"
    );
    assert_eq!(checksums(&source).code, Some(2), "the published layout has no manifest");

    let goldens = golden_vectors();
    let verify = |json: &[&str]| {
        let model = ["verify", "--model", argument(&converted), "--goldens", argument(&goldens)];
        run(&[&model, json].concat())
    };
    let ran = verify(&["--json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stdout);
    let report: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(report["passed"], true);
    assert!(report["checks"].as_array().is_some_and(|checks| checks.len() >= 237));

    damage(
        &converted.join("model.safetensors"),
        "stable_diffusion_head.vae.decoder.conv_in.weight",
    );
    let ran = verify(&[]);
    assert_eq!(ran.code, Some(70), "{}", ran.stdout);
    assert!(ran.stdout.contains("FAILED vae decode.image"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("FAILED unet"), "only what is broken is blamed:\n{}", ran.stdout);
    let ran = checksums(&converted);
    assert_eq!(ran.code, Some(65), "{}", ran.stderr);
    assert!(ran.stderr.contains("model.safetensors: sha256 is"), "{}", ran.stderr);
}

#[test]
fn a_checkpoint_of_one_ability_is_inspected_converted_and_verified_without_the_parts_of_the_other()
{
    let goldens = golden_vectors();
    for (ability, parts, drawn, left_out, checked) in [
        ("comprehension", 3, 0, ["UNet", "dream queries"], ["tokenizer", "clip", "llm"]),
        ("creation", 5, 10, ["vision tower", "vision projector"], ["dream", "unet", "vae"]),
    ] {
        let scratch = Scratch::golden();
        scratch.edit("config.json", |config| config["reverie_abilities"] = [ability].into());
        let converted = scratch.join("converted");
        succeed(&["convert", argument(scratch.path()), argument(&converted)]);
        for folder in [scratch.path(), &converted] {
            let report = inspect(folder);
            assert_eq!(report["abilities"], serde_json::json!([ability]));
            assert_eq!(report["components"].as_array().map(Vec::len), Some(parts));
            assert_eq!(report["context"]["per_picture_out"], drawn);
            assert_eq!(report["memory"]["denoiser"] == 0, drawn == 0, "{report:#}");
            let text = succeed(&["inspect", argument(folder)]).stdout;
            assert!(text.contains(&format!("abilities            {ability}\n")), "{text}");
            assert!(left_out.iter().all(|part| !text.contains(part)), "{text}");
        }
        assert_eq!(converted.join("unet").exists(), ability == "creation");
        assert_eq!(converted.join("clip").exists(), ability == "comprehension");
        let model = ["verify", "--json", "--model", argument(&converted), "--goldens"];
        let ran = succeed(&[&model[..], &[argument(&goldens)]].concat());
        let report: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        assert_eq!(report["passed"], true, "{report:#}");
        let checks = report["checks"].as_array().expect("checks");
        for stage in checked {
            assert!(checks.iter().any(|check| check["stage"] == stage), "{stage}");
        }
        assert!(checks.iter().all(|check| check["stage"] != "interleaved"));
    }
}

/// Makes the first weight of a tensor 2 in a file of bf16 tensors.
fn damage(path: &Path, tensor: &str) {
    let mut file = std::fs::read(path).expect("a file");
    let header_len = u64::from_le_bytes(file[..8].try_into().expect("8 bytes")) as usize;
    let header: Value = serde_json::from_slice(&file[8..8 + header_len]).expect("JSON");
    assert_eq!(header[tensor]["dtype"], "BF16");
    let start = header[tensor]["data_offsets"][0].as_u64().expect("an offset") as usize;
    file[8 + header_len + start..][..2].copy_from_slice(&[0x00, 0x40]);
    std::fs::write(path, file).expect("a written file");
}

/// `reverie complete` into `folder`; its files by name.
fn complete(folder: &Path, more: &[&str]) -> (String, Vec<(String, Vec<u8>)>) {
    let model = mini();
    let page = folder.join("page.html");
    let common = [
        "complete",
        "--device",
        "cpu",
        "--model",
        argument(&model),
        "--out",
        argument(folder),
        "--html",
        argument(&page),
        "--seed",
        "3",
        "--steps",
        "4",
    ];
    let ran = succeed(&[&common, more].concat());
    let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read(path).expect("a file"))
        })
        .collect();
    files.sort();
    (ran.stdout, files)
}

#[test]
fn complete_writes_its_pictures_and_one_page_that_needs_nothing_else() {
    let scratch = Scratch::new();
    let story = "Tell a picture story about a red circle.";
    let (text, files) = complete(&scratch.join("first"), &[story]);
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let pictures: Vec<String> = (1..names.len()).map(|n| format!("picture-{n}.png")).collect();
    assert_eq!(
        (names[0], &names[1..]),
        ("page.html", pictures.iter().map(String::as_str).collect::<Vec<_>>().as_slice())
    );
    assert!(pictures.len() >= 2, "a story has pictures: {names:?}");
    for name in &names[1..] {
        assert!(text.contains(name), "the text names {name}:\n{text}");
    }
    for (_, file) in &files[1..] {
        let picture = image::load_from_memory(file).expect("a picture");
        assert_eq!((picture.width(), picture.height()), (64, 64));
    }
    let page = String::from_utf8(files[0].1.clone()).expect("UTF-8");
    for word in ["http://", "https://", "<script", "src=\"/", "<link", "url("] {
        assert!(!page.contains(word), "the page has `{word}`");
    }
    assert_eq!(page.matches("<img src=\"data:image/png;base64,").count(), pictures.len());
    assert!(page.contains(story), "the prompt is there");

    let (_, again) = complete(&scratch.join("second"), &[story]);
    assert!(again == files, "a seed writes the same files");
}

#[test]
fn complete_answers_questions_about_picture_files() {
    let scratch = Scratch::new();
    let file = scratch.join("red.png");
    let pixel = |x, y| {
        let inside = (5..27).contains(&x) && (5..27).contains(&y);
        image::Rgb(if inside { [215, 35, 40] } else { [246; 3] })
    };
    image::RgbImage::from_fn(64, 64, pixel).save(&file).expect("a written picture");
    let question = ["What color is the square?", "--image", argument(&file)];
    let (text, files) = complete(&scratch.join("out"), &question);
    assert_eq!(text.trim(), "red");
    assert_eq!(files.len(), 1, "the page alone");

    let missing = scratch.join("missing.png");
    let model = mini();
    let arguments =
        ["complete", "--model", argument(&model), "What?", "--image", argument(&missing)];
    let ran = run(&arguments);
    assert_ne!(ran.code, Some(0));
    assert!(ran.stderr.contains("missing.png"), "{}", ran.stderr);
}
