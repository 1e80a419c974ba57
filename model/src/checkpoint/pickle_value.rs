//! What a tensor pickle can hold: the few kinds of value that `torch.save` of a state dict makes.
//! Knows how a tensor is rebuilt from its arguments, not how the stream is read.

use std::rc::Rc;

use candle_core::DType;

/// Deepest nesting of tuples. Torch needs three levels; dropping deeper ones could exhaust the stack.
const MAX_TUPLE_DEPTH: usize = 16;

/// A tensor as its pickle describes it; the data lies elsewhere in the archive.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PickledTensor {
    /// Its key in the state dict; empty when the pickle is one bare tensor.
    pub(crate) name: String,
    /// Where its elements lie.
    pub(crate) storage: Storage,
    /// First element, counted in the storage.
    pub(crate) first_element: usize,
    /// Dimensions.
    pub(crate) shape: Vec<usize>,
    /// In elements.
    pub(crate) stride: Vec<usize>,
}

/// A storage of the archive: `data/KEY`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Storage {
    /// Element type.
    pub(crate) dtype: DType,
    /// The entry's name.
    pub(crate) key: String,
    /// Length in elements.
    pub(crate) num_elements: usize,
}

/// The only names that a pickle may mention.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Global {
    /// `collections.OrderedDict`.
    OrderedDict,
    /// `torch._utils._rebuild_tensor_v2`.
    RebuildTensor,
    /// `torch._utils._rebuild_parameter`.
    RebuildParameter,
    /// `torch.FloatStorage` and its like.
    StorageType(DType),
}

impl Global {
    pub(super) fn find(module: &str, name: &str) -> Result<Self, String> {
        let storage = match (module, name) {
            ("collections", "OrderedDict") => return Ok(Self::OrderedDict),
            ("torch._utils", "_rebuild_tensor_v2") => return Ok(Self::RebuildTensor),
            ("torch._utils", "_rebuild_parameter") => return Ok(Self::RebuildParameter),
            ("torch", "FloatStorage") => DType::F32,
            ("torch", "HalfStorage") => DType::F16,
            ("torch", "BFloat16Storage") => DType::BF16,
            ("torch", "DoubleStorage") => DType::F64,
            ("torch", "LongStorage") => DType::I64,
            ("torch", "IntStorage") => DType::I32,
            ("torch", "ShortStorage") => DType::I16,
            ("torch", "ByteStorage" | "BoolStorage") => DType::U8,
            _ => {
                return Err(format!(
                    "{module}.{name} is not needed to rebuild tensors and is never imported"
                ));
            }
        };
        Ok(Self::StorageType(storage))
    }
}

/// A value on the stack. Containers are referred to by index, because pickles change them in place.
#[derive(Debug, Clone)]
pub(super) enum Value {
    None,
    Bool,
    Float,
    Int(i64),
    Text(Rc<str>),
    Tuple(Rc<Tuple>),
    Container(usize),
    Global(Global),
    Storage(Rc<Storage>),
    Tensor(Rc<PickledTensor>),
}

/// A tuple and how deep tuples nest in it.
#[derive(Debug)]
pub(super) struct Tuple {
    pub(super) items: Vec<Value>,
    depth: usize,
}

impl Value {
    pub(super) fn tuple(items: Vec<Value>) -> Result<Self, String> {
        let deepest = items.iter().map(|item| match item {
            Value::Tuple(tuple) => tuple.depth,
            Value::None
            | Value::Bool
            | Value::Float
            | Value::Int(_)
            | Value::Text(_)
            | Value::Container(_)
            | Value::Global(_)
            | Value::Storage(_)
            | Value::Tensor(_) => 0,
        });
        let depth = deepest.max().unwrap_or(0) + 1;
        if depth > MAX_TUPLE_DEPTH {
            return Err(format!("tuples nest deeper than {MAX_TUPLE_DEPTH}"));
        }
        Ok(Value::Tuple(Rc::new(Tuple { items, depth })))
    }

    /// What it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::None => "None",
            Value::Bool => "a bool",
            Value::Float => "a float",
            Value::Int(_) => "an int",
            Value::Text(_) => "a string",
            Value::Tuple(_) => "a tuple",
            Value::Container(_) => "a dict or list",
            Value::Global(_) => "a global",
            Value::Storage(_) => "a storage",
            Value::Tensor(_) => "a tensor",
        }
    }

    fn length(&self, what: &str) -> Result<usize, String> {
        match self {
            Value::Int(value) => usize::try_from(*value)
                .map_err(|_| format!("{what} is {value}, a length cannot be negative")),
            other => Err(format!("{what} is {}, not an int", other.kind())),
        }
    }

    fn lengths(&self, what: &str) -> Result<Vec<usize>, String> {
        match self {
            Value::Tuple(tuple) => tuple.items.iter().map(|item| item.length(what)).collect(),
            other => Err(format!("{what} is {}, not a tuple", other.kind())),
        }
    }
}

/// `('storage', torch.FloatStorage, key, location, numel)`: the persistent id of torch's zip format.
pub(super) fn storage_from_persistent_id(id: &Value) -> Result<Storage, String> {
    let Value::Tuple(tuple) = id else {
        return Err(format!("the persistent id is {}, not a tuple", id.kind()));
    };
    let [Value::Text(tag), Value::Global(Global::StorageType(dtype)), Value::Text(key), _, numel] =
        &tuple.items[..]
    else {
        return Err("the persistent id is not a storage's (tag, type, key, place, length)".into());
    };
    if &**tag != "storage" {
        return Err(format!("the persistent id's tag is {tag:?}, not \"storage\""));
    }
    Ok(Storage {
        dtype: *dtype,
        key: key.to_string(),
        num_elements: numel.length("a storage's length")?,
    })
}

/// `torch._utils._rebuild_tensor_v2(storage, storage_offset, size, stride, requires_grad, hooks, …)`.
pub(super) fn rebuild_tensor(arguments: &[Value]) -> Result<PickledTensor, String> {
    let [Value::Storage(storage), offset, size, stride, ..] = arguments else {
        return Err("_rebuild_tensor_v2 wants (storage, offset, size, stride, …)".into());
    };
    if !(5..=7).contains(&arguments.len()) {
        return Err(format!("_rebuild_tensor_v2 with {} arguments", arguments.len()));
    }
    Ok(PickledTensor {
        name: String::new(),
        storage: (**storage).clone(),
        first_element: offset.length("a tensor's offset")?,
        shape: size.lengths("a tensor's size")?,
        stride: stride.lengths("a tensor's stride")?,
    })
}
