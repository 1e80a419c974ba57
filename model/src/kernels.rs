//! Whose code computes: ours, whose result for a row does not depend on the batch, or candle's, which
//! every device has. Knows devices and precisions, not layers.

use std::fmt;
use std::str::FromStr;

use candle_core::{DType, Device};

/// Whose kernels compute linear layers, convolutions, attention and norms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernels {
    /// `reverie-kernels`: `f32` on the CPU. A row's result is the same bits in any batch.
    Reverie,
    /// candle's: every device and precision. A row's result may round differently in another batch.
    Candle,
}

impl Kernels {
    /// Both, the default first.
    pub const ALL: [Self; 2] = [Self::Reverie, Self::Candle];

    /// What is used where this is asked for: ours compute `f32` on the CPU only.
    #[must_use]
    pub fn on(self, device: &Device, dtype: DType) -> Self {
        match self {
            Self::Reverie if device.is_cpu() && dtype == DType::F32 => Self::Reverie,
            Self::Reverie | Self::Candle => Self::Candle,
        }
    }

    /// The name that the command line uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reverie => "reverie",
            Self::Candle => "candle",
        }
    }

    /// Names the numerics of a model so computed on devices of `family`: where names are equal, bits are. candle's depend on the
    /// batch besides, on a CPU on its instructions (which are named), on a GPU on its generation (which is
    /// not).
    pub fn numerics_class(self, family: &str, dtype: DType) -> String {
        let number = dtype.as_str();
        match self {
            Self::Reverie if family == CPU && dtype == DType::F32 => {
                reverie_kernels::NUMERICS_CLASS.to_owned()
            }
            Self::Reverie | Self::Candle if family == CPU => {
                format!("{family}-{number}-candle-{}", reverie_kernels::Isa::detect().name())
            }
            Self::Reverie | Self::Candle => format!("{family}-{number}-candle"),
        }
    }
}

/// The family of every CPU.
const CPU: &str = "cpu";

/// `cpu` or `cuda`.
pub fn device_family(device: &Device) -> &'static str {
    if device.is_cpu() { CPU } else { "cuda" }
}

impl fmt::Display for Kernels {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for Kernels {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kernels| kernels.name() == name);
        found.ok_or_else(|| "wanted reverie or candle".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_half_precision_is_candles() {
        for kernels in Kernels::ALL {
            assert_eq!(kernels.to_string().parse(), Ok(kernels));
        }
        assert!("mkl".parse::<Kernels>().is_err());
        assert_eq!(Kernels::Reverie.on(&Device::Cpu, DType::F32), Kernels::Reverie);
        assert_eq!(Kernels::Reverie.on(&Device::Cpu, DType::F16), Kernels::Candle);
        assert_eq!(Kernels::Candle.on(&Device::Cpu, DType::F32), Kernels::Candle);
        let class = |kernels: Kernels| kernels.numerics_class(CPU, DType::F32);
        assert_eq!(class(Kernels::Reverie), "cpu-f32-fma");
        assert!(class(Kernels::Candle).starts_with("cpu-f32-candle-"));
    }
}
