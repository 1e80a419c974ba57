//! A window into a network while it runs, for comparing inner activations with a reference. Costs a
//! branch when nobody looks; never changes what is computed.

use std::fmt;

use candle_core::Tensor;

/// Is given each module's name, as diffusers names it, and its output.
pub type Observer<'a> = dyn FnMut(&str, &Tensor) + 'a;

/// Who looks, if anybody.
#[derive(Default)]
pub struct Probe<'a> {
    observer: Option<&'a mut Observer<'a>>,
}

impl fmt::Debug for Probe<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Probe").field("observed", &self.observer.is_some()).finish()
    }
}

impl<'a> Probe<'a> {
    /// Nobody looks.
    pub fn blind() -> Self {
        Self { observer: None }
    }

    /// `observer` looks.
    pub fn with(observer: &'a mut Observer<'a>) -> Self {
        Self { observer: Some(observer) }
    }

    /// Whether anybody looks: what is computed only to be shown need not be.
    pub(crate) fn is_watched(&self) -> bool {
        self.observer.is_some()
    }

    /// Shows `output` of the module called `name`.
    pub(crate) fn show(&mut self, name: fmt::Arguments<'_>, output: &Tensor) {
        if let Some(observer) = &mut self.observer {
            observer(&name.to_string(), output);
        }
    }
}
