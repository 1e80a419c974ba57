//! What the tests of the HTTP edge share: an engine that plays a script, a served model without a
//! tokenizer, and a client that reads answers as bytes.

#![expect(dead_code, reason = "each test binary uses its part of the kit")]

pub(crate) mod responding;

use std::io::Cursor;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_core::Stream;
use image::{ImageFormat, ImageReader, RgbImage};
use reverie_model::config::{Abilities, HeadConfig, NoiseScheduleConfig};
use reverie_model::diffusion::noise_schedule::NoiseSchedule;
use reverie_model::diffusion::trace::TraceSize;
use reverie_model::json_grammar::{JsonGrammars, TokenAlphabet};
use reverie_model::tokenizer::SpecialTokens;
use reverie_model::{Picture, PictureError};
use reverie_proto::Sampler;
use reverie_server::engine::document_engine::{
    DocumentEngine, EngineStatus, EventStream, SubmitError,
};
use reverie_server::engine::event::{EngineEvent, FinishReason, Usage};
use reverie_server::engine::request::{EngineRequest, TenantId};
use reverie_server::file_link::SigningKey;
use reverie_server::http::{
    AllowedHosts, AppState, BODY_UNIT, HttpSettings, Origin, ServedModel, UnknownParams,
    Vocabulary, router,
};
use reverie_server::model_hash::ModelHash;
use reverie_server::picture_codec::{Metadata, PictureCodec, PictureFormat, PictureLimits};
use reverie_server::picture_fetch::{FetchLimits, PictureFetcher, Surroundings};
use reverie_server::provenance::ModelProvenance;
use reverie_server::request::{Defaults, Limits, PictureUrlPolicy, WritableTokens};
use reverie_server::store::{MemoryStore, StoreLimits};
use reverie_server::template::{PromptTemplate, TextToImage};
use serde_json::Value;
use tokio::sync::{Semaphore, oneshot};
use tower::Service as _;
use uuid::Uuid;

/// How much is kept between requests.
pub(crate) const STORE_LIMITS: StoreLimits =
    StoreLimits { max_bytes: 1 << 20, max_records: 100, max_age: 3600 };

/// The digest of the weights that the scripted engine does not have.
pub(crate) const MODEL_SHA256: &str = "5ca1ab1e";

/// What the engine does after its script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Afterwards {
    /// Ends the stream.
    End,
    /// Says nothing more, for ever.
    Wait,
}

/// An engine that plays a script and remembers what it was asked.
#[derive(Debug)]
pub(crate) struct ScriptedEngine {
    script: Mutex<Vec<EngineEvent>>,
    afterwards: Afterwards,
    pub(crate) status: Mutex<EngineStatus>,
    pub(crate) refusal: Mutex<Option<SubmitError>>,
    /// Why nobody may ask.
    pub(crate) congestion: Mutex<Option<SubmitError>>,
    pub(crate) requests: Mutex<Vec<EngineRequest>>,
    left: Mutex<Option<oneshot::Sender<()>>>,
}

impl ScriptedEngine {
    pub(crate) fn new(script: Vec<EngineEvent>, afterwards: Afterwards) -> Arc<Self> {
        Arc::new(Self {
            script: Mutex::new(script),
            afterwards,
            status: Mutex::new(EngineStatus::Ready),
            refusal: Mutex::new(None),
            congestion: Mutex::new(None),
            requests: Mutex::new(Vec::new()),
            left: Mutex::new(None),
        })
    }

    /// Plays another script from now on, and forgets who has asked.
    pub(crate) fn play(&self, script: Vec<EngineEvent>) {
        *self.script.lock().expect("no test panics with it") = script;
        self.requests.lock().expect("no test panics with it").clear();
    }

    /// Resolves when the next request's events are dropped.
    pub(crate) fn next_departure(&self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        *self.left.lock().expect("no test panics with it") = Some(sender);
        receiver
    }

    /// The only request there was.
    pub(crate) fn request(&self) -> EngineRequest {
        let requests = self.requests.lock().expect("no test panics with it");
        let [request] = requests.as_slice() else { panic!("{} requests", requests.len()) };
        request.clone()
    }
}

impl DocumentEngine for ScriptedEngine {
    fn submit(&self, request: EngineRequest) -> Result<EventStream, SubmitError> {
        if let Some(refusal) = self.refusal.lock().expect("no test panics with it").clone() {
            return Err(refusal);
        }
        let created = request.identity.created;
        self.requests.lock().expect("no test panics with it").push(request);
        Ok(EventStream::new(
            created,
            Play {
                script: self.script.lock().expect("no test panics with it").clone().into_iter(),
                afterwards: self.afterwards,
                _left: self.left.lock().expect("no test panics with it").take().map(Departure),
            },
        ))
    }

    fn announce(&self, _tenant: TenantId, _priority: i32) -> Result<(), SubmitError> {
        let congestion = self.congestion.lock().expect("no test panics with it").clone();
        congestion.map_or(Ok(()), Err)
    }

    fn status(&self) -> EngineStatus {
        *self.status.lock().expect("no test panics with it")
    }
}

struct Play {
    script: std::vec::IntoIter<EngineEvent>,
    afterwards: Afterwards,
    _left: Option<Departure>,
}

struct Departure(oneshot::Sender<()>);

impl Drop for Play {
    fn drop(&mut self) {
        if let Some(Departure(left)) = self._left.take() {
            let _nobody_waits = left.send(());
        }
    }
}

impl Stream for Play {
    type Item = EngineEvent;

    fn poll_next(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<EngineEvent>> {
        match (self.script.next(), self.afterwards) {
            (Some(event), _) => Poll::Ready(Some(event)),
            (None, Afterwards::End) => Poll::Ready(None),
            (None, Afterwards::Wait) => Poll::Pending,
        }
    }
}

pub(crate) fn text(delta: &str) -> EngineEvent {
    EngineEvent::Text { delta: delta.to_owned(), num_tokens: 1, logprobs: Vec::new() }
}

/// A 2x2 picture of one shade of gray.
pub(crate) fn picture(shade: u8) -> Picture {
    Picture::new(2, 2, vec![shade; 12])
}

pub(crate) fn drawn(index: usize, shade: u8) -> Vec<EngineEvent> {
    vec![
        EngineEvent::ImageStarted { index },
        EngineEvent::Image { index, picture: Arc::new(picture(shade)) },
    ]
}

pub(crate) fn finished(reason: FinishReason) -> EngineEvent {
    let usage = Usage {
        prompt_positions: 40,
        prompt_image_positions: 10,
        prompt_cached_positions: 32,
        prompt_images: 1,
        text_tokens: 5,
        image_positions: 36,
        images: 2,
        positions_used: 81,
        positions_left: 943,
        images_left: 26,
    };
    EngineEvent::Finished { reason, usage }
}

/// text, picture, text, picture, end.
pub(crate) fn interleaved() -> Vec<EngineEvent> {
    let mut script = vec![text("Once"), text(" upon."), text("")];
    script.extend(drawn(0, 10));
    script.push(text(" Then."));
    script.extend(drawn(1, 200));
    script.push(finished(FinishReason::EndOfText));
    script
}

pub(crate) fn settings() -> HttpSettings {
    HttpSettings {
        api_keys: Vec::new(),
        tenant_salt: [7; 32],
        signing_key: SigningKey::of_secret("signed in the tests"),
        public_url: None,
        allowed_hosts: AllowedHosts::loopback(),
        unknown_params: UnknownParams::Refuse,
        max_body_bytes: 1 << 20,
        playground: true,
        max_held_body_bytes: 2 << 20,
        body_timeout: Duration::from_secs(30),
        request_timeout: None,
        keep_alive: Duration::from_secs(15),
    }
}

pub(crate) fn limits() -> Limits {
    Limits {
        model_names: vec!["reverie".to_owned(), "org/alias".to_owned()],
        abilities: Abilities::Both,
        text_to_image: TextToImage::Raw,
        max_model_len: 1024,
        max_token_bytes: 16,
        drops_spaces: false,
        tokens: WritableTokens { vocab_size: 356, forbidden: [0, 1, 3, 4, 5, 6, 7, 8, 10].into() },
        json_grammars: Arc::new(JsonGrammars::new(alphabet)),
        picture_positions: 18,
        dream_positions: 10,
        max_input_images: 4,
        max_image_bytes: 4096,
        picture: PictureLimits { max_pixels: 10_000, max_side: 500, max_aspect_ratio: 200 },
        picture_urls: PictureUrlPolicy::default(),
        max_image_urls: 3,
        max_images: 8,
        max_choices: 4,
        max_num_inference_steps: 100,
        noise_schedule: Arc::new(NoiseSchedule::new(&NoiseScheduleConfig::default())),
        side: 16..=128,
        side_multiple: 16,
        max_drawn_pixels: 128 * 64,
        has_priorities: false,
        defaults: Defaults {
            sampler: Sampler::Ddpm,
            num_inference_steps: 50,
            guidance_scale: 7.5,
            temperature: 1.0,
            width: 64,
            height: 64,
        },
        allow_trace: false,
        trace_size: TraceSize::new(&HeadConfig::default(), 8),
    }
}

pub(crate) fn app(engine: &Arc<ScriptedEngine>) -> Router {
    app_with(engine, settings())
}

pub(crate) fn app_with(engine: &Arc<ScriptedEngine>, settings: HttpSettings) -> Router {
    router(state_with(engine, settings))
}

pub(crate) fn state_with(engine: &Arc<ScriptedEngine>, settings: HttpSettings) -> AppState {
    let engine: Arc<dyn DocumentEngine> = Arc::<ScriptedEngine>::clone(engine);
    AppState {
        engine,
        model: Arc::new(ServedModel {
            limits: limits(),
            template: PromptTemplate::vicuna_v1_1(),
            vocabulary: vocabulary(),
            shrink: Arc::new(Picture::clone),
            provenance: ModelProvenance {
                hash: Arc::new(ModelHash::known(MODEL_SHA256)),
                numerics_class: "scripted".to_owned(),
                device: "cpu",
            },
            created: 1_700_000_000,
            is_built_in: false,
        }),
        codec: PictureCodec { decode, encode },
        fetcher: Arc::new(PictureFetcher::new(
            PictureUrlPolicy::default(),
            FetchLimits::standard(4096),
            Surroundings::system(),
        )),
        body_memory: Arc::new(Semaphore::new(settings.max_held_body_bytes / BODY_UNIT)),
        preparing: Arc::new(Semaphore::new(4)),
        picture_reading: Arc::new(Semaphore::new(2)),
        picture_writing: Arc::new(Semaphore::new(2)),
        store: Arc::new(MemoryStore::new(STORE_LIMITS)),
        origin: Origin::new(|| Uuid::from_u128(7), || 1_700_000_001),
        settings: Arc::new(settings),
    }
}

/// The same, for grammars.
fn alphabet() -> TokenAlphabet {
    let bytes = (0..356).map(|id: u32| id.checked_sub(100).map(|byte| byte as u8));
    TokenAlphabet { bytes: bytes.map(|byte| byte.into_iter().collect()).collect(), eos: 2 }
}

/// Ids are 100 and a byte.
fn vocabulary() -> Vocabulary {
    Vocabulary {
        encode: Arc::new(|text| text.bytes().map(|byte| 100 + u32::from(byte)).collect()),
        decode: Arc::new(|ids| ids.iter().map(|id| (id - 100) as u8 as char).collect()),
        spell: Arc::new(|id| format!("#{id}")),
        bytes: Arc::new(|id| id.checked_sub(100).map(|byte| byte as u8).into_iter().collect()),
        special: SpecialTokens {
            unk: 0,
            bos: 1,
            eos: 2,
            pad: 3,
            image: 4,
            im_patch: 5,
            im_start: 6,
            im_end: 7,
            dream: 8,
            dream_start: 9,
            dream_end: 10,
        },
        size: 356,
    }
}

fn decode(bytes: &[u8], limits: &PictureLimits) -> Result<Picture, PictureError> {
    let reader = || ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let header = reader().map_err(|_| PictureError::Corrupt)?;
    if header.format().is_none() {
        return Err(PictureError::UnsupportedFormat);
    }
    let (width, height) = header.into_dimensions().map_err(|_| PictureError::Corrupt)?;
    if u64::from(width) * u64::from(height) > limits.max_pixels {
        let (max_pixels, max_side) = (limits.max_pixels, limits.max_side);
        return Err(PictureError::TooLarge { width, height, max_pixels, max_side });
    }
    let pixels = reader().map_err(|_| PictureError::Corrupt)?.decode();
    let rgb = pixels.map_err(|_| PictureError::Corrupt)?.into_rgb8();
    Ok(Picture::new(width, height, rgb.into_raw()))
}

fn encode(
    picture: &Picture,
    format: PictureFormat,
    metadata: &Metadata,
) -> Result<Vec<u8>, PictureError> {
    assert!(metadata.notes.iter().any(|(keyword, _)| keyword == "Software"));
    let format = match format {
        PictureFormat::Png => ImageFormat::Png,
        PictureFormat::Jpeg { quality: _ } => ImageFormat::Jpeg,
        PictureFormat::Webp | PictureFormat::LossyWebp { quality: _ } => ImageFormat::WebP,
    };
    let rgb = RgbImage::from_raw(picture.width(), picture.height(), picture.rgb().to_vec());
    let mut file = Cursor::new(Vec::new());
    rgb.expect("as many bytes as pixels").write_to(&mut file, format).expect("memory is enough");
    Ok(file.into_inner())
}

/// A PNG file of `side` x `side` pixels.
pub(crate) fn png(side: u32, shade: u8) -> Vec<u8> {
    let rgb = RgbImage::from_pixel(side, side, image::Rgb([shade; 3]));
    let mut file = Cursor::new(Vec::new());
    rgb.write_to(&mut file, ImageFormat::Png).expect("memory is enough");
    file.into_inner()
}

pub(crate) fn data_url(file: &[u8]) -> String {
    format!("data:image/png;base64,{}", STANDARD.encode(file))
}

/// The pixels of a data URL of ours.
pub(crate) fn pixels(url: &str, media_type: &str) -> Vec<u8> {
    let prefix = format!("data:{media_type};base64,");
    let data = url.strip_prefix(prefix.as_str()).unwrap_or_else(|| panic!("{url:.40}"));
    let file = STANDARD.decode(data).expect("base64");
    image::load_from_memory(&file).expect("a picture").into_rgb8().into_raw()
}

/// The events of a stream of pictures: each with a name and data.
pub(crate) fn named_events(answer: &Answer) -> Vec<(String, Value)> {
    let stream = std::str::from_utf8(&answer.body).expect("UTF-8");
    let event = |event: &str| {
        let (name, data) = event.split_once('\n').expect("a name and data");
        let data = data.strip_prefix("data: ").expect("data");
        let name = name.strip_prefix("event: ").expect("a name");
        (name.to_owned(), serde_json::from_str(data).expect("JSON"))
    };
    stream.split_terminator("\n\n").map(event).collect()
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("not JSON: {}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// (status, param, code) of an error body, whose shape is checked.
    #[track_caller]
    pub(crate) fn error(&self) -> (u16, Option<String>, String) {
        let body = self.json();
        let error = &body["error"];
        assert!(error["message"].is_string() && error["type"].is_string(), "{body}");
        let param = error["param"].as_str().map(str::to_owned);
        let code = error["code"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned();
        (self.status.as_u16(), param, code)
    }
}

pub(crate) async fn send(app: &Router, request: Request<Body>) -> Answer {
    let response = app.clone().call(request).await.expect("the router never fails");
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 1 << 24).await.expect("a whole body").to_vec();
    Answer { status: parts.status, headers: parts.headers, body }
}

pub(crate) fn get(path: &str) -> Request<Body> {
    Request::get(path).header("host", "localhost:8000").body(Body::empty()).expect("a request")
}

pub(crate) fn post(body: impl Into<Body>) -> Request<Body> {
    Request::post("/v1/chat/completions")
        .header("host", "localhost:8000")
        .header("content-type", "application/json")
        .body(body.into())
        .expect("a request")
}

pub(crate) async fn chat(app: &Router, body: &Value) -> Answer {
    send(app, post(body.to_string())).await
}

/// A request that can be served, with `fields` on top.
pub(crate) fn asking(fields: Value) -> Value {
    let mut request = serde_json::json!({
        "model": "reverie",
        "messages": [{"role": "user", "content": "Hello"}],
    });
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    request.as_object_mut().expect("an object").extend(fields);
    request
}
