//! Finds every tensor of a checkpoint folder, whichever program wrote it, and gives it its canonical
//! name. Knows file names and naming habits; knows neither configurations nor shapes.
//!
//! Layouts: published (`pytorch_model.bin` and three plugin files), safetensors or `.bin` whole or
//! sharded, one merged file with everything, legacy plugin names, diffusers-like component folders,
//! and a converted folder (one or more safetensors with canonical names). A component is taken whole
//! from the first source that has any of it: plugin file, legacy plugin file, main file, component
//! folder. So plugin files win over copies in a merged file, as in the reference
//! (`DreamLLMForCausalMLM.from_pretrained`), and no component is ever mixed from two sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::component::{
    CLIP_PREFIX, Component, DREAM_PREFIX, HEAD_PREFIX, TOWER_PREFIX, UNET_PREFIX, VAE_PREFIX,
};
use super::shards::{read_first, read_tensor_file};
use super::stored_tensor::StoredTensor;
use crate::CheckpointError;
use crate::config::{Abilities, ComponentFolders};

/// The tensors found, by canonical name.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) tensors: BTreeMap<String, StoredTensor>,
    /// Canonical names that one source gives twice.
    pub(super) given_twice: Vec<String>,
    claimed: BTreeSet<Component>,
}

/// How a file's names become canonical.
#[derive(Clone, Copy)]
enum Naming {
    /// They are.
    Canonical,
    /// This is put before them.
    Prefixed(&'static str),
    /// A CLIP model's own: `vision_model.…`; the text half is left out.
    ClipModel,
    /// A legacy file: the queries, alone or in a dict.
    LegacyQueries,
    /// A legacy file: one projector under this prefix, named from any level of its module tree.
    LegacyProjector(&'static str),
}

/// Finds the tensors of `folder`.
///
/// # Errors
/// [`CheckpointError::Missing`] without a main file; errors of the files read.
pub(super) fn find_tensors(folder: &Path) -> Result<Found, CheckpointError> {
    let mut found = Found::default();
    for (stem, prefix) in [
        ("clip_vision_embedding", CLIP_PREFIX),
        ("dream_embedding", DREAM_PREFIX),
        ("stable_diffusion_head", HEAD_PREFIX),
    ] {
        if let Some(tensors) = read_first(folder, stem, stem)? {
            found.take(tensors, Naming::Prefixed(prefix));
        }
    }
    for (name, naming) in [
        ("dream_queries.pt", Naming::LegacyQueries),
        ("clip_vision_model_projector.pt", Naming::LegacyProjector(CLIP_PREFIX)),
        ("unet_projector.pt", Naming::LegacyProjector(HEAD_PREFIX)),
    ] {
        let path = folder.join(name);
        if path.exists() {
            found.take(read_tensor_file(&path)?, naming);
        }
    }
    let Some(main) = read_first(folder, "model", "pytorch_model")? else {
        return Err(CheckpointError::Missing {
            folder: folder.to_owned(),
            wanted: "weights of the decoder".to_owned(),
            hint: Component::Decoder.where_to_look().to_owned(),
        });
    };
    found.take(main, Naming::Canonical);
    found.take_component_folders(&ComponentFolders::find(folder)?)?;
    Ok(found)
}

impl Found {
    /// Leaves out what a model of these abilities has no use for: a training may save it all the same.
    pub(super) fn keep_parts_of(&mut self, abilities: Abilities) {
        let is_part = |name: &String| Component::of(name).belongs_to(abilities);
        self.tensors.retain(|name, _| is_part(name));
        self.given_twice.retain(is_part);
    }

    fn take_component_folders(
        &mut self,
        folders: &ComponentFolders,
    ) -> Result<(), CheckpointError> {
        const DIFFUSERS: &str = "diffusion_pytorch_model";
        let parts = [
            (Component::VisionTower, &folders.clip, "model", "pytorch_model", Naming::ClipModel),
            (Component::Unet, &folders.unet, DIFFUSERS, DIFFUSERS, Naming::Prefixed(UNET_PREFIX)),
            (Component::Vae, &folders.vae, DIFFUSERS, DIFFUSERS, Naming::Prefixed(VAE_PREFIX)),
        ];
        for (component, folder, stem, bin_stem, naming) in parts {
            let Some(folder) = folder else { continue };
            if self.claimed.contains(&component) {
                continue;
            }
            if let Some(tensors) = read_first(folder, stem, bin_stem)? {
                self.take(tensors, naming);
            }
        }
        Ok(())
    }

    /// Takes those components of a source that no earlier source had.
    fn take(&mut self, tensors: Vec<StoredTensor>, naming: Naming) {
        let mut claimed_here = BTreeSet::new();
        for mut tensor in tensors {
            let Some(name) = naming.canonical(&tensor.name) else { continue };
            if is_ignored(&name) {
                continue;
            }
            let component = Component::of(&name);
            if self.claimed.contains(&component) {
                continue;
            }
            claimed_here.insert(component);
            tensor.name = rename_old_vae_attention(&name);
            if is_vae_attention(&tensor.name) {
                tensor.squeeze_kernel();
            }
            if self.tensors.contains_key(&tensor.name) {
                self.given_twice.push(tensor.name);
                continue;
            }
            self.tensors.insert(tensor.name.clone(), tensor);
        }
        self.claimed.extend(claimed_here);
    }
}

impl Naming {
    fn canonical(self, name: &str) -> Option<String> {
        match self {
            Self::Canonical => Some(name.to_owned()),
            Self::Prefixed(prefix) => Some(format!("{prefix}{name}")),
            Self::ClipModel => {
                name.starts_with("vision_model.").then(|| format!("{TOWER_PREFIX}{name}"))
            }
            Self::LegacyQueries => Some(match name {
                "" => format!("{DREAM_PREFIX}dream_queries"),
                other => format!("{DREAM_PREFIX}{other}"),
            }),
            Self::LegacyProjector(prefix) => {
                let bare = name.strip_prefix("projector.").unwrap_or(name);
                let bare = bare.strip_prefix("projector.").unwrap_or(bare);
                Some(match name.strip_prefix("post_layernorm.") {
                    Some(_) => format!("{prefix}{name}"),
                    None => format!("{prefix}projector.projector.{bare}"),
                })
            }
        }
    }
}

/// Buffers that older programs saved and that are computed anew (spec §1.3).
fn is_ignored(name: &str) -> bool {
    name.ends_with(".rotary_emb.inv_freq") || name.ends_with(".embeddings.position_ids")
}

fn is_vae_attention(name: &str) -> bool {
    name.starts_with(VAE_PREFIX) && name.contains(".mid_block.attentions.")
}

/// The Stable Diffusion repositories' own VAE files use names that diffusers renames when loading.
fn rename_old_vae_attention(name: &str) -> String {
    if !is_vae_attention(name) {
        return name.to_owned();
    }
    let renamed = [
        (".query.", ".to_q."),
        (".key.", ".to_k."),
        (".value.", ".to_v."),
        (".proj_attn.", ".to_out.0."),
    ];
    let applies = renamed.iter().find(|(old, _)| name.contains(old));
    applies.map_or_else(|| name.to_owned(), |(old, new)| name.replacen(old, new, 1))
}
