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

/// Workers that find themselves on one device with one on `device`, itself included: `auto` is the first GPU,
/// or the CPU where there is none.
pub fn num_sharing(devices: &[WorkerDevice], device: DeviceChoice) -> usize {
    devices.iter().filter(|worker| may_be_same(worker.device, device)).count()
}

/// Several workers that may be on one CPU divide its `cores`; one alone is left to itself. A worker that turns
/// out to be on a GPU does with few.
pub fn threads_of_each(devices: &[WorkerDevice], cores: usize) -> Option<usize> {
    let on_cpu = num_sharing(devices, DeviceChoice::Cpu);
    (on_cpu > 1).then(|| (cores / on_cpu).max(1))
}

fn may_be_same(one: DeviceChoice, other: DeviceChoice) -> bool {
    match (one, other) {
        (DeviceChoice::Auto, DeviceChoice::Cpu | DeviceChoice::Cuda(0))
        | (DeviceChoice::Cpu | DeviceChoice::Cuda(0), DeviceChoice::Auto) => true,
        (one, other) => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn devices(text: &str) -> Vec<WorkerDevice> {
        text.split(',').map(|device| device.parse().expect("a device")).collect()
    }

    #[test]
    fn workers_that_may_be_on_one_cpu_divide_its_threads() {
        let threads = |text| threads_of_each(&devices(text), 8);
        assert_eq!(threads("cpu,cpu"), Some(4));
        assert_eq!(threads("auto,auto"), Some(4));
        assert_eq!(threads("cpu:decode,auto:denoise,cuda:0"), Some(4));
        assert_eq!((threads("auto"), threads("cpu"), threads("cpu,cuda:0")), (None, None, None));
        assert_eq!(threads_of_each(&devices("auto,auto,auto"), 2), Some(1));
    }

    #[test]
    fn workers_that_may_be_on_one_device_divide_its_memory() {
        let devices = devices("auto,cuda:0,cuda:1,cpu");
        assert_eq!(num_sharing(&devices, DeviceChoice::Auto), 3);
        assert_eq!(num_sharing(&devices, DeviceChoice::Cuda(0)), 2);
        assert_eq!(num_sharing(&devices, DeviceChoice::Cuda(1)), 1);
        assert_eq!(num_sharing(&devices, DeviceChoice::Cpu), 2);
    }
}
