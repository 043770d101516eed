//! A small file system to fill up.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::FallocateFlags;
use tempfile::TempDir;

/// A tmpfs that is unmounted on drop. Needs root.
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

    /// Fills the disk in one step, so that `left` bytes are free. Several steps would also fill the
    /// ballast that the service releases meanwhile.
    pub fn fill(&self, left: u64) {
        let file = File::options().create(true).append(true).open(self.filler()).unwrap();
        let filled = file.metadata().unwrap().len();
        // Another process may take some space between the two calls.
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
