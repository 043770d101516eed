//! Targets: created, changed, paused and removed; their secrets, and the events of an owner.

use serde_json::{Value, json};

use super::{
    answered, assert_rows, builder, get, json as json_of, post, push, row, service, with_body, with_token,
};
use crate::harness::app::Process;
use crate::harness::{Request, TestApp};

const URL: &str = "http://127.0.0.1:9/hooks/with-a-token";

fn new(name: &str, events: &[&str]) -> Value {
    json!({"name": name, "events": events, "url": URL})
}

fn with(mut target: Value, field: &str, value: Value) -> Value {
    target[field] = value;
    target
}

#[track_caller]
fn made(app: &TestApp, target: &Value) -> i64 {
    answered(app, &post("/targets", target), 201)["id"].as_i64().unwrap()
}

fn patch(id: i64, change: &Value) -> Request {
    with_body("PATCH", &format!("/targets/{id}"), change)
}

fn act(id: i64, action: &str) -> Request {
    post(&format!("/targets/{id}/{action}"), &Value::Null).body("")
}

/// The names of the targets that have deliveries of a message.
fn got(app: &TestApp, message: i64) -> Vec<String> {
    let list = answered(app, &get(&format!("/deliveries?message={message}")), 200);
    let mut names: Vec<String> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["target"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn target_is_created_with_given_values_and_defaults() {
    let app = service();
    let reply = app.send(&post("/targets", &json!({"events": ["*"], "url": URL})));
    assert_eq!(
        (reply.status, reply.header("location")),
        (201, Some("/api/v1/targets/1")),
        "{}",
        reply.text()
    );
    let usual = json_of(&reply);
    assert!(usual["name"].as_str().unwrap().starts_with("target-"), "{usual}");
    assert!(usual["secret"].as_str().unwrap().starts_with("whsec_"), "{usual}");
    for (field, value) in [
        ("kind", json!("http")),
        ("origin", json!("api")),
        ("state", json!("active")),
        ("owner", Value::Null),
        ("filter", Value::Null),
        ("content_type", Value::Null),
        ("concurrency", json!(8)),
        ("order", json!("any")),
        ("rate", Value::Null),
        ("timeout_seconds", json!(30)),
        ("header_names", json!([])),
        ("secrets", json!([{"until": null}])),
    ] {
        assert_eq!(usual[field], value, "{field}");
    }
    let all = json!({
        "name": "billing", "owner": "customer 17", "events": ["pay_info.*", "order.shipped"], "url": format!(" {URL} "),
        "filter": [{"pointer": "/n", "equals": null}, {"pointer": "/m", "in": [1, "x"]}, {"pointer": "", "exists": true}],
        "content_type": "form", "headers": {"Authorization": "Bearer of-the-target", "x-api-key": "k"},
        "secret": "a secret of its own!".replace(' ', "_"), "concurrency": 1, "order": "strict", "rate": "100/m",
        "timeout_seconds": 5,
    });
    let given = answered(&app, &post("/targets", &all), 201);
    for field in [
        "name",
        "owner",
        "events",
        "filter",
        "content_type",
        "concurrency",
        "order",
        "rate",
        "timeout_seconds",
        "secret",
    ] {
        assert_eq!(given[field], all[field], "{field}");
    }
    assert_eq!(
        (&given["url"], &given["header_names"]),
        (&json!(URL), &json!(["authorization", "x-api-key"]))
    );
    // The secret is shown only once.
    for path in ["/targets", "/targets/2"] {
        assert_rows(&app, &[row(get(path), 200, &["billing"], &["of-the-target", "a_secret_of", "whsec_"])]);
    }
    let app = app.restart();
    let again = answered(&app, &get("/targets/2"), 200);
    assert_eq!((&again["filter"], &again["header_names"]), (&all["filter"], &given["header_names"]));
}

#[test]
fn invalid_target_names_the_field() {
    let app = service();
    let base = || new("ok", &["*"]);
    let rejected = |field: &str, value: Value, has: &[&str]| {
        row(post("/targets", &with(base(), field, value)), 422, has, &[])
    };
    let condition = |condition: Value| with(base(), "filter", json!([condition]));
    assert_rows(
        &app,
        &[
            rejected("events", json!(["github"]), &["undeclared_event", "github", "CREEL_EVENTS"]),
            rejected("events", json!(["gitlab.push"]), &["undeclared_event", "gitlab.push"]),
            rejected(
                "events",
                json!(["pay_info.payed"]),
                &["undeclared_event", "pay_info.payed", "pay_info.paid"],
            ),
            rejected("events", json!([]), &["invalid_value", "events"]),
            rejected("events", json!(["a\u{0}*"]), &["events"]),
            rejected("name", json!("Billing"), &["name"]),
            rejected("name", json!("-a"), &["name"]),
            rejected("name", json!("a".repeat(65)), &["name", "64"]),
            rejected("owner", json!(" a"), &["owner"]),
            rejected("filter", json!([]), &["filter"]),
            row(post("/targets", &condition(json!({"pointer": "x", "exists": true}))), 422, &["filter"], &[]),
            row(
                post("/targets", &condition(json!({"pointer": "/x"}))),
                422,
                &["filter", "has no condition for"],
                &[],
            ),
            row(post("/targets", &condition(json!({"pointer": "/x", "equal": 1}))), 400, &["`equal`"], &[]),
            rejected("url", json!("ftp://example.com"), &["url_refused", "http"]),
            rejected("url", json!("http://user:hidden@127.0.0.1/"), &["url_refused"]),
            rejected("url", json!("http://10.0.0.1/"), &["url_refused", "CREEL_TARGET_ALLOW_IPS"]),
            rejected("url", json!("http://169.254.169.254/latest/meta-data"), &["url_refused"]),
            rejected("url", json!("http://[::1]/"), &["url_refused"]),
            rejected("url", json!("http://0x0a000001/"), &["url_refused"]),
            rejected("url", json!("here"), &["url_refused"]),
            rejected("headers", json!({"Host": "a"}), &["headers", "host"]),
            rejected("headers", json!({"webhook-signature": "a"}), &["headers"]),
            rejected("headers", json!({"a": "hidden\r\nb: c"}), &["headers"]),
            rejected("secret", json!("short"), &["secret"]),
            rejected("secret", json!("whsec_this-is-no-base64"), &["secret", "base64"]),
            rejected("concurrency", json!(0), &["concurrency"]),
            rejected("rate", json!("50 per second"), &["rate"]),
            rejected("rate", json!("0/s"), &["rate"]),
            rejected("timeout_seconds", json!(0), &["timeout_seconds"]),
            rejected("timeout_seconds", json!(86_400), &["timeout_seconds"]),
            rejected("exec", json!("rm -rf /"), &["in the environment", "CREEL_TARGET_<NAME>_EXEC"]),
            rejected("command", json!(["ls"]), &["in the environment"]),
            row(post("/targets", &with(base(), "order", json!("soon"))), 400, &["soon", "strict"], &[]),
            row(post("/targets", &with(base(), "kind", json!("command"))), 400, &["`kind`"], &[]),
            row(post("/targets", &json!({"events": ["*"]})), 400, &["`url`"], &[]),
            row(post("/targets", &base()), 201, &[], &[]),
            row(post("/targets", &base()), 409, &["name_taken", "ok"], &[]),
        ],
    );
    assert_eq!(app.database().count("targets"), 1);
}

#[test]
fn patch_changes_named_fields_and_null_removes() {
    let app = service();
    let start = json!({
        "name": "first", "events": ["*"], "url": URL, "filter": [{"pointer": "/a", "exists": true}], "content_type": "json",
        "headers": {"a": "hidden-1"}, "rate": "5/s",
    });
    let id = made(&app, &start);
    let other = made(&app, &new("other", &["*"]));
    let change = json!({"name": "second", "events": ["github.*"], "concurrency": 3, "timeout_seconds": 7});
    let changed = answered(&app, &patch(id, &change), 200);
    for (field, value) in [
        ("name", json!("second")),
        ("events", json!(["github.*"])),
        ("concurrency", json!(3)),
        ("timeout_seconds", json!(7)),
        ("filter", start["filter"].clone()),
        ("content_type", json!("json")),
        ("rate", json!("5/s")),
        ("url", json!(URL)),
        ("header_names", json!(["a"])),
        ("secrets", json!([{"until": null}])),
    ] {
        assert_eq!(changed[field], value, "{field}");
    }
    let taken = json!({"filter": null, "content_type": null, "rate": null, "headers": {"b": "hidden-2", "c": "hidden-3"}});
    let changed = answered(&app, &patch(id, &taken), 200);
    assert_eq!(
        (&changed["filter"], &changed["content_type"], &changed["rate"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    assert_eq!(changed["header_names"], json!(["b", "c"]));
    assert_eq!(answered(&app, &patch(id, &json!({"headers": null})), 200)["header_names"], json!([]));
    assert_rows(
        &app,
        &[
            row(patch(id, &json!({"owner": "ann"})), 400, &["`owner`"], &[]),
            row(patch(id, &json!({"name": null})), 200, &["second"], &[]),
            row(patch(id, &json!({"name": "other"})), 409, &["name_taken"], &[]),
            row(patch(id, &json!({"events": ["nobody.knows"]})), 422, &["undeclared_event"], &[]),
            row(patch(id, &json!({"url": "http://192.168.0.1/"})), 422, &["url_refused"], &[]),
            row(patch(id, &json!({"order": "strict"})), 422, &["concurrency"], &[]),
            row(patch(id, &json!({"order": "strict", "concurrency": 1})), 200, &["strict"], &[]),
            row(patch(other + 1, &json!({})), 404, &["not_found"], &[]),
            row(patch(id, &json!({})), 200, &["second"], &[]),
        ],
    );
}

#[test]
fn concurrent_patches_keep_both_changes() {
    let app = service();
    let id = made(&app, &new("busy", &["*"]));
    for round in 1..=10 {
        std::thread::scope(|scope| {
            scope.spawn(|| answered(&app, &patch(id, &json!({"concurrency": round})), 200));
            scope.spawn(|| answered(&app, &patch(id, &json!({"timeout_seconds": round})), 200));
        });
        let now = answered(&app, &get(&format!("/targets/{id}")), 200);
        assert_eq!((&now["concurrency"], &now["timeout_seconds"]), (&json!(round), &json!(round)));
    }
}

#[test]
fn target_is_paused_resumed_and_removed() {
    let app = service();
    let id = made(&app, &new("one", &["github.*"]));
    assert_eq!(answered(&app, &act(id, "pause"), 200)["state"], "paused");
    let waiting = push(&app, "waiting", "{}");
    assert_eq!(got(&app, waiting), ["one"], "a message in a pause is pending");
    app.database().change("UPDATE targets SET state = 'disabled', state_reason = 'answered 410'");
    let resumed = answered(&app, &act(id, "resume"), 200);
    assert_eq!((&resumed["state"], &resumed["state_reason"]), (&json!("active"), &Value::Null));
    answered(
        &app,
        &with_token(Request::new("DELETE", &format!("/api/v1/targets/{id}")), crate::harness::ADMIN_TOKEN),
        204,
    );
    let later = push(&app, "later", "{}");
    assert_eq!(got(&app, later), Vec::<String>::new());
    assert_rows(
        &app,
        &[
            row(get("/targets"), 200, &["\"items\":[]"], &[]),
            row(get(&format!("/targets/{id}")), 200, &["\"state\":\"removed\""], &[]),
            row(act(id, "resume"), 404, &["not_found"], &[]),
            row(act(id, "pause"), 404, &["not_found"], &[]),
            row(act(id, "secret"), 404, &["not_found"], &[]),
            row(patch(id, &json!({"concurrency": 1})), 404, &["not_found"], &[]),
            row(get(&format!("/targets/{id}")).method("DELETE"), 404, &["not_found"], &[]),
            // The name is available again.
            row(post("/targets", &new("one", &["*"])), 201, &[], &[]),
        ],
    );
}

#[test]
fn rotation_keeps_old_secret_valid_for_overlap() {
    let app = service();
    let first = answered(&app, &post("/targets", &new("one", &["*"])), 201)["secret"].clone();
    let second = answered(&app, &act(1, "secret"), 200);
    assert_ne!(second["secret"], first);
    assert_eq!(second["secrets"].as_array().unwrap().len(), 2);
    assert_eq!(second["secrets"][0]["until"], Value::Null);
    let until = second["secrets"][1]["until"].as_str().unwrap();
    let in_a_day: String = app.database().value("SELECT strftime('%Y-%m-%dT%H:%M', 'now', '+1 day')");
    assert_eq!(&until[..14], &in_a_day[..14], "a day by default");
    let rotate = |body: Value| post("/targets/1/secret", &body);
    let third =
        answered(&app, &rotate(json!({"secret": "sixteen-letters-or-more", "overlap_seconds": 0})), 200);
    assert_eq!(third, json!({"secret": "sixteen-letters-or-more", "secrets": [{"until": null}]}));
    assert_rows(
        &app,
        &[
            row(rotate(json!({"overlap_seconds": 2_592_001})), 422, &["overlap_seconds", "30 days"], &[]),
            row(rotate(json!({"overlap_seconds": -1})), 400, &["invalid_body"], &[]),
            row(rotate(json!({"secret": "short"})), 422, &["secret"], &["short"]),
            row(rotate(json!({"seconds": 1})), 400, &["`seconds`"], &[]),
            row(get("/targets/1"), 200, &[], &["sixteen-letters"]),
        ],
    );
}

#[test]
fn environment_target_settings_are_read_only_in_api() {
    let app = builder()
        .set("CREEL_TARGET_MY_SHOP_URL", "http://127.0.0.1:9/hidden-path")
        .set("CREEL_TARGET_MY_SHOP_SECRET", "hidden-secret-of-the-environment")
        .set("CREEL_TARGET_DEPLOY_EXEC", "true hidden-argument")
        .start();
    let list = answered(&app, &get("/targets"), 200);
    let named = |name: &str| {
        list["items"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone()
    };
    let (shop, deploy) = (named("my-shop"), named("deploy"));
    assert_eq!(
        (&shop["origin"], &shop["kind"], &shop["url"]),
        (&json!("environment"), &json!("http"), &Value::Null)
    );
    assert_eq!(deploy["kind"], "command");
    let id = shop["id"].as_i64().unwrap();
    assert_eq!(answered(&app, &act(id, "pause"), 200)["state"], "paused");
    assert_eq!(answered(&app, &act(id, "resume"), 200)["state"], "active");
    let has = ["not_changeable", "CREEL_TARGET_MY_SHOP_"];
    assert_rows(
        &app,
        &[
            row(patch(id, &json!({"concurrency": 1})), 409, &has, &["hidden"]),
            row(act(id, "secret"), 409, &has, &["hidden"]),
            row(get(&format!("/targets/{id}")).method("DELETE"), 409, &has, &["hidden"]),
            row(post("/targets", &new("my-shop", &["*"])), 409, &["name_taken"], &[]),
            row(get(&format!("/targets/{id}")), 200, &["my-shop"], &["hidden"]),
        ],
    );
}

#[test]
fn read_token_sees_target_host_without_path() {
    let app = service();
    made(&app, &new("one", &["*"]));
    for path in ["/api/v1/targets", "/api/v1/targets/1"] {
        let request = with_token(Request::get(path), super::READ_TOKEN);
        assert_rows(&app, &[row(request, 200, &["http://127.0.0.1:9/…"], &["with-a-token"])]);
    }
}

#[test]
fn owner_receives_only_its_own_events() {
    let app = service();
    made(&app, &new("ownerless", &["*"]));
    made(&app, &with(new("anns", &["*"]), "owner", json!("ann")));
    made(&app, &with(new("bobs", &["*"]), "owner", json!("bob")));
    let emit = |owner: Option<&str>| {
        let mut event = json!({"event": "pay_info.paid", "payload": 1});
        if let Some(owner) = owner {
            event["owner"] = owner.into();
        }
        answered(&app, &post("/events", &event), 202)["id"].as_i64().unwrap()
    };
    assert_eq!(got(&app, emit(Some("ann"))), ["anns", "ownerless"]);
    assert_eq!(got(&app, emit(Some("Ann"))), ["ownerless"]);
    assert_eq!(got(&app, emit(None)), ["ownerless"]);
    assert_eq!(got(&app, push(&app, "received", "{}")), ["ownerless"]);
}

#[test]
fn filter_decides_which_messages_a_target_receives() {
    let app = service();
    let filtered =
        json!([{"pointer": "/ref", "equals": "refs/heads/main"}, {"pointer": "/deleted", "exists": false}]);
    made(&app, &with(new("main", &["github.push"]), "filter", filtered));
    assert_eq!(got(&app, push(&app, "1", r#"{"ref":"refs/heads/main"}"#)), ["main"]);
    for (id, body) in [
        ("2", r#"{"ref":"refs/heads/other"}"#),
        ("3", r#"{"ref":"refs/heads/main","deleted":true}"#),
        ("4", "not JSON"),
    ] {
        assert_eq!(got(&app, push(&app, id, body)), Vec::<String>::new(), "{body}");
    }
}

#[test]
fn targets_are_paged() {
    let app = service();
    for number in 1..=5 {
        made(&app, &new(&format!("t{number}"), &["*"]));
    }
    let first = answered(&app, &get("/targets?limit=2"), 200);
    let names = |page: &Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((names(&first), &first["next_cursor"]), (vec!["t5".to_owned(), "t4".to_owned()], &json!(4)));
    let rest = answered(&app, &get("/targets?limit=10&cursor=4"), 200);
    assert_eq!((names(&rest).len(), &rest["next_cursor"]), (3, &Value::Null));
}

#[test]
fn target_with_forgotten_secret_is_not_resumed() {
    const LIMIT: std::time::Duration = std::time::Duration::from_secs(30);
    let app = service();
    let id = made(&app, &new("app", &["github.*"]));
    let before = app.stop();
    std::fs::remove_file(before.path().join("creel.db.key")).unwrap();
    let report = before.run(&["check"]).succeeded();
    assert!(report.contains("the next start will fail: the key file"), "{report}");
    let mut command = before.command();
    command.args(["serve", "--forget-sealed"]);
    let mut process = Process::spawn(command);
    process.log.wait_for("listening on http://", LIMIT).unwrap();
    process.signal(rustix::process::Signal::TERM);
    assert!(process.wait(LIMIT).success());

    let app = before.start();
    let advice = format!("POST /api/v1/targets/{id}/secret");
    let line = app.process.log.wait_for("target=app: disabled since", LIMIT).unwrap();
    assert!(line.contains(&advice) && !line.contains("creel targets resume"), "{line}");
    let here = builder().next_to(&app).set("CREEL_LISTEN", app.address.to_string());
    let report = here.run(&["check"]).succeeded();
    assert!(report.contains(&advice) && !report.contains("start will fail"), "{report}");
    let rejected = || row(act(id, "resume"), 409, &["not_changeable", &advice], &[]);
    assert_rows(&app, &[rejected()]);
    let output = here.run(&["targets", "resume", "app"]).failed();
    assert!(output.contains(&advice), "{output}");
    answered(&app, &act(id, "pause"), 200);
    answered(&app, &patch(id, &json!({"headers": {"X-A": "b"}})), 200);
    assert_rows(&app, &[rejected()]);
    answered(&app, &act(id, "secret"), 200);
    assert_eq!(answered(&app, &act(id, "resume"), 200)["state"], "active");
}

#[test]
fn edited_times_of_target_are_shown_as_stored() {
    let app = service();
    let id = made(&app, &new("billing", &["*"]));
    answered(&app, &act(id, "pause"), 200);
    app.database()
        .change("UPDATE targets SET state_since = 'yes.terday', created_at = 'x', updated_at = 'y'");
    let shown = answered(&app, &get(&format!("/targets/{id}")), 200);
    assert_eq!(
        [&shown["state_since"], &shown["created_at"], &shown["updated_at"]],
        ["yes.terday", "x", "y"],
        "{shown}"
    );
    let warnings = app.stop().run(&["check"]).succeeded();
    assert!(warnings.contains("target billing: paused since yes.terday, 0 deliveries"), "{warnings}");
}
