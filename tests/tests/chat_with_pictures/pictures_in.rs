//! Pictures that the user shows: any number, any order, any common file.

use image::ImageFormat;
use reverie_tests::pictures::{BLUE, RED, data_url, scene, url_part};
use reverie_tests::server::asking;
use serde_json::{Value, json};

use crate::{mini_server, square, text};

#[tokio::test]
async fn questions_about_a_picture_are_answered_from_what_it_shows() {
    let server = mini_server().await;
    for (color, name) in [(RED, "red"), (BLUE, "blue")] {
        let content = json!([square(color), text("What color is the square?")]);
        let answer = server.whole(&asking(content, json!({}))).await.document;
        assert_eq!((answer.texts(), answer.pictures().len()), (vec![name], 0));
        let content = json!([square(color), text("Describe the image.")]);
        let answer = server.whole(&asking(content, json!({}))).await.document;
        let wanted =
            format!("There is a large {name} square at the top left. The background is white.");
        assert_eq!(answer.texts(), [wanted]);
    }
}

#[tokio::test]
async fn the_order_of_two_pictures_matters() {
    let server = mini_server().await;
    for (pictures, wanted) in [([RED, BLUE], "red"), ([BLUE, RED], "blue")] {
        let [one, other] = pictures.map(square);
        let content = json!([one, other, text("In the first image: What color is the square?")]);
        let answer = server.whole(&asking(content, json!({}))).await.document;
        assert_eq!(answer.texts(), [wanted]);
    }
}

#[tokio::test]
async fn the_same_picture_gives_the_same_answer_in_every_common_file_format() {
    let server = mini_server().await;
    for (format, media_type) in [
        (ImageFormat::Png, "image/png"),
        (ImageFormat::WebP, "image/webp"),
        (ImageFormat::Gif, "image/gif"),
        (ImageFormat::Jpeg, "image/jpeg"),
    ] {
        let url = data_url(&scene(BLUE, format), media_type);
        let content = json!([url_part(&url), text("What color is the square?")]);
        let answer = server.whole(&asking(content, json!({}))).await.document;
        assert_eq!(answer.texts(), ["blue"], "{media_type}");
    }
}

#[tokio::test]
async fn pictures_may_stand_anywhere_in_any_number_and_each_takes_its_positions() {
    let server = mini_server().await;
    let picture = || square(RED);
    let contents: [(Value, usize); 6] = [
        (json!([picture()]), 1),
        (json!([text("Describe the image."), picture()]), 1),
        (json!([picture(), text("Describe the image."), picture()]), 2),
        (json!([text("This"), picture(), text("and that"), picture(), picture(), text("?")]), 3),
        (json!([text("")]), 0),
        (Value::Array((0..16).map(|_| picture()).collect()), 16),
    ];
    for (content, count) in contents {
        let request = asking(content, json!({"max_tokens": 3, "image_choice": "none"}));
        let usage = server.whole(&request).await.document.usage;
        assert_eq!((usage.images.input, usage.images.output), (count, 0));
        assert_eq!(usage.prompt_tokens_details.image_tokens, count * 18, "{count} pictures");
    }
}
