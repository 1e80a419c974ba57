//! What a process may take of the machine's memory by the control groups that it is in: version 2's
//! `memory.max`, version 1's `memory.limit_in_bytes`. Reads files below a folder that comes in; knows no model.

use std::fs;
use std::path::{Path, PathBuf};

/// Version 1 says this much or more where it means no limit (`PAGE_COUNTER_MAX`, in pages of any size).
const NO_LIMIT: u64 = 1 << 60;

/// One of the two ways in which Linux keeps account of memory.
#[derive(Debug, Clone, Copy)]
struct Accounting {
    /// Below the root of the file system of control groups.
    mount: &'static str,
    limit: &'static str,
    used: &'static str,
    /// In `memory.stat`: pages of files that are given back before anything is refused.
    reclaimable: &'static str,
    events: &'static str,
}

const V2: Accounting = Accounting {
    mount: "",
    limit: "memory.max",
    used: "memory.current",
    reclaimable: "inactive_file",
    events: "memory.events",
};

const V1: Accounting = Accounting {
    mount: "memory",
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    reclaimable: "total_inactive_file",
    events: "memory.oom_control",
};

/// The control groups of a process, innermost first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlGroups {
    folders: Vec<PathBuf>,
}

impl ControlGroups {
    /// Those of this process.
    pub fn of_this_process() -> Self {
        let membership = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::new(Path::new("/sys/fs/cgroup"), &membership)
    }

    /// Those that `membership` (`/proc/PID/cgroup`) names below `root`: each group and all around it. In a
    /// container the root is the container's own, whatever the membership says.
    pub fn new(root: &Path, membership: &str) -> Self {
        let mut folders = Vec::new();
        for line in membership.lines() {
            // hierarchy : controllers : path
            let mut fields = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
            let accounting = match controllers {
                "" => V2,
                list if list.split(',').any(|name| name == "memory") => V1,
                _ => continue,
            };
            let mount = root.join(accounting.mount);
            let inner = Path::new(path.trim_start_matches('/'));
            // `..` is what a process sees of a group outside its namespace.
            let is_inside =
                inner.components().all(|part| matches!(part, std::path::Component::Normal(_)));
            let inner = if is_inside { inner } else { Path::new("") };
            folders.extend(inner.ancestors().map(|group| mount.join(group)));
        }
        Self { folders }
    }

    /// Bytes that may still be taken, by the group that leaves least; `None` if none sets a limit.
    pub fn available_memory(&self) -> Option<u64> {
        let left = |folder: &PathBuf| [V2, V1].iter().find_map(|it| it.left(folder));
        self.folders.iter().filter_map(left).min()
    }

    /// Processes of the innermost group that the kernel has killed for want of memory; 0 where it does not say.
    pub fn num_memory_kills(&self) -> u64 {
        let kills = |folder: &PathBuf| {
            [V2, V1].iter().find_map(|it| field(&read(&folder.join(it.events))?, "oom_kill"))
        };
        self.folders.iter().find_map(kills).unwrap_or(0)
    }
}

impl Accounting {
    /// What is left of a group's limit, if it has one.
    fn left(&self, folder: &Path) -> Option<u64> {
        let number = |name: &str| read(&folder.join(name))?.trim().parse::<u64>().ok();
        let limit = number(self.limit).filter(|limit| *limit < NO_LIMIT)?;
        let statistics = read(&folder.join("memory.stat")).unwrap_or_default();
        let reclaimable = field(&statistics, self.reclaimable).unwrap_or(0);
        let used = number(self.used).unwrap_or(0).saturating_sub(reclaimable);
        Some(limit.saturating_sub(used))
    }
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// The number behind a name, in a file of such lines.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file system of control groups that is removed at the end of the test.
    struct Root(PathBuf);

    impl Root {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let root = std::env::temp_dir().join(format!("reverie-{name}-{}", std::process::id()));
            for (path, text) in files {
                let path = root.join(path);
                fs::create_dir_all(path.parent().expect("a folder")).expect("a temporary folder");
                fs::write(path, text).expect("a written file");
            }
            Self(root)
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _best_effort = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_tightest_group_around_a_process_counts_and_cached_files_do_not() {
        let root = Root::new(
            "groups-v2",
            &[
                ("a/memory.max", "1000\n"),
                ("a/memory.current", "100\n"),
                ("a/b/memory.max", "max\n"),
                ("a/b/memory.current", "70\n"),
                ("a/b/c/memory.max", "900\n"),
                ("a/b/c/memory.current", "600\n"),
                ("a/b/c/memory.stat", "anon 100\ninactive_file 500\nactive_file 7\n"),
                ("a/b/c/memory.events", "low 0\noom 3\noom_kill 2\n"),
            ],
        );
        let groups = |membership| ControlGroups::new(&root.0, membership);
        assert_eq!(groups("0::/a/b/c\n").available_memory(), Some(800));
        assert_eq!(groups("0::/a/b\n").available_memory(), Some(900));
        assert_eq!(groups("0::/\n").available_memory(), None);
        assert_eq!(groups("0::/../x\n").available_memory(), None, "outside the namespace");
        assert_eq!(groups("0::/a/b/c\n").num_memory_kills(), 2);
        assert_eq!(groups("").available_memory(), None);
    }

    #[test]
    fn version_1_keeps_memory_apart_and_says_a_large_number_where_there_is_no_limit() {
        let root = Root::new(
            "groups-v1",
            &[
                ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
                ("memory/memory.usage_in_bytes", "5\n"),
                ("memory/pod/memory.limit_in_bytes", "4096\n"),
                ("memory/pod/memory.usage_in_bytes", "3000\n"),
                ("memory/pod/memory.stat", "inactive_file 1\ntotal_inactive_file 1000\n"),
                ("memory/pod/memory.oom_control", "oom_kill_disable 0\noom_kill 4\n"),
            ],
        );
        let membership = "12:cpu,cpuacct:/elsewhere\n5:memory:/pod\n0::/\n";
        let groups = ControlGroups::new(&root.0, membership);
        assert_eq!(groups.available_memory(), Some(2096));
        assert_eq!(groups.num_memory_kills(), 4);
        assert_eq!(ControlGroups::new(&root.0, "5:memory:/\n").available_memory(), None);
    }

    #[test]
    fn a_containers_own_group_lies_at_its_root() {
        let root = Root::new("groups-container", &[("memory.max", "50"), ("memory.current", "60")]);
        let groups = ControlGroups::new(&root.0, "0::/docker/0123\n");
        assert_eq!(groups.available_memory(), Some(0), "more is taken than may be");
    }
}
