//! One tensor as it lies in a mapped file. Knows element sizes and strides, not names' meaning.

use std::borrow::Cow;
use std::sync::Arc;

use candle_core::DType;

use super::mmap::MappedFile;

/// More dimensions than any tensor of this model family has; bounds the work that a header can ask for.
const MAX_DIMENSIONS: usize = 8;

/// A tensor's place in a file. Every length was checked when it was made.
#[derive(Debug, Clone)]
pub(crate) struct StoredTensor {
    /// Its name, as in the file or, after layout, canonical.
    pub(crate) name: String,
    /// Element type.
    pub(crate) dtype: DType,
    /// Dimensions, outermost first.
    pub(crate) shape: Vec<usize>,
    file: Arc<MappedFile>,
    /// First element, bytes from the start of the file.
    start: usize,
    /// In elements; `None` when contiguous.
    stride: Option<Vec<usize>>,
}

/// The part of a file that a tensor may use, bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ByteRange {
    /// First byte.
    pub(crate) start: usize,
    /// One past the last byte.
    pub(crate) end: usize,
}

impl StoredTensor {
    /// A contiguous tensor that must fill `range` exactly.
    pub(crate) fn contiguous(
        name: String,
        dtype: DType,
        shape: Vec<usize>,
        file: &Arc<MappedFile>,
        range: ByteRange,
    ) -> Result<Self, String> {
        let bytes = byte_length(&shape, dtype)?;
        if range.end < range.start || range.end > file.bytes().len() {
            return Err(format!(
                "bytes {}..{} lie outside the file's {} bytes",
                range.start,
                range.end,
                file.bytes().len()
            ));
        }
        if range.end - range.start != bytes {
            return Err(format!(
                "shape {shape:?} of {dtype:?} needs {bytes} bytes, but the file gives it {}",
                range.end - range.start
            ));
        }
        Ok(Self { name, dtype, shape, file: Arc::clone(file), start: range.start, stride: None })
    }

    /// Gives a view of a contiguous storage other strides and another first element, as torch does.
    /// `self` must be the storage, one-dimensional.
    pub(crate) fn view(
        &self,
        name: String,
        shape: Vec<usize>,
        stride: Vec<usize>,
        first_element: usize,
    ) -> Result<Self, String> {
        if shape.len() != stride.len() {
            return Err(format!("{} dimensions but {} strides", shape.len(), stride.len()));
        }
        byte_length(&shape, self.dtype)?;
        let storage_length = self.num_elements();
        let last = shape.iter().zip(&stride).try_fold(first_element, |last, (size, step)| {
            last.checked_add((size - 1).checked_mul(*step)?)
        });
        if last.is_none_or(|last| last >= storage_length) {
            return Err(format!(
                "shape {shape:?} with strides {stride:?} from element {first_element} leaves its \
                 storage of {storage_length} elements"
            ));
        }
        let stride = (!is_contiguous(&shape, &stride)).then_some(stride);
        Ok(Self {
            name,
            dtype: self.dtype,
            shape,
            file: Arc::clone(&self.file),
            start: self.start + first_element * self.dtype.size_in_bytes(),
            stride,
        })
    }

    /// Elements in all.
    pub(crate) fn num_elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Bytes when contiguous.
    pub(crate) fn num_bytes(&self) -> usize {
        self.num_elements() * self.dtype.size_in_bytes()
    }

    /// The file it lies in.
    pub(crate) fn file(&self) -> &MappedFile {
        &self.file
    }

    /// `[C, C, 1, 1]` becomes `[C, C]`: the same elements, two dimensions fewer.
    pub(crate) fn squeeze_kernel(&mut self) {
        if let [_, _, 1, 1] = self.shape[..] {
            self.shape.truncate(2);
            if let Some(stride) = &mut self.stride {
                stride.truncate(2);
            }
        }
    }

    /// Its elements in row-major order, little-endian: borrowed from the file when they lie so.
    pub(crate) fn bytes(&self) -> Cow<'_, [u8]> {
        match &self.stride {
            None => Cow::Borrowed(&self.file.bytes()[self.start..self.start + self.num_bytes()]),
            Some(stride) => Cow::Owned(self.gather(stride)),
        }
    }

    /// Hands out the elements in pieces of at most `piece` bytes, letting go of each piece's pages
    /// after use, so that memory stays at one piece (or one tensor, where strides need gathering).
    pub(crate) fn for_each_piece<E>(
        &self,
        piece: usize,
        mut visit: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let bytes = self.bytes();
        let mut done = 0;
        for part in bytes.chunks(piece) {
            visit(part)?;
            if self.stride.is_none() {
                self.file.release(self.start + done, part.len());
            }
            done += part.len();
        }
        Ok(())
    }

    /// Lets go of the tensor's pages.
    pub(crate) fn release(&self) {
        if self.stride.is_none() {
            self.file.release(self.start, self.num_bytes());
        }
    }

    fn gather(&self, stride: &[usize]) -> Vec<u8> {
        let width = self.dtype.size_in_bytes();
        let source = &self.file.bytes()[self.start..];
        let mut gathered = Vec::with_capacity(self.num_bytes());
        let mut index = vec![0; self.shape.len()];
        for _ in 0..self.num_elements() {
            let element: usize = index.iter().zip(stride).map(|(i, step)| i * step).sum();
            gathered.extend_from_slice(&source[element * width..(element + 1) * width]);
            for (i, size) in index.iter_mut().zip(&self.shape).rev() {
                *i += 1;
                if *i < *size {
                    break;
                }
                *i = 0;
            }
        }
        gathered
    }
}

/// Bytes of a contiguous tensor, or why there can be no such tensor.
pub(crate) fn byte_length(shape: &[usize], dtype: DType) -> Result<usize, String> {
    if shape.len() > MAX_DIMENSIONS {
        return Err(format!("{} dimensions, at most {MAX_DIMENSIONS} are read", shape.len()));
    }
    if shape.contains(&0) {
        return Err(format!("shape {shape:?} has a dimension of size 0"));
    }
    shape
        .iter()
        .try_fold(dtype.size_in_bytes(), |bytes, size| bytes.checked_mul(*size))
        .filter(|bytes| isize::try_from(*bytes).is_ok())
        .ok_or_else(|| format!("shape {shape:?} of {dtype:?} overflows"))
}

fn is_contiguous(shape: &[usize], stride: &[usize]) -> bool {
    let mut expected = 1;
    for (size, step) in shape.iter().zip(stride).rev() {
        if *size != 1 && *step != expected {
            return false;
        }
        expected *= size;
    }
    true
}
