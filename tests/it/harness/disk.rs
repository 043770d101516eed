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

    /// Fills the disk in one step, so that `left` bytes are free. A step that fails because another
    /// process took some space is repeated, without the space of a ballast that the service has
    /// released meanwhile.
    pub fn fill(&self, left: u64) {
        let file = File::options().create(true).append(true).open(self.filler()).unwrap();
        let filled = file.metadata().unwrap().len();
        let ballast = self.ballast_bytes();
        let missing = || {
            let free = self.free_bytes();
            free.saturating_sub(left + ballast.saturating_sub(self.ballast_bytes()))
        };
        while let taken @ 1.. = missing()
            && rustix::fs::fallocate(&file, FallocateFlags::empty(), filled, taken).is_err()
        {}
    }

    /// Bytes of all files that reserve space.
    fn ballast_bytes(&self) -> u64 {
        let files = std::fs::read_dir(self.path()).unwrap().map(Result::unwrap);
        let ballasts = files.filter(|file| file.path().extension().is_some_and(|ending| ending == "ballast"));
        ballasts.map(|file| file.metadata().map_or(0, |metadata| metadata.len())).sum()
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
