//! Pickles as torch writes them (protocol 2), and the opcodes to write worse ones.

use candle_core::DType;

use crate::fixtures::RawTensor;

/// How a tensor lies in its storage.
pub(crate) struct Placement {
    /// The entry `data/KEY`.
    pub(crate) storage: String,
    pub(crate) storage_elements: usize,
    pub(crate) first_element: usize,
    pub(crate) stride: Vec<usize>,
}

impl Placement {
    /// A storage of its own, contiguous.
    pub(crate) fn alone(number: usize, shape: &[usize]) -> Self {
        let mut stride = vec![1; shape.len()];
        for i in (1..shape.len()).rev() {
            stride[i - 1] = stride[i] * shape[i];
        }
        Self {
            storage: number.to_string(),
            storage_elements: shape.iter().product(),
            first_element: 0,
            stride,
        }
    }
}

pub(crate) fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

pub(crate) fn int(value: usize) -> Vec<u8> {
    [b"J", &(value as u32).to_le_bytes()[..]].concat()
}

pub(crate) fn global(module: &str, name: &str) -> Vec<u8> {
    format!("c{module}\n{name}\n").into_bytes()
}

fn tuple(items: &[usize]) -> Vec<u8> {
    let items: Vec<u8> = items.iter().flat_map(|item| int(*item)).collect();
    [b"(", &items[..], b"t"].concat()
}

/// The call that rebuilds one tensor.
pub(crate) fn rebuild(dtype: DType, shape: &[usize], placement: &Placement) -> Vec<u8> {
    let storage = match dtype {
        DType::BF16 => "BFloat16Storage",
        DType::F32 => "FloatStorage",
        other => panic!("no test writes {other:?}"),
    };
    [
        global("torch._utils", "_rebuild_tensor_v2"),
        b"((".to_vec(),
        text("storage"),
        global("torch", storage),
        text(&placement.storage),
        text("cpu"),
        int(placement.storage_elements),
        b"tQ".to_vec(),
        int(placement.first_element),
        tuple(shape),
        tuple(&placement.stride),
        b"\x89".to_vec(),
        global("collections", "OrderedDict"),
        b")RtR".to_vec(),
    ]
    .concat()
}

/// `OrderedDict` of tensors with the `_metadata` attribute that `state_dict()` sets.
pub(crate) fn state_dict(tensors: &[(&RawTensor, Placement)]) -> Vec<u8> {
    let mut pickle = [b"\x80\x02".to_vec(), global("collections", "OrderedDict")].concat();
    pickle.extend(b")R(");
    for (tensor, placement) in tensors {
        pickle.extend(text(&tensor.name));
        pickle.extend(rebuild(tensor.dtype, &tensor.shape, placement));
    }
    pickle.extend(b"u}");
    pickle.extend(text("_metadata"));
    pickle.extend(global("collections", "OrderedDict"));
    pickle.extend(b")R");
    pickle.extend(text(""));
    pickle.extend(b"}");
    pickle.extend(text("version"));
    pickle.extend(int(1));
    pickle.extend(b"sssb.");
    pickle
}
