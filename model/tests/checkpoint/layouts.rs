//! Every layout that a DreamLLM checkpoint has been saved in gives the same tensors.

use candle_core::{DType, Device};
use reverie_model::checkpoint::{Checkpoint, Component, Inspection};
use serde_json::json;

use crate::fixtures::{
    RawTensor, Scratch, decoder_part, golden, golden_folder, mini_folder, part, raw_tensors,
};
use crate::pickle_writer::{Placement, state_dict};
use crate::zip_writer::{write_torch_archive, write_wide_zip};

const CLIP: &str = "model.clip_vision_embedding.";
const DREAM: &str = "model.dream_embedding.";
const HEAD: &str = "stable_diffusion_head.";

fn assert_same_as_golden(scratch: &Scratch) {
    let opened = scratch.open().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(opened.config(), golden().config());
    assert!(raw_tensors(&opened) == raw_tensors(&golden()), "some tensor differs");
}

#[test]
fn the_published_layout_reads_although_its_archives_have_inner_names_of_21_characters() {
    let golden = golden();
    let of = |component| golden.tensors().filter(|t| t.component == component).count();
    assert_eq!("clip_vision_embedding".len(), 21);
    assert_eq!("stable_diffusion_head".len(), 21);
    assert_eq!((of(Component::Decoder), of(Component::VisionTower)), (21, 55));
    assert_eq!(golden.tensors().len(), 1014);
    assert!(golden.tensors().all(|tensor| tensor.dtype == DType::BF16));
}

#[test]
fn an_archive_beyond_4_gib_reads_by_its_wide_records() {
    let tensors = decoder_part(&raw_tensors(&golden()));
    let placed: Vec<_> = tensors
        .iter()
        .enumerate()
        .map(|(number, tensor)| (tensor, Placement::alone(number, &tensor.shape)))
        .collect();
    let mut entries = vec![("pytorch_model/data.pkl".to_owned(), state_dict(&placed))];
    for (number, tensor) in tensors.iter().enumerate() {
        entries.push((format!("pytorch_model/data/{number}"), tensor.bytes.clone()));
    }
    let scratch = Scratch::with_golden_files();
    write_wide_zip(&scratch.path().join("pytorch_model.bin"), &entries);
    assert_same_as_golden(&scratch);
}

#[test]
fn archive_tensors_equal_the_rounded_component_files_they_were_saved_from() {
    // The reference built its plugins from these float files and saved them in bf16.
    let golden = golden();
    let weights = golden.weights(DType::F32, &Device::Cpu);
    for (file, prefix) in [
        ("clip-vit-tiny/model.safetensors", "model.clip_vision_embedding.clip_vision_model."),
        (
            "stable-diffusion-tiny/unet/diffusion_pytorch_model.safetensors",
            "stable_diffusion_head.unet.",
        ),
        (
            "stable-diffusion-tiny/vae/diffusion_pytorch_model.safetensors",
            "stable_diffusion_head.vae.",
        ),
    ] {
        let path = golden_folder().join("components").join(file);
        let component = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
        for (name, tensor) in component {
            let wanted = tensor.to_dtype(DType::BF16).unwrap().to_dtype(DType::F32).unwrap();
            let found = weights.get(wanted.dims(), &format!("{prefix}{name}")).unwrap();
            let difference = (found - wanted).unwrap().abs().unwrap().max_all().unwrap();
            assert_eq!(difference.to_scalar::<f32>().unwrap(), 0.0, "{name}");
        }
    }
}

#[test]
fn one_safetensors_file_with_plugin_archives_reads() {
    let scratch = Scratch::with_golden_files();
    scratch.remove("pytorch_model.bin");
    scratch.write_safetensors("model.safetensors", &decoder_part(&raw_tensors(&golden())));
    assert_same_as_golden(&scratch);
}

#[test]
fn plugins_may_be_safetensors_too() {
    let scratch = Scratch::with_golden_files();
    let tensors = raw_tensors(&golden());
    for (file, prefix) in [
        ("clip_vision_embedding", CLIP),
        ("dream_embedding", DREAM),
        ("stable_diffusion_head", HEAD),
    ] {
        scratch.remove(&format!("{file}.bin"));
        scratch.write_safetensors(&format!("{file}.safetensors"), &part(&tensors, prefix));
    }
    assert_same_as_golden(&scratch);
}

/// Writes the decoder in two shards with an index.
fn write_shards(scratch: &Scratch, extension: &str) {
    let tensors = decoder_part(&raw_tensors(&golden()));
    let (first, second) = tensors.split_at(9);
    let stem = if extension == "bin" { "pytorch_model" } else { "model" };
    let mut weight_map = serde_json::Map::new();
    for (number, shard) in [(1, first), (2, second)] {
        let name = format!("{stem}-0000{number}-of-00002.{extension}");
        match extension {
            "bin" => scratch.write_torch(&name, shard),
            _ => scratch.write_safetensors(&name, shard),
        }
        weight_map.extend(shard.iter().map(|tensor| (tensor.name.clone(), json!(name))));
    }
    let index = json!({ "metadata": { "total_size": 1 }, "weight_map": weight_map });
    scratch.write(&format!("{stem}.{extension}.index.json"), index.to_string().as_bytes());
}

#[test]
fn sharded_safetensors_read() {
    let scratch = Scratch::with_golden_files();
    scratch.remove("pytorch_model.bin");
    write_shards(&scratch, "safetensors");
    assert_same_as_golden(&scratch);
}

#[test]
fn sharded_archives_read() {
    let scratch = Scratch::with_golden_files();
    scratch.remove("pytorch_model.bin");
    write_shards(&scratch, "bin");
    assert_same_as_golden(&scratch);
}

#[test]
fn a_merged_file_alone_reads() {
    let scratch = Scratch::with_golden_configs();
    scratch.write_torch("pytorch_model.bin", &raw_tensors(&golden()));
    assert_same_as_golden(&scratch);
}

#[test]
fn plugin_files_win_over_copies_in_a_merged_file() {
    let scratch = Scratch::with_golden_files();
    let mut tensors = raw_tensors(&golden());
    for tensor in &mut tensors {
        if [CLIP, DREAM, HEAD].iter().any(|prefix| tensor.name.starts_with(prefix)) {
            tensor.bytes.fill(0x40);
        }
    }
    scratch.write_torch("pytorch_model.bin", &tensors);
    assert_same_as_golden(&scratch);
}

#[test]
fn legacy_plugin_names_read_with_towers_from_component_folders() {
    let tensors = raw_tensors(&golden());
    let scratch = Scratch::with_golden_configs();
    scratch.copy_golden("pytorch_model.bin");
    let clip_parts = part(&tensors, CLIP);
    let projector = part(&clip_parts, "projector.");
    scratch.write_torch("clip_vision_model_projector.pt", &projector);
    let head_projector = part(&part(&tensors, HEAD), "projector.projector.");
    scratch.write_torch("unet_projector.pt", &head_projector);
    scratch.write_torch("dream_queries.pt", &part(&tensors, DREAM));
    let towers = "components/stable-diffusion-tiny";
    let tower = part(&clip_parts, "clip_vision_model.");
    scratch.write_safetensors("components/clip-vit-tiny/model.safetensors", &tower);
    for (folder, extension) in [("unet", "bin"), ("vae", "safetensors")] {
        let tensors = part(&tensors, &format!("{HEAD}{folder}."));
        let name = format!("{towers}/{folder}/diffusion_pytorch_model.{extension}");
        match extension {
            "bin" => scratch.write_torch(&name, &tensors),
            _ => scratch.write_safetensors(&name, &tensors),
        }
    }
    assert_same_as_golden(&scratch);
}

#[test]
fn legacy_queries_may_be_one_bare_tensor() {
    let scratch = Scratch::with_golden_files();
    scratch.remove("dream_embedding.bin");
    let tensors = raw_tensors(&golden());
    let queries = &part(&tensors, DREAM)[0];
    let placement = Placement::alone(0, &queries.shape);
    // A Parameter: `_rebuild_parameter(tensor, True, OrderedDict())`.
    let pickle = [
        b"\x80\x02".to_vec(),
        crate::pickle_writer::global("torch._utils", "_rebuild_parameter"),
        b"(".to_vec(),
        crate::pickle_writer::rebuild(queries.dtype, &queries.shape, &placement),
        b"\x88".to_vec(),
        crate::pickle_writer::global("collections", "OrderedDict"),
        b")RtR.".to_vec(),
    ]
    .concat();
    let storages = [("0".to_owned(), queries.bytes.clone())];
    scratch.write("dream_queries.pt", &write_torch_archive("dream_queries", &pickle, &storages));
    assert_same_as_golden(&scratch);
}

#[test]
fn old_vae_attention_names_and_kernels_are_translated() {
    let mut tensors = raw_tensors(&golden());
    let renames =
        [("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")];
    let mut renamed = 0;
    for tensor in tensors.iter_mut().filter(|t| t.name.contains(".vae.")) {
        let Some((new, old)) = renames.iter().find(|(new, _)| tensor.name.contains(new)) else {
            continue;
        };
        tensor.name = tensor.name.replace(new, old);
        if tensor.shape.len() == 2 {
            tensor.shape.extend([1, 1]);
        }
        renamed += 1;
    }
    assert_eq!(renamed, 16);
    let scratch = Scratch::with_golden_configs();
    scratch.write_torch("pytorch_model.bin", &tensors);
    assert_same_as_golden(&scratch);
}

#[test]
fn buffers_of_older_programs_are_ignored() {
    let mut tensors = raw_tensors(&golden());
    tensors.push(RawTensor::zeros("model.layers.0.self_attn.rotary_emb.inv_freq", &[8]));
    let embeddings = "clip_vision_model.vision_model.embeddings.position_ids";
    tensors.push(RawTensor::zeros(&format!("{CLIP}{embeddings}"), &[1, 257]));
    let scratch = Scratch::with_golden_configs();
    scratch.write_safetensors("model.safetensors", &tensors);
    assert_same_as_golden(&scratch);
}

#[test]
fn transposed_and_shared_storages_are_gathered() {
    let tensors = decoder_part(&raw_tensors(&golden()));
    let scratch = Scratch::with_golden_files();
    let mut shared = Vec::new();
    let mut placed = Vec::new();
    for tensor in &tensors {
        let first_element = shared.len() / 2;
        let mut placement = Placement::alone(0, &tensor.shape);
        placement.first_element = first_element;
        if let [rows, columns] = tensor.shape[..] {
            placement.stride = vec![1, rows];
            for column in 0..columns {
                for row in 0..rows {
                    let at = 2 * (row * columns + column);
                    shared.extend_from_slice(&tensor.bytes[at..at + 2]);
                }
            }
        } else {
            shared.extend_from_slice(&tensor.bytes);
        }
        placed.push((tensor, placement));
    }
    for (_, placement) in &mut placed {
        placement.storage_elements = shared.len() / 2;
    }
    let archive = write_torch_archive("archive", &state_dict(&placed), &[("0".to_owned(), shared)]);
    scratch.write("pytorch_model.bin", &archive);
    assert_same_as_golden(&scratch);
}

#[test]
fn a_state_dict_inside_a_training_checkpoint_is_found() {
    let tensors = decoder_part(&raw_tensors(&golden()));
    let placed: Vec<_> = tensors
        .iter()
        .enumerate()
        .map(|(number, tensor)| (tensor, Placement::alone(number, &tensor.shape)))
        .collect();
    let inner = state_dict(&placed);
    let pickle = [
        &b"\x80\x02}("[..],
        &crate::pickle_writer::text("epoch"),
        &crate::pickle_writer::int(3),
        &crate::pickle_writer::text("state_dict"),
        &inner[2..inner.len() - 1],
        b"u.",
    ]
    .concat();
    let storages: Vec<_> =
        tensors.iter().enumerate().map(|(n, t)| (n.to_string(), t.bytes.clone())).collect();
    let scratch = Scratch::with_golden_files();
    scratch.write("pytorch_model.bin", &write_torch_archive("pytorch_model", &pickle, &storages));
    assert_same_as_golden(&scratch);
}

#[test]
fn a_tied_checkpoint_may_hold_its_head_or_not() {
    for keep in [true, false] {
        let scratch = Scratch::with_golden_files();
        scratch.edit("config.json", |config| config["tie_word_embeddings"] = json!(true));
        let mut tensors = decoder_part(&raw_tensors(&golden()));
        tensors.retain(|tensor| keep || tensor.name != "lm_head.weight");
        scratch.write_torch("pytorch_model.bin", &tensors);
        let opened = scratch.open().unwrap();
        assert!(opened.tensors().all(|tensor| tensor.name != "lm_head.weight"));
    }
}

#[test]
fn a_tensor_given_twice_is_refused() {
    let mut tensors = raw_tensors(&golden());
    let old = "stable_diffusion_head.vae.encoder.mid_block.attentions.0.query.bias";
    tensors.push(RawTensor::zeros(old, &[24]));
    let scratch = Scratch::with_golden_configs();
    scratch.write_torch("pytorch_model.bin", &tensors);
    let error = scratch.open().unwrap_err().to_string();
    let name = "stable_diffusion_head.vae.encoder.mid_block.attentions.0.to_q.bias";
    assert!(error.contains(&format!("given twice: {name}")), "{error}");
}

#[test]
fn the_mini_checkpoint_opens_and_its_values_are_finite() {
    let checkpoint = Checkpoint::open(&mini_folder()).unwrap();
    assert_eq!(checkpoint.config().num_dream_queries, 8);
    let weights = checkpoint.weights(DType::F32, &Device::Cpu);
    for record in checkpoint.tensors() {
        let tensor = weights.get(record.shape, record.name).unwrap();
        let largest = tensor.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(largest.is_finite() && largest < 100.0, "{}: {largest}", record.name);
    }
}

#[test]
fn weights_refuse_a_wrong_shape_and_an_unknown_name() {
    let golden = golden();
    let weights = golden.weights(DType::F32, &Device::Cpu);
    assert!(weights.get((64, 488), "lm_head.weight").is_err());
    assert!(weights.get((488, 64), "lm_head").is_err());
    assert!(weights.contains_tensor("lm_head.weight"));
}

#[test]
fn an_inspection_counts_everything_and_prints_the_context_budget() {
    let golden = golden();
    let inspection = Inspection::of(&golden, DType::F32);
    let parameters: u64 = inspection.components.iter().map(|part| part.num_parameters).sum();
    assert_eq!(inspection.memory.weights, 4 * parameters);
    // 2 × 2 layers × 64 × 4 bytes.
    assert_eq!(inspection.memory.cache_per_position, 1024);
    let context = inspection.context;
    assert_eq!((context.per_picture_in, context.per_picture_out), (258, 268));
    assert_eq!((context.max_pictures_out, context.left_for_text), (7, 172));
    let table = inspection.to_string();
    assert!(table.contains("vision tower               55"), "{table}");
    assert!(table.contains("at most 7 with 172 left for text"), "{table}");
}

#[test]
fn parts_may_be_missing_exactly_where_the_model_has_no_use_for_them() {
    let scratch = Scratch::with_golden_files();
    for file in ["dream_embedding.bin", "stable_diffusion_head.bin"] {
        scratch.remove(file);
    }
    let missing = scratch.open().unwrap_err().to_string();
    assert!(
        missing.contains("of the dream queries") && missing.contains("of the UNet"),
        "{missing}"
    );
    let state = |abilities: &[&str]| {
        scratch.edit("config.json", |config| config["reverie_abilities"] = abilities.into());
        scratch.open()
    };
    assert!(state(&["creation"]).unwrap_err().to_string().contains("of the UNet"));
    let reader = state(&["comprehension"]).unwrap();
    let whole = golden();
    let read = |name: &str| !name.contains("dream") && !name.contains("stable_diffusion_head");
    let wanted: Vec<&str> = whole.tensors().map(|one| one.name).filter(|name| read(name)).collect();
    let found: Vec<&str> = reader.tensors().map(|one| one.name).collect();
    assert_eq!(found, wanted);
}
