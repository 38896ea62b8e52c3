//! How much memory the container lets this process still have.
//!
//! A derivation that takes more is not refused by the kernel: it kills the host application. So
//! the limit is read first. No limit, or none that can be read, means that there is room.

use std::{fs, path::Path};

/// What the derivation itself needs besides its blocks.
const MARGIN: u64 = 1 << 20;

/// Says whether `need` more bytes fit into the memory limit of the control group.
pub(crate) fn allows(need: u64) -> bool {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    left(Path::new("/sys/fs/cgroup"), &groups)
        .is_none_or(|left| left >= need.saturating_add(MARGIN))
}

/// The bytes left under the tightest limit, of both versions of control groups.
fn left(root: &Path, groups: &str) -> Option<u64> {
    let of = |line: &str| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let path = path.trim_start_matches('/');
        match controllers {
            "" => tightest(root, path, &V2),
            _ if controllers.split(',').any(|name| name == "memory") => {
                tightest(&root.join("memory"), path, &V1)
            }
            _ => None,
        }
    };
    groups.lines().filter_map(of).min()
}

struct Names {
    limit: &'static str,
    used: &'static str,
    cached: [&'static str; 2],
}

const V2: Names =
    Names { limit: "memory.max", used: "memory.current", cached: ["inactive_file", "active_file"] };
const V1: Names = Names {
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    cached: ["total_inactive_file", "total_active_file"],
};

/// Walks from the group up to the root: each level may have a limit. In a container the path may
/// name a place that only the host sees; the root then is the container's own group.
fn tightest(root: &Path, path: &str, names: &Names) -> Option<u64> {
    let group = root.join(path);
    group
        .ancestors()
        .take_while(|level| level.starts_with(root))
        .filter_map(|level| left_at(level, names))
        .min()
}

fn left_at(group: &Path, names: &Names) -> Option<u64> {
    let number = |file| fs::read_to_string(group.join(file)).ok()?.trim().parse::<u64>().ok();
    // "max" is no number: no limit.
    let (limit, used) = (number(names.limit)?, number(names.used)?);
    // The kernel drops cached files before it kills anybody.
    let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let cached: u64 = stat
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(name, _)| names.cached.contains(name))
        .filter_map(|(_, value)| value.trim().parse::<u64>().ok())
        .sum();
    Some(limit.saturating_sub(used.saturating_sub(cached)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn write(dir: &Path, files: &[(&str, &str)]) {
        fs::create_dir_all(dir).unwrap();
        for (name, text) in files {
            fs::write(dir.join(name), text).unwrap();
        }
    }

    #[test]
    fn the_tightest_level_counts_and_cached_files_do_not() {
        let root = Scratch::new();
        write(root.path(), &[("memory.max", "max\n"), ("memory.current", "9\n")]);
        write(&root.path().join("a"), &[("memory.max", "1000\n"), ("memory.current", "900\n")]);
        write(
            &root.path().join("a/b"),
            &[
                ("memory.max", "500\n"),
                ("memory.current", "490\n"),
                ("memory.stat", "anon 100\ninactive_file 300\nactive_file 10\n"),
            ],
        );
        assert_eq!(left(root.path(), "0::/a/b\n"), Some(100));
        assert_eq!(left(root.path(), "0::/a\n"), Some(100));
        assert_eq!(left(root.path(), "0::/\n"), None);
    }

    #[test]
    fn the_first_version_is_read_too() {
        let root = Scratch::new();
        write(
            &root.path().join("memory/x"),
            &[("memory.limit_in_bytes", "4096"), ("memory.usage_in_bytes", "96")],
        );
        assert_eq!(left(root.path(), "5:cpu,cpuacct:/x\n4:memory:/x\n"), Some(4000));
    }
}
