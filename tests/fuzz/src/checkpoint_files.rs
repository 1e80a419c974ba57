//! Files of checkpoints, as anybody may have written them. What is refused is refused with a place.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use reverie_model::CheckpointError;
use reverie_model::checkpoint::readers;

/// A folder of this process alone.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let shared = Path::new("/dev/shm");
    let base = if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() };
    let folder = base.join(format!("reverie-fuzz-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    folder
});

/// `input` as a file.
fn written(name: &str, input: &[u8]) -> PathBuf {
    let path = FOLDER.join(name);
    fs::write(&path, input).expect("a file");
    path
}

fn refused<T>(result: Result<T, CheckpointError>) {
    if let Err(error) = result {
        assert!(!error.to_string().is_empty());
    }
}

/// Tensors lie inside their file.
pub(crate) fn safetensors(input: &[u8]) {
    let path = written("model.safetensors", input);
    match readers::tensor_file(&path) {
        Ok(sizes) => assert!(sizes.iter().sum::<u64>() <= input.len() as u64, "{sizes:?}"),
        Err(error) => refused(Err::<(), _>(error)),
    }
}

/// An index beside two shards of one tensor each: it names them or is refused.
pub(crate) fn shard_index(input: &[u8]) {
    static SHARDS: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = FOLDER.join("sharded");
        fs::create_dir_all(&folder).expect("a folder");
        for name in ["a", "b"] {
            let header =
                format!(r#"{{"{name}":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}}}"#);
            let mut file = (header.len() as u64).to_le_bytes().to_vec();
            file.extend(header.as_bytes());
            file.extend([0; 4]);
            fs::write(folder.join(format!("{name}.safetensors")), file).expect("a file");
        }
        folder
    });
    fs::write(SHARDS.join("model.safetensors.index.json"), input).expect("a file");
    match readers::folder(&SHARDS) {
        Ok(count) => assert!(count <= 2, "two tensors at most: {count}"),
        Err(error) => refused(Err::<(), _>(error)),
    }
}

/// Nothing runs, and nothing larger than a few times the stream is built.
pub(crate) fn pickle(input: &[u8]) {
    refused(readers::pickle(input));
}

/// A zip of torch's with whatever in it.
pub(crate) fn torch_archive(input: &[u8]) {
    let path = written("model.bin", input);
    match readers::tensor_file(&path) {
        // Tensors may share their storage: each by itself lies inside.
        Ok(sizes) => assert!(sizes.iter().all(|size| *size <= input.len() as u64), "{sizes:?}"),
        Err(error) => refused(Err::<(), _>(error)),
    }
}
