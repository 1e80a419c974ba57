//! Bodies of requests, and URLs in them: parsed, checked, and refused by name.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reverie_proto::{ParseError, parse};
use reverie_server::request::{
    EditedPictures, KeptItems, Limits, NoOwnPictures, OwnPictureFault, OwnPictures, PictureUrl,
    PictureUrlPolicy, Piece, RequestError, RequestedPicture, StoredResponse, ValidRequest,
    validate, validate_completion, validate_detokenize, validate_images, validate_response,
    validate_tokenize,
};
use reverie_server::store::StoredId;
use serde_json::json;

use crate::http_kit;

/// Longer messages would repeat what was sent.
const MAX_MESSAGE: usize = 1000;

fn limits() -> Limits {
    Limits {
        picture_urls: PictureUrlPolicy {
            allowed: ["pictures.example", "[2606:4700::1111]:8080"]
                .map(|domain| domain.parse().expect("a domain"))
                .to_vec(),
        },
        ..http_kit::limits()
    }
}

/// The first byte is the route, the rest its body.
pub(crate) fn request_json(input: &[u8]) {
    let Some((route, body)) = input.split_first() else { return };
    let limits = limits();
    match route % 7 {
        0 => checked(read(parse::chat_request(body), |request| {
            validate(request, &NoOwnPictures, &limits, 1)
        })),
        1 => checked(read(parse::image_generation(body), |request| {
            validate_images(request, EditedPictures::None, &NoOwnPictures, (&limits, 1))
        })),
        2 => checked(read(parse::image_edit(body), |request| {
            validate_images(request, EditedPictures::Referenced, &NoOwnPictures, (&limits, 1))
        })),
        3 => checked(read(parse::completion_request(body), |request| {
            validate_completion(request, &limits, 1)
        })),
        4 => refused(read(parse::tokenize_request(body), |request| {
            validate_tokenize(request, &NoOwnPictures, &limits)
        })),
        5 => refused(read(parse::detokenize_request(body), |request| {
            validate_detokenize(request, &limits, 356)
        })),
        _ => checked(read(parse::response_request(body), |request| {
            validate_response(request, &NothingKept, &limits, 1).map(|response| response.valid)
        })),
    }
}

/// A store in which nobody finds anything.
struct NothingKept;

impl OwnPictures for NothingKept {
    fn at(&self, _url: &str) -> Option<Result<Vec<u8>, OwnPictureFault>> {
        None
    }
}

impl KeptItems for NothingKept {
    fn response(&self, _id: StoredId) -> Result<Option<StoredResponse>, RequestError> {
        Ok(None)
    }

    fn file(&self, _id: StoredId) -> Result<Option<Vec<u8>>, RequestError> {
        Ok(None)
    }
}

fn read<T, V>(
    parsed: Result<T, ParseError>,
    check: impl FnOnce(T) -> Result<V, RequestError>,
) -> Result<V, RequestError> {
    check(parsed?)
}

/// A request is within every limit, or refused.
fn checked(result: Result<ValidRequest, RequestError>) {
    let limits = limits();
    if let Ok(valid) = &result {
        assert!((0.0..=2.0).contains(&valid.sampling.temperature));
        assert!(valid.sampling.top_p > 0.0 && valid.sampling.top_p <= 1.0);
        assert!(valid.pictures.max_images <= limits.max_images);
        assert!(valid.pictures.width * valid.pictures.height <= limits.max_drawn_pixels);
        assert!((1..=limits.max_num_inference_steps).contains(&valid.pictures.num_inference_steps));
        assert!(valid.pictures.guidance_scale.is_finite());
        assert!((1..=limits.max_choices).contains(&valid.num_choices));
    }
    refused(result);
}

/// An error is short, and names a place that is not empty.
fn refused<T>(result: Result<T, RequestError>) {
    let Err(error) = result else { return };
    // Whoever answers clips what the client wrote.
    if let RequestError::NoPreviousResponse { .. }
    | RequestError::NoItem { .. }
    | RequestError::NoFile { .. } = error
    {
        return;
    }
    assert!(error.to_string().len() < MAX_MESSAGE, "{error:.200}");
    match error {
        RequestError::OutOfRange { param, .. }
        | RequestError::Conflict { param, .. }
        | RequestError::Unsupported { param, .. }
        | RequestError::PictureUrl { param, .. } => assert!(!param.is_empty()),
        _ => {}
    }
}

/// What a picture's URL at its place in a chat comes to.
fn requested(url: &str, limits: &Limits) -> Result<RequestedPicture, RequestError> {
    let body = json!({
        "model": "reverie",
        "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}],
    });
    let request = parse::chat_request(body.to_string().as_bytes()).expect("a request");
    let valid = validate(request, &NoOwnPictures, limits, 1)?;
    let piece = valid.turns.into_iter().flat_map(|turn| turn.pieces).next().expect("a piece");
    match piece {
        Piece::Picture(picture) => Ok(picture),
        Piece::Text(text) => panic!("text: {text:.80}"),
    }
}

/// Data that is taken is the one spelling that there is of its bytes.
pub(crate) fn data_url(input: &[u8]) {
    let Ok(url) = std::str::from_utf8(input) else { return };
    let limits = http_kit::limits();
    if let Ok(RequestedPicture::File(file)) = requested(url, &limits) {
        let (head, data) = url.split_once(',').expect("a comma");
        assert!(head.len() >= "data:;base64".len() && head[..5].eq_ignore_ascii_case("data:"));
        assert_eq!(data, STANDARD.encode(&file.bytes), "no other spelling is taken");
        assert!(!file.bytes.is_empty() && file.bytes.len() <= limits.max_image_bytes);
    }
}

/// What may be fetched is on the list, at a port of the list, by the same reading again.
pub(crate) fn picture_url(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let policy = limits().picture_urls;
    let (first, second) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(url) = PictureUrl::parse(first, &policy) else { return };
    allowed(&url);
    if let Ok(next) = url.redirected(second, &policy) {
        allowed(&next);
    }
}

fn allowed(url: &PictureUrl) {
    match (url.host().to_string().as_str(), url.port()) {
        ("pictures.example", 80 | 443) | ("[2606:4700::1111]", 8080) => {}
        (host, port) => panic!("{host}:{port} is not allowed"),
    }
    let scheme = if url.is_secure() { "https" } else { "http" };
    let spelled = format!("{scheme}://{}{}", url.authority(), url.target());
    assert!(
        spelled.is_ascii() && !spelled.contains([' ', '\r', '\n', '@', '\\'])
            || url.target().contains('@'),
        "{spelled}"
    );
    let again = PictureUrl::parse(&spelled, &limits().picture_urls)
        .expect("what is sent is what was judged");
    assert_eq!(
        (again.host(), again.port(), again.target()),
        (url.host(), url.port(), url.target())
    );
}
