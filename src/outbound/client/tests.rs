//! The client against a real server on loopback.

use std::net::TcpListener;

use super::*;
use crate::outbound::loopback::{Loopback, reply, run};

const SECOND: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(10);

fn get(url: &str, timeout: Duration) -> Result<Response, RequestError> {
    run(Client::new().request("GET", url, &[], Vec::new(), timeout))
}

#[test]
fn request_arrives_and_whole_response_is_returned() {
    let server = Loopback::start(vec![reply("201 Created", "X-Answer: yes\r\n", "made")]);
    let headers = [("x-question".to_owned(), "why".to_owned())];
    let response =
        run(Client::new().request("PUT", &server.url, &headers, b"the body".to_vec(), LONG)).unwrap();

    assert_eq!((response.status, response.body.as_slice()), (201, b"made".as_slice()));
    assert_eq!(response.header("x-answer"), Some("yes"));
    let request = server.request();
    assert!(request.starts_with("PUT /meta HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("x-question: why\r\n"), "{request}");
    assert!(request.contains(concat!("user-agent: creel/", env!("CARGO_PKG_VERSION"), "\r\n")), "{request}");
    assert!(request.ends_with("\r\n\r\nthe body"), "{request}");
}

#[test]
fn name_is_resolved_and_unknown_name_fails_to_connect() {
    let server = Loopback::start(vec![reply("200 OK", "", "here")]);
    let url = server.url.replace("127.0.0.1", "localhost");
    assert_eq!(get(&url, LONG).unwrap().body, b"here");
    let error = get(&format!("http://{}/", "a.".repeat(200)), LONG).unwrap_err();
    assert!(matches!(error, RequestError::Connect(_)), "{error}");
}

#[test]
fn redirect_is_returned_and_not_followed() {
    let location = "location: http://127.0.0.1:1/elsewhere\r\n";
    let server = Loopback::start(vec![reply("302 Found", location, "")]);
    let response = get(&server.url, LONG).unwrap();
    assert_eq!((response.status, response.header("location")), (302, Some("http://127.0.0.1:1/elsewhere")));
}

#[test]
fn body_above_the_limit_is_an_error() {
    let full = "a".repeat(MAX_RESPONSE_BYTES);
    let server =
        Loopback::start(vec![reply("200 OK", "", &full), reply("200 OK", "", &(full.clone() + "a"))]);
    assert_eq!(get(&server.url, LONG).unwrap().body.len(), MAX_RESPONSE_BYTES);
    assert_eq!(get(&server.url, LONG), Err(RequestError::TooLarge { limit: MAX_RESPONSE_BYTES }));
}

#[test]
fn body_without_length_is_bounded() {
    let mut endless = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec();
    endless.resize(MAX_RESPONSE_BYTES + 4096, b'a');
    let server = Loopback::start(vec![endless]);
    assert_eq!(get(&server.url, LONG), Err(RequestError::TooLarge { limit: MAX_RESPONSE_BYTES }));
}

#[test]
fn server_without_answer_is_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    assert_eq!(get(&url, SECOND), Err(RequestError::Timeout(SECOND)));
}

#[test]
fn truncated_body_is_an_error() {
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this".to_vec();
    let server = Loopback::start(vec![cut]);
    assert!(matches!(get(&server.url, LONG), Err(RequestError::Exchange(_))));
}

#[test]
fn errors_contain_the_cause_but_not_the_url() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = get(&format!("http://{closed}/?token=hush"), LONG).unwrap_err();
    assert!(matches!(error, RequestError::Connect(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("refused") && !text.contains("hush"), "{text}");
}

#[test]
fn invalid_request_is_rejected_before_sending() {
    let send = |method: &str, url: &str, headers: &[(String, String)]| {
        run(Client::new().request(method, url, headers, Vec::new(), LONG)).unwrap_err().to_string()
    };
    assert!(send("GE T", "http://127.0.0.1:1/", &[]).starts_with("the request is not valid"));
    assert!(send("GET", "no url", &[]).starts_with("the request is not valid"));
    let header = [("x-token".to_owned(), "hush\r\nx: y".to_owned())];
    assert_eq!(send("GET", "http://127.0.0.1:1/", &header), "the request is not valid: header \"x-token\"");
}

#[test]
fn empty_post_body_has_content_length() {
    let server = Loopback::start(vec![reply("200 OK", "", ""), reply("200 OK", "", "")]);
    for (method, is_announced) in [("POST", true), ("GET", false)] {
        run(Client::new().request(method, &server.url, &[], Vec::new(), LONG)).unwrap();
        let request = server.request();
        assert_eq!(request.contains("\r\ncontent-length: 0\r\n"), is_announced, "{request}");
    }
}
