//! Sealing: secrets are encrypted with AES-256-GCM before they reach the database, so that a copy
//! of the database alone reveals nothing.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};

use crate::store::error::OpenError;
use crate::store::files::modes::{create_private, owner_advice};
use crate::store::random;
use crate::store::setting::KEY_CHECK;

/// Separates this use of `CREEL_KEY` from any other.
const PURPOSE: &[u8] = b"creel sealed values, version 1";
const KEY_FILE_BYTES: usize = 32;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The key under which values are sealed.
pub struct Sealer {
    key: LessSafeKey,
}

/// A sealed value that does not open: sealed under another key or name, or changed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealed value does not open with this key")]
pub struct UnsealError;

impl Sealer {
    /// Derives the key from any secret text or bytes.
    pub fn new(secret: &[u8]) -> Self {
        let material = Salt::new(HKDF_SHA256, PURPOSE).extract(secret);
        let unbound: UnboundKey = material
            .expand(&[b"aes-256-gcm"], &AES_256_GCM)
            .expect("32 bytes are within HKDF's limit")
            .into();
        Self { key: LessSafeKey::new(unbound) }
    }

    /// Seals `plain` for `name`: it opens under the same name only. The result is base64 of nonce
    /// and ciphertext.
    pub fn seal(&self, name: &str, plain: &[u8]) -> String {
        let nonce: [u8; NONCE_LEN] = random::array().expect("the system's random source works");
        let mut sealed = plain.to_vec();
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(name), &mut sealed)
            .expect("the value is far below AES-GCM's limit");
        sealed.splice(0..0, nonce);
        STANDARD.encode(sealed)
    }

    /// Opens a value sealed for the same name.
    pub fn open(&self, name: &str, sealed: &str) -> Result<Vec<u8>, UnsealError> {
        let mut bytes = STANDARD.decode(sealed).map_err(|_| UnsealError)?;
        let (nonce, ciphertext) = bytes.split_at_mut_checked(NONCE_LEN).ok_or(UnsealError)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| UnsealError)?;
        let plain = self.key.open_in_place(nonce, Aad::from(name), ciphertext).map_err(|_| UnsealError)?;
        Ok(plain.to_vec())
    }
}

/// Removes surrounding white space and a byte order mark, which editors and `echo` add.
fn trim_secret(secret: &[u8]) -> &[u8] {
    let text = secret.trim_ascii();
    text.strip_prefix(BYTE_ORDER_MARK).map_or(text, <[u8]>::trim_ascii_start)
}

impl Sealer {
    /// Returns the key for a database without sealed values.
    pub fn for_new_database(secret: &[u8]) -> Self {
        Self::new(trim_secret(secret))
    }

    /// Returns the key that opens `key_check`. The key may have included white space around the
    /// secret when the database was sealed. So this tries the secret exactly as given, then trimmed
    /// and followed by each common ending.
    pub fn for_database(secret: &[u8], key_check: &str) -> Result<Self, UnsealError> {
        let ends: [&[u8]; 7] = [b"", b"\n", b"\r\n", b"\n\n", b" ", b"\t", b"\t\n"];
        let texts = [trim_secret(secret), secret.trim_ascii_end()];
        let candidates = texts.iter().flat_map(|text| ends.iter().map(move |end| [text, *end].concat()));
        let candidates = std::iter::once(secret.to_vec()).chain(candidates);
        let mut sealers = candidates.map(|candidate| Self::new(&candidate));
        sealers.find(|sealer| sealer.open(KEY_CHECK, key_check).is_ok()).ok_or(UnsealError)
    }
}

/// Reads the key file; `None` if it does not exist.
pub fn read_key_file(path: &Path) -> Result<Option<Vec<u8>>, OpenError> {
    match std::fs::read(path) {
        Ok(key) if key.len() >= KEY_FILE_BYTES => Ok(Some(key)),
        Ok(_) => Err(OpenError(format!(
            "the key file {} is truncated: restore it from a backup, or set CREEL_KEY to the key that it contained. \
             If the key is permanently lost: remove this file, then creel serve --forget-sealed",
            path.display()
        ))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let advice = owner_advice(&error);
            Err(OpenError(format!("cannot use the key file {}: {error}{advice}", path.display())))
        }
    }
}

/// Creates a key file that only its owner can read. Never replaces an existing one.
pub fn make_key_file(path: &Path) -> Result<Vec<u8>, OpenError> {
    write_key_file(path)
        .map_err(|error| OpenError(format!("cannot create the key file {}: {error}", path.display())))
}

fn write_key_file(path: &Path) -> std::io::Result<Vec<u8>> {
    let key: [u8; KEY_FILE_BYTES] = random::array().map_err(std::io::Error::other)?;
    let text = STANDARD.encode(key);
    // Written in full or not at all: an interrupted start must not leave a partial key.
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let temporary = PathBuf::from(name);
    let _ = std::fs::remove_file(&temporary);
    let mut file = create_private(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    // Unlike a rename, a link fails if a key file exists. Some file systems do not support links.
    match std::fs::hard_link(&temporary, path) {
        Ok(()) => std::fs::remove_file(&temporary)?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Err(error),
        Err(_) if path.exists() => return Err(std::io::ErrorKind::AlreadyExists.into()),
        Err(_) => std::fs::rename(&temporary, path)?,
    }
    if let Some(directory) = path.parent() {
        std::fs::File::open(directory)?.sync_all()?;
    }
    Ok(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_value_requires_same_name_and_key() {
        let sealer = Sealer::new(b"a key");
        let sealed = sealer.seal("inbox_path", b"secret path");
        assert!(!sealed.contains("secret"));
        assert_eq!(sealer.open("inbox_path", &sealed), Ok(b"secret path".to_vec()));
        assert_eq!(sealer.open("other_name", &sealed), Err(UnsealError));
        assert_eq!(Sealer::new(b"another key").open("inbox_path", &sealed), Err(UnsealError));
    }

    #[test]
    fn changed_or_truncated_sealed_value_does_not_open() {
        let sealer = Sealer::new(b"a key");
        let sealed = sealer.seal("name", b"value");
        let mut bytes = STANDARD.decode(&sealed).unwrap();
        bytes[NONCE_LEN] ^= 1;
        assert_eq!(sealer.open("name", &STANDARD.encode(bytes)), Err(UnsealError));
        assert_eq!(sealer.open("name", "AAAA"), Err(UnsealError));
        assert_eq!(sealer.open("name", "not base64!"), Err(UnsealError));
    }

    #[test]
    fn key_file_is_private_and_never_replaced() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("creel.db.key");
        assert_eq!(read_key_file(&path).unwrap(), None);
        let first = make_key_file(&path).unwrap();
        assert!(make_key_file(&path).is_err());
        assert_eq!(read_key_file(&path).unwrap(), Some(first));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "short").unwrap();
        assert!(read_key_file(&path).is_err());
    }

    #[test]
    fn white_space_around_key_is_ignored() {
        let ends = ["", "\n", "\r\n", "\n\n", " ", " \t\n"];
        for sealed_with in ends {
            let sealer = Sealer::for_new_database(format!("a key{sealed_with}").as_bytes());
            let key_check = sealer.seal(KEY_CHECK, b"creel");
            for given in ends {
                let opened = Sealer::for_database(format!("a key{given}").as_bytes(), &key_check);
                assert!(opened.is_ok(), "{sealed_with:?} {given:?}");
            }
        }
        for start in ["\u{feff}", " ", "\n", "\r\n\t", "\u{feff} ", " \u{feff}"] {
            let changed = format!("{start}a key\n");
            let key_check = Sealer::for_new_database(b"a key").seal(KEY_CHECK, b"creel");
            assert!(Sealer::for_database(changed.as_bytes(), &key_check).is_ok(), "{start:?}");
            let key_check = Sealer::for_new_database(changed.as_bytes()).seal(KEY_CHECK, b"creel");
            assert!(Sealer::for_database(b"a key", &key_check).is_ok(), "{start:?}");
            // Sealed with white space in the key.
            let key_check = Sealer::new(format!("{start}a key").as_bytes()).seal(KEY_CHECK, b"creel");
            assert!(Sealer::for_database(changed.as_bytes(), &key_check).is_ok(), "{start:?}");
        }
        for other in ["another key", "a  key", "\n", "\u{feff}"] {
            let key_check = Sealer::for_new_database(b"a key").seal(KEY_CHECK, b"creel");
            assert!(Sealer::for_database(other.as_bytes(), &key_check).is_err(), "{other:?}");
        }
    }

    #[test]
    fn key_sealed_with_its_line_break_still_opens() {
        for sealed_with in ["\n", "\r\n", "\n\n", " ", "\t", "\t\n", " \n"] {
            let secret = format!("a key{sealed_with}");
            let key_check = Sealer::new(secret.as_bytes()).seal(KEY_CHECK, b"creel");
            assert!(Sealer::for_database(secret.as_bytes(), &key_check).is_ok(), "{sealed_with:?}");
            if sealed_with != " \n" {
                assert!(Sealer::for_database(b"a key", &key_check).is_ok(), "{sealed_with:?}");
            }
        }
    }
}
