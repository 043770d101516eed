//! Confirmation at a provider's API: queries, requests, and the interpretation of answers.

use super::*;

const URL_WITH_ALL: &str =
    "https://api.example.com/{query:id}/{json:/data/0/id}?token={header:X-Token}&form={form:id}";

fn own(url: &str, token: Option<&str>) -> ConfirmApi {
    let settings = ConfirmSettings { url, token: token.map(Secret::new) };
    ConfirmApi::own(&settings, recipe("none").unwrap()).unwrap()
}

fn sent(query: &str, headers: &[(&str, &str)], body: &str) -> SentRequest {
    SentRequest { query: query.to_owned(), ..SentRequest::new(headers, body) }
}

fn api_call(confirm_api: &ConfirmApi, sent: &SentRequest) -> Result<FetchRequest, String> {
    let confirm_query = sent
        .put(|request| confirm_api.confirm_query(request, None))
        .map_err(|unconfirmable| unconfirmable.reason)?;
    let Some(ConfirmQuery::Values(values)) = ConfirmQuery::from_text(&confirm_query.to_text()) else {
        panic!("{confirm_query:?}")
    };
    confirm_api.call(&values, &sent.body, None).map_err(|error| error.to_string())
}

#[test]
fn values_come_from_query_header_json_and_form() {
    let form = [("Content-Type", "application/x-www-form-urlencoded"), ("X-Token", "t/1")];
    let confirm_api =
        own("https://api.example.com/{query:id}?token={header:X-Token}&form={form:id}", Some("secret"));
    let call = api_call(&confirm_api, &sent("id=a%2Fb&x=1", &form, "id=f+1&y=2")).unwrap();
    assert_eq!(call.url, "https://api.example.com/a%2Fb?token=t%2F1&form=f%201");
    assert_eq!((call.method.as_str(), call.body.len()), ("GET", 0));
    let headers = [("Accept", "application/json"), ("Authorization", "Bearer secret")];
    let given: Vec<(&str, &str)> =
        call.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(given, headers);
    let confirm_api = own("https://api.example.com/{json:/data/0/id}", None);
    let call = api_call(&confirm_api, &sent("", &[], r#"{"data":[{"id":17}]}"#)).unwrap();
    assert_eq!(call.url, "https://api.example.com/17");
    assert_eq!(call.headers.len(), 1, "no token, no Authorization");
}

#[test]
fn headers_of_confirmation_are_named() {
    let confirm_api = own("https://api.example.com/{query:id}?token={header:X_Token}", None);
    assert_eq!(confirm_api.header_names().collect::<Vec<_>>(), ["x_token"]);
}

#[test]
fn json_in_other_charset_can_be_confirmed() {
    let confirm_api = own("https://api.example.com/{json:/id}", None);
    let utf_16: Vec<u8> =
        "\u{feff}{\"id\":\"tr_\u{e9}\"}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let with = |content_type: &str, body: &[u8]| SentRequest {
        body: body.to_vec(),
        ..sent("", &[("Content-Type", content_type)], "")
    };
    let url = "https://api.example.com/tr_%C3%A9";
    assert_eq!(api_call(&confirm_api, &with("application/json", &utf_16)).unwrap().url, url);
    let latin = b"{\"id\":\"tr_\xe9\"}";
    assert_eq!(
        api_call(&confirm_api, &with("application/json; charset=iso-8859-1", latin)).unwrap().url,
        url
    );
    // Some HTTP clients declare every body as a form.
    assert_eq!(api_call(&confirm_api, &with("application/x-www-form-urlencoded", &utf_16)).unwrap().url, url);
    assert!(api_call(&confirm_api, &with("application/x-www-form-urlencoded", latin)).is_err());
}

#[test]
fn missing_or_ambiguous_value_is_rejected_with_reason() {
    let query = own("https://api.example.com/{query:id}", None);
    for (text, reason) in [
        ("", "query field id is missing"),
        ("id=", "query field id is missing"),
        ("ID=abc", "query field id is missing"),
        ("id=a&id=b", "query field id occurs more than once"),
        ("id=..", "query field id would change the path"),
        ("id=a%2F..%2Fb", "query field id would change the path"),
        ("id=a%0Ab", "query field id contains control characters"),
    ] {
        assert_eq!(api_call(&query, &sent(text, &[], "")).unwrap_err(), reason, "{text}");
    }
    let long = "x".repeat(600);
    let reason = api_call(&query, &sent(&format!("id={long}"), &[], "")).unwrap_err();
    assert_eq!(reason, "query field id is too long for an id");
    let json = own("https://api.example.com/{json:/id}", None);
    for body in ["", "{}", r#"{"id":null}"#, r#"{"id":{}}"#, r#"{"id":""}"#, "id=1"] {
        assert_eq!(
            api_call(&json, &sent("", &[], body)).unwrap_err(),
            "/id in the body is missing",
            "{body}"
        );
    }
    let header = own("https://api.example.com/{header:X-Id}", None);
    let twice = [("X-Id", "a"), ("X-Id", "b")];
    assert_eq!(api_call(&header, &sent("", &twice, "")).unwrap_err(), "header x-id occurs more than once");
    let latin = SentRequest { headers: vec![("x-id".to_owned(), b"gr\xfcn".to_vec())], ..sent("", &[], "") };
    assert_eq!(api_call(&header, &latin).unwrap_err(), "header x-id is not UTF-8 text");
}

#[test]
fn confirm_url_without_message_value_is_rejected() {
    let wrong = |url: &str| {
        let settings = ConfirmSettings { url, token: None };
        ConfirmApi::own(&settings, recipe("none").unwrap()).unwrap_err().to_string()
    };
    assert!(wrong("https://api.example.com/status").contains("the same answer"));
    assert!(wrong("https://{query:host}/").contains("never in scheme, host or port"));
    assert!(wrong("https://api.example.com/{id").contains("double each literal brace"));
    assert!(wrong("https://api.example.com/{setting:key}/{query:id}").contains("needs the setting"));
    assert!(
        ConfirmApi::own(&ConfirmSettings { url: URL_WITH_ALL, token: None }, recipe("none").unwrap()).is_ok()
    );
}

#[test]
fn answer_is_confirmed_unknown_or_not_yet() {
    let confirm_api = own("https://api.example.com/{query:id}", None);
    let paid = confirm_api.expecting(ConfirmApi::expectation("200 /status=paid").unwrap());
    let evaluate = |status, body: &str| paid.evaluate(status, body.as_bytes());
    assert_eq!(evaluate(200, r#"{"status":"paid"}"#), ConfirmResult::Confirmed);
    for status in [404, 410] {
        assert_eq!(evaluate(status, ""), ConfirmResult::Unknown(format!("answered {status}")));
    }
    for status in [201, 301, 400, 401, 403, 408, 429, 500, 503] {
        assert_eq!(
            evaluate(status, r#"{"status":"paid"}"#),
            ConfirmResult::NotYet(format!("answered {status}"))
        );
    }
    assert_eq!(confirm_api.evaluate(204, b""), ConfirmResult::Confirmed, "any 2xx without an expectation");
    for text in ["404", "302", "paid"] {
        assert!(ConfirmApi::expectation(text).is_err(), "{text}");
    }
}

#[test]
fn catalogue_api_requests_match_documentation() {
    let mollie = bind("mollie-classic", &[("api_key", "live_x")]);
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let call = api_call(mollie.confirm_api().unwrap(), &SentRequest::new(&form, "id=tr_1")).unwrap();
    assert_eq!(call.url, "https://api.mollie.com/v2/payments/tr_1");
    assert_eq!(call.headers, [("Authorization".to_owned(), "Bearer live_x".to_owned())]);

    let snipcart = bind("snipcart", &[("api_key", "ST_x")]);
    let token = [("X-Snipcart-RequestToken", "0f2b")];
    let call = api_call(snipcart.confirm_api().unwrap(), &SentRequest::new(&token, "{}")).unwrap();
    assert_eq!(call.url, "https://app.snipcart.com/api/requestvalidation/0f2b");
    let headers = [("Accept", "application/json"), ("Authorization", "Basic U1RfeDo=")];
    assert_eq!(call.headers, headers.map(|(name, value)| (name.to_owned(), value.to_owned())));

    let without = bind("snipcart", &[]);
    let confirm_api = without.confirm_api().unwrap();
    assert_eq!(confirm_api.missing_credentials(), ["api_key"]);
    let call = api_call(confirm_api, &SentRequest::new(&token, "{}")).unwrap();
    assert_eq!(call.headers, [("Accept".to_owned(), "application/json".to_owned())]);
}

#[test]
fn login_is_renewed_before_expiry() {
    let values = [("webhook_id", "WH"), ("client_id", "id"), ("client_secret", "whisper")];
    let paypal = bind("paypal-postback", &values);
    let confirm_api = paypal.confirm_api().unwrap();
    let holds = |answer: &str| confirm_api.logged_in(answer.as_bytes()).map(|login| login.holds.as_secs());
    assert_eq!(holds(r#"{"access_token":"t","expires_in":31668}"#), Some(31_608));
    assert_eq!(holds(r#"{"access_token":"t","expires_in":"60"}"#), Some(30));
    assert_eq!(holds(r#"{"access_token":"t","expires_in":0}"#), Some(0));
    assert_eq!(holds(r#"{"access_token":"t"}"#), Some(240));
    assert_eq!(holds(r#"{"error":"invalid_client"}"#), None);
    assert_eq!(holds("<html>"), None);
    assert_eq!(confirm_api.credentials(), ["client_id", "client_secret"]);
    let shown = format!("{paypal:?} {:?}", confirm_api.logged_in(br#"{"access_token":"hush"}"#));
    assert!(!shown.contains("whisper") && !shown.contains("hush"), "{shown}");
}

#[test]
fn posted_back_body_must_be_json_of_limited_size() {
    let values = [("webhook_id", "WH"), ("client_id", "id"), ("client_secret", "secret")];
    let paypal = bind("paypal-postback", &values);
    let headers = ["Auth-Algo", "Cert-Url", "Transmission-Id", "Transmission-Sig", "Transmission-Time"]
        .map(|name| (format!("PayPal-{name}"), "x"));
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let verdict = |body: &str| SentRequest::new(&headers, body).verdict(&paypal);
    assert_eq!(verdict(r#"{"id":"WH-1"}"#), Ok(()));
    for body in ["", "x", "{}{}", "{},\"webhook_id\":\"other\"", &format!("\"{}\"", "x".repeat(1 << 20))] {
        assert_eq!(verdict(body), Err(Cause::NotConfirmed), "{:.40}", body);
    }
    assert_eq!(SentRequest::new(&headers[1..], "{}").verdict(&paypal), Err(Cause::MissingHeader));
}

#[test]
fn invalid_confirm_rule_is_rejected_with_field() {
    let rows = [
        ("url = \"https://a.example/{query:id}\"\nshape_of = \"query id\"", ""),
        ("url = \"https://a.example/{query:id\"\nshape_of = \"query id\"", "confirm.url"),
        ("url = \"https://a.example/{setting:x}\"\nshape_of = \"query id\"", "confirm.url"),
        ("url = \"https://a.example/\"\nshape_of = \"query\"", "confirm.shape_of"),
        ("url = \"https://a.example/\"\nshape_of = \"query id\"\nmethod = \"PUT\"", "confirm.method"),
        ("url = \"https://a.example/\"\nshape_of = \"query id\"\nexpect = \"paid\"", "confirm.expect"),
        ("url = \"https://a.example/\"\nshape_of = \"query id\"\nunknown = [\"x\"]", "confirm.unknown"),
        ("url = \"https://a.example/\"\nshape_of = \"query id\"\nbody = \"{ts}\"", "confirm.body"),
        (
            "url = \"https://a.example/\"\nshape_of = \"query id\"\nheaders = { A = \"{query:id}\" }",
            "confirm.headers",
        ),
        (
            "url = \"https://a.example/\"\nshape_of = \"query id\"\nheaders = { A = \"{login}\" }",
            "confirm.headers",
        ),
        (
            "url = \"https://a.example/\"\nshape_of = \"query id\"\nheaders = { A = \"{basic:user:password}\" }",
            "confirm.headers",
        ),
        (
            "url = \"https://a.example/\"\nshape_of = \"query id\"\nheaders = { \"A b\" = \"x\" }",
            "confirm.headers",
        ),
    ];
    for (table, field) in rows {
        let parsed = Recipe::parse("r", &format!("title = \"T\"\n[confirm]\n{table}"));
        assert_eq!(parsed.map_err(|error| error.field).err().unwrap_or_default(), field, "{table}");
    }
    let slash =
        [("webhook_id", "WH"), ("client_id", "a"), ("client_secret", "b"), ("api_url", "https://a.example/")];
    let errors = Verifier::bind(recipe("paypal-postback").unwrap(), &settings(&slash)).unwrap_err();
    assert_eq!(errors[0].key, "api_url");
}
