//! The whole document loop on checkpoints of shapes that the goldens do not have, and on the same
//! checkpoints converted.

use reverie_model::DreamConfig;
use reverie_model::checkpoint::convert;
use reverie_model::tokenizer::Tokenizer;
use reverie_tests::answer::{Document, Part};
use reverie_tests::folders::Scratch;
use reverie_tests::pictures::{RED, part, pixels, scene};
use reverie_tests::server::{Setup, asking};
use reverie_tests::tiny_checkpoint::TinyCheckpoint;
use serde_json::{Value, json};

/// A picture in, two pictures out, some sampled text around them.
fn request(fields: Value) -> Value {
    let picture = scene(RED, image::ImageFormat::Png);
    let content = json!([part(&picture), {"type": "text", "text": "Draw it twice."}]);
    let mut request = asking(
        content,
        json!({"seed": 11, "temperature": 1.0, "max_tokens": 8, "ignore_eos": true, "image_choice": 2,
               "num_inference_steps": 2, "guidance_scale": 3.0}),
    );
    request
        .as_object_mut()
        .expect("an object")
        .extend(fields.as_object().cloned().expect("fields"));
    request
}

/// What this checkpoint and its conversion both answer, over HTTP.
async fn check(checkpoint: TinyCheckpoint, side: u32) -> (DreamConfig, Document) {
    let scratch = Scratch::new();
    let source = scratch.join("source");
    std::fs::create_dir(&source).expect("a folder");
    let config = checkpoint.write(&source);
    let server = Setup::new(&source).start().await;
    let request = request(json!({}));
    let answer = server.whole(&request).await.document;
    drop(server);

    let pictures: Vec<_> = answer.pictures().into_iter().map(pixels).collect();
    assert_eq!(pictures.len(), 2);
    for picture in &pictures {
        assert_eq!(picture.dimensions(), (side, side));
        let shades: std::collections::BTreeSet<u8> = picture.as_raw().iter().copied().collect();
        assert!(shades.len() > 8, "a picture of noise is not flat: {shades:?}");
    }
    assert_ne!(pictures[0], pictures[1], "each picture has its own noise");
    let blocks = config.image_positions() + config.dream_positions();
    assert_eq!(answer.usage.completion_tokens_details.image_tokens, 2 * blocks);
    assert_eq!(answer.usage.prompt_tokens_details.image_tokens, config.image_positions());

    let converted = scratch.join("converted");
    let tokenizer = Tokenizer::load(&source, config.llama.vocab_size).expect("a tokenizer");
    convert(&source, &converted, tokenizer.to_json(), &mut |_| {}).expect("a conversion");
    let server = Setup::new(&converted).start().await;
    let again = server.whole(&request).await.document;
    assert_eq!(again, answer, "a converted checkpoint answers bit for bit the same");
    (config, answer)
}

#[tokio::test]
async fn grouped_heads_deep_projectors_and_a_shallow_autoencoder_write_documents() {
    let checkpoint = TinyCheckpoint {
        main: json!({
            "num_key_value_heads": 2,
            "plugins_init_kwargs": {
                "clip_vision_embedding": {
                    "projector_type": "mlp", "projector_depth": 2,
                    "use_additional_post_layernorm": true,
                },
                "dream_embedding": {"num_dream_queries": 5},
                "stable_diffusion_head": {"projector_type": "mlp", "projector_depth": 2},
            },
        }),
        clip: json!({"patch_size": 16}),
        vae: json!({
            "block_out_channels": [8, 16, 24],
            "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D"],
            "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"],
            "sample_size": 32,
        }),
        schedule: json!({"prediction_type": "v_prediction"}),
        seed: 1,
        ..TinyCheckpoint::default()
    };
    let (config, answer) = check(checkpoint, 32).await;
    assert_eq!((config.llama.num_key_value_heads, config.picture_multiple()), (Some(2), 4));
    assert!(config.vision.post_layernorm);
    // 4 patches and 5 queries, each block with its two marks.
    assert_eq!(answer.usage.completion_tokens_details.image_tokens, 2 * ((4 + 2) + (5 + 2)));
}

#[tokio::test]
async fn a_stable_diffusion_1_denoiser_of_deep_transformers_and_tied_embeddings_write_documents() {
    let checkpoint = TinyCheckpoint {
        main: json!({"tie_word_embeddings": true}),
        unet: json!({
            "use_linear_projection": false, "attention_head_dim": 8, "transformer_layers_per_block": 2,
        }),
        seed: 2,
        ..TinyCheckpoint::default()
    };
    let (config, _) = check(checkpoint, 64).await;
    assert!(config.llama.tie_word_embeddings && !config.head.unet.use_linear_projection);
    assert_eq!(config.head.unet.transformer_layers_per_block, 2);
}

#[tokio::test]
async fn other_head_widths_more_levels_and_a_nearer_clip_layer_write_documents() {
    let checkpoint = TinyCheckpoint {
        main: json!({
            "head_dim": 8, "num_attention_heads": 4, "num_key_value_heads": 1,
            "rope_theta": 500_000.0, "num_hidden_layers": 3,
            "plugins_init_kwargs": {
                "clip_vision_embedding": {"select_layer": -1},
                "dream_embedding": {"num_dream_queries": 64},
            },
        }),
        clip: json!({"patch_size": 8, "hidden_act": "gelu", "num_attention_heads": 4}),
        unet: json!({
            "block_out_channels": [16, 24],
            "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
            "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
            "attention_head_dim": [2, 3], "layers_per_block": 1, "cross_attention_dim": 24,
        }),
        vae: json!({
            "block_out_channels": [8, 16],
            "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D"],
            "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D"],
            "layers_per_block": 1, "sample_size": 16,
        }),
        schedule: json!({"_class_name": "DDIMScheduler", "prediction_type": "sample"}),
        seed: 3,
        ..TinyCheckpoint::default()
    };
    let (config, answer) = check(checkpoint, 16).await;
    assert_eq!((config.llama.head_dim, config.vision.select_layer), (Some(8), -1));
    assert!(answer.parts.iter().any(|part| matches!(part, Part::Text(_))), "8 tokens of text");
}
