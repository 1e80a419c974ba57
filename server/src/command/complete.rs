//! `reverie complete`: one document on the terminal, its pictures as files, without a server. It goes the
//! way of a request over HTTP: the same checks, the same prompt, the same engine.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reverie_model::Picture;
use reverie_model::noise::CounterNoise;
use serde_json::{Map, Value, json};
use tokio_stream::StreamExt as _;

use super::{Failure, SOFTWARE, SYSTEM, USAGE, cache_dir};
use crate::args::CompleteArgs;
use crate::complete::document::{Document, PictureFile};
use crate::complete::html;
use crate::config::Config;
use crate::daemon::Daemon;
use crate::engine::document_engine::{EngineStatus, EventStream};
use crate::engine::event::{EngineEvent, FinishReason};
use crate::picture_codec::{PictureCodec, PictureFormat};
use crate::provenance::{AnswerProvenance, picture_digest};
use crate::request::{NoOwnPictures, decode_pictures, files_only, validate};
use crate::startup::PreparedModel;

pub(super) fn run(args: &CompleteArgs) -> Result<ExitCode, Failure> {
    let config = Config::for_one_document(&args.model);
    let cache = cache_dir(args.model.cache_dir.clone());
    let prepared = PreparedModel::open(
        args.model.model.as_deref(),
        &cache,
        args.model.device,
        args.model.dtype,
    )?
    .with_kernels(args.model.kernels);
    let daemon = Daemon::start(&config, prepared, Box::new(CounterNoise), Arc::new(Instant::now))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let finished = runtime.block_on(write(args, &daemon));
    daemon.engine().drain();
    daemon.join()?;
    finished
}

/// The request body that a client would send.
fn body(args: &CompleteArgs, model: &str) -> Result<Value, Failure> {
    let mut content = Vec::new();
    for path in &args.image {
        let bytes = fs::read(path).map_err(|error| unreadable(path, &error))?;
        let url = format!("data:;base64,{}", STANDARD.encode(bytes));
        content.push(json!({"type": "image_url", "image_url": {"url": url}}));
    }
    content.push(json!({"type": "text", "text": args.prompt}));
    let mut body = Map::new();
    body.insert("model".to_owned(), json!(model));
    body.insert("messages".to_owned(), json!([{"role": "user", "content": content}]));
    let parameters = [
        ("seed", args.seed.map(Value::from)),
        ("temperature", args.temperature.map(Value::from)),
        ("max_tokens", args.max_tokens.map(Value::from)),
        ("max_images", args.max_images.map(Value::from)),
        ("size", args.size.clone().map(Value::from)),
        ("num_inference_steps", args.steps.map(Value::from)),
        ("guidance_scale", args.guidance.map(Value::from)),
        ("sampler", args.sampler.clone().map(Value::from)),
        ("negative_prompt", args.negative_prompt.clone().map(Value::from)),
        ("provenance", args.keep_request.then(|| "full".into())),
    ];
    for (name, value) in parameters {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    }
    Ok(Value::Object(body))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(SYSTEM, format_args!("{}: {error}", path.display()))
}

async fn write(args: &CompleteArgs, daemon: &Daemon) -> Result<ExitCode, Failure> {
    let state = daemon.state();
    let limits = &state.model.limits;
    let usage = |error: &dyn std::fmt::Display| Failure::new(USAGE, error);
    let body = body(args, &limits.model_names[0])?.to_string();
    let request =
        reverie_proto::parse::chat_request(body.as_bytes()).map_err(|error| usage(&error))?;
    let mut valid = validate(request, &NoOwnPictures, limits, state.origin.seed())
        .map_err(|error| usage(&error))?;
    let turns = files_only(std::mem::take(&mut valid.turns)).map_err(|error| usage(&error))?;
    let turns = decode_pictures(turns, |file| {
        (state.codec.decode)(file, &limits.picture).map(|picture| (state.model.shrink)(&picture))
    })
    .map_err(|error| usage(&error))?;
    let request = valid.engine_request(&turns, &state.model.template, state.model.encoder(), None);
    let provenance = AnswerProvenance::new(&state.model.provenance, &valid, &request);
    fs::create_dir_all(&args.out).map_err(|error| unreadable(&args.out, &error))?;
    if daemon.engine().loaded().await != EngineStatus::Ready {
        return Err(Failure::new(SOFTWARE, "the model could not be loaded"));
    }
    let events = state.engine.submit(request).map_err(|error| usage(&error))?;
    let document = print(args, events, (state.codec, &provenance)).await?;
    let seeds = format!("seed {}, image seed {}", valid.effective.seed, valid.effective.image_seed);
    if let Some(path) = &args.html {
        let footer = format!(
            "Written by {} with Reverie {}; {seeds}",
            valid.model,
            env!("CARGO_PKG_VERSION")
        );
        fs::write(path, html::render(&args.prompt, &document, &footer))
            .map_err(|error| unreadable(path, &error))?;
    }
    eprintln!("{seeds}");
    Ok(ExitCode::SUCCESS)
}

/// Prints text as it comes, and the name of each picture's file at its place.
async fn print(
    args: &CompleteArgs,
    mut events: EventStream,
    (codec, provenance): (PictureCodec, &AnswerProvenance),
) -> Result<Document, Failure> {
    let mut out = io::stdout().lock();
    let mut document = Document::default();
    while let Some(event) = events.next().await {
        match event {
            EngineEvent::Text { delta, num_tokens: _, logprobs: _ } => {
                document.push_text(&delta);
                write!(out, "{delta}")?;
                out.flush()?;
            }
            EngineEvent::Image { index, picture } => {
                let path = args.out.join(format!("picture-{}.png", index + 1));
                let file = picture_file(codec, &picture, provenance, index)?;
                fs::write(&path, &file.png).map_err(|error| unreadable(&path, &error))?;
                document.push_picture(file);
                writeln!(out, "\n[{}]", path.display())?;
            }
            EngineEvent::ImageStarted { .. }
            | EngineEvent::ImageProgress { .. }
            | EngineEvent::Traced(_) => {}
            EngineEvent::Finished { reason, usage } => {
                writeln!(out)?;
                eprintln!(
                    "text tokens: {}, pictures: {}, positions: {} of {}{}",
                    usage.text_tokens,
                    usage.images,
                    usage.positions_used,
                    usage.positions_used + usage.positions_left,
                    ending(reason)
                );
                return Ok(document);
            }
            EngineEvent::Failed(error) => return Err(Failure::new(SOFTWARE, error)),
        }
    }
    Err(Failure::new(SOFTWARE, "the engine ended without an answer"))
}

/// The file that a client would be sent.
fn picture_file(
    codec: PictureCodec,
    picture: &Picture,
    provenance: &AnswerProvenance,
    index: usize,
) -> Result<PictureFile, Failure> {
    let metadata = provenance.of_picture(picture_digest(picture, index));
    let png = (codec.encode)(picture, PictureFormat::Png, &metadata);
    let png = png.map_err(|error| Failure::new(SOFTWARE, error))?;
    Ok(PictureFile { width: picture.width(), height: picture.height(), png })
}

fn ending(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::EndOfText | FinishReason::StopString => "",
        FinishReason::MaxTokens => "; cut at --max-tokens",
        FinishReason::MaxImages => "; cut at --max-images",
        FinishReason::ContextFull => "; cut because the context is full",
    }
}
