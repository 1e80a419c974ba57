//! What a checkpoint consists of and what it needs: parts, context budget, memory. Numbers and a
//! table; loads nothing, decides nothing.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use candle_core::DType;

use super::{Checkpoint, Component, expected_tensors};
use crate::DreamConfig;
use crate::config::{Abilities, Ability};

/// A checkpoint's parts, context budget and memory; its `Display` is a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspection {
    /// The folder.
    pub folder: PathBuf,
    /// What the model was trained for.
    pub abilities: Abilities,
    /// Each part that belongs to that, in the order of a forward pass.
    pub components: Vec<ComponentSummary>,
    /// What fits into the context.
    pub context: ContextBudget,
    /// The type the estimate is for.
    pub dtype: DType,
    /// What running in that type needs.
    pub memory: MemoryEstimate,
}

/// One part of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentSummary {
    /// Which.
    pub component: Component,
    /// Its tensors.
    pub num_tensors: usize,
    /// Elements in them.
    pub num_parameters: u64,
    /// Bytes in the files.
    pub bytes: u64,
    /// Element types in the files, as in `bf16`.
    pub dtypes: Vec<&'static str>,
}

/// How a context is used up, in positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContextBudget {
    /// `max_position_embeddings`.
    pub positions: usize,
    /// A picture given: its patches between `<im_start>` and `<im_end>`; 0 without comprehension.
    pub per_picture_in: usize,
    /// A picture drawn and read back: the dream block and the picture block; 0 without creation.
    pub per_picture_out: usize,
    /// Pictures given that fit, without any text.
    pub max_pictures_in: usize,
    /// Pictures drawn that fit, without any text.
    pub max_pictures_out: usize,
    /// Positions then left for text.
    pub left_for_text: usize,
}

/// Bytes that running the model takes in one element type, for one sequence and one picture at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryEstimate {
    /// All parameters.
    pub weights: u64,
    /// Keys and values of one position, all layers.
    pub cache_per_position: u64,
    /// Keys and values of one full context.
    pub cache: u64,
    /// Largest moment of a denoising step of one picture with guidance, at the default side.
    pub denoiser: u64,
    /// Largest moment of decoding one picture, at the default side.
    pub autoencoder: u64,
    /// Everything that does not grow with the model: code, threads, network buffers.
    pub program: u64,
}

impl Inspection {
    /// Looks at an opened checkpoint; the estimate is for computing in `dtype`.
    pub fn of(checkpoint: &Checkpoint, dtype: DType) -> Self {
        let abilities = checkpoint.config().abilities;
        let parts = Component::ALL.into_iter().filter(|part| part.belongs_to(abilities));
        let summaries = parts.map(|component| {
            let tensors = || checkpoint.tensors().filter(move |t| t.component == component);
            let dtypes: BTreeSet<&str> = tensors().map(|tensor| tensor.dtype.as_str()).collect();
            ComponentSummary {
                component,
                num_tensors: tensors().count(),
                num_parameters: tensors()
                    .map(|tensor| tensor.shape.iter().product::<usize>() as u64)
                    .sum(),
                bytes: tensors().map(|tensor| tensor.bytes).sum(),
                dtypes: dtypes.into_iter().collect(),
            }
        });
        Self {
            folder: checkpoint.folder().to_owned(),
            abilities,
            components: summaries.collect(),
            context: ContextBudget::of(checkpoint.config()),
            dtype,
            memory: MemoryEstimate::of(checkpoint.config(), dtype),
        }
    }
}

impl ContextBudget {
    /// The budget of a model of this configuration.
    pub fn of(config: &DreamConfig) -> Self {
        let positions = config.llama.max_position_embeddings;
        let per_picture_in = config.image_positions();
        let per_picture_out = match config.abilities.has(Ability::Creation) {
            true => config.dream_positions() + per_picture_in,
            false => 0,
        };
        let max_pictures_out = positions.checked_div(per_picture_out).unwrap_or(0);
        Self {
            positions,
            per_picture_in,
            per_picture_out,
            max_pictures_in: positions.checked_div(per_picture_in).unwrap_or(0),
            max_pictures_out,
            left_for_text: positions - max_pictures_out * per_picture_out,
        }
    }
}

/// Bytes needed to serve one document with one picture at a time in `dtype`: weights, one full
/// context, and the larger of denoiser and autoencoder. An estimate to refuse hopeless starts by.
pub fn memory_estimate(config: &DreamConfig, dtype: DType) -> u64 {
    MemoryEstimate::of(config, dtype).total()
}

impl MemoryEstimate {
    /// Estimates from shapes alone; activations are those of plain, untiled operations.
    pub fn of(config: &DreamConfig, dtype: DType) -> Self {
        let element = dtype.size_in_bytes() as u64;
        let parameters: u64 = expected_tensors(config).iter().map(|t| t.num_elements()).sum();
        let creates = config.abilities.has(Ability::Creation);
        let llama = &config.llama;
        let key_width = llama.kv_heads() * llama.head_width();
        let cache_per_position = (2 * llama.num_hidden_layers * key_width) as u64 * element;
        Self {
            weights: parameters * element,
            cache_per_position,
            cache: cache_per_position * llama.max_position_embeddings as u64,
            denoiser: if creates { denoiser_elements(config) * element } else { 0 },
            autoencoder: if creates { autoencoder_elements(config) * element } else { 0 },
            program: PROGRAM,
        }
    }

    /// Weights, one full context, the larger of the two picture stages, and the program itself.
    pub fn total(&self) -> u64 {
        self.weights + self.cache + self.denoiser.max(self.autoencoder) + self.program
    }
}

/// Resident memory of a daemon whose model is next to nothing, rounded up.
const PROGRAM: u64 = 32 << 20;
/// A convolution unrolled into columns holds each input 3×3 times, besides input and output.
const CONVOLUTION_COPIES: u64 = 9 + 2;
/// Attention scores before and after the softmax.
const SCORE_COPIES: u64 = 2;
/// Conditional and unconditional.
const GUIDANCE_ROWS: u64 = 2;

/// Skip connections, and the largest single operation of any level, for both rows of guidance.
fn denoiser_elements(config: &DreamConfig) -> u64 {
    let unet = &config.head.unet;
    let mut skips = 0;
    let mut largest = 0;
    for (level, channels) in unet.block_out_channels.iter().enumerate() {
        let side = (unet.sample_size >> level).max(1) as u64;
        let (pixels, channels) = (side * side, *channels as u64);
        skips += (unet.layers_per_block as u64 + 1) * channels * pixels;
        // Up levels convolve their input beside its skip connection.
        largest = largest.max(CONVOLUTION_COPIES * 2 * channels * pixels);
        if unet.down_block_types[level].starts_with("Cross") {
            largest = largest.max(SCORE_COPIES * unet.heads(level) as u64 * pixels * pixels);
        }
    }
    GUIDANCE_ROWS * (skips + largest)
}

/// The largest convolution of the decoder, or its middle attention.
fn autoencoder_elements(config: &DreamConfig) -> u64 {
    let vae = &config.head.vae;
    let levels = &vae.block_out_channels;
    let latent_pixels = (config.head.unet.sample_size as u64).pow(2);
    let mut largest = SCORE_COPIES * latent_pixels * latent_pixels;
    for level in 0..levels.len() {
        // A level's first convolution still has the channels of the level inside it.
        let channels = levels[(level + 1).min(levels.len() - 1)] as u64;
        let side = (config.default_picture_side() >> level) as u64;
        largest = largest.max(CONVOLUTION_COPIES * channels * side * side);
    }
    largest
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.folder.display())?;
        writeln!(
            f,
            "{:<20} {:>8} {:>12} {:>11}  types",
            "component", "tensors", "parameters", "bytes"
        )?;
        for part in &self.components {
            writeln!(
                f,
                "{:<20} {:>8} {:>12} {:>11}  {}",
                part.component,
                part.num_tensors,
                scaled(part.num_parameters, ""),
                scaled(part.bytes, "B"),
                part.dtypes.join(", ")
            )?;
        }
        let sum = |of: fn(&ComponentSummary) -> u64| self.components.iter().map(of).sum::<u64>();
        writeln!(
            f,
            "{:<20} {:>8} {:>12} {:>11}\n",
            "total",
            sum(|part| part.num_tensors as u64),
            scaled(sum(|part| part.num_parameters), ""),
            scaled(sum(|part| part.bytes), "B")
        )?;
        writeln!(f, "abilities            {}", self.abilities)?;
        write!(f, "{}\n{}", self.context, self.memory.table(self.dtype))
    }
}

impl fmt::Display for ContextBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "context              {} positions", self.positions)?;
        writeln!(
            f,
            "picture in           {} positions, at most {}",
            self.per_picture_in, self.max_pictures_in
        )?;
        writeln!(
            f,
            "picture out          {} positions, at most {} with {} left for text",
            self.per_picture_out, self.max_pictures_out, self.left_for_text
        )
    }
}

impl MemoryEstimate {
    fn table(&self, dtype: DType) -> String {
        let rows = [
            ("weights", self.weights),
            ("cache, one position", self.cache_per_position),
            ("cache, full context", self.cache),
            ("denoiser", self.denoiser),
            ("VAE decoder", self.autoencoder),
            ("program", self.program),
            ("together", self.total()),
        ];
        let lines: String = rows
            .iter()
            .map(|(name, bytes)| format!("{name:<20} {:>11}\n", scaled(*bytes, "B")))
            .collect();
        format!("memory, estimated for {}\n{lines}", dtype.as_str())
    }
}

/// `6.74 G`, `13.5 MB`, `512 B`: decimal prefixes, three digits.
fn scaled(value: u64, unit: &str) -> String {
    let mut scaled = value as f64;
    let mut prefix = "";
    for next in ["k", "M", "G", "T"] {
        if scaled < 999.5 {
            break;
        }
        scaled /= 1000.0;
        prefix = next;
    }
    let digits = match scaled {
        _ if prefix.is_empty() => 0,
        below if below < 9.995 => 2,
        below if below < 99.95 => 1,
        _ => 0,
    };
    format!("{scaled:.digits$} {prefix}{unit}").trim_end().to_owned()
}
