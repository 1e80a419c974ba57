//! Which device and precision a model is computed in, and whether it fits. Knows no networks.

use std::fmt;
use std::str::FromStr;

use candle_core::{DType, Device};

/// Where a model is computed, as `--device` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first CUDA device of a CUDA build that finds one, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// A CUDA device by ordinal.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            other => other
                .strip_prefix("cuda:")
                .and_then(|ordinal| ordinal.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| format!("{other:?} is no device: auto, cpu, cuda or cuda:N")),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => formatter.write_str("auto"),
            Self::Cpu => formatter.write_str("cpu"),
            Self::Cuda(ordinal) => write!(formatter, "cuda:{ordinal}"),
        }
    }
}

/// Precision of weights and activations, as `--dtype` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DTypeChoice {
    /// float32 on the CPU, bfloat16 on CUDA.
    Auto,
    /// float32, the parity mode.
    Float32,
    /// bfloat16.
    BFloat16,
    /// float16.
    Float16,
}

impl FromStr for DTypeChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "float32" | "f32" => Ok(Self::Float32),
            "bfloat16" | "bf16" => Ok(Self::BFloat16),
            "float16" | "half" | "f16" => Ok(Self::Float16),
            other => Err(format!("{other:?} is no dtype: auto, float32, bfloat16 or float16")),
        }
    }
}

impl fmt::Display for DTypeChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Auto => "auto",
            Self::Float32 => "float32",
            Self::BFloat16 => "bfloat16",
            Self::Float16 => "float16",
        })
    }
}

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
    #[error("{dtype} is not available on the CPU: use --dtype float32")]
    Precision {
        /// As asked for.
        dtype: DTypeChoice,
    },
    /// The model would not fit.
    #[error(
        "the model needs about {needed_mib} MiB in {dtype} and {available_mib} MiB are available on {device}; \
         use a smaller checkpoint, more memory or a smaller --dtype"
    )]
    Memory {
        /// Estimate for weights and one request, MiB.
        needed_mib: u64,
        /// What the system says is free, MiB.
        available_mib: u64,
        /// The precision of the estimate.
        dtype: DTypeChoice,
        /// Where.
        device: DeviceChoice,
    },
}

/// Opens the device and settles the precision.
///
/// # Errors
/// If the device is not there, or cannot compute in that precision.
pub fn open(choice: DeviceChoice, dtype: DTypeChoice) -> Result<(Device, DType), DeviceError> {
    let unavailable =
        |error: candle_core::Error| DeviceError::Unavailable { device: choice, reason: error.to_string() };
    let device = match choice {
        DeviceChoice::Cpu => Device::Cpu,
        DeviceChoice::Cuda(ordinal) => Device::new_cuda(ordinal).map_err(unavailable)?,
        DeviceChoice::Auto => Device::new_cuda(0).unwrap_or(Device::Cpu),
    };
    let dtype = match (dtype, &device) {
        (DTypeChoice::Auto | DTypeChoice::Float32, Device::Cpu) | (DTypeChoice::Float32, _) => DType::F32,
        (DTypeChoice::BFloat16 | DTypeChoice::Float16, Device::Cpu) => {
            return Err(DeviceError::Precision { dtype });
        }
        (DTypeChoice::Auto | DTypeChoice::BFloat16, _) => DType::BF16,
        (DTypeChoice::Float16, _) => DType::F16,
    };
    Ok((device, dtype))
}

/// Refuses a model that cannot fit, before anything is loaded.
///
/// # Errors
/// With both numbers, if `needed` bytes exceed what the device has available. Where the system does not
/// say what is available, the model is given the benefit of the doubt.
pub fn check_memory(
    needed: u64,
    device: &Device,
    choice: DeviceChoice,
    dtype: DTypeChoice,
) -> Result<(), DeviceError> {
    match available_memory(device) {
        Some(available) if available < needed => Err(DeviceError::Memory {
            needed_mib: needed >> 20,
            available_mib: available >> 20,
            dtype,
            device: choice,
        }),
        Some(_) | None => Ok(()),
    }
}

/// Bytes that can still be allocated: on the CPU the smaller of the system's and the control group's word.
fn available_memory(device: &Device) -> Option<u64> {
    if !device.is_cpu() {
        return cuda_available_memory();
    }
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let available = kibibytes(&text, "MemAvailable:")? << 10;
    let read = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let limit = read("/sys/fs/cgroup/memory.max").or_else(|| read("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
    let used = read("/sys/fs/cgroup/memory.current")
        .or_else(|| read("/sys/fs/cgroup/memory/memory.usage_in_bytes"))
        .unwrap_or(0);
    Some(limit.map_or(available, |limit| available.min(limit.saturating_sub(used))))
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
    fn devices_and_dtypes_read_back_what_they_print() {
        for device in [DeviceChoice::Auto, DeviceChoice::Cpu, DeviceChoice::Cuda(3)] {
            assert_eq!(device.to_string().parse(), Ok(device));
        }
        assert!("gpu".parse::<DeviceChoice>().is_err() && "cuda:x".parse::<DeviceChoice>().is_err());
        for dtype in [DTypeChoice::Auto, DTypeChoice::Float32, DTypeChoice::BFloat16, DTypeChoice::Float16] {
            assert_eq!(dtype.to_string().parse(), Ok(dtype));
        }
    }

    #[test]
    fn a_model_larger_than_memory_is_refused_with_both_numbers() {
        let error = check_memory(1 << 60, &Device::Cpu, DeviceChoice::Cpu, DTypeChoice::Float32).unwrap_err();
        let DeviceError::Memory { needed_mib, available_mib, .. } = error else { panic!("{error}") };
        assert_eq!(needed_mib, 1 << 40);
        assert!(available_mib > 0);
        assert!(check_memory(1, &Device::Cpu, DeviceChoice::Cpu, DTypeChoice::Float32).is_ok());
    }
}
