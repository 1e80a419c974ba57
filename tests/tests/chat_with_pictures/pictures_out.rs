//! Pictures that the model draws: whether, how many, how large, by which sampler, in which file.

use std::collections::BTreeSet;

use reverie_proto::FinishDetails;
use reverie_tests::pictures::{RED, count_near, file_of, pixels};
use reverie_tests::server::asking;
use serde_json::{Value, json};

use crate::mini_server;

const DRAW: &str = "Draw a large red circle on a white background.";
const STORY: &str = "Tell a picture story about a red circle.";

fn with(base: Value, field: &str, value: Value) -> Value {
    let mut base = base;
    base[field] = value;
    base
}

#[tokio::test]
async fn image_choice_and_max_images_decide_how_many_pictures_there_are() {
    let server = mini_server().await;
    let quick = || json!({"seed": 1, "num_inference_steps": 2});
    for (question, fields, least, most) in [
        (DRAW, quick(), 1, 1),
        (DRAW, with(quick(), "image_choice", json!("none")), 0, 0),
        (DRAW, with(quick(), "max_images", json!(0)), 0, 0),
        (DRAW, with(quick(), "modalities", json!(["text"])), 0, 0),
        (DRAW, with(quick(), "image_choice", json!(2)), 2, 2),
        (DRAW, with(quick(), "modalities", json!(["image"])), 1, 1),
        ("What can you do?", quick(), 0, 0),
        ("What can you do?", with(quick(), "image_choice", json!("required")), 1, 16),
        (STORY, quick(), 2, 16),
    ] {
        let answer = server.whole(&asking(json!(question), fields.clone())).await.document;
        let count = answer.pictures().len();
        assert!((least..=most).contains(&count), "{question} {fields}: {count} pictures");
        assert_eq!(answer.usage.images.output, count);
    }
}

#[tokio::test]
async fn a_picture_beyond_max_images_ends_the_document_and_says_so() {
    let server = mini_server().await;
    let fields = json!({"seed": 1, "num_inference_steps": 2, "max_images": 1});
    let answer = server.whole(&asking(json!(STORY), fields)).await.document;
    assert_eq!((answer.pictures().len(), answer.ending), (1, FinishDetails::MaxImages));
}

#[tokio::test]
async fn pictures_have_the_size_that_was_asked_for() {
    let server = mini_server().await;
    for (size, wanted) in
        [("auto", (64, 64)), ("32x64", (32, 64)), ("64x32", (64, 32)), ("20x36", (20, 36))]
    {
        let fields = json!({"size": size, "num_inference_steps": 2, "image_choice": 1});
        let answer = server.whole(&asking(json!(DRAW), fields)).await.document;
        assert_eq!(pixels(answer.pictures()[0]).dimensions(), wanted, "{size}");
    }
}

#[tokio::test]
async fn guidance_and_a_negative_prompt_change_the_picture_and_the_seed_repeats_it() {
    let server = mini_server().await;
    let base = || json!({"seed": 5, "num_inference_steps": 6, "image_choice": 1});
    let variants = [
        base(),
        with(base(), "negative_prompt", json!("A large red circle.")),
        with(base(), "guidance_scale", json!(1.0)),
        with(base(), "guidance_rescale", json!(0.7)),
        with(base(), "image_seed", json!(6)),
        with(base(), "num_inference_steps", json!(7)),
    ];
    let mut seen = BTreeSet::new();
    for fields in variants {
        let answer = server.whole(&asking(json!(DRAW), fields.clone())).await.document;
        let [url] = answer.pictures()[..] else { panic!("one picture") };
        assert!(seen.insert(pixels(url).into_raw()), "{fields} changes the picture");
    }
    let again = server.whole(&asking(json!(DRAW), base())).await.document;
    assert!(seen.contains(pixels(again.pictures()[0]).as_raw()), "a seed repeats its picture");
}

#[tokio::test]
async fn every_sampler_draws_what_was_asked_for_in_its_own_way() {
    let server = mini_server().await;
    let samplers = [
        "ddpm",
        "ddim",
        "pndm",
        "dpmpp_2m",
        "dpmpp_2m_karras",
        "euler",
        "unipc",
        "euler_ancestral",
    ];
    let mut pictures = Vec::new();
    for sampler in samplers {
        let fields = json!({"seed": 1, "sampler": sampler, "num_inference_steps": 12});
        let answer = server.whole(&asking(json!(DRAW), fields)).await.document;
        let [url] = answer.pictures()[..] else { panic!("{sampler}: one picture") };
        let picture = pixels(url);
        let red = count_near(&picture, RED);
        assert!((250..900).contains(&red), "{sampler}: {red} red pixels");
        pictures.push(picture.into_raw());
    }
    let ancestral = pictures.pop().expect("eight pictures");
    let distinct: BTreeSet<_> = pictures.iter().collect();
    assert_eq!(distinct.len(), 7, "some sampler draws like another");
    // Over the same timesteps, Euler ancestral is DDPM in other variables.
    let differences = ancestral.iter().zip(&pictures[0]).map(|(a, b)| a.abs_diff(*b));
    assert!(differences.max().is_some_and(|worst| worst <= 2));
}

#[tokio::test]
async fn lossless_formats_hold_the_same_pixels_and_jpeg_nearly_the_same() {
    let server = mini_server().await;
    let mut files = Vec::new();
    for (format, media_type) in
        [("png", "image/png"), ("webp", "image/webp"), ("jpeg", "image/jpeg")]
    {
        let fields = json!({"seed": 1, "num_inference_steps": 6, "image_format": format});
        let answer = server.whole(&asking(json!(DRAW), fields)).await.document;
        let url = answer.pictures()[0];
        assert_eq!(file_of(url).0, media_type);
        files.push(pixels(url));
    }
    let [png, webp, jpeg] = &files[..] else { panic!("three files") };
    assert_eq!(png, webp);
    assert_ne!(png, jpeg);
    let differences =
        png.as_raw().iter().zip(jpeg.as_raw()).map(|(a, b)| u64::from(a.abs_diff(*b)));
    let mean = differences.sum::<u64>() / png.as_raw().len() as u64;
    assert!(mean < 8, "{mean} levels on average");
}
