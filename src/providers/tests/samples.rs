//! The contents of the recipes' samples, and the values read from them.

use super::*;

/// Fields of samples that look like an event type or a delivery id and are neither.
const LOOKALIKES: [(&str, &str, &str); 21] = [
    ("brevo", "id", "names the webhook"),
    ("brevo", "message-id", "names the mail, which has an event for each of its states"),
    ("circleback", "id", "names the meeting"),
    ("cloudinary", "request_id", "names the API request, which can lead to several notifications"),
    ("expo", "id", "names the build"),
    ("firecrawl", "id", "names the job"),
    ("helpscout", "id", "names the conversation"),
    ("mailchannels", "request_id", "names the request that sent the mail"),
    ("mandrill", "_id", "names the mail"),
    ("mollie-classic", "id", "names the payment"),
    ("netlify", "id", "names the deploy"),
    ("none", "id", "is an example: the sender is unspecified"),
    ("postmark", "ID", "names the bounce"),
    ("postmark", "MessageID", "names the mail"),
    ("recurly", "id", "names the object that has changed"),
    ("recurly", "uuid", "names the object that has changed"),
    ("ripple-collections", "id", "names the collection, which has an event for each of its states"),
    ("sumsub", "correlationId", "traces a request, and is not documented as unique"),
    ("token", "id", "is an example: the sender is unspecified"),
    ("travis-ci", "id", "names the build"),
    ("vonage", "message_type", "is the kind of the content"),
];

/// Names of fields, in lower case and without `_` and `-`.
const TYPES: [&str; 13] = [
    "type",
    "event",
    "action",
    "kind",
    "eventtype",
    "eventname",
    "alerttype",
    "topic",
    "trigger",
    "triggertype",
    "notificationtype",
    "messagetype",
    "webhookevent",
];
const IDS: [&str; 14] = [
    "id",
    "uuid",
    "guid",
    "eventid",
    "eventuuid",
    "deliveryid",
    "messageid",
    "notificationid",
    "requestid",
    "correlationid",
    "logid",
    "externalid",
    "hash",
    "idempotencykey",
];
/// Field names that, inside an object, identify that object instead of the message.
const IDS_OF_OBJECTS: [&str; 7] = ["id", "uuid", "guid", "messageid", "requestid", "correlationid", "hash"];

/// Returns the fields of a sample, each with its level: 0, or 1 for the fields of nested objects.
/// Of an array, only the first item is read; of a form, the fields and the JSON in them.
fn fields_of_sample(body: &str) -> Vec<(usize, String)> {
    fn collect(value: &serde_json::Value, level: usize, found: &mut Vec<(usize, String)>) {
        let value = value.as_array().and_then(|items| items.first()).unwrap_or(value);
        for (name, value) in value.as_object().into_iter().flatten() {
            match value {
                serde_json::Value::String(_) | serde_json::Value::Number(_) => {
                    found.push((level, name.clone()))
                }
                _ if level == 0 => collect(value, 1, found),
                _ => {}
            }
        }
    }
    let body = body.replace("$time_ms", "1").replace("$time", "1");
    let mut found = Vec::new();
    match serde_json::from_str(&body) {
        Ok(document) => collect(&document, 0, &mut found),
        Err(_) => {
            for (name, value) in form_urlencoded::parse(body.as_bytes()) {
                found.push((0, name.into_owned()));
                if let Ok(document) = serde_json::from_str(&value) {
                    collect(&document, 0, &mut found);
                }
            }
        }
    }
    found
}

#[test]
fn sample_type_and_id_have_a_place() {
    let mut unseen: Vec<_> = LOOKALIKES.iter().map(|(provider, place, _)| (*provider, *place)).collect();
    let mut unread = Vec::new();
    for recipe in recipes() {
        for (level, field) in recipe.samples.iter().flat_map(|sample| fields_of_sample(&sample.body)) {
            let name = field.replace(['_', '-'], "").to_ascii_lowercase();
            let is_type = recipe.event_type.is_empty() && TYPES.contains(&name.as_str());
            let is_own = level == 0 || !IDS_OF_OBJECTS.contains(&name.as_str());
            let is_id = recipe.delivery_id.is_empty() && is_own && IDS.contains(&name.as_str());
            if !is_type && !is_id {
                continue;
            }
            if LOOKALIKES.iter().any(|(provider, place, _)| *provider == recipe.name() && *place == field) {
                unseen.retain(|(provider, place)| *provider != recipe.name() || *place != field);
            } else {
                unread.push(format!("{}: {field}", recipe.name()));
            }
        }
    }
    assert!(unread.is_empty(), "no place in the recipe for {unread:?}");
    assert!(unseen.is_empty(), "no such field in a sample: {unseen:?}");
}

#[test]
fn sample_description_matches_its_recipe() {
    for own in own_requests() {
        for row in own.verifier.recipe().samples.iter().filter(|row| !row.is_generated) {
            let Some(sample) = own.verifier.sample(&sample_options(Some(&row.event), "nonce")) else {
                continue;
            };
            let sent = SentRequest::of(sample);
            let form = sent.put(|request| own.verifier.form_to_json(request)).unwrap();
            let text = form.as_ref().map_or(sent.body.as_slice(), String::as_bytes);
            let json = own.verifier.read_json(text);
            let description = sent.put(|request| own.verifier.describe(request, json.as_ref()));
            assert_eq!(description.event_type, row.event, "{}", own.provider);
        }
    }
}

#[test]
fn page_recommends_sample_only_if_it_verifies() {
    for own in own_requests() {
        let recipe = own.verifier.recipe();
        let is_recommended = page(recipe).contains(&format!("`creel send {}", recipe.name()));
        let sample = own.verifier.sample(&sample_options(None, "nonce"));
        let verifies = sample
            .is_some_and(|sample| SentRequest::of(sample).verdict_in(&own.verifier, &own.world) == Ok(()));
        assert_eq!(is_recommended, verifies, "{}", recipe.name());
        assert_eq!(recipe.can_authenticate_samples(), verifies, "{}", recipe.name());
    }
}

#[test]
fn sample_query_has_type_next_to_similar_field() {
    let text = "title = \"T\"\nevent_type = \"query type\"\n[[sample]]\nevent = \"paid\"\nquery = \"subtype=type\"\nbody = \"{}\"";
    let recipe: &'static Recipe = Box::leak(Box::new(Recipe::parse("mine", text).unwrap()));
    let verifier = Verifier::bind(recipe, &settings(&[])).unwrap();
    let sample = verifier.sample(&sample_options(None, "nonce")).unwrap();
    assert_eq!(sample.query, "subtype=type&type=paid");
}

#[test]
fn box_sample_has_the_header_of_each_configured_key() {
    let names = |keys: &[(&str, &str)]| {
        let verifier = bind("box", keys);
        let sample = verifier.sample(&sample_options(None, "nonce")).unwrap();
        let names = sample.headers.into_iter().map(|(name, _)| name);
        names
            .filter(|name| ["box-signature-primary", "box-signature-secondary"].contains(&name.as_str()))
            .collect::<Vec<_>>()
    };
    let (primary, secondary) = (("primary_secret", "primary key"), ("secondary_secret", "secondary key"));
    assert_eq!(names(&[primary]), ["box-signature-primary"]);
    assert_eq!(names(&[secondary]), ["box-signature-secondary"]);
    assert_eq!(names(&[primary, secondary]), ["box-signature-primary", "box-signature-secondary"]);
}
