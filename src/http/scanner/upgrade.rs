//! Removes offers to change the protocol from a head. creel does not support upgrades, so it must
//! answer a request as if its offer was absent (RFC 9110, 7.8). actix-http instead disables
//! keep-alive for `Connection: upgrade`, and treats the rest of the connection as the body for
//! `Upgrade: websocket`.

/// State of the search for a word in the current element of a comma-separated header value.
#[derive(Clone, Copy, Debug, Default)]
pub struct UpgradeOffer {
    matched: usize,
    /// Whether the element is a different word.
    is_other: bool,
}

impl UpgradeOffer {
    /// Returns the word that must not reach the parser in a header of that name, if any.
    pub fn word_in(name: &[u8]) -> Option<&'static [u8]> {
        if name.eq_ignore_ascii_case(b"connection") {
            Some(b"upgrade")
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            Some(b"websocket")
        } else {
            None
        }
    }

    /// Overwrites each element of the value that equals `word` with blanks, because an empty
    /// element has no meaning. `part`: the next bytes of the value. Bytes that were already passed
    /// on cannot be changed, but the parser does not recognise a word without its last letter.
    pub fn blank(&mut self, word: &[u8], part: &mut [u8]) {
        for at in 0..part.len() {
            let byte = part[at];
            match byte {
                b',' => *self = Self::default(),
                b' ' | b'\t' | b'\r' => self.is_other |= self.matched > 0,
                _ if self.is_other => {}
                _ if word.get(self.matched).is_some_and(|wanted| byte.eq_ignore_ascii_case(wanted)) => {
                    self.matched += 1;
                    let ends =
                        part.get(at + 1).is_none_or(|next| matches!(next, b',' | b' ' | b'\t' | b'\r'));
                    if self.matched == word.len() && ends {
                        part[(at + 1).saturating_sub(word.len())..=at].fill(b' ');
                        // The parser trims blanks, so a word after these blanks would be the first
                        // of its element.
                        self.matched = 0;
                    }
                }
                _ => self.is_other = true,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blanked(value: &str, piece: usize) -> String {
        let mut bytes = value.as_bytes().to_vec();
        let mut offer = UpgradeOffer::default();
        bytes.chunks_mut(piece).for_each(|part| offer.blank(b"upgrade", part));
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn only_the_offer_is_blanked() {
        let rows = [
            ("upgrade", "       "),
            ("Upgrade\r", "       \r"),
            (" keep-alive, UPGRADE ", " keep-alive,         "),
            ("upgrade, HTTP2-Settings", "       , HTTP2-Settings"),
            ("close,upgrade,te", "close,       ,te"),
            ("upgrade,upgrade", "       ,       "),
            ("upgrade upgrade", "               "),
            ("upgrade\tUpgrade  upgrade\r", "       \t                \r"),
            ("upgrade upgraded", "        upgraded"),
            ("upgraded upgrade", "upgraded upgrade"),
            ("upgraded", "upgraded"),
            ("not-upgrade", "not-upgrade"),
            ("upgrade-insecure-requests", "upgrade-insecure-requests"),
            ("up grade", "up grade"),
            ("x upgrade", "x upgrade"),
            ("\"upgrade\"", "\"upgrade\""),
            ("", ""),
        ];
        for (value, expected) in rows {
            assert_eq!(blanked(value, value.len().max(1)), expected, "{value:?}");
        }
    }

    #[test]
    fn offer_in_pieces_never_arrives_whole() {
        for piece in 1..12 {
            for value in ["upgrade", "keep-alive, Upgrade\r", "Upgrade, HTTP2-Settings", " upgrade,upgrade"] {
                let found = blanked(value, piece);
                let is_offer = |option: &str| option.trim().eq_ignore_ascii_case("upgrade");
                assert!(!found.split(',').any(is_offer), "{value:?} in pieces of {piece}: {found:?}");
                assert_eq!(found.len(), value.len());
            }
        }
    }
}
