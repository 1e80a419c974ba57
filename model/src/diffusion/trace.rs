//! What one picture was drawn from and through, recorded beside the drawing: its conditions, the clean latents
//! predicted in each step, and what each place of the picture looked at. Changes nothing that it watches.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};

use super::denoiser::DenoiseJob;
use crate::config::HeadConfig;
use crate::error::ModelError;

/// What cross-attentions show themselves under, behind their module's name.
pub(crate) const MAPS: &str = "attn2.maps";

/// A named tensor on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorRecord {
    /// Its name.
    pub name: String,
    /// Its sides, outermost first.
    pub shape: Vec<usize>,
    /// As many values as the sides' product, row by row.
    pub values: Vec<f32>,
}

/// The record of one drawing, as it goes on.
#[derive(Debug, Clone)]
pub struct Trace {
    conditions: Vec<TensorRecord>,
    initial_latents: Vec<f32>,
    timesteps: Vec<f32>,
    predicted: Vec<f32>,
    /// By module: the maps of all steps, added up.
    attention: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

/// Attention maps of a pass for all its rows: the module's name and (B, h, w, Q).
pub type AttentionMaps = [(String, Tensor)];

impl Trace {
    /// Of a job that has made no step yet.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] if its conditions cannot be read back.
    pub fn begin(job: &DenoiseJob) -> Result<Self, ModelError> {
        let names: &[&str] = match job.rows() {
            1 => &["condition"],
            _ => &["negative_condition", "condition"],
        };
        let conditions = names.iter().enumerate().map(|(row, name)| -> Result<_, ModelError> {
            let condition = job.conditions().get(row)?;
            let shape = condition.dims().to_vec();
            Ok(TensorRecord { name: (*name).to_owned(), shape, values: host(&condition)? })
        });
        Ok(Self {
            conditions: conditions.collect::<Result<_, _>>()?,
            initial_latents: job.latents().to_vec(),
            timesteps: Vec::new(),
            predicted: Vec::new(),
            attention: BTreeMap::new(),
        })
    }

    /// The step that `job` is about to take with `prediction`. `row` is the place of its condition's row in `maps`.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] if maps cannot be read back.
    pub fn step(
        &mut self,
        job: &DenoiseJob,
        prediction: &[f32],
        (maps, row): (&AttentionMaps, usize),
    ) -> Result<(), ModelError> {
        self.timesteps.push(job.timestep());
        self.predicted.extend(job.predicted_clean(prediction));
        for (name, map) in maps {
            let map = map.get(row)?;
            let values = host(&map)?;
            match self.attention.get_mut(name) {
                Some((_, sums)) => {
                    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value)
                }
                None => {
                    self.attention.insert(name.clone(), (map.dims().to_vec(), values));
                }
            }
        }
        Ok(())
    }

    /// Everything recorded of `job`, all of whose steps are done: `condition` (Q, D), with guidance also
    /// `negative_condition`; `initial_latents` and `latents` (C, h, w); `timesteps` (n) and `predicted_latents`
    /// (n, C, h, w); for each cross-attention `attention.MODULE` (its h, its w, Q), the mean over heads and steps.
    pub fn finish(self, job: &DenoiseJob) -> Vec<TensorRecord> {
        let (channels, height, width) = job.latent_shape();
        let (num_steps, latent_shape) = (self.timesteps.len(), vec![channels, height, width]);
        let record = |name: &str, shape: Vec<usize>, values: Vec<f32>| TensorRecord {
            name: name.to_owned(),
            shape,
            values,
        };
        let mut records = self.conditions;
        records.push(record("initial_latents", latent_shape.clone(), self.initial_latents));
        records.push(record("timesteps", vec![num_steps], self.timesteps));
        let steps_shape = [vec![num_steps], latent_shape.clone()].concat();
        records.push(record("predicted_latents", steps_shape, self.predicted));
        records.push(record("latents", latent_shape, job.latents().to_vec()));
        for (module, (shape, mut sums)) in self.attention {
            sums.iter_mut().for_each(|sum| *sum /= num_steps.max(1) as f32);
            records.push(record(&format!("attention.{module}"), shape, sums));
        }
        records
    }
}

/// In f32, wherever and whatever it was.
fn host(tensor: &Tensor) -> Result<Vec<f32>, ModelError> {
    Ok(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}

/// How large records become, known from a checkpoint's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceSize {
    latent_channels: usize,
    picture_multiple: usize,
    condition_values: usize,
    dream_queries: usize,
    /// Cross-attentions of each level, outermost first.
    attentions: Vec<usize>,
}

impl TraceSize {
    /// Of pictures drawn by `head` from so many dream queries.
    pub fn new(head: &HeadConfig, dream_queries: usize) -> Self {
        let unet = &head.unet;
        let levels = unet.block_out_channels.len();
        let attends = |kind: &String| usize::from(kind.starts_with("CrossAttn"));
        let of_level = |level: usize| {
            let down = unet.down_block_types.get(level).map_or(0, attends);
            let up = unet.up_block_types.get(levels - 1 - level).map_or(0, attends);
            let middle = usize::from(level + 1 == levels);
            let modules = down * unet.layers_per_block + up * (unet.layers_per_block + 1) + middle;
            modules * unet.transformer_layers_per_block
        };
        Self {
            latent_channels: head.vae.latent_channels,
            picture_multiple: head.vae.scale_factor(),
            condition_values: dream_queries * unet.cross_attention_dim,
            dream_queries,
            attentions: (0..levels).map(of_level).collect(),
        }
    }

    /// Bytes of the values of one picture's record, at most.
    pub fn of_picture(&self, width: usize, height: usize, num_inference_steps: usize) -> u64 {
        let multiple = self.picture_multiple;
        let (mut height, mut width) = (height.div_ceil(multiple), width.div_ceil(multiple));
        let latents = self.latent_channels * height * width;
        // PNDM takes a step more; beside the steps, the first and the last latents.
        let num_latents = num_inference_steps + 3;
        let mut values = num_latents * (latents + 1) + 2 * self.condition_values;
        for count in &self.attentions {
            values += count * height * width * self.dream_queries;
            (height, width) = (height.div_ceil(2), width.div_ceil(2));
        }
        4 * values as u64
    }
}
