//! `--devices`: where workers compute and what each of them does.

use std::fmt;
use std::str::FromStr;

use reverie_scheduler::dispatcher::Role;

use super::DeviceChoice;

/// One worker: a device, and `:decode` or `:denoise` behind it if it does one of these only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerDevice {
    /// Where it computes.
    pub device: DeviceChoice,
    /// What it does.
    pub role: Role,
}

impl WorkerDevice {
    /// A worker for everything.
    pub fn whole(device: DeviceChoice) -> Self {
        Self { device, role: Role::Both }
    }
}

impl FromStr for WorkerDevice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (device, role) = match text.rsplit_once(':') {
            Some((device, "decode")) => (device, Role::Decode),
            Some((device, "denoise")) => (device, Role::Denoise),
            Some(_) | None => (text, Role::Both),
        };
        let device = device.parse().map_err(|error| format!("{error}, :decode or :denoise"))?;
        Ok(Self { device, role })
    }
}

impl fmt::Display for WorkerDevice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.device.fmt(formatter)?;
        match self.role {
            Role::Decode => formatter.write_str(":decode"),
            Role::Denoise => formatter.write_str(":denoise"),
            Role::Both => Ok(()),
        }
    }
}
