//! Text encodings of signatures and keys. Signatures are decoded strictly, and on the stack if
//! their length is known.

use super::error::KeyError;
use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;

/// Maximum length of a digest, HMAC or Ed25519 signature, in bytes. RSA signatures are longer: see
/// `decode_any`.
pub const MAX_SIGNATURE_BYTES: usize = 64;

/// Maximum length of an encoded value: that of an RSA signature of 8,192 bits in hex.
const MAX_ENCODED_BYTES: usize = 2_048;

/// Decodes keys as leniently as the providers' libraries. The trailing bits of a hand-made secret
/// are not always zero, and padding is easily lost when a secret is copied; neither changes the
/// key.
const KEY_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Encoding of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Digits of either case.
    Hex,
    /// The standard alphabet with padding.
    Base64,
    /// The URL-safe alphabet without padding.
    Base64Url,
}

impl Encoding {
    /// Decodes a text; `None` unless it is exactly `length` bytes in this encoding.
    pub fn decode(self, text: &[u8], length: usize) -> Option<[u8; MAX_SIGNATURE_BYTES]> {
        let mut bytes = [0; MAX_SIGNATURE_BYTES];
        let expected = match self {
            Self::Hex => length * 2,
            Self::Base64 => length.div_ceil(3) * 4,
            Self::Base64Url => (length * 4).div_ceil(3),
        };
        if text.len() != expected || length > MAX_SIGNATURE_BYTES {
            return None;
        }
        let written = match self {
            Self::Hex => decode_hex(text, &mut bytes)?,
            // The library needs space for its own estimate, which is up to two bytes more.
            Self::Base64 => decode_base64(&STANDARD, text, &mut bytes)?,
            Self::Base64Url => decode_base64(&URL_SAFE_NO_PAD, text, &mut bytes)?,
        };
        (written == length).then_some(bytes)
    }

    /// Decodes any number of bytes, up to a limit that no signature exceeds.
    pub fn decode_any(self, text: &[u8]) -> Option<Vec<u8>> {
        if text.is_empty() || text.len() > MAX_ENCODED_BYTES {
            return None;
        }
        match self {
            Self::Hex => {
                let mut bytes = vec![0; text.len() / 2];
                decode_hex(text, &mut bytes).map(|_| bytes)
            }
            Self::Base64 => STANDARD.decode(text).ok(),
            Self::Base64Url => URL_SAFE_NO_PAD.decode(text).ok(),
        }
    }

    pub fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => hex(bytes),
            Self::Base64 => STANDARD.encode(bytes),
            Self::Base64Url => URL_SAFE_NO_PAD.encode(bytes),
        }
    }
}

fn decode_base64(engine: &impl Engine, text: &[u8], bytes: &mut [u8; MAX_SIGNATURE_BYTES]) -> Option<usize> {
    let mut roomy = [0; MAX_SIGNATURE_BYTES + 2];
    let written = engine.decode_slice(text, &mut roomy).ok()?;
    bytes.get_mut(..written)?.copy_from_slice(&roomy[..written]);
    Some(written)
}

fn decode_hex(text: &[u8], bytes: &mut [u8]) -> Option<usize> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let mut written = 0;
    for (pair, byte) in text.chunks_exact(2).zip(bytes.iter_mut()) {
        *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
        written += 1;
    }
    (written * 2 == text.len()).then_some(written)
}

const fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Encodes bytes as lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
        .map(char::from)
        .collect()
}

/// Encoding of a configured key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyEncoding {
    /// The bytes of the text itself, even if it looks encoded.
    #[default]
    Text,
    Base64,
    Hex,
}

impl KeyEncoding {
    /// Decodes a configured key.
    ///
    /// # Errors
    /// The problem and its remedy, without the value.
    pub fn decode(self, text: &[u8]) -> Result<Vec<u8>, KeyError> {
        match self {
            Self::Text => Ok(text.to_vec()),
            Self::Base64 => KEY_BASE64.decode(text).map_err(|_| KeyError(base64_problem(text))),
            Self::Hex => {
                let mut bytes = vec![0; text.len() / 2];
                decode_hex(text, &mut bytes).map(|_| bytes).ok_or_else(|| KeyError(hex_problem(text)))
            }
        }
    }
}

/// Describes why a key is not base64, with the remedy.
fn base64_problem(text: &[u8]) -> &'static str {
    if let Some(problem) = surplus(text) {
        return problem;
    }
    let has = |characters: &[u8]| text.iter().any(|byte| characters.contains(byte));
    let data = text.trim_ascii_end().iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    if text.starts_with(b"v1,whsec_") {
        "is not valid base64: it begins with `v1,whsec_`, a form that this provider does not use; copy its own secret, or remove \
         `v1,whsec_`"
    } else if text.starts_with(b"whsec_") {
        "is not valid base64: it begins with `whsec_`, a form that this provider does not use; copy its own secret, or remove \
         `whsec_`"
    } else if has(b"|,;") {
        "is not valid base64: it contains a separator (`|`, `,` or `;`); set each of several secrets in its own variable, without the \
         separator"
    } else if has(b"-_") && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_=".contains(byte)) {
        "is not valid base64: it contains `-` or `_`, as URL-safe base64 does; replace `-` with `+` and `_` with `/`"
    } else if text[..data].contains(&b'=') {
        "is not valid base64: it has `=` in the middle; set each of several secrets in its own variable"
    } else if text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte)) {
        "is not valid base64: its length is impossible; copy the complete value from the provider again"
    } else {
        "is not valid base64: it contains a character that base64 does not use; copy the complete value from the provider again"
    }
}

/// Describes why a key is not hex, with the remedy.
fn hex_problem(text: &[u8]) -> &'static str {
    surplus(text).unwrap_or_else(|| match text.iter().all(u8::is_ascii_hexdigit) {
        true => "is not valid hex: its number of digits is odd; copy the complete value from the provider again",
        false => "is not valid hex: it contains a character that is not a hex digit; copy the complete value from the provider again",
    })
}

/// Describes text that an editor, a shell or a copied page added to an encoded key.
fn surplus(text: &[u8]) -> Option<&'static str> {
    if text.starts_with("\u{feff}".as_bytes()) {
        return Some("begins with a byte order mark (BOM); remove it");
    }
    if text.iter().any(u8::is_ascii_whitespace) {
        return Some("contains white space or a line break; remove it");
    }
    let is_quote = |byte: Option<&u8>| byte.is_some_and(|byte| b"\"'`".contains(byte));
    if is_quote(text.first()) || is_quote(text.last()) {
        return Some("begins or ends with a quotation mark; remove it");
    }
    (!text.is_ascii()).then_some(
        "contains a character that is not ASCII, such as a typographic quotation mark; copy the value from the provider again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hex_is_decoded_in_either_case() {
        let decode = |text: &str| Encoding::Hex.decode(text.as_bytes(), 2).map(|bytes| [bytes[0], bytes[1]]);
        assert_eq!(decode("a0fF"), Some([0xa0, 0xff]));
        for rejected in ["", "a0f", "a0ff0", "a0fg", "a0f ", "+0ff", "a0ff00"] {
            assert_eq!(decode(rejected), None, "{rejected}");
        }
    }

    #[test]
    fn base64_is_strict_about_padding_and_trailing_bits() {
        let decode =
            |text: &str| Encoding::Base64.decode(text.as_bytes(), 2).map(|bytes| [bytes[0], bytes[1]]);
        assert_eq!(decode("AAE="), Some([0, 1]));
        for rejected in ["AAE", "AAF=", "AA==", "AAEC", "-_8=", " AAE="] {
            assert_eq!(decode(rejected), None, "{rejected}");
        }
    }

    #[test]
    fn longest_signature_survives_every_encoding() {
        let bytes: Vec<u8> = (100..164).collect();
        for encoding in [Encoding::Hex, Encoding::Base64, Encoding::Base64Url] {
            let text = encoding.encode(&bytes);
            assert_eq!(encoding.decode(text.as_bytes(), 64).map(Vec::from), Some(bytes.clone()));
        }
    }

    #[test]
    fn key_is_decoded_with_encoding_of_recipe() {
        assert_eq!(KeyEncoding::Text.decode(b"YWI="), Ok(b"YWI=".to_vec()));
        assert_eq!(KeyEncoding::Base64.decode(b"YWI="), Ok(b"ab".to_vec()));
        assert_eq!(KeyEncoding::Base64.decode(b"YWI"), Ok(b"ab".to_vec()));
        assert_eq!(KeyEncoding::Hex.decode(b"6162"), Ok(b"ab".to_vec()));
        assert!(KeyEncoding::Base64.decode(b"Y W").is_err());
        assert!(KeyEncoding::Hex.decode(b"616").is_err());
        assert!(KeyEncoding::Hex.decode(b"61zz").is_err());
    }

    #[test]
    fn trailing_bits_of_a_key_are_ignored() {
        // The two trailing bits of `b` are not zero.
        assert_eq!(KeyEncoding::Base64.decode(b"YWJjZGb="), Ok(b"abcdf".to_vec()));
        assert_eq!(KeyEncoding::Base64.decode(b"YWJjZGb"), Ok(b"abcdf".to_vec()));
        assert_eq!(KeyEncoding::Base64.decode(b"YWJjZB"), Ok(b"abcd".to_vec()));
        assert_eq!(KeyEncoding::Base64.decode(b"YWJjZB=="), Ok(b"abcd".to_vec()));
    }

    #[test]
    fn undecodable_key_is_explained() {
        let rows = [
            ("\u{feff}YWI=", "BOM"),
            ("YW I=", "white space"),
            ("YWI=\n", "white space"),
            ("\"YWI=\"", "quotation mark"),
            ("'YWI='", "quotation mark"),
            ("“YWI=”", "not ASCII"),
            ("v1,whsec_YWI=", "`v1,whsec_`"),
            ("whsec_YWI=", "`whsec_`"),
            ("YWI=|YWI=", "separator"),
            ("YWI=,YWI=", "separator"),
            ("YW-_", "URL-safe"),
            ("YWI=YWI=", "`=` in the middle"),
            ("YWJjZ", "length"),
            ("YW$I", "character"),
        ];
        for (value, part) in rows {
            let KeyError(problem) = KeyEncoding::Base64.decode(value.as_bytes()).unwrap_err();
            assert!(problem.contains(part), "{value:?}: {problem}");
        }
        for (value, part) in
            [("616", "odd"), ("61zz", "not a hex digit"), ("\"61\"", "quotation"), ("6 1", "white")]
        {
            let KeyError(problem) = KeyEncoding::Hex.decode(value.as_bytes()).unwrap_err();
            assert!(problem.contains(part), "{value:?}: {problem}");
        }
    }
}
