//! Keys and signatures of Google's Tink library: a JSON key set whose keys are protocol buffers in
//! base64, and signatures that begin with the id of their key. Only ECDSA P-256 with SHA-256 and
//! signatures in DER are read. <https://developers.google.com/tink/wire-format>

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::json;

use crate::json::lookup;

const ECDSA_KEY: &str = "type.googleapis.com/google.crypto.tink.EcdsaPublicKey";

/// The output prefix `TINK`: this byte, then the id of the key in four bytes.
const PREFIX: u8 = 1;
const PREFIX_BYTES: usize = 5;

/// Numbers of `HashType`, `EllipticCurveType` and `EcdsaSignatureEncoding`.
const SHA256: u64 = 3;
const NIST_P256: u64 = 2;
const DER: u64 = 2;

const COORDINATE_BYTES: usize = 32;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TinkKey {
    key_data: KeyData,
    status: String,
    key_id: u32,
    output_prefix_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyData {
    type_url: String,
    value: String,
}

/// Returns the usable keys of a key set as JSON Web Keys whose `kid` is the key's id. `keys` is the
/// array in its field `key`.
pub fn web_keys(keys: &str) -> Option<Vec<String>> {
    let keys = lookup::items(keys)?;
    Some(keys.into_iter().filter_map(|key| web_key(&serde_json::from_str(key).ok()?)).collect())
}

fn web_key(key: &TinkKey) -> Option<String> {
    let is_usable =
        key.status == "ENABLED" && key.output_prefix_type == "TINK" && key.key_data.type_url == ECDSA_KEY;
    let message = STANDARD.decode(&key.key_data.value).ok().filter(|_| is_usable)?;
    let fields = fields(&message)?;
    let parameters = self::fields(bytes(&fields, 2)?)?;
    if [number(&parameters, 1), number(&parameters, 2), number(&parameters, 3)] != [SHA256, NIST_P256, DER] {
        return None;
    }
    let coordinate = |field: u64| {
        // A big-endian number, with a leading zero byte if its first bit is set.
        let bytes = bytes(&fields, field)?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let bytes = &bytes[zeros..];
        (bytes.len() <= COORDINATE_BYTES).then(|| URL_SAFE_NO_PAD.encode(bytes))
    };
    let (x, y) = (coordinate(3)?, coordinate(4)?);
    Some(json!({"kty": "EC", "crv": "P-256", "kid": key.key_id.to_string(), "x": x, "y": y}).to_string())
}

/// Returns the id of a signature's key, and the signature without it.
pub fn split_signature(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (prefix, signature) = bytes.split_first_chunk::<PREFIX_BYTES>()?;
    let id = u32::from_be_bytes(*prefix.last_chunk()?);
    (prefix[0] == PREFIX && !signature.is_empty()).then_some((id, signature))
}

/// A field of a protocol buffer: its number and value.
type Field<'a> = (u64, FieldValue<'a>);

#[derive(Clone, Copy)]
enum FieldValue<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Returns the fields of a message, in order; `None` if it is damaged or has a fixed-width field,
/// which no key has.
fn fields(mut message: &[u8]) -> Option<Vec<Field<'_>>> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let tag = take_number(&mut message)?;
        let value = take_number(&mut message)?;
        let value = match tag & 7 {
            0 => FieldValue::Number(value),
            2 => {
                let (bytes, rest) = message.split_at_checked(usize::try_from(value).ok()?)?;
                message = rest;
                FieldValue::Bytes(bytes)
            }
            _ => return None,
        };
        fields.push((tag >> 3, value));
    }
    Some(fields)
}

/// Reads a varint: seven bits in each byte, the lowest first.
fn take_number(message: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for place in 0..10 {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        number |= u64::from(byte & 0x7f).checked_shl(7 * place)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Returns a field; the last one if it is repeated.
fn bytes<'a>(fields: &[Field<'a>], wanted: u64) -> Option<&'a [u8]> {
    fields.iter().rev().find_map(|(field, value)| match value {
        FieldValue::Bytes(bytes) if *field == wanted => Some(*bytes),
        _ => None,
    })
}

/// Returns a number; zero if the field is absent, as in every protocol buffer.
fn number(fields: &[Field<'_>], wanted: u64) -> u64 {
    let found = fields.iter().rev().find_map(|(field, value)| match value {
        FieldValue::Number(number) if *field == wanted => Some(*number),
        _ => None,
    });
    found.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::scheme::public_key::PublicKey;

    use super::*;

    /// A key that Google published for its Health API in August 2026.
    const PUBLISHED: &str = "EgYIAxACGAIaIQBDWg3kaiabjtrVXbSSbcn6e3QqiCLD+B4GuhC/Z1C6miIhACarm0VQv9WjNZG/AB0itXCIGFW5ddInmBFUjK/8w0v3";

    fn set(change: impl Fn(&mut Value)) -> String {
        let mut key = json!({
            "keyData": {"typeUrl": ECDSA_KEY, "value": PUBLISHED, "keyMaterialType": "ASYMMETRIC_PUBLIC"},
            "status": "ENABLED",
            "keyId": 4_193_570_438_u32,
            "outputPrefixType": "TINK",
        });
        change(&mut key);
        json!([key]).to_string()
    }

    #[test]
    fn published_key_becomes_a_web_key() {
        let keys = web_keys(&set(|_| ())).unwrap();
        let [key] = keys.as_slice() else { panic!("{keys:?}") };
        let key: Value = serde_json::from_str(key).unwrap();
        assert_eq!(key["kid"], "4193570438");
        assert_eq!(key["x"], "Q1oN5Gomm47a1V20km3J-nt0Kogiw_geBroQv2dQupo");
        assert_eq!(key["y"], "JqubRVC_1aM1kb8AHSK1cIgYVbl10ieYEVSMr_zDS_c");
        PublicKey::from_jwk(&key).unwrap();
    }

    #[test]
    fn unusable_keys_are_left_out() {
        let changes: [(&str, Value); 4] = [
            ("/status", "DISABLED".into()),
            ("/outputPrefixType", "RAW".into()),
            ("/keyData/typeUrl", "type.googleapis.com/google.crypto.tink.Ed25519PublicKey".into()),
            ("/keyId", "4193570438".into()),
        ];
        for (place, value) in changes {
            let keys = set(|key| *key.pointer_mut(place).unwrap() = value.clone());
            assert_eq!(web_keys(&keys), Some(Vec::new()), "{place}");
        }
        let with_message = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut message = STANDARD.decode(PUBLISHED).unwrap();
            change(&mut message);
            web_keys(&set(|key| key["keyData"]["value"] = STANDARD.encode(&message).into()))
        };
        assert_eq!(with_message(&|_| ()).map(|keys| keys.len()), Some(1));
        // SHA-512, P-384, fixed-width signatures; truncated; a length beyond the end; an
        // unterminated number.
        for (place, byte) in [(3, 4), (5, 3), (7, 1), (9, 0x7f)] {
            assert_eq!(with_message(&|message| message[place] = byte), Some(Vec::new()), "{place}");
        }
        assert_eq!(with_message(&|message| message.truncate(50)), Some(Vec::new()));
        assert_eq!(with_message(&|message| *message = vec![0xff; 30]), Some(Vec::new()));
        assert_eq!(web_keys("{}"), None);
    }

    #[test]
    fn odd_key_does_not_hide_the_others() {
        let good = set(|_| ());
        for odd in
            [r#"{"note":"\ud83d"}"#, r#"{"far":1e400}"#, r#"{"keyId":1e400}"#, r#"{"status":"\ud83d"}"#]
        {
            assert_eq!(web_keys(&format!("[{odd},{}", &good[1..])), web_keys(&good), "{odd}");
        }
        let with_odd_member = good.replacen('{', r#"{"note":"\ud83d","far":1e400,"#, 1);
        assert_eq!(web_keys(&with_odd_member), web_keys(&good));
    }

    #[test]
    fn signature_names_its_key() {
        assert_eq!(split_signature(&[1, 0xf9, 0xf5, 2, 6, 0x30, 0]), Some((0xf9f5_0206, &[0x30, 0][..])));
        for wrong in [&[][..], &[1, 0, 0, 0], &[1, 0, 0, 0, 1], &[0, 0, 0, 0, 1, 0x30]] {
            assert_eq!(split_signature(wrong), None, "{wrong:?}");
        }
    }
}
