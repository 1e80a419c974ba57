//! Where a checkpoint folder keeps the configurations (and sometimes weights) of CLIP, UNet, VAE and
//! noise schedule. Knows folder names, not what is in the files.

use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value};

use super::fields::read_object;
use super::plugin_path;
use crate::CheckpointError;

/// The component folders that exist.
#[derive(Debug, Default)]
pub(crate) struct ComponentFolders {
    /// `clip/`, or the folder the CLIP plugin names.
    pub(crate) clip: Option<PathBuf>,
    /// `unet/`, here or in the folder the picture head names.
    pub(crate) unet: Option<PathBuf>,
    /// `vae/`, likewise.
    pub(crate) vae: Option<PathBuf>,
    /// `scheduler/`, likewise.
    pub(crate) scheduler: Option<PathBuf>,
}

impl ComponentFolders {
    /// Looks for each component in the folder itself, then where `config.json` says (only inside the
    /// folder: an absolute path or a hub name is ignored), then in the one folder of `components/`
    /// that has it.
    ///
    /// # Errors
    /// Those of reading `config.json`.
    pub(crate) fn find(folder: &Path) -> Result<Self, CheckpointError> {
        Ok(Self::find_with(folder, &read_object(&folder.join("config.json"))?))
    }

    pub(super) fn find_with(folder: &Path, config: &Map<String, Value>) -> Self {
        let clip_name =
            plugin_path(config, "clip_vision_embedding", "clip_vision_model_name_or_path");
        let diffusion_name = plugin_path(config, "stable_diffusion_head", "diffusion_name_or_path");
        let diffusion = diffusion_name.and_then(|name| existing(folder, name));
        let diffusers_part = |part: &str| {
            existing(folder, part)
                .or_else(|| diffusion.as_ref().and_then(|base| existing(base, part)))
                .or_else(|| only_component(folder, |base| existing(base, part)))
        };
        Self {
            clip: existing(folder, "clip")
                .or_else(|| clip_name.and_then(|name| existing(folder, name)))
                .or_else(|| only_component(folder, existing_clip)),
            unet: diffusers_part("unet"),
            vae: diffusers_part("vae"),
            scheduler: diffusers_part("scheduler"),
        }
    }
}

fn existing(folder: &Path, name: &str) -> Option<PathBuf> {
    let relative = Path::new(name);
    let normal = relative.components().all(|part| matches!(part, Component::Normal(_)));
    let path = folder.join(relative);
    (normal && !name.is_empty() && path.is_dir()).then_some(path)
}

fn existing_clip(folder: &Path) -> Option<PathBuf> {
    folder.join("preprocessor_config.json").is_file().then(|| folder.to_owned())
}

/// What `look` finds in exactly one of the folders in `components/`.
fn only_component(folder: &Path, look: impl Fn(&Path) -> Option<PathBuf>) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder.join("components")).ok()?;
    let mut found = entries.flatten().filter_map(|entry| look(&entry.path()));
    let first = found.next()?;
    found.next().is_none().then_some(first)
}
