//! Forms of both kinds, in several charsets.

use super::*;

/// Returns the payload if the form has the field, otherwise its fields.
fn to_json(
    body: &[u8],
    field: Option<&str>,
    declared: Option<&'static Encoding>,
) -> Result<String, FormProblem> {
    let payload = field.map(|field| payload(body, FormKind::UrlEncoded, field, Ok(declared)));
    payload.transpose()?.flatten().map_or_else(|| super::to_json(body, declared), Ok)
}

#[test]
fn form_becomes_object_with_repeats_as_arrays() {
    let rows = [
        ("", "{}"),
        ("b=1&a=2", r#"{"b":"1","a":"2"}"#),
        ("a=1&b=x+y%21&a=2", r#"{"a":["1","2"],"b":"x y!"}"#),
        ("a", r#"{"a":""}"#),
        ("a=%00%22%zz", "{\"a\":\"\\u0000\\\"%zz\"}"),
        ("payload=%7B%7D", r#"{"payload":"{}"}"#),
    ];
    for (form, json) in rows {
        assert_eq!(to_json(form.as_bytes(), None, None).as_deref(), Ok(json), "{form}");
    }
}

/// A filter like `!/größe` must not pass because of a replaced name or value.
#[test]
fn form_without_charset_is_utf8_or_names_its_charset() {
    let rows = [
        ("gr%C3%B6%C3%9Fe=%EF%BF%BD", Ok("{\"größe\":\"\u{fffd}\"}")),
        ("gr%F6%DFe=1", Err(FormProblem::MalformedText)),
        ("a=%FF", Err(FormProblem::MalformedText)),
        ("a=%ED%A0%80", Err(FormProblem::MalformedText)),
        ("gr%F6%DFe=%80&charset=windows-1252", Ok("{\"größe\":\"€\",\"charset\":\"windows-1252\"}")),
        ("_charset_=shift_jis&a=%83e", Ok("{\"_charset_\":\"shift_jis\",\"a\":\"テ\"}")),
        ("charset=windows-1252&a=%C3%A9", Ok("{\"charset\":\"windows-1252\",\"a\":\"é\"}")),
        ("charset=windows-1252&charset=gbk&a=%E9", Err(FormProblem::MalformedText)),
        ("charset=utf-16&a=%E9", Err(FormProblem::MalformedText)),
        ("charset=euc-kr&a=%FF", Err(FormProblem::MalformedText)),
    ];
    for (form, json) in rows {
        let found = to_json(form.as_bytes(), None, None);
        assert_eq!(found.as_deref().map_err(|problem| *problem), json, "{form}");
        let fields = fields(form.as_bytes(), FormKind::UrlEncoded, None).unwrap();
        assert_eq!(fields.is_exact, json.is_ok(), "{form}");
    }
}

#[test]
fn payload_field_is_unwrapped_or_flagged() {
    let deep = format!("payload={}{}", "[".repeat(128), "]".repeat(128));
    let rows = [
        ("payload=%7B%22action%22%3A+%22opened%22%7D", Ok(r#"{"action": "opened"}"#)),
        ("&payload=%7B%7D&", Ok("{}")),
        ("p%61yload=%7B%7D", Ok("{}")),
        ("payload=%7B%7D&a=1", Ok("{}")),
        ("a=%7B%7D", Ok(r#"{"a":"{}"}"#)),
        ("payload=%7B", Err(FormProblem::NotJson)),
        ("payload=%7B%7D%7D", Err(FormProblem::NotJson)),
        ("payload={\"a\":NaN}", Err(FormProblem::NotJson)),
        ("payload=%7B%7D%00", Err(FormProblem::NotJson)),
        ("payload=%EF%BB%BF%EF%BB%BF%7B%7D", Err(FormProblem::NotJson)),
        ("payload=", Err(FormProblem::NotJson)),
        ("payload={\"gr%F6%DFe\":1}", Err(FormProblem::NotJson)),
        ("payload={\"a\":\"%EF%BF%BD\"}", Ok("{\"a\":\"\u{fffd}\"}")),
        ("payload=%7B%7D&payload=%7B%7D", Err(FormProblem::NotJson)),
        (&deep, Err(FormProblem::TooDeep)),
    ];
    for (form, json) in rows {
        let found = to_json(form.as_bytes(), Some("payload"), None);
        assert_eq!(found.as_deref().map_err(|problem| *problem), json, "{form}");
    }
}

#[test]
fn false_charset_does_not_change_a_payload() {
    let form = "payload=%7B%22a%22%3A%22%E4%B8%AD%22%7D".as_bytes();
    for label in ["gbk", "big5", "shift_jis", "iso-8859-1", "utf-16"] {
        let declared = Encoding::for_label(label.as_bytes());
        assert_eq!(to_json(form, Some("payload"), declared).as_deref(), Ok("{\"a\":\"中\"}"), "{label}");
    }
    let unknown = payload(form, FormKind::UrlEncoded, "payload", Err(CharsetProblem::Unknown));
    assert_eq!(unknown.map(|text| text.is_some()), Ok(true));
}

#[test]
fn multipart_fields_become_an_object_with_files_described() {
    let part =
        |head: &str, value: &str| format!("--b\r\ncontent-disposition: form-data; {head}\r\n\r\n{value}\r\n");
    let json = |parts: &[String]| {
        let body = format!("{}--b--\r\n", parts.concat());
        fields_to_json(body.as_bytes(), "b".to_owned(), None)
    };
    let (one, two) = (part("name=a", "x \u{e9}"), part("name=b", "1"));
    let file = part("name=c; filename=f.pdf", "not read");
    let all = json(&[one.clone(), file.clone(), two, one.clone()]);
    let described = r#"{"filename":"f.pdf","size":8}"#;
    let expected = format!("{{\"a\":[\"x \u{e9}\",\"x \u{e9}\"],\"c\":{described},\"b\":\"1\"}}");
    assert_eq!(all.unwrap(), Some(expected));
    // The content of a file is not read and does not count towards the limit.
    let large_file = part("name=c; filename=f", &"x".repeat(MAX_JSON_BYTES + 1));
    let size = MAX_JSON_BYTES + 1;
    let expected = format!("{{\"a\":\"x \u{e9}\",\"c\":{{\"filename\":\"f\",\"size\":{size}}}}}");
    assert_eq!(json(&[one, large_file]), Ok(Some(expected)));
    assert_eq!(json(&[part("name=a", &"x".repeat(MAX_JSON_BYTES))]), Err(FormProblem::TooLarge));
    assert_eq!(json(&[file]), Ok(Some(format!("{{\"c\":{described}}}"))));
    assert_eq!(json(&[]), Ok(None));
}

#[test]
fn every_part_of_multipart_is_read_or_flagged() {
    let read = |head: &[u8]| {
        let body = [b"--b\r\ncontent-disposition: form-data; ", head, b"\r\n\r\n\xe9\r\n--b--\r\n"].concat();
        fields_to_json(&body, "b".to_owned(), None)
    };
    let file =
        |name: &str, kind: &str| Ok(Some(format!("{{\"a\":{{\"filename\":\"{name}\"{kind},\"size\":1}}}}")));
    assert_eq!(read(b"name=a; filename=\"\""), file("", ""));
    assert_eq!(
        read(b"name=\"a\"; filename=\"x;y\"\r\ncontent-type: text/x"),
        file("x;y", ",\"content_type\":\"text/x\"")
    );
    assert_eq!(read("name=a; filename=\"ü\"".as_bytes()), file("ü", ""));
    assert_eq!(read(b"filename=\"x; name=\\\"q\\\"\"; name=\"a\""), file("x; name=\\\"q\\\"", ""));
    assert_eq!(read(b"filename=\"; name=b\"; NAME = a"), file("; name=b", ""));
    assert_eq!(read(b"name=a; filename*=UTF-8''%C3%BC+"), file("ü+", ""));
    assert_eq!(read(b"name=a; filename*=utf-8''%C3%BC; filename=\"u\""), file("u", ""));
    for malformed in [
        &b"name=\"gr\xf6\xdfe\""[..],
        b"name=\"gr\xf6\xdfe\"; filename=f",
        b"name=a",
        b"x=y",
        b"name=a; name=b; filename=f",
        b"name=a; filename=f\r\ncontent-disposition: form-data; name=b",
        b"name=a; filename=\"\xfc\"",
        b"name=a; filename*=iso-8859-1''%FC",
        b"name=a; filename=f\r\ncontent-type: \xfc",
    ] {
        assert_eq!(read(malformed), Err(FormProblem::MalformedText), "{}", malformed.escape_ascii());
    }
    let part = |name: &str, value: &[u8]| {
        let head = format!("--b\r\ncontent-disposition: form-data; name={name}\r\n\r\n");
        [head.as_bytes(), value, b"\r\n"].concat()
    };
    let named = [part("_charset_", b"iso-8859-1"), part("a", b"\xe9"), b"--b--\r\n".to_vec()].concat();
    let expected = Some("{\"_charset_\":\"iso-8859-1\",\"a\":\"é\"}".to_owned());
    assert_eq!(fields_to_json(&named, "b".to_owned(), None), Ok(expected));
}

#[test]
fn form_is_decoded_by_its_declared_charset() {
    use encoding_rs::{EUC_KR, SHIFT_JIS, UTF_8, UTF_16LE, WINDOWS_1252};
    let rows: [(&[u8], &'static Encoding, Result<&str, FormProblem>); 10] = [
        (b"n=%E9+x&gr%FCn=%80", WINDOWS_1252, Ok("{\"n\":\"é x\",\"grün\":\"€\"}")),
        (b"n=\xe9%4", WINDOWS_1252, Ok("{\"n\":\"é%4\"}")),
        (b"n=%C3%A9", WINDOWS_1252, Ok("{\"n\":\"Ã©\"}")),
        (b"n=%83e%83X%83g&n=\x83e&&x", SHIFT_JIS, Ok("{\"n\":[\"テスト\",\"テ\"],\"x\":\"\"}")),
        (b"n=%C3%A9", UTF_8, Ok("{\"n\":\"é\"}")),
        (b"n=%E9", UTF_8, Err(FormProblem::MalformedText)),
        (b"%FF=1", SHIFT_JIS, Err(FormProblem::MalformedText)),
        (b"n=%FF", EUC_KR, Err(FormProblem::MalformedText)),
        (b"n=1", UTF_16LE, Err(FormProblem::UnknownCharset)),
        (b"payload={\"a\":\"%E9\"}", WINDOWS_1252, Ok("{\"a\":\"é\"}")),
    ];
    for (form, charset, json) in rows {
        let found = to_json(form, Some("payload"), Some(charset));
        assert_eq!(found.as_deref().map_err(|problem| *problem), json, "{}", form.escape_ascii());
    }
    assert_eq!(to_json(b"payload=%FF", Some("payload"), Some(UTF_8)), Err(FormProblem::MalformedText));
    let mark = to_json(b"payload=%EF%BB%BF%7B%7D", Some("payload"), None);
    assert_eq!(mark.as_deref(), Ok("{}"));
}

#[test]
fn part_of_multipart_is_decoded_by_its_own_charset() {
    let read = |kind: &str, value: &[u8]| {
        let head = format!("--b\r\ncontent-disposition: form-data; name=payload\r\n{kind}\r\n");
        let body = [head.as_bytes(), value, b"\r\n--b--\r\n"].concat();
        payload(&body, FormKind::Multipart("b".to_owned()), "payload", Ok(None))
    };
    let latin = "content-type: application/json; charset=iso-8859-1\r\n";
    assert_eq!(read(latin, b"{\"a\":\"\xe9\"}"), Ok(Some("{\"a\":\"é\"}".to_owned())));
    assert_eq!(read("", "{\"a\":\"é\"}".as_bytes()), Ok(Some("{\"a\":\"é\"}".to_owned())));
    assert_eq!(read("", b"{\"a\":\"\xe9\"}"), Err(FormProblem::NotJson));
    let utf_8 = "content-type: text/plain; charset=utf-8\r\n";
    assert_eq!(read(utf_8, b"{\"a\":\"\xe9\"}"), Err(FormProblem::MalformedText));
    let unknown = "content-type: text/plain; charset=klingon\r\n";
    assert_eq!(read(unknown, b"{}"), Ok(Some("{}".to_owned())));
    assert_eq!(read(unknown, b"{"), Err(FormProblem::UnknownCharset));
    assert_eq!(read("", b"{"), Err(FormProblem::NotJson));
}

#[test]
fn form_that_needs_much_memory_is_not_decoded() {
    assert_eq!(to_json("a&".repeat(MAX_FIELDS).as_bytes(), None, None), Err(FormProblem::TooLarge));
    assert!(to_json("a&".repeat(MAX_FIELDS - 1).as_bytes(), None, None).is_ok());
    assert_eq!(to_json(&vec![b'a'; MAX_JSON_BYTES + 1], None, None), Err(FormProblem::TooLarge));
    let payload = format!("payload=\"{}\"", "x".repeat(2 * MAX_JSON_BYTES));
    assert_eq!(to_json(payload.as_bytes(), None, None), Err(FormProblem::TooLarge));
    assert_eq!(to_json(payload.as_bytes(), Some("payload"), None).as_deref(), Ok(&payload[8..]));
}

#[test]
fn signed_fields_may_be_large_but_not_numerous() {
    let values = |body: &[u8], kind: FormKind| fields(body, kind, None).map(|fields| fields.values);
    let multipart = |part: &str, count: usize| {
        let parts = format!("--b\r\ncontent-disposition: form-data; name=a\r\n\r\n{part}\r\n").repeat(count);
        values(format!("{parts}--b--\r\n").as_bytes(), FormKind::Multipart("b".to_owned()))
    };
    let large = "x".repeat(5 << 20);
    let one = Some(vec![("a".to_owned(), large.clone())]);
    assert_eq!(values(format!("a={large}").as_bytes(), FormKind::UrlEncoded), one);
    assert_eq!(multipart(&large, 1), one);
    let many = "a&".repeat(MAX_FIELDS - 1);
    assert!(fields(many.as_bytes(), FormKind::UrlEncoded, None).is_some());
    assert_eq!(fields(format!("{many}a&").as_bytes(), FormKind::UrlEncoded, None), None);
    assert!(multipart("", MAX_FIELDS).is_some());
    assert_eq!(multipart("", MAX_FIELDS + 1), None);
    let files =
        "--b\r\ncontent-disposition: form-data; name=a; filename=f\r\n\r\n\r\n".repeat(MAX_FIELDS + 1);
    assert_eq!(
        fields(format!("{files}--b--\r\n").as_bytes(), FormKind::Multipart("b".to_owned()), None),
        None
    );
    assert_eq!(values(b"--b\r\nno end", FormKind::Multipart("b".to_owned())), Some(Vec::new()));
}
