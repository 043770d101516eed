//! Sealing: what the service must keep secret is encrypted with AES-256-GCM before it reaches the database,
//! so that a copy of the database alone gives nothing away.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::{SecureRandom, SystemRandom};

use super::OpenError;

/// Separates this use of `CREEL_KEY` from any other.
const PURPOSE: &[u8] = b"creel sealed values, version 1";
const KEY_FILE_BYTES: usize = 32;

/// The key under which values are sealed.
pub struct Sealer {
    key: LessSafeKey,
    random: SystemRandom,
}

/// A sealed value that does not open: made under another key, for another name, or changed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealed value does not open with this key")]
pub struct Unsealable;

impl Sealer {
    /// Derives the key from any secret text or bytes.
    pub fn new(secret: &[u8]) -> Self {
        let material = Salt::new(HKDF_SHA256, PURPOSE).extract(secret);
        let unbound: UnboundKey = material
            .expand(&[b"aes-256-gcm"], &AES_256_GCM)
            .expect("32 bytes are within HKDF's limit")
            .into();
        Self { key: LessSafeKey::new(unbound), random: SystemRandom::new() }
    }

    /// Seals `plain` for `name`: it opens under the same name only. The result is base64 of nonce and ciphertext.
    pub fn seal(&self, name: &str, plain: &[u8]) -> String {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).expect("the system's random source works");
        let mut sealed = plain.to_vec();
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(name), &mut sealed)
            .expect("the value is far below AES-GCM's limit");
        sealed.splice(0..0, nonce);
        STANDARD.encode(sealed)
    }

    /// Opens what `seal` made for the same name.
    pub fn open(&self, name: &str, sealed: &str) -> Result<Vec<u8>, Unsealable> {
        let mut bytes = STANDARD.decode(sealed).map_err(|_| Unsealable)?;
        let (nonce, ciphertext) = bytes.split_at_mut_checked(NONCE_LEN).ok_or(Unsealable)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Unsealable)?;
        let plain = self.key.open_in_place(nonce, Aad::from(name), ciphertext).map_err(|_| Unsealable)?;
        Ok(plain.to_vec())
    }
}

/// Reads the key file, or makes one that only its owner can read.
pub fn key_file(path: &Path) -> Result<Vec<u8>, OpenError> {
    let problem = |error| OpenError(format!("cannot use the key file {}: {error}", path.display()));
    match std::fs::read(path) {
        Ok(key) if key.len() >= KEY_FILE_BYTES => Ok(key),
        Ok(_) => Err(OpenError(format!(
            "the key file {} is cut short: restore it from a backup, or set CREEL_KEY",
            path.display()
        ))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => make_key_file(path).map_err(problem),
        Err(error) => Err(problem(error)),
    }
}

fn make_key_file(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    let mut random = [0; KEY_FILE_BYTES];
    SystemRandom::new().fill(&mut random).map_err(|_| std::io::Error::other("no random bytes"))?;
    let text = STANDARD.encode(random);
    // Whole or not at all: a start that is broken off must not leave half a key behind.
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let temporary = PathBuf::from(name);
    let _ = std::fs::remove_file(&temporary);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    if let Some(directory) = path.parent() {
        std::fs::File::open(directory)?.sync_all()?;
    }
    Ok(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_under_its_own_name_and_key_only() {
        let sealer = Sealer::new(b"a key");
        let sealed = sealer.seal("inbox_path", b"secret path");
        assert!(!sealed.contains("secret"));
        assert_eq!(sealer.open("inbox_path", &sealed), Ok(b"secret path".to_vec()));
        assert_eq!(sealer.open("other_name", &sealed), Err(Unsealable));
        assert_eq!(Sealer::new(b"another key").open("inbox_path", &sealed), Err(Unsealable));
    }

    #[test]
    fn a_changed_or_cut_sealed_value_does_not_open() {
        let sealer = Sealer::new(b"a key");
        let sealed = sealer.seal("name", b"value");
        let mut bytes = STANDARD.decode(&sealed).unwrap();
        bytes[NONCE_LEN] ^= 1;
        assert_eq!(sealer.open("name", &STANDARD.encode(bytes)), Err(Unsealable));
        assert_eq!(sealer.open("name", "AAAA"), Err(Unsealable));
        assert_eq!(sealer.open("name", "not base64!"), Err(Unsealable));
    }

    #[test]
    fn the_key_file_is_made_once_and_only_its_owner_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("creel.db.key");
        let first = key_file(&path).unwrap();
        assert_eq!(key_file(&path).unwrap(), first);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
