//! What is told of pictures while they are drawn: it looks like what they become, and changes nothing.

use image::RgbImage;
use image::imageops::{FilterType, resize};
use reqwest::Client;
use reverie_proto::PictureProgress;
use reverie_tests::answer::{Document, Part, Stream, plain};
use reverie_tests::folders::mini;
use reverie_tests::pictures::pixels;
use reverie_tests::server::{Setup, TestServer, asking};
use serde_json::{Value, json};

const STEPS: usize = 8;

fn story(seed: u64) -> Value {
    let fields = json!({"seed": seed, "image_choice": 2, "max_images": 2, "max_tokens": 60,
                        "sampler": "euler_ancestral", "num_inference_steps": STEPS});
    asking(json!("Tell a picture story about a red circle."), fields)
}

fn with_progress(mut request: Value, num_previews: usize) -> Value {
    request["progress"] = json!({"previews": num_previews});
    request
}

/// The pieces of a streamed answer, and before each picture what was told of it.
async fn told(server: &TestServer, request: &Value) -> (Vec<Part>, Vec<Vec<PictureProgress>>) {
    let mut stream = server.stream(request).await;
    let (mut parts, mut told, mut growing) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(chunk) = stream.chunk().await {
        growing.extend(chunk.progress);
        let Some(choice) = chunk.choices.into_iter().next() else { continue };
        let text = choice.delta.content.as_ref().map_or("", plain).to_owned();
        if !text.is_empty() {
            assert!(growing.is_empty(), "nothing is told of a picture once its text goes on");
            match parts.last_mut() {
                Some(Part::Text(before)) => before.push_str(&text),
                Some(Part::Picture(_)) | None => parts.push(Part::Text(text)),
            }
        }
        for item in choice.delta.images {
            parts.push(Part::Picture(item.image_url.url));
            told.push(std::mem::take(&mut growing));
        }
    }
    (parts, told)
}

/// Mean difference of 8-bit levels, at the size of the latents.
fn distance(preview: &RgbImage, picture: &RgbImage) -> f64 {
    let small = |picture: &RgbImage| resize(picture, 8, 8, FilterType::Triangle);
    let (preview, picture) = (small(preview), small(picture));
    let differences = preview.as_raw().iter().zip(picture.as_raw());
    let sum: u64 = differences.map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / preview.as_raw().len() as f64
}

/// How far away a preview is that knows nothing.
fn gray_distance(picture: &RgbImage) -> f64 {
    distance(&RgbImage::from_pixel(8, 8, image::Rgb([128; 3])), picture)
}

#[tokio::test]
async fn previews_become_the_picture_and_change_no_byte_of_it() {
    let server = Setup::new(&mini()).start().await;
    let quiet: Document = server.whole(&story(7)).await.document;
    let (parts, told) = told(&server, &with_progress(story(7), STEPS)).await;
    assert_eq!(parts, quiet.parts, "the same bytes");
    assert_eq!((quiet.pictures().len(), told.len()), (2, 2));
    for (index, (reports, url)) in told.iter().zip(quiet.pictures()).enumerate() {
        let steps: Vec<usize> = reports.iter().map(|report| report.step).collect();
        assert_eq!(steps, (1..=STEPS).collect::<Vec<_>>());
        assert!(
            reports.iter().all(|report| report.index == index as u64 && report.num_steps == STEPS)
        );
        let picture = pixels(url);
        let preview = |report: &PictureProgress| report.preview.as_deref().map(pixels);
        let previews: Vec<RgbImage> = reports.iter().filter_map(preview).collect();
        assert_eq!(previews.len(), STEPS - 1, "the picture itself stands for the last step");
        assert!(previews.iter().all(|preview| preview.dimensions() == (64, 64)));
        let distances: Vec<f64> =
            previews.iter().map(|preview| distance(preview, &picture)).collect();
        println!(
            "picture {index}: {distances:.1?} levels away, gray {:.1}",
            gray_distance(&picture)
        );
        assert!(distances[STEPS - 2] < distances[0], "{distances:.1?}");
        // The map to colours is some 15 levels off by itself; what it is given settles nevertheless.
        let last = &previews[STEPS - 2];
        let moved: Vec<f64> = previews.iter().map(|preview| distance(preview, last)).collect();
        assert!(moved[STEPS - 3] < moved[0] / 2.0, "{moved:.1?}");
        assert!(distances[STEPS - 2] < gray_distance(&picture) / 2.0, "{distances:.1?}");
    }
}

#[tokio::test]
async fn previews_are_the_same_whoever_is_drawn_beside_them() {
    let server = Setup::new(&mini()).start().await;
    let request = with_progress(story(5), 3);
    let alone = told(&server, &request).await;
    let (other, plain) = (with_progress(story(6), STEPS), story(7));
    let (watched, neighbour, quiet) =
        tokio::join!(told(&server, &request), told(&server, &other), server.whole(&plain));
    assert_eq!(watched, alone);
    assert_ne!(neighbour.0, alone.0);
    let lonely = server.whole(&plain).await.document;
    assert_eq!(quiet.document, lonely, "nor does anything change for who asked for none");
}

#[tokio::test]
async fn a_drawing_with_partial_images_is_the_same_file_as_without() {
    let server = Setup::new(&mini()).start().await;
    let ask = async |fields: Value| {
        let mut body = json!({"prompt": "a large red circle", "seed": 4, "steps": STEPS});
        body.as_object_mut()
            .expect("an object")
            .extend(fields.as_object().expect("fields").clone());
        let url = server.url("/v1/images/generations");
        Client::new().post(url).json(&body).send().await.expect("an answer")
    };
    let whole: Value = ask(json!({})).await.json().await.expect("JSON");
    let mut stream = Stream::open(ask(json!({"stream": true, "partial_images": 3})).await);
    let mut files = Vec::new();
    while let Some(event) = stream.next().await {
        let (_, data) = event.split_once("\ndata: ").expect("a name and data");
        let data: Value = serde_json::from_str(data).expect("JSON");
        files.push(data["b64_json"].as_str().expect("a file").to_owned());
    }
    assert_eq!(files.len(), 4);
    assert_eq!(whole["data"][0]["b64_json"], json!(files[3]));
    let picture = |file: &String| pixels(&format!("data:image/png;base64,{file}"));
    let final_picture = picture(&files[3]);
    let last = distance(&picture(&files[2]), &final_picture);
    assert!(last < gray_distance(&final_picture) / 2.0, "{last:.1} levels away");
}
