//! Configuration files in every form, and values that no model can have.

use reverie_model::CheckpointError;
use reverie_model::DreamConfig;
use reverie_model::config::{
    Abilities, BetaSchedule, PerLevel, PredictionType, PreprocessConfig, ProjectorKind,
    RopeScaling, TimestepSpacing, UnetConfig, VaeConfig,
};
use serde_json::{Value, json};

use crate::fixtures::{Scratch, golden, mini_folder};
use crate::inventory::published_7b;

const UNET: &str = "components/stable-diffusion-tiny/unet/config.json";
const VAE: &str = "components/stable-diffusion-tiny/vae/config.json";
const SCHEDULE: &str = "components/stable-diffusion-tiny/scheduler/scheduler_config.json";
const CLIP: &str = "components/clip-vit-tiny/config.json";
const PREPROCESS: &str = "components/clip-vit-tiny/preprocessor_config.json";

#[test]
fn the_golden_configuration_is_read_from_the_folders_it_names() {
    let golden = golden();
    let config = golden.config();
    assert_eq!((config.num_dream_queries, config.image_positions()), (8, 258));
    assert_eq!((config.vision.select_layer, config.vision.clip.num_hidden_layers), (-2, 3));
    assert_eq!(config.vision.preprocess, PreprocessConfig::for_side(32));
    assert_eq!(config.head.unet.attention_head_dim, PerLevel::Each(vec![2, 3, 4, 4]));
    assert_eq!(config.head.vae.scaling_factor, 0.18215);
    assert_eq!(config.default_picture_side(), 64);
    assert_eq!(config.head.noise_schedule.class_name, "PNDMScheduler");
}

#[test]
fn the_flat_form_of_the_mini_is_read() {
    let config = DreamConfig::read(&mini_folder()).unwrap();
    assert_eq!(config.num_dream_queries, 8);
    assert_eq!((config.vision.clip.image_size, config.vision.clip.patch_size), (64, 16));
    assert_eq!(config.vision.preprocess.shortest_edge, 64);
    assert_eq!((config.llama.rope_theta, config.llama.head_dim), (10_000.0, Some(32)));
    assert_eq!(config.head.noise_schedule.prediction_type, PredictionType::VPrediction);
    assert_eq!(config.head.noise_schedule.timestep_spacing, Some(TimestepSpacing::Leading));
    assert_eq!((config.picture_multiple(), config.default_picture_side()), (4, 64));
}

#[test]
fn without_component_files_the_published_ones_are_built_in() {
    let config = published_7b();
    assert_eq!(config.head.unet, UnetConfig::default());
    assert_eq!(config.head.vae, VaeConfig::default());
    assert_eq!(config.vision.preprocess, PreprocessConfig::for_side(224));
    assert_eq!((config.image_positions(), config.dream_positions()), (258, 66));
    assert_eq!(config.default_picture_side(), 512);
}

#[test]
fn built_in_components_that_contradict_the_tensors_are_reported() {
    let scratch = Scratch::with_golden_files();
    std::fs::remove_dir_all(scratch.path().join("components")).unwrap();
    let error = scratch.open().unwrap_err();
    assert!(matches!(error, CheckpointError::Tensors { .. }), "{error}");
    assert!(error.to_string().contains("unet.conv_in.weight is [16, 4, 3, 3], wanted [320, 4"));
}

#[test]
fn component_folders_beside_the_main_file_go_first() {
    let scratch = Scratch::with_golden_configs();
    let text = std::fs::read(scratch.path().join(SCHEDULE)).unwrap();
    scratch.write("scheduler/scheduler_config.json", &text);
    scratch.edit("scheduler/scheduler_config.json", |schedule| {
        schedule["prediction_type"] = json!("v_prediction");
        schedule["beta_schedule"] = json!("squaredcos_cap_v2");
    });
    let schedule = scratch.config().unwrap().head.noise_schedule;
    assert_eq!(schedule.prediction_type, PredictionType::VPrediction);
    assert_eq!(schedule.beta_schedule, BetaSchedule::SquaredcosCapV2);
}

#[test]
fn a_component_path_cannot_lead_out_of_the_folder() {
    let scratch = Scratch::with_golden_configs();
    let outside = scratch.path().join("components/stable-diffusion-tiny");
    for path in
        [outside.to_str().unwrap(), "../x", "components/../components/stable-diffusion-tiny"]
    {
        scratch.edit("config.json", |config| {
            config["plugins_init_kwargs"]["stable_diffusion_head"]["diffusion_name_or_path"] =
                json!(path);
        });
        // The only folder in components/ that has a UNet is still found by looking.
        assert_eq!(scratch.config().unwrap().head.unet.sample_size, 8);
    }
    std::fs::rename(scratch.path().join("components"), scratch.path().join("elsewhere")).unwrap();
    assert_eq!(scratch.config().unwrap().head.unet, UnetConfig::default());
}

#[test]
fn stable_diffusion_1_files_leave_out_what_diffusers_fills_in() {
    let scratch = Scratch::with_golden_configs();
    scratch.edit(UNET, |unet| {
        let unet = unet.as_object_mut().unwrap();
        unet.remove("use_linear_projection");
        unet.insert("attention_head_dim".to_owned(), json!(8));
    });
    scratch.edit(SCHEDULE, |schedule| {
        *schedule = json!({ "_class_name": "DDIMScheduler", "beta_start": 0.00085 });
    });
    let config = scratch.config().unwrap();
    assert!(!config.head.unet.use_linear_projection);
    assert_eq!(config.head.unet.heads(2), 8);
    let schedule = config.head.noise_schedule;
    assert_eq!((schedule.steps_offset, schedule.set_alpha_to_one), (0, true));
    assert_eq!((schedule.beta_end, schedule.beta_schedule), (0.02, BetaSchedule::Linear));
}

#[test]
fn sizes_of_a_preprocessor_may_take_any_form() {
    for (size, crop) in [
        (json!(32), json!(32)),
        (json!({ "shortest_edge": 32 }), json!({ "height": 32, "width": 32 })),
        (json!({ "height": 32, "width": 32 }), json!({ "shortest_edge": 32 })),
    ] {
        let scratch = Scratch::with_golden_configs();
        scratch.edit(PREPROCESS, |preprocess| {
            preprocess["size"] = size;
            preprocess["crop_size"] = crop;
        });
        assert_eq!(scratch.config().unwrap().vision.preprocess, PreprocessConfig::for_side(32));
    }
}

#[test]
fn rope_scaling_is_read_in_both_spellings() {
    let scratch = Scratch::with_golden_configs();
    scratch.edit("config.json", |config| {
        config["rope_scaling"] = json!({ "type": "linear", "factor": 2.0 });
    });
    let scaling = scratch.config().unwrap().llama.rope_scaling;
    assert_eq!(scaling, Some(RopeScaling::Linear { factor: 2.0 }));
    scratch.edit("config.json", |config| {
        config["rope_parameters"] =
            json!({ "rope_theta": 500.0, "rope_type": "dynamic", "factor": 4 });
    });
    let llama = scratch.config().unwrap().llama;
    assert_eq!(llama.rope_scaling, Some(RopeScaling::Dynamic { factor: 4.0 }));
    assert_eq!(llama.rope_theta, 500.0);
}

#[test]
fn projectors_of_any_depth_are_read() {
    let scratch = Scratch::with_golden_configs();
    scratch.edit("config.json", |config| {
        let clip = &mut config["plugins_init_kwargs"]["clip_vision_embedding"];
        clip["projector_type"] = json!("mlp");
        clip["projector_depth"] = json!(3);
        clip["use_additional_post_layernorm"] = json!(true);
    });
    let vision = scratch.config().unwrap().vision;
    assert_eq!((vision.projector.kind, vision.projector.depth), (ProjectorKind::Mlp, 3));
    assert!(vision.post_layernorm);
}

/// What reading says after one field of one file was replaced: field, value found and value wanted.
fn refusal(file: &str, pointer: &str, value: &Value) -> (String, String, String) {
    let scratch = Scratch::with_golden_configs();
    scratch.edit(file, |config| {
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        let parent = config.pointer_mut(parent).expect("a parent");
        parent.as_object_mut().expect("an object").insert(name.to_owned(), value.clone());
    });
    match scratch.config() {
        Err(CheckpointError::Config { path, field, found, wanted }) => {
            assert!(path.ends_with(file), "{}", path.display());
            (field, found, wanted)
        }
        other => panic!("{file} {pointer} = {value}: wanted a refusal, got {other:?}"),
    }
}

#[test]
fn values_that_no_model_can_have_are_refused_by_name() {
    let clip = "/plugins_init_kwargs/clip_vision_embedding";
    let sdxl = json!("omni.models.dreamllm_sdxl.modeling_plugins.StableDiffusionXLHead");
    let cases = [
        ("config.json", "/num_attention_heads".to_owned(), json!(0)),
        ("config.json", "/num_attention_heads".to_owned(), json!(5)),
        ("config.json", "/num_key_value_heads".to_owned(), json!(3)),
        ("config.json", "/hidden_size".to_owned(), json!(-64)),
        ("config.json", "/hidden_size".to_owned(), json!(64.5)),
        ("config.json", "/hidden_size".to_owned(), json!("64")),
        ("config.json", "/num_hidden_layers".to_owned(), json!(1_000_000_000)),
        ("config.json", "/vocab_size".to_owned(), Value::Null),
        ("config.json", "/rms_norm_eps".to_owned(), json!(0.0)),
        ("config.json", "/rms_norm_eps".to_owned(), json!("NaN")),
        ("config.json", "/hidden_act".to_owned(), json!("relu")),
        ("config.json", "/head_dim".to_owned(), json!(15)),
        ("config.json", "/plugins_init_kwargs".to_owned(), json!([])),
        ("config.json", "/rope_scaling".to_owned(), json!({ "type": "yarn", "factor": 2 })),
        ("config.json", format!("{clip}/select_layer"), json!(-5)),
        ("config.json", format!("{clip}/projector_type"), json!("conv")),
        ("config.json", format!("{clip}/projector_depth"), json!(2)),
        ("config.json", format!("{clip}/embed_hidden_size"), json!(65)),
        ("config.json", "/plugins_init_kwargs/stable_diffusion_head/_target_".to_owned(), sdxl),
        (
            "config.json",
            "/plugins_init_kwargs/dream_embedding/num_dream_queries".to_owned(),
            json!(0),
        ),
        (CLIP, "/num_attention_heads".to_owned(), json!(3)),
        (CLIP, "/patch_size".to_owned(), json!(5)),
        (CLIP, "/hidden_act".to_owned(), json!("gelu_new")),
        (PREPROCESS, "/resample".to_owned(), json!(2)),
        (PREPROCESS, "/do_center_crop".to_owned(), json!(false)),
        (PREPROCESS, "/crop_size".to_owned(), json!(31)),
        (PREPROCESS, "/size".to_owned(), json!({ "height": 32, "width": 40 })),
        (PREPROCESS, "/image_std".to_owned(), json!([1, 0, 1])),
        (PREPROCESS, "/image_mean".to_owned(), json!([1, 1])),
        (UNET, "/attention_head_dim".to_owned(), json!([2, 5, 4, 4])),
        (UNET, "/attention_head_dim".to_owned(), json!([2, 3, 4])),
        (UNET, "/norm_num_groups".to_owned(), json!(7)),
        (UNET, "/block_out_channels".to_owned(), json!([])),
        (UNET, "/down_block_types".to_owned(), json!(["AttnDownBlock2D"])),
        (UNET, "/class_embed_type".to_owned(), json!("timestep")),
        (UNET, "/act_fn".to_owned(), json!("gelu")),
        (UNET, "/layers_per_block".to_owned(), json!(1_000_000)),
        (UNET, "/transformer_layers_per_block".to_owned(), json!([1, 2, 10, 10])),
        (VAE, "/scaling_factor".to_owned(), json!(0)),
        (VAE, "/shift_factor".to_owned(), json!(0.1)),
        (VAE, "/norm_num_groups".to_owned(), json!(0)),
        (SCHEDULE, "/prediction_type".to_owned(), json!("x0")),
        (SCHEDULE, "/_class_name".to_owned(), json!("FlowMatchEulerDiscreteScheduler")),
        (SCHEDULE, "/trained_betas".to_owned(), json!([0.1])),
        (SCHEDULE, "/beta_end".to_owned(), json!(1.5)),
        (SCHEDULE, "/num_train_timesteps".to_owned(), json!(0)),
        (SCHEDULE, "/timestep_spacing".to_owned(), json!("random")),
    ];
    for (file, pointer, value) in cases {
        let (field, found, wanted) = refusal(file, &pointer, &value);
        let last = pointer.rsplit('/').next().unwrap();
        let related = ["rope_scaling", "size", "crop_size"];
        assert!(
            field.ends_with(last) || related.iter().any(|name| field.contains(name)),
            "{file} {pointer} = {value} was refused as {field}"
        );
        assert!(!found.is_empty() && !wanted.is_empty(), "{field}");
    }
}

#[test]
fn a_vae_and_a_unet_of_different_latents_are_refused() {
    let scratch = Scratch::with_golden_configs();
    scratch.edit(VAE, |vae| vae["latent_channels"] = json!(16));
    let error = scratch.config().unwrap_err().to_string();
    assert!(error.contains("16 of the VAE, 4 into and 4 out of the UNet"), "{error}");
}

#[test]
fn files_that_are_no_json_object_are_configuration_errors() {
    let scratch = Scratch::with_golden_configs();
    for text in ["", "{", "[]", "{\"rms_norm_eps\": NaN}", "\u{feff}{}"] {
        scratch.write("config.json", text.as_bytes());
        let error = scratch.config().unwrap_err();
        assert!(matches!(error, CheckpointError::Config { .. }), "{text}: {error}");
        assert_eq!(error.exit_code(), 78);
    }
    scratch.remove("config.json");
    assert!(matches!(scratch.config(), Err(CheckpointError::Missing { .. })));
}

#[test]
fn a_folder_without_weights_says_what_it_wants() {
    let error = Scratch::with_golden_configs().open().unwrap_err();
    assert!(matches!(error, CheckpointError::Missing { .. }), "{error}");
    assert_eq!(error.exit_code(), 65);
}

#[test]
fn abilities_are_a_list_of_distinct_words_and_everything_where_nothing_is_said() {
    let scratch = Scratch::with_golden_configs();
    let abilities = |value: serde_json::Value| {
        scratch.edit("config.json", |config| config["reverie_abilities"] = value);
        scratch.config().map(|config| config.abilities)
    };
    assert_eq!(golden().config().abilities, Abilities::Both);
    assert_eq!(abilities(json!(["creation", "comprehension"])).unwrap(), Abilities::Both);
    assert_eq!(abilities(json!(["creation"])).unwrap(), Abilities::CreationOnly);
    assert_eq!(abilities(json!(["comprehension"])).unwrap(), Abilities::ComprehensionOnly);
    for wrong in [json!([]), json!("creation"), json!(["drawing"]), json!(["creation", "creation"])]
    {
        let error = abilities(wrong.clone()).unwrap_err();
        assert_eq!(error.exit_code(), 78);
        assert!(error.to_string().contains("reverie_abilities"), "{wrong}: {error}");
    }
}

#[test]
fn an_ability_that_is_missing_needs_no_configuration_of_its_own() {
    let scratch = Scratch::with_golden_configs();
    std::fs::remove_dir_all(scratch.path().join("components/stable-diffusion-tiny")).unwrap();
    scratch.edit("config.json", |config| {
        config["reverie_abilities"] = json!(["comprehension"]);
        let plugins = config["plugins_init_kwargs"].as_object_mut().unwrap();
        plugins.remove("dream_embedding");
        plugins.remove("stable_diffusion_head");
    });
    let config = scratch.config().unwrap();
    assert_eq!(config.vision, golden().config().vision);
    assert_eq!((config.image_positions(), config.dream_positions()), (258, 0));
}
