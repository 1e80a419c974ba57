//! `reverie inspect`: what a checkpoint holds and what it needs, without loading it.

use std::io::Write as _;
use std::process::ExitCode;

use candle_core::DType;
use reverie_model::checkpoint::{Checkpoint, Inspection, MANIFEST_FILE};
use reverie_model::tokenizer::{SpecialTokens, Tokenizer};
use serde_json::{Value, json};

use super::{CONFIGURATION, Failure, USAGE};
use crate::args::InspectArgs;
use crate::template::PromptTemplate;

pub(super) fn run(args: &InspectArgs) -> Result<ExitCode, Failure> {
    let checkpoint = Checkpoint::open(&args.folder)?;
    let tokenizer = Tokenizer::load(&args.folder, checkpoint.config().llama.vocab_size)?;
    let template = PromptTemplate::of_checkpoint(&args.folder)
        .map_err(|error| Failure::new(CONFIGURATION, error))?;
    // The CPU computes in float32; the table says what that takes.
    let inspection = Inspection::of(&checkpoint, DType::F32);
    let special = special_ids(tokenizer.special());
    let verified = args.checksums.then(|| verify_checksums(&checkpoint)).transpose()?;
    let mut out = std::io::stdout().lock();
    if args.json {
        let mut report = to_json(&inspection);
        report["special_token_ids"] =
            special.iter().map(|(name, id)| ((*name).to_owned(), json!(id))).collect();
        report["template"] = json!(template.name);
        if let Some(bytes) = verified {
            report["verified_bytes"] = json!(bytes);
        }
        writeln!(out, "{report:#}")?;
    } else {
        writeln!(out, "{inspection}")?;
        let ids: Vec<_> = special.iter().map(|(name, id)| format!("{name} {id}")).collect();
        writeln!(out, "special ids  {}", ids.join(", "))?;
        writeln!(out, "template     {}", template.name)?;
        if let Some(bytes) = verified {
            writeln!(out, "checksums    {bytes} bytes as the manifest says")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Bytes that were compared; a folder without a manifest has nothing to compare with.
fn verify_checksums(checkpoint: &Checkpoint) -> Result<u64, Failure> {
    if checkpoint.manifest().is_none() {
        let folder = checkpoint.folder().display();
        return Err(Failure::new(
            USAGE,
            format_args!("{folder}: no {MANIFEST_FILE} to compare with"),
        ));
    }
    Ok(checkpoint.verify_checksums()?)
}

fn special_ids(special: &SpecialTokens) -> [(&'static str, u32); 11] {
    [
        ("<unk>", special.unk),
        ("<s>", special.bos),
        ("</s>", special.eos),
        ("[PAD]", special.pad),
        ("<image>", special.image),
        ("<im_patch>", special.im_patch),
        ("<im_start>", special.im_start),
        ("<im_end>", special.im_end),
        ("<dream>", special.dream),
        ("<dream_start>", special.dream_start),
        ("<dream_end>", special.dream_end),
    ]
}

fn to_json(inspection: &Inspection) -> Value {
    let components: Vec<_> = inspection
        .components
        .iter()
        .map(|part| {
            json!({"component": part.component.to_string(), "tensors": part.num_tensors,
                   "parameters": part.num_parameters, "bytes": part.bytes, "dtypes": part.dtypes})
        })
        .collect();
    let abilities: Vec<String> =
        inspection.abilities.list().iter().map(ToString::to_string).collect();
    let (context, memory) = (inspection.context, inspection.memory);
    json!({
        "folder": inspection.folder, "abilities": abilities, "components": components,
        "context": {"positions": context.positions, "per_picture_in": context.per_picture_in,
                    "per_picture_out": context.per_picture_out, "max_pictures_in": context.max_pictures_in,
                    "max_pictures_out": context.max_pictures_out, "left_for_text": context.left_for_text},
        "memory": {"dtype": inspection.dtype.as_str(), "weights": memory.weights,
                   "cache_per_position": memory.cache_per_position, "cache": memory.cache,
                   "denoiser": memory.denoiser, "autoencoder": memory.autoencoder,
                   "program": memory.program, "total": memory.total()},
    })
}
