//! Reads the pickle of a torch state dict. It imports nothing, calls nothing and executes nothing:
//! it recognises the few opcodes and names that rebuilding tensors needs, and refuses all others.
//! Knows the stream, not the archive around it.

use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

use super::pickle_opcode::describe;
pub(crate) use super::pickle_value::PickledTensor;
use super::pickle_value::{Global, Value, rebuild_tensor, storage_from_persistent_id};
use crate::CheckpointError;

/// A 7B checkpoint needs about 40 opcodes a tensor, 70,000 in all. Bounds memory and time.
const MAX_OPCODES: usize = 2_000_000;
/// Longest module or attribute name after `GLOBAL`.
const MAX_GLOBAL_NAME: usize = 256;
/// State dicts wrapped in state dicts: `{"state_dict": {…}}`.
const MAX_WRAPPERS: usize = 4;

/// Lists the tensors of a pickled state dict (or the one tensor of a bare one), in stream order.
/// Values beside them (epochs, `_metadata`) are skipped.
///
/// # Errors
/// [`CheckpointError::Pickle`], naming opcode, offset in the stream and reason.
pub(crate) fn read_pickle(
    path: &Path,
    stream: &[u8],
) -> Result<Vec<PickledTensor>, CheckpointError> {
    let mut machine = Machine::new(stream);
    machine.run().and_then(|top| machine.collect(&top)).map_err(|reason| CheckpointError::Pickle {
        path: path.to_owned(),
        opcode: describe(machine.opcode),
        offset: machine.opcode_position as u64,
        reason,
    })
}

/// A dict (ordered or not) or a list, which later opcodes still fill.
enum Container {
    Dict(Vec<(Value, Value)>),
    List(Vec<Value>),
}

struct Machine<'a> {
    stream: &'a [u8],
    position: usize,
    opcode: u8,
    opcode_position: usize,
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    containers: Vec<Container>,
}

impl<'a> Machine<'a> {
    fn new(stream: &'a [u8]) -> Self {
        Self {
            stream,
            position: 0,
            opcode: 0,
            opcode_position: 0,
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            containers: Vec::new(),
        }
    }

    fn run(&mut self) -> Result<Value, String> {
        for _ in 0..MAX_OPCODES {
            self.opcode_position = self.position;
            self.opcode = self.array::<1>()?[0];
            if self.opcode == b'.' {
                return self.pop();
            }
            self.step(self.opcode)?;
        }
        Err(format!("more than {MAX_OPCODES} opcodes"))
    }

    fn step(&mut self, opcode: u8) -> Result<(), String> {
        match opcode {
            0x80 => self.protocol(),
            0x95 => self.array::<8>().map(drop),
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'N' | 0x88 | 0x89 | b'G' | b'J' | b'K' | b'M' | 0x8a | b'X' | 0x8c | 0x8d => {
                let value = self.scalar(opcode)?;
                self.stack.push(value);
                Ok(())
            }
            b')' | 0x85..=0x87 | b't' => self.push_tuple(opcode),
            b'}' => self.push_container(Container::Dict(Vec::new())),
            b']' => self.push_container(Container::List(Vec::new())),
            b's' | b'u' | b'a' | b'e' => self.fill_container(opcode),
            b'q' | b'r' | 0x94 => self.remember(opcode),
            b'h' | b'j' => self.recall(opcode),
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.stack.push(Value::Global(Global::find(module, name)?));
                Ok(())
            }
            0x93 => self.stack_global(),
            b'Q' => {
                let id = self.pop()?;
                let storage = storage_from_persistent_id(&id)?;
                self.stack.push(Value::Storage(Rc::new(storage)));
                Ok(())
            }
            b'R' => self.reduce(),
            b'b' => self.build(),
            _ => Err("not needed to rebuild tensors".to_owned()),
        }
    }

    // Reading the stream.

    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let end = self.position.checked_add(length).filter(|end| *end <= self.stream.len());
        let Some(end) = end else {
            return Err("the stream ends here".to_owned());
        };
        let taken = &self.stream[self.position..end];
        self.position = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N)?.try_into().map_err(|_| "the stream ends here".to_owned())
    }

    fn line(&mut self) -> Result<&'a str, String> {
        let rest = &self.stream[self.position..];
        let window = &rest[..rest.len().min(MAX_GLOBAL_NAME + 1)];
        let Some(length) = window.iter().position(|byte| *byte == b'\n') else {
            return Err(format!("a name is cut off or longer than {MAX_GLOBAL_NAME} bytes"));
        };
        let line = self.take(length)?;
        self.take(1)?;
        std::str::from_utf8(line).map_err(|_| "a name is not UTF-8".to_owned())
    }

    fn protocol(&mut self) -> Result<(), String> {
        match self.array::<1>()?[0] {
            2..=5 => Ok(()),
            other => Err(format!("protocol {other}; 2 to 5 are read")),
        }
    }

    fn scalar(&mut self, opcode: u8) -> Result<Value, String> {
        Ok(match opcode {
            b'N' => Value::None,
            0x88 | 0x89 => Value::Bool,
            b'G' => {
                self.array::<8>()?;
                Value::Float
            }
            b'J' => Value::Int(i64::from(i32::from_le_bytes(self.array()?))),
            b'K' => Value::Int(i64::from(self.array::<1>()?[0])),
            b'M' => Value::Int(i64::from(u16::from_le_bytes(self.array()?))),
            0x8a => self.long()?,
            b'X' => {
                let length = u64::from(u32::from_le_bytes(self.array()?));
                self.text(length)?
            }
            0x8d => {
                let length = u64::from_le_bytes(self.array()?);
                self.text(length)?
            }
            _ => {
                let length = u64::from(self.array::<1>()?[0]);
                self.text(length)?
            }
        })
    }

    fn text(&mut self, length: u64) -> Result<Value, String> {
        let length = usize::try_from(length).map_err(|_| "the stream ends here".to_owned())?;
        let text = std::str::from_utf8(self.take(length)?)
            .map_err(|_| "a string is not UTF-8".to_owned())?;
        Ok(Value::Text(Rc::from(text)))
    }

    /// `LONG1`: little-endian two's complement of a given number of bytes.
    fn long(&mut self) -> Result<Value, String> {
        let length = usize::from(self.array::<1>()?[0]);
        if length > 8 {
            return Err(format!("an int of {length} bytes"));
        }
        let bytes = self.take(length)?;
        let fill = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
        let mut wide = [fill; 8];
        wide[..length].copy_from_slice(bytes);
        Ok(Value::Int(i64::from_le_bytes(wide)))
    }

    // The stack.

    fn pop(&mut self) -> Result<Value, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err("nothing on the stack".to_owned());
        }
        self.stack.pop().ok_or_else(|| "nothing on the stack".to_owned())
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Value>, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() < floor + count {
            return Err("too few values on the stack".to_owned());
        }
        Ok(self.stack.split_off(self.stack.len() - count))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value>, String> {
        let mark = self.marks.pop().ok_or_else(|| "no mark on the stack".to_owned())?;
        Ok(self.stack.split_off(mark))
    }

    fn top(&self) -> Result<&Value, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err("nothing on the stack".to_owned());
        }
        self.stack.last().ok_or_else(|| "nothing on the stack".to_owned())
    }

    // Composite values.

    fn push_tuple(&mut self, opcode: u8) -> Result<(), String> {
        let items = match opcode {
            b')' => Vec::new(),
            b't' => self.pop_to_mark()?,
            counted => self.pop_many(usize::from(counted - 0x84))?,
        };
        self.stack.push(Value::tuple(items)?);
        Ok(())
    }

    fn push_container(&mut self, container: Container) -> Result<(), String> {
        self.stack.push(Value::Container(self.containers.len()));
        self.containers.push(container);
        Ok(())
    }

    fn fill_container(&mut self, opcode: u8) -> Result<(), String> {
        let items = match opcode {
            b's' => self.pop_many(2)?,
            b'a' => self.pop_many(1)?,
            _ => self.pop_to_mark()?,
        };
        let pairs_wanted = matches!(opcode, b's' | b'u');
        let Value::Container(index) = *self.top()? else {
            return Err(format!("items for {}, not for a dict or list", self.top()?.kind()));
        };
        match (&mut self.containers[index], pairs_wanted) {
            (Container::List(list), false) => {
                list.extend(items);
                Ok(())
            }
            (Container::Dict(entries), true) => {
                if items.len() % 2 != 0 {
                    return Err("a key without a value".to_owned());
                }
                let mut items = items.into_iter();
                while let (Some(key), Some(value)) = (items.next(), items.next()) {
                    entries.push((key, value));
                }
                Ok(())
            }
            (Container::List(_), true) => Err("keys and values for a list".to_owned()),
            (Container::Dict(_), false) => Err("list items for a dict".to_owned()),
        }
    }

    // The memo.

    fn remember(&mut self, opcode: u8) -> Result<(), String> {
        let slot = match opcode {
            b'q' => u32::from(self.array::<1>()?[0]),
            b'r' => u32::from_le_bytes(self.array()?),
            _ => u32::try_from(self.memo.len()).map_err(|_| "the memo is full".to_owned())?,
        };
        let value = self.top()?.clone();
        self.memo.insert(slot, value);
        Ok(())
    }

    fn recall(&mut self, opcode: u8) -> Result<(), String> {
        let slot = match opcode {
            b'h' => u32::from(self.array::<1>()?[0]),
            _ => u32::from_le_bytes(self.array()?),
        };
        let value = self.memo.get(&slot).ok_or_else(|| format!("memo slot {slot} is empty"))?;
        self.stack.push(value.clone());
        Ok(())
    }

    // Names and the three "calls" that are recognised.

    fn stack_global(&mut self) -> Result<(), String> {
        let items = self.pop_many(2)?;
        let [Value::Text(module), Value::Text(name)] = &items[..] else {
            return Err("module and name are not strings".to_owned());
        };
        self.stack.push(Value::Global(Global::find(module, name)?));
        Ok(())
    }

    fn reduce(&mut self) -> Result<(), String> {
        let items = self.pop_many(2)?;
        let [Value::Global(global), Value::Tuple(arguments)] = &items[..] else {
            return Err(format!("{} is not one of torch's rebuilding functions", items[0].kind()));
        };
        match global {
            Global::OrderedDict if arguments.items.is_empty() => {
                self.push_container(Container::Dict(Vec::new()))
            }
            Global::OrderedDict => Err("OrderedDict with arguments".to_owned()),
            Global::RebuildTensor => {
                let tensor = rebuild_tensor(&arguments.items)?;
                self.stack.push(Value::Tensor(Rc::new(tensor)));
                Ok(())
            }
            Global::RebuildParameter => {
                let Some(tensor @ Value::Tensor(_)) = arguments.items.first() else {
                    return Err("_rebuild_parameter without a tensor".to_owned());
                };
                self.stack.push(tensor.clone());
                Ok(())
            }
            Global::StorageType(_) => Err("a storage type is not callable here".to_owned()),
        }
    }

    /// `BUILD` sets attributes; torch uses it for a state dict's `_metadata`, which is not needed.
    fn build(&mut self) -> Result<(), String> {
        let state = self.pop()?;
        match (self.top()?, state) {
            (Value::Container(_), Value::Container(_)) => Ok(()),
            (target, state) => {
                Err(format!("sets {} as the state of {}", state.kind(), target.kind()))
            }
        }
    }

    // The result.

    fn collect(&self, top: &Value) -> Result<Vec<PickledTensor>, String> {
        if let Value::Tensor(tensor) = top {
            return Ok(vec![(**tensor).clone()]);
        }
        let mut current = top;
        for _ in 0..MAX_WRAPPERS {
            let entries = self.dict(current)?;
            let tensors = named_tensors(entries);
            if !tensors.is_empty() {
                return Ok(tensors);
            }
            let inner = entries.iter().find(|(key, value)| {
                matches!(key, Value::Text(text) if &**text == "state_dict")
                    && matches!(value, Value::Container(_))
            });
            let Some((_, inner)) = inner else {
                return Err("the pickle holds no tensors".to_owned());
            };
            current = inner;
        }
        Err(format!("state dicts nest deeper than {MAX_WRAPPERS}"))
    }

    fn dict(&self, value: &Value) -> Result<&[(Value, Value)], String> {
        let Value::Container(index) = value else {
            return Err(format!("the pickle is {}, not a dict of tensors", value.kind()));
        };
        match &self.containers[*index] {
            Container::Dict(entries) => Ok(entries),
            Container::List(_) => Err("the pickle is a list, not a dict of tensors".to_owned()),
        }
    }
}

fn named_tensors(entries: &[(Value, Value)]) -> Vec<PickledTensor> {
    let named = entries.iter().filter_map(|(key, value)| match (key, value) {
        (Value::Text(name), Value::Tensor(tensor)) => {
            Some(PickledTensor { name: name.to_string(), ..(**tensor).clone() })
        }
        _ => None,
    });
    named.collect()
}
