//! Which file systems can hold a store.
//!
//! The write-ahead log of SQLite keeps its index in memory that all processes map, so they must
//! share one kernel. On a network file system it gets corrupted without any error to react to:
//! so the file system is asked before the first access.

use std::{fs, path::Path};

use crate::error::{self, Error, Result};

/// `statfs` magic numbers of file systems whose kernel is not the only one to see the files.
const REMOTE: &[(u64, &str)] = &[
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x0102_1997, "9p"),
    (0x5346_414f, "AFS"),
    (0x00c3_6400, "Ceph"),
    (0x7375_7245, "Coda"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x7461_636f, "OCFS2"),
    (0x0116_1970, "GFS2"),
    (0x786f_4256, "a VirtualBox share"),
    (0xbacb_acbc, "a VMware share"),
];
/// FUSE and virtiofs share a number; the mount table tells them apart.
const FUSE: u64 = 0x6573_5546;
/// File systems of one host that happen to be implemented by a process.
const LOCAL_FUSE: &[&str] = &["fuseblk", "fuse.fuse-overlayfs", "fuse.ext2", "fuse.ext4"];

/// Refuses a directory that cannot hold a store.
pub(crate) fn check(dir: &Path) -> Result<()> {
    let magic = rustix::fs::statfs(dir).map_err(|error| error::io(error.into()))?.f_type;
    // The low half is the number, whatever the width and sign of the field on this machine.
    let magic = u64::try_from(i128::from(magic) & 0xffff_ffff).unwrap_or_default();
    match remote(magic, || mounted_as(dir)) {
        None => Ok(()),
        Some(kind) => Err(Error::Unsupported(format!(
            "the store {} lies on {kind}, where several machines can see it and the database \
             would be corrupted; put it on a local volume",
            dir.display()
        ))),
    }
}

fn remote(magic: u64, mounted_as: impl FnOnce() -> Option<String>) -> Option<String> {
    if magic != FUSE {
        let (_, kind) = REMOTE.iter().find(|(number, _)| *number == magic)?;
        return Some((*kind).to_owned());
    }
    let kind = mounted_as().unwrap_or_else(|| "a FUSE mount".to_owned());
    (!LOCAL_FUSE.contains(&kind.as_str())).then_some(kind)
}

fn mounted_as(dir: &Path) -> Option<String> {
    let dir = dir.canonicalize().ok()?;
    kind_in(&fs::read_to_string("/proc/self/mountinfo").ok()?, &dir)
}

/// The type of the mount that a path lies on: the longest mount point, and the last of equals.
fn kind_in(mounts: &str, path: &Path) -> Option<String> {
    let mount = |line: &str| {
        let (point, kind) = (line.split(' ').nth(4)?, line.split(" - ").nth(1)?);
        let point = point.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\");
        let kind = kind.split(' ').next()?.to_owned();
        path.starts_with(&point).then_some((point.len(), kind))
    };
    mounts.lines().filter_map(mount).max_by_key(|(len, _)| *len).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:40 / /mnt/my\\040share rw,relatime shared:9 - virtiofs host rw
31 22 0:41 / /mnt/o rw - fuse.fuse-overlayfs o rw
";

    #[test]
    fn network_file_systems_are_refused() {
        assert_eq!(remote(0xef53, || None), None);
        assert_eq!(remote(0x0102_1994, || None), None);
        assert_eq!(remote(0x6969, || None), Some("NFS".into()));
        assert_eq!(remote(0xff53_4d42, || None), Some("CIFS".into()));
        let kind = |path| remote(FUSE, || kind_in(MOUNTS, Path::new(path)));
        assert_eq!(kind("/mnt/my share/x"), Some("virtiofs".into()));
        assert_eq!(kind("/mnt/o/x"), None);
        assert_eq!(remote(FUSE, || None), Some("a FUSE mount".into()));
    }

    #[test]
    fn this_directory_is_fine() {
        check(&std::env::temp_dir()).unwrap();
    }
}
