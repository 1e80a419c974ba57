//! The tensors of the denoiser and the autoencoder, as diffusers names them
//! (`UNet2DConditionModel`, `AutoencoderKL`). Knows names and shapes; reads no files.

use super::inventory::{Bias, TensorList};
use crate::config::{UnetConfig, VaeConfig};

/// Lists `UNet2DConditionModel`.
pub(super) fn list_unet(list: &mut TensorList, config: &UnetConfig) {
    let levels = &config.block_out_channels;
    let (first, last) = (levels[0], levels[levels.len() - 1]);
    let time_width = 4 * first;
    list.convolution("conv_in", config.in_channels, first, 3);
    list.linear("time_embedding.linear_1", first, time_width, Bias::Yes);
    list.linear("time_embedding.linear_2", time_width, time_width, Bias::Yes);
    let mut input = first;
    for (level, kind) in config.down_block_types.iter().enumerate() {
        let output = levels[level];
        list.under(&format!("down_blocks.{level}."), |list| {
            for layer in 0..config.layers_per_block {
                let from = if layer == 0 { input } else { output };
                if kind == "CrossAttnDownBlock2D" {
                    list_transformer(list, config, layer, output);
                }
                list_resnet(list, &format!("resnets.{layer}."), from, output, Some(time_width));
            }
            if level + 1 < levels.len() {
                list.convolution("downsamplers.0.conv", output, output, 3);
            }
        });
        input = output;
    }
    list_up_blocks(list, config, time_width);
    list.under("mid_block.", |list| {
        list_transformer(list, config, 0, last);
        for layer in 0..2 {
            list_resnet(list, &format!("resnets.{layer}."), last, last, Some(time_width));
        }
    });
    list.norm("conv_norm_out", first);
    list.convolution("conv_out", first, config.out_channels, 3);
}

fn list_up_blocks(list: &mut TensorList, config: &UnetConfig, time_width: usize) {
    let upwards: Vec<usize> = config.block_out_channels.iter().rev().copied().collect();
    let mut previous = upwards[0];
    for (block, kind) in config.up_block_types.iter().enumerate() {
        let output = upwards[block];
        let last_skip = upwards[(block + 1).min(upwards.len() - 1)];
        list.under(&format!("up_blocks.{block}."), |list| {
            for layer in 0..=config.layers_per_block {
                let skip = if layer == config.layers_per_block { last_skip } else { output };
                let from = if layer == 0 { previous } else { output };
                if kind == "CrossAttnUpBlock2D" {
                    list_transformer(list, config, layer, output);
                }
                let name = format!("resnets.{layer}.");
                list_resnet(list, &name, from + skip, output, Some(time_width));
            }
            if block + 1 < upwards.len() {
                list.convolution("upsamplers.0.conv", output, output, 3);
            }
        });
        previous = output;
    }
}

/// `ResnetBlock2D`; the denoiser's take the time embedding, the autoencoder's do not.
fn list_resnet(
    list: &mut TensorList,
    prefix: &str,
    input: usize,
    output: usize,
    time_width: Option<usize>,
) {
    list.under(prefix, |list| {
        list.norm("norm1", input);
        list.convolution("conv1", input, output, 3);
        if let Some(time_width) = time_width {
            list.linear("time_emb_proj", time_width, output, Bias::Yes);
        }
        list.norm("norm2", output);
        list.convolution("conv2", output, output, 3);
        if input != output {
            list.convolution("conv_shortcut", input, output, 1);
        }
    });
}

/// `Transformer2DModel` of `width` channels.
fn list_transformer(list: &mut TensorList, config: &UnetConfig, index: usize, width: usize) {
    let around = |list: &mut TensorList, name: &str| match config.use_linear_projection {
        true => list.linear(name, width, width, Bias::Yes),
        false => list.convolution(name, width, width, 1),
    };
    list.under(&format!("attentions.{index}."), |list| {
        list.norm("norm", width);
        around(list, "proj_in");
        for block in 0..config.transformer_layers_per_block {
            list.under(&format!("transformer_blocks.{block}."), |list| {
                for (number, name, key_width) in
                    [(1, "attn1", width), (2, "attn2", config.cross_attention_dim)]
                {
                    list.norm(&format!("norm{number}"), width);
                    list.linear(&format!("{name}.to_q"), width, width, Bias::No);
                    list.linear(&format!("{name}.to_k"), key_width, width, Bias::No);
                    list.linear(&format!("{name}.to_v"), key_width, width, Bias::No);
                    list.linear(&format!("{name}.to_out.0"), width, width, Bias::Yes);
                }
                list.norm("norm3", width);
                // GEGLU: value and gate, each four times as wide.
                list.linear("ff.net.0.proj", width, 8 * width, Bias::Yes);
                list.linear("ff.net.2", 4 * width, width, Bias::Yes);
            });
        }
        around(list, "proj_out");
    });
}

/// Lists `AutoencoderKL`.
pub(super) fn list_vae(list: &mut TensorList, config: &VaeConfig) {
    let levels = &config.block_out_channels;
    let (first, last) = (levels[0], levels[levels.len() - 1]);
    let latent = config.latent_channels;
    list.under("encoder.", |list| {
        list.convolution("conv_in", config.in_channels, first, 3);
        let mut input = first;
        for (level, output) in levels.iter().copied().enumerate() {
            list.under(&format!("down_blocks.{level}."), |list| {
                for layer in 0..config.layers_per_block {
                    let from = if layer == 0 { input } else { output };
                    list_resnet(list, &format!("resnets.{layer}."), from, output, None);
                }
                if level + 1 < levels.len() {
                    list.convolution("downsamplers.0.conv", output, output, 3);
                }
            });
            input = output;
        }
        list_vae_middle(list, config, last);
        list.norm("conv_norm_out", last);
        list.convolution("conv_out", last, 2 * latent, 3);
    });
    if config.use_quant_conv {
        list.convolution("quant_conv", 2 * latent, 2 * latent, 1);
    }
    if config.use_post_quant_conv {
        list.convolution("post_quant_conv", latent, latent, 1);
    }
    list.under("decoder.", |list| {
        list.convolution("conv_in", latent, last, 3);
        list_vae_middle(list, config, last);
        let mut input = last;
        for (block, output) in levels.iter().rev().copied().enumerate() {
            list.under(&format!("up_blocks.{block}."), |list| {
                for layer in 0..=config.layers_per_block {
                    let from = if layer == 0 { input } else { output };
                    list_resnet(list, &format!("resnets.{layer}."), from, output, None);
                }
                if block + 1 < levels.len() {
                    list.convolution("upsamplers.0.conv", output, output, 3);
                }
            });
            input = output;
        }
        list.norm("conv_norm_out", first);
        list.convolution("conv_out", first, config.out_channels, 3);
    });
}

fn list_vae_middle(list: &mut TensorList, config: &VaeConfig, width: usize) {
    list.under("mid_block.", |list| {
        list_resnet(list, "resnets.0.", width, width, None);
        if config.mid_block_add_attention {
            list.under("attentions.0.", |list| {
                list.norm("group_norm", width);
                for projection in ["to_q", "to_k", "to_v", "to_out.0"] {
                    list.linear(projection, width, width, Bias::Yes);
                }
            });
        }
        list_resnet(list, "resnets.1.", width, width, None);
    });
}
