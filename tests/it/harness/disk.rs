//! A small file system of its own, to be filled.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::FallocateFlags;
use tempfile::TempDir;

/// A tmpfs that is gone when it is dropped. Needs root.
pub struct SmallDisk {
    directory: TempDir,
}

impl SmallDisk {
    pub fn mount(mebibytes: u64) -> Self {
        let directory = TempDir::with_prefix("creel-disk-").unwrap();
        let options = format!("size={mebibytes}m,mode=0700");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(directory.path())
            .output();
        let mount = mount.unwrap();
        assert!(mount.status.success(), "mount: {}", String::from_utf8_lossy(&mount.stderr));
        Self { directory }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn free_bytes(&self) -> u64 {
        let stat = rustix::fs::statvfs(self.path()).unwrap();
        stat.f_bavail * stat.f_frsize
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// Takes space in one step, so that `left` bytes are free. Step by step it would also take the ballast that the service
    /// releases meanwhile.
    pub fn fill(&self, left: u64) {
        let file = File::options().create(true).append(true).open(self.filler()).unwrap();
        let filled = file.metadata().unwrap().len();
        // Another process may take some of it between the two calls.
        while let taken @ 1.. = self.free_bytes().saturating_sub(left)
            && rustix::fs::fallocate(&file, FallocateFlags::empty(), filled, taken).is_err()
        {}
    }

    pub fn release(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).output();
    }
}
