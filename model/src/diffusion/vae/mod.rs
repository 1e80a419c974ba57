//! Latents ⇄ pixels: Stable Diffusion's `AutoencoderKL`. Decoding is a pass that may rest between
//! blocks. Knows no noise schedule; draws nothing itself.

mod decoder;
mod encoder;
mod mid_block;

use candle_core::{DType, Device, Tensor};

use self::decoder::Decoder;
pub use self::decoder::{DecodePass, DecodeProgress};
use self::encoder::Encoder;
use super::probe::Probe;
use crate::config::VaeConfig;
use crate::error::ModelError;
use crate::layers::{Conv2d, ConvShape};
use crate::picture::Picture;
use crate::weights::Weights;

/// GroupNorm's epsilon in the whole VAE; not configurable in diffusers.
const GROUP_NORM_EPS: f64 = 1e-6;
/// Bounds of an encoded log-variance.
const LOGVAR_RANGE: (f64, f64) = (-30.0, 20.0);

/// `AutoencoderKL`.
#[derive(Debug, Clone)]
pub struct Vae {
    device: Device,
    dtype: DType,
    scaling_factor: f64,
    latent_channels: usize,
    encoder: Encoder,
    quant_conv: Option<Conv2d>,
    post_quant_conv: Option<Conv2d>,
    decoder: Decoder,
}

/// What a picture encodes to: a diagonal Gaussian over unscaled latents.
#[derive(Debug, Clone)]
pub struct LatentDistribution {
    /// (B, C, h, w).
    pub mean: Tensor,
    /// (B, C, h, w), clamped to \[-30, 20\].
    pub logvar: Tensor,
}

impl LatentDistribution {
    /// `mean + std * noise`, unscaled; `noise` is standard normal and has `mean`'s shape.
    ///
    /// # Errors
    /// If shapes, dtypes or devices differ.
    pub fn sample(&self, noise: &Tensor) -> Result<Tensor, ModelError> {
        let deviation = (&self.logvar * 0.5)?.exp()?;
        Ok((&self.mean + (deviation * noise)?)?)
    }
}

impl Vae {
    /// Reads the weights; expects `weights` at `stable_diffusion_head.vae`.
    ///
    /// # Errors
    /// [`ModelError::Parameter`] if there are no levels, and [`ModelError::Tensor`] for a missing or
    /// misshapen tensor.
    pub fn load<'a>(
        config: &VaeConfig,
        weights: impl Into<Weights<'a>>,
    ) -> Result<Self, ModelError> {
        let vb = weights.into();
        if config.block_out_channels.is_empty() {
            return Err(ModelError::Parameter {
                parameter: "vae.block_out_channels",
                found: "an empty list".to_owned(),
                wanted: "at least one level".to_owned(),
            });
        }
        let pointwise = |wanted: bool, channels: usize, name: &str| {
            wanted
                .then(|| Conv2d::load(ConvShape::pointwise(channels, channels), &vb.pp(name)))
                .transpose()
        };
        let latent = config.latent_channels;
        Ok(Self {
            device: vb.device().clone(),
            dtype: vb.dtype(),
            scaling_factor: config.scaling_factor,
            latent_channels: latent,
            encoder: Encoder::load(config, &vb.pp("encoder"))?,
            quant_conv: pointwise(config.use_quant_conv, 2 * latent, "quant_conv")?,
            post_quant_conv: pointwise(config.use_post_quant_conv, latent, "post_quant_conv")?,
            decoder: Decoder::load(config, &vb.pp("decoder"))?,
        })
    }

    /// The device that holds the weights.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Latent channels (C).
    pub fn latent_channels(&self) -> usize {
        self.latent_channels
    }

    /// Latents as a denoiser leaves them, (B, C, h, w), to a picture (B, 3, H, W) in about ±1.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] if shapes disagree or the device is out of memory.
    pub fn decode_latents(&self, scaled: &Tensor) -> Result<Tensor, ModelError> {
        self.decode(&self.unscale_latents(scaled)?)
    }

    /// Latents as a denoiser leaves them to unscaled ones.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] if the device is out of memory.
    pub fn unscale_latents(&self, scaled: &Tensor) -> Result<Tensor, ModelError> {
        Ok((scaled / self.scaling_factor)?)
    }

    /// Unscaled latents (B, C, h, w) to a picture (B, 3, H, W) in about ±1.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] if shapes disagree or the device is out of memory.
    pub fn decode(&self, latents: &Tensor) -> Result<Tensor, ModelError> {
        self.decode_probed(latents, &mut Probe::blind())
    }

    /// As [`decode`](Self::decode), showing inner activations.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn decode_probed(
        &self,
        latents: &Tensor,
        probe: &mut Probe<'_>,
    ) -> Result<Tensor, ModelError> {
        let mut pass = self.begin_decode(latents, probe)?;
        loop {
            match self.advance_decode(pass, probe)? {
                DecodeProgress::More(rest) => pass = rest,
                DecodeProgress::Done(picture) => return Ok(picture),
            }
        }
    }

    /// How many times a decoding can be [advanced](Self::advance_decode).
    pub fn num_decode_segments(&self) -> usize {
        self.decoder.num_segments()
    }

    /// Starts to decode unscaled latents (B, C, h, w).
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn begin_decode(
        &self,
        latents: &Tensor,
        probe: &mut Probe<'_>,
    ) -> Result<DecodePass, ModelError> {
        let mut hidden = latents.to_dtype(self.dtype)?;
        if let Some(conv) = &self.post_quant_conv {
            hidden = conv.forward(&hidden)?;
            probe.show(format_args!("post_quant_conv"), &hidden);
        }
        Ok(self.decoder.begin(&hidden, probe)?)
    }

    /// Computes one more block. Resting between calls changes nothing.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn advance_decode(
        &self,
        pass: DecodePass,
        probe: &mut Probe<'_>,
    ) -> Result<DecodeProgress, ModelError> {
        Ok(self.decoder.advance(pass, probe)?)
    }

    /// A picture (B, 3, H, W) in ±1 to the distribution of its unscaled latents; H and W are
    /// multiples of the VAE's factor.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] if shapes disagree or the device is out of memory.
    pub fn encode(&self, image: &Tensor) -> Result<LatentDistribution, ModelError> {
        let mut moments = self.encoder.forward(&image.to_dtype(self.dtype)?)?;
        if let Some(conv) = &self.quant_conv {
            moments = conv.forward(&moments)?;
        }
        let mean = moments.narrow(1, 0, self.latent_channels)?.contiguous()?;
        let logvar = moments.narrow(1, self.latent_channels, self.latent_channels)?;
        let (least, most) = LOGVAR_RANGE;
        Ok(LatentDistribution { mean, logvar: logvar.contiguous()?.clamp(least, most)? })
    }

    /// Unscaled latents to those that a denoiser works on.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] if the device is out of memory.
    pub fn scale_latents(&self, unscaled: &Tensor) -> Result<Tensor, ModelError> {
        Ok((unscaled * self.scaling_factor)?)
    }

    /// Decoded pixels (B, 3, H, W) in about ±1 as one 8-bit picture for each row.
    ///
    /// # Errors
    /// As [`to_picture`](Self::to_picture).
    pub fn to_pictures(&self, images: &Tensor) -> Result<Vec<Picture>, ModelError> {
        (0..images.dim(0)?).map(|row| self.to_picture(&images.get(row)?)).collect()
    }

    /// Decoded pixels (3, H, W) in about ±1 as an 8-bit picture: halved, shifted, clamped to
    /// \[0, 1\], scaled to 255 and rounded half to even, as diffusers' `VaeImageProcessor` does.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] if there are not three channels, [`ModelError::NotFinite`] if a pixel is no
    /// number: the decoder overflowed, as half precision can.
    pub fn to_picture(&self, image: &Tensor) -> Result<Picture, ModelError> {
        let (channels, height, width) = image.dims3()?;
        if channels != 3 {
            let message = format!("a picture has 3 channels, not {channels}");
            return Err(ModelError::Tensor(candle_core::Error::Msg(message)));
        }
        let to_byte =
            |value: f32| ((value / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0).round_ties_even() as u8;
        let interleaved = image.to_dtype(DType::F32)?.permute((1, 2, 0))?;
        let values = interleaved.flatten_all()?.to_vec1::<f32>()?;
        ModelError::unless_finite("VAE", &values)?;
        let rgb = values.into_iter().map(to_byte).collect();
        Ok(Picture::new(width as u32, height as u32, rgb))
    }
}
