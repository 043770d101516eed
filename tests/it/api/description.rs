//! The description that the API returns is the committed one.

use crate::harness::TestApp;

#[test]
fn service_returns_committed_description() {
    let app = TestApp::github().start();
    let returned = super::json(&app.get("/api/v1/openapi.json"));
    let path = format!("{}/docs/openapi.json", env!("CARGO_MANIFEST_DIR"));
    let committed = std::fs::read_to_string(path).unwrap();
    assert_eq!(returned, serde_json::from_str::<serde_json::Value>(&committed).unwrap());
}
