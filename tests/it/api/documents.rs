//! The committed description of the API, so that each change of the API appears in a diff.

use crate::harness::TestApp;

#[test]
fn openapi_document_matches_service() {
    let app = TestApp::github().start();
    let description = super::json(&app.get("/api/v1/openapi.json"));
    let expected = serde_json::to_string_pretty(&description).unwrap() + "\n";
    let path = format!("{}/docs/openapi.json", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == expected,
        "docs/openapi.json differs from the service; run UPDATE_DOCUMENTS=1 cargo test documents"
    );
}
