//! Which device and precision a model is computed in, and whether it fits. Knows no networks.

use candle_core::{DType, Device};

use crate::args::{DeviceChoice, DtypeChoice};
use crate::control_group::ControlGroups;

/// Why a device cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The device does not exist or this build cannot drive it.
    #[error("device {device}: {reason}")]
    Unavailable {
        /// As asked for.
        device: DeviceChoice,
        /// The driver's answer.
        reason: String,
    },
    /// The device cannot compute in this precision.
    #[error("the CPU computes in f32 only, not in {}: use --dtype f32", dtype.name())]
    Precision {
        /// As asked for.
        dtype: DtypeChoice,
    },
    /// The model would not fit.
    #[error(
        "the model needs about {needed_mib} MiB in {} and {available_mib} MiB are available on the {device}: \
         use a smaller checkpoint, more memory{}",
        dtype.as_str(),
        if *dtype == DType::F32 && *device != "CPU" { " or --dtype bf16" } else { "" }
    )]
    Memory {
        /// Estimate for weights and one request, MiB.
        needed_mib: u64,
        /// What the system says is free, MiB.
        available_mib: u64,
        /// The precision of the estimate.
        dtype: DType,
        /// Where: `CPU` or `GPU`.
        device: &'static str,
    },
}

/// Opens the device and settles the precision.
///
/// # Errors
/// If the device is not there, or cannot compute in that precision.
pub fn open(choice: DeviceChoice, dtype: DtypeChoice) -> Result<(Device, DType), DeviceError> {
    let unavailable = |error: candle_core::Error| DeviceError::Unavailable {
        device: choice,
        reason: error.to_string(),
    };
    let device = match choice {
        DeviceChoice::Cpu => Device::Cpu,
        DeviceChoice::Cuda(ordinal) => Device::new_cuda(ordinal).map_err(unavailable)?,
        DeviceChoice::Auto => Device::new_cuda(0).unwrap_or(Device::Cpu),
    };
    let dtype = match (dtype, &device) {
        (DtypeChoice::Auto | DtypeChoice::F32, Device::Cpu) => DType::F32,
        (DtypeChoice::Bf16 | DtypeChoice::F16, Device::Cpu) => {
            return Err(DeviceError::Precision { dtype });
        }
        (dtype, _gpu) => cuda_dtype(dtype),
    };
    Ok((device, dtype))
}

/// The precision that a GPU computes in.
pub(crate) fn cuda_dtype(dtype: DtypeChoice) -> DType {
    match dtype {
        DtypeChoice::Auto | DtypeChoice::Bf16 => DType::BF16,
        DtypeChoice::F32 => DType::F32,
        DtypeChoice::F16 => DType::F16,
    }
}

/// Refuses a model that cannot fit, before anything is loaded.
///
/// # Errors
/// With both numbers, if `needed` bytes exceed what the device has available. Where the system does not
/// say what is available, the model is given the benefit of the doubt.
pub fn check_memory(needed: u64, device: &Device, dtype: DType) -> Result<(), DeviceError> {
    match available_memory(device) {
        Some(available) if available < needed => Err(DeviceError::Memory {
            needed_mib: needed >> 20,
            available_mib: available >> 20,
            dtype,
            device: if device.is_cpu() { "CPU" } else { "GPU" },
        }),
        Some(_) | None => Ok(()),
    }
}

/// Bytes that can still be allocated: on the CPU the smaller of the system's and the control groups' word.
pub(crate) fn available_memory(device: &Device) -> Option<u64> {
    if !device.is_cpu() {
        return cuda_available_memory();
    }
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let available = kibibytes(&text, "MemAvailable:")? << 10;
    let allowed = ControlGroups::of_this_process().available_memory();
    Some(allowed.map_or(available, |allowed| available.min(allowed)))
}

#[cfg(feature = "cuda")]
fn cuda_available_memory() -> Option<u64> {
    let (free, _) = candle_core::cuda_backend::cudarc::driver::result::mem_get_info().ok()?;
    u64::try_from(free).ok()
}

#[cfg(not(feature = "cuda"))]
fn cuda_available_memory() -> Option<u64> {
    None
}

/// The most memory this process has ever had resident, bytes, where the system says so.
pub fn peak_resident_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    Some(kibibytes(&text, "VmHWM:")? << 10)
}

fn kibibytes(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(field))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_larger_than_memory_is_refused_with_both_numbers() {
        let error = check_memory(1 << 60, &Device::Cpu, DType::F32).unwrap_err();
        let DeviceError::Memory { needed_mib, available_mib, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(needed_mib, 1 << 40);
        assert!(available_mib > 0);
        assert!(check_memory(1, &Device::Cpu, DType::F32).is_ok());
    }
}
