//! Delivery ids that are joined from several parts.

/// Joins the parts of an id with colons. `plain` is the index of the part that usually has colons.
/// In the other parts, colons and percent signs are percent-encoded, so that different parts never
/// result in the same id.
pub fn join_parts(parts: &[&str], plain: usize) -> String {
    let mut id = String::with_capacity(parts.iter().map(|part| part.len() + 1).sum());
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            id.push(':');
        }
        match place != plain && part.contains(['%', ':']) {
            true => id.push_str(&part.replace('%', "%25").replace(':', "%3A")),
            false => id.push_str(part),
        }
    }
    id
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_part_keeps_its_colons() {
        let time = "12:00:00%20Z";
        for (parts, plain, id) in [
            (&["https://a.example/x%20y", "A-1"][..], 0, "https://a.example/x%20y:A-1"),
            (&["/a:b", "c"], 0, "/a:b:c"),
            (&["/a", "b:c"], 0, "/a:b%3Ac"),
            (&["/a", "b%3Ac"], 0, "/a:b%253Ac"),
            (&["one", "two", time], 2, "one:two:12:00:00%20Z"),
            (&["one:", "two%", time], 2, "one%3A:two%25:12:00:00%20Z"),
        ] {
            assert_eq!(join_parts(parts, plain), id);
        }
    }

    proptest! {
        #[test]
        fn different_parts_have_different_ids(
            one in prop::collection::vec("[:%3A5a]{0,4}", 3),
            other in prop::collection::vec("[:%3A5a]{0,4}", 3),
            plain in 0..3_usize,
        ) {
            let id = |parts: &[String]| {
                join_parts(&parts.iter().map(String::as_str).collect::<Vec<_>>(), plain)
            };
            prop_assert_eq!(one == other, id(&one) == id(&other));
        }
    }
}
