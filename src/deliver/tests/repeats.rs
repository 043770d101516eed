//! Repeats of messages that need confirmation, and messages with the same id but another body.

use super::confirmation::{confirm_through, confirmation, confirmer, sources, values, with_store};
use super::server::ScriptedReply;
use super::*;
use crate::deliver::confirm::ConfirmationSource;
use crate::store::{
    ConfirmationRequest, ConfirmationState, IngestError, MessageId, RetentionRule, Unavailable,
};

/// The first pauses of the schedule, slightly longer. Together they exceed the minute after which a
/// rejected message can be queried again.
const PAUSES_SECONDS: [i64; 5] = [6, 34, 140, 670, 2_000];

/// Starts an API that has an object for every id that begins with `paid`.
fn api() -> Server {
    Server::start(|request| match request.target.contains("/paid") {
        true => ScriptedReply::Status(200),
        false => ScriptedReply::Status(404),
    })
}

fn pay(api: &Server) -> Vec<ConfirmationSource> {
    sources(&[
        ("CREEL_SOURCE_PAY_PROVIDER", "none"),
        ("CREEL_SOURCE_PAY_CONFIRM_URL", &format!("{}/{{query:id}}", api.url)),
    ])
}

/// Returns a message with the delivery id `one`.
fn payment(payment_id: &str, body: &str) -> NewMessage {
    let request = values(&[("query field id", payment_id)]).to_text();
    NewMessage {
        confirmation_request: Some(ConfirmationRequest { request, max_awaiting: None }),
        identity: Identity::DeliveryId("one".to_owned()),
        ..message("pay.message", body)
    }
}

async fn kept(store: &Store, message: NewMessage) -> Result<Receipt, IngestError> {
    store.ingest().keep(message, Instant::now() + LIMIT).await
}

async fn refused(store: &Store, api: &Server, payment_id: &str, body: &str) -> MessageId {
    let id = keep(store, payment(payment_id, body)).await;
    confirm_through(&mut confirmer(store, pay(api)), &PAUSES_SECONDS).await;
    assert_eq!(state(store, id).await, ConfirmationState::Refused);
    id
}

async fn confirm_all(store: &Store, api: &Server) {
    confirm_through(&mut confirmer(store, pay(api)), &PAUSES_SECONDS).await;
}

async fn state(store: &Store, id: MessageId) -> ConfirmationState {
    confirmation(store, id).await.state
}

async fn conflict_of(store: &Store, id: MessageId) -> Option<MessageId> {
    store.reads().message(id).await.unwrap().unwrap().head.conflict_of
}

async fn delivered(store: &Store) -> Vec<MessageId> {
    all(store).await.iter().map(|delivery| delivery.message).collect()
}

#[test]
fn repeat_of_rejected_message_is_queried_again() {
    let api = api();
    with_store(async |store| {
        let id = refused(&store, &api, "early", "{}").await;
        let headers = r#"{"content-type":"application/json","x-second":"1"}"#.to_owned();
        let again = NewMessage { headers: headers.clone(), ..payment("paid", "{}") };
        assert_eq!(kept(&store, again).await, Ok(Receipt::Duplicate { of: id }));
        let stored = confirmation(&store, id).await;
        assert_eq!((stored.state, stored.tries, stored.settled_at), (ConfirmationState::Awaiting, 0, None));
        confirm_all(&store, &api).await;
        let stored = store.reads().message(id).await.unwrap().unwrap();
        assert_eq!((stored.head.confirmation.as_deref(), stored.head.duplicates), (Some("confirmed"), 1));
        assert_eq!(stored.head.headers, headers);
        assert_eq!(delivered(&store).await, [id]);
        assert_eq!(kept(&store, payment("paid", "{}")).await, Ok(Receipt::Duplicate { of: id }));
        assert_eq!(delivered(&store).await, [id]);
    });
}

#[test]
fn rejected_message_is_queried_once_a_minute() {
    let api = api();
    with_store(async |store| {
        let id = refused(&store, &api, "forged", "{}").await;
        let settled = confirmation(&store, id).await.settled_at.unwrap();
        let settled = settled.to_timestamp().unwrap().to_time();
        let again = NewMessage { received_at: settled, ..payment("forged", "{}") };
        for _ in 0..3 {
            assert_eq!(kept(&store, again.clone()).await, Ok(Receipt::Duplicate { of: id }));
        }
        let mut confirmer = confirmer(&store, pay(&api));
        let next = confirmer.run_once(settled + Duration::from_secs(1)).await;
        assert_eq!(next, Some(settled + Duration::from_secs(60)));
        assert_eq!(api.requests().len(), 3);
        // The limit on awaiting messages also applies to repeats of rejected messages.
        confirm_through(&mut confirmer, &PAUSES_SECONDS).await;
        let ConfirmationRequest { request, .. } = again.confirmation_request.clone().unwrap();
        let full = NewMessage {
            confirmation_request: Some(ConfirmationRequest { request, max_awaiting: Some(0) }),
            ..again
        };
        assert_eq!(kept(&store, full).await, Err(Unavailable::TooManyAwaiting.into()));
        assert_eq!(state(&store, id).await, ConfirmationState::Refused);
    });
}

/// Covers e.g. an event that is sent again with a new signature while the first is unconfirmed.
#[test]
fn repeat_with_another_confirm_query_is_sent_separately() {
    let api = api();
    with_store(async |store| {
        let first = keep(&store, payment("early", "{}")).await;
        let second = keep(&store, payment("paid", "{}")).await;
        assert_eq!(kept(&store, payment("early", "{}")).await, Ok(Receipt::Duplicate { of: first }));
        assert_eq!(kept(&store, payment("paid", "{}")).await, Ok(Receipt::Duplicate { of: second }));
        confirm_all(&store, &api).await;
        assert_eq!(delivered(&store).await, [second]);
        assert_eq!(kept(&store, payment("early", "{}")).await, Ok(Receipt::Duplicate { of: second }));
    });
}

#[test]
fn repeat_with_another_event_is_stored_separately() {
    let api = api();
    with_store(async |store| {
        let forged = NewMessage { event: "pay.refund".to_owned(), ..payment("paid", "{}") };
        let first = keep(&store, forged).await;
        let second = keep(&store, payment("paid", "{}")).await;
        confirm_all(&store, &api).await;
        let states = (state(&store, first).await, state(&store, second).await);
        let confirmed = if states.0 == ConfirmationState::Confirmed { first } else { second };
        assert_eq!(delivered(&store).await, [confirmed]);
        let repeated = if confirmed == first { second } else { first };
        let reason = confirmation(&store, repeated).await.reason;
        assert_eq!(reason, Some(format!("repeats the confirmed message {confirmed}")));
        assert_eq!(store.reads().message(confirmed).await.unwrap().unwrap().head.duplicates, 1);
    });
}

#[test]
fn unconfirmed_message_never_creates_a_conflict() {
    for is_refused_first in [false, true] {
        let api = api();
        with_store(async |store| {
            let forged = match is_refused_first {
                true => refused(&store, &api, "forged", "1").await,
                false => keep(&store, payment("forged", "1")).await,
            };
            let genuine = keep(&store, payment("paid", "{}")).await;
            confirm_all(&store, &api).await;
            assert_eq!(state(&store, forged).await, ConfirmationState::Refused);
            assert_eq!(conflict_of(&store, genuine).await, None);
            assert_eq!(delivered(&store).await, [genuine]);
        });
    }
}

#[test]
fn second_confirmed_body_of_an_id_is_a_conflict() {
    let api = api();
    with_store(async |store| {
        let ids = [keep(&store, payment("paid", "1")).await, keep(&store, payment("paid", "2")).await];
        confirm_all(&store, &api).await;
        let [first] = delivered(&store).await[..] else { panic!("one is delivered") };
        let second = if first == ids[0] { ids[1] } else { ids[0] };
        assert_eq!(state(&store, second).await, ConfirmationState::Confirmed);
        assert_eq!(conflict_of(&store, second).await, Some(first));
        let third = payment("paid", "3");
        // Both are confirmed, so either may be the original.
        let conflict = kept(&store, third).await;
        assert!(matches!(conflict, Ok(Receipt::Conflict { of, .. }) if ids.contains(&of)), "{conflict:?}");
        confirm_all(&store, &api).await;
        assert_eq!(delivered(&store).await, [first]);
    });
}

/// Covers e.g. a source that no longer needs confirmation, or a message that was released from
/// quarantine without verification.
#[test]
fn message_without_confirmation_is_not_a_repeat() {
    let api = api();
    with_store(async |store| {
        let awaiting = keep(&store, payment("paid", "{}")).await;
        let signed = NewMessage { confirmation_request: None, ..payment("", "{}") };
        let id = keep(&store, signed).await;
        assert_eq!(delivered(&store).await, [id]);
        confirm_all(&store, &api).await;
        assert_eq!(state(&store, awaiting).await, ConfirmationState::Refused);
        assert_eq!(delivered(&store).await, [id]);
    });
}

#[test]
fn deleted_rejected_message_leaves_no_key() {
    let api = api();
    with_store(async |store| {
        let id = refused(&store, &api, "early", "{}").await;
        while !store.cleanup().merge_keys(id).await.unwrap() {}
        store.cleanup().delete_messages(vec![id], RetentionRule::default()).await.unwrap();
        let again = keep(&store, payment("paid", "{}")).await;
        confirm_all(&store, &api).await;
        assert_eq!(delivered(&store).await, [again]);
    });
}

#[test]
fn flood_of_one_id_does_not_hide_the_confirmed_message() {
    let api = api();
    with_store(async |store| {
        for number in 0..200 {
            keep(&store, payment("forged", &number.to_string())).await;
        }
        let genuine = keep(&store, payment("paid", "{}")).await;
        confirm_all(&store, &api).await;
        assert_eq!(delivered(&store).await, [genuine]);
    });
}
