//! `reverie verify`: does this build, on this device, compute what the reference computes? One report of
//! parity, batch invariance, memory and speed; the first thing to run on a new machine.

mod benchmark;
mod invariance;
mod report;

use candle_core::{DType, Device};
use reverie_model::DreamModel;
use reverie_model::parity::{self, Goldens, ParityError};

pub use benchmark::Timing;
pub use invariance::Invariance;
pub use report::{MemoryUse, Report};

/// Runs every section. `on_stage` is told what is being done.
///
/// # Errors
/// If the vectors cannot be read or a computation fails; differences are part of the report.
pub fn run(
    model: &DreamModel,
    goldens: &Goldens,
    memory: MemoryUse,
    on_stage: &mut dyn FnMut(&str),
) -> Result<Report, ParityError> {
    on_stage(&format!("parity of {}", model.config.abilities));
    let mut checks = Vec::new();
    parity::run(model, goldens, &mut |check| checks.push(check))?;
    on_stage("batch invariance");
    let invariance = invariance::measure(model)?;
    on_stage("benchmark");
    let timings = benchmark::measure(model)?;
    Ok(Report { checks, invariance, timings, memory: memory.with_peak() })
}

/// How the report names the device and its precision.
pub fn describe(device: &Device, dtype: DType) -> String {
    let device = match device {
        Device::Cpu => "cpu",
        Device::Cuda(_) => "cuda",
        Device::Metal(_) => "metal",
    };
    format!("{device} {}", dtype.as_str())
}
