//! Reads a checkpoint folder's configuration files into [`DreamConfig`], whichever program wrote
//! them, and refuses values that no model can have. Knows JSON files, not tensors.
//!
//! Forms of `config.json`: the published one (`plugins_init_kwargs`, whose `_target_` is a tag to
//! match and never something to import), and the flat one (`num_dream_queries`, `clip_select_layer`,
//! `clip_vision_config`). A converted folder uses the published form. Configurations of CLIP, UNet,
//! VAE and noise schedule come from component folders, else from the published defaults. Our own field
//! `reverie_abilities` lists what the model was trained for; without it, that is everything.

mod component_folders;
mod decoder;
mod diffusion;
mod fields;
mod vision;

use std::path::Path;

use serde_json::{Map, Value};

pub(crate) use component_folders::ComponentFolders;
use fields::{Fields, read_object};

use super::{
    Abilities, Ability, DreamConfig, HeadConfig, ProjectorConfig, ProjectorKind, VisionConfig,
};
use crate::CheckpointError;

/// Queries of the published 7B, and the constructor's default in the reference.
const DEFAULT_DREAM_QUERIES: usize = 64;
/// Hidden state read by the published 7B, and the constructor's default in the reference.
const DEFAULT_SELECT_LAYER: i64 = -2;
/// The list of what the model was trained for.
const ABILITIES: &str = "reverie_abilities";

impl DreamConfig {
    /// Reads and checks the configuration of a checkpoint folder.
    ///
    /// # Errors
    /// [`CheckpointError::Missing`] without `config.json`; [`CheckpointError::Config`] for a value
    /// that cannot be, naming file, field, value and what is allowed; [`CheckpointError::Io`].
    pub fn read(folder: &Path) -> Result<Self, CheckpointError> {
        let path = folder.join("config.json");
        if !path.exists() {
            return Err(CheckpointError::Missing {
                folder: folder.to_owned(),
                wanted: "config.json".to_owned(),
                hint: "a DreamLLM checkpoint folder".to_owned(),
            });
        }
        let object = read_object(&path)?;
        let root = Fields::new(&path, &object);
        let folders = ComponentFolders::find_with(folder, &object);
        let abilities = read_abilities(&root)?;
        let llama = decoder::read(&root)?;
        let plugins = Plugins::read(&root, llama.hidden_size)?;
        let vision = match abilities.has(Ability::Comprehension) {
            true => plugins.vision(&root, folder, &folders)?,
            false => VisionConfig::default(),
        };
        let (head, num_dream_queries) = match abilities.has(Ability::Creation) {
            true => (plugins.head(&root, &folders)?, plugins.num_dream_queries(&root)?),
            false => (HeadConfig::default(), DEFAULT_DREAM_QUERIES),
        };
        Ok(Self { abilities, llama, vision, num_dream_queries, head })
    }
}

fn read_abilities(root: &Fields<'_>) -> Result<Abilities, CheckpointError> {
    let choices = [Ability::Comprehension, Ability::Creation].map(|one| (one.to_string(), one));
    let found = root.some_of(ABILITIES, &choices)?;
    Ok(match found.as_deref() {
        Some([Ability::Comprehension]) => Abilities::ComprehensionOnly,
        Some([Ability::Creation]) => Abilities::CreationOnly,
        Some(_) | None => Abilities::Both,
    })
}

/// The three plugins' constructor arguments; empty objects in the flat form.
struct Plugins<'a> {
    clip: Fields<'a>,
    dream: Fields<'a>,
    head: Fields<'a>,
}

impl<'a> Plugins<'a> {
    fn read(root: &Fields<'a>, width: usize) -> Result<Self, CheckpointError> {
        let plugins = root.child("plugins_init_kwargs")?;
        if plugins.is_none() && !root.has("num_dream_queries") && !root.has(ABILITIES) {
            return Err(root.error(
                "plugins_init_kwargs",
                &Value::Null,
                "the plugins' arguments, or num_dream_queries beside clip_vision_config",
            ));
        }
        let plugin = |name: &str, class: &str| -> Result<Fields<'a>, CheckpointError> {
            let found = plugins.as_ref().map(|plugins| plugins.child(name)).transpose()?.flatten();
            let Some(fields) = found else { return Ok(root.empty(name)) };
            if let Some(target) = fields.text("_target_")? {
                // Compared, never imported: only the last part of the path says which plugin it is.
                if target.rsplit('.').next() != Some(class) {
                    return Err(fields.error("_target_", &target, class));
                }
            }
            let stated = fields.count_or("embed_hidden_size", width, 1..=fields::MAX_WIDTH)?;
            if stated != width {
                let wanted = format!("{width}, the decoder's hidden_size");
                return Err(fields.error("embed_hidden_size", &stated, &wanted));
            }
            Ok(fields)
        };
        Ok(Self {
            clip: plugin("clip_vision_embedding", "CLIPVisionEmbedding")?,
            dream: plugin("dream_embedding", "DreamEmbedding")?,
            head: plugin("stable_diffusion_head", "StableDiffusionHead")?,
        })
    }

    fn vision(
        &self,
        root: &Fields<'_>,
        folder: &Path,
        folders: &ComponentFolders,
    ) -> Result<VisionConfig, CheckpointError> {
        let clip = vision::read_clip(root, folders.clip.as_deref())?;
        let preprocess = vision::read_preprocess(folder, folders.clip.as_deref(), clip.image_size)?;
        let (fields, name) = match self.clip.has("select_layer") {
            true => (&self.clip, "select_layer"),
            false => (root, "clip_select_layer"),
        };
        let layers = clip.num_hidden_layers as i64;
        let select_layer =
            fields.integer_or(name, DEFAULT_SELECT_LAYER, -layers - 1..=layers)? as i32;
        Ok(VisionConfig {
            clip,
            preprocess,
            select_layer,
            projector: read_projector(&self.clip)?,
            post_layernorm: self.clip.flag_or("use_additional_post_layernorm", false)?,
        })
    }

    fn head(
        &self,
        root: &Fields<'_>,
        folders: &ComponentFolders,
    ) -> Result<HeadConfig, CheckpointError> {
        let unet = diffusion::read_unet(folders.unet.as_deref())?;
        let vae = diffusion::read_vae(folders.vae.as_deref())?;
        if vae.latent_channels != unet.in_channels || unet.in_channels != unet.out_channels {
            let found = format!(
                "{} of the VAE, {} into and {} out of the UNet",
                vae.latent_channels, unet.in_channels, unet.out_channels
            );
            return Err(root.error("latent channels", &found, "the same number in all three"));
        }
        Ok(HeadConfig {
            projector: read_projector(&self.head)?,
            unet,
            vae,
            noise_schedule: diffusion::read_noise_schedule(folders.scheduler.as_deref())?,
        })
    }

    fn num_dream_queries(&self, root: &Fields<'_>) -> Result<usize, CheckpointError> {
        let fields = if self.dream.has("num_dream_queries") { &self.dream } else { root };
        fields.count_or("num_dream_queries", DEFAULT_DREAM_QUERIES, 1..=fields::MAX_POSITIONS)
    }
}

/// `projector_type` and `projector_depth` of a plugin (`omni/models/projector/builder.py`).
fn read_projector(fields: &Fields<'_>) -> Result<ProjectorConfig, CheckpointError> {
    let choices = [("linear", ProjectorKind::Linear), ("mlp", ProjectorKind::Mlp)];
    let kind = fields.choice_or("projector_type", &choices, ProjectorKind::Linear)?;
    let depth = match kind {
        ProjectorKind::Linear => fields.count_or("projector_depth", 1, 1..=1)?,
        ProjectorKind::Mlp => fields.count_or("projector_depth", 1, 2..=16)?,
    };
    Ok(ProjectorConfig { kind, depth })
}

/// The plugin's path argument, where it names something inside the folder.
fn plugin_path<'a>(
    config: &'a Map<String, Value>,
    plugin: &str,
    argument: &str,
) -> Option<&'a str> {
    config.get("plugins_init_kwargs")?.get(plugin)?.get(argument)?.as_str()
}
