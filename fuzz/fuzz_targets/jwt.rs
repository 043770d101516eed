//! JSON Web Tokens: only a token signed with the source's secret is accepted, and its claims are
//! checked. The first line is a token, the second a token's claims.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use creel::testing::auth_scheme::AuthScheme;
use creel::testing::jwt::{Claim, ClaimCheck, Expires, Jwt, JwtAlgorithm, JwtKeys, compose};
use creel::testing::place::Place;
use creel::testing::public_key::PublicKey;
use creel::testing::signature::Terms;
use creel::testing::template::Template;
use creel::testing::view::{Texts, View};
use creel::testing::{EmptyKeyStore, KeyStore, Secret, VerifyError};
use creel_fuzz::{Sent, World, keys, line, now};
use serde_json::Value;

static WORLD: LazyLock<World> = LazyLock::new(World::new);
static PUBLIC: LazyLock<Vec<PublicKey>> =
    LazyLock::new(|| keys().iter().map(|key| PublicKey::parse(key).expect("the keys are good")).collect());

const ALGORITHMS: [JwtAlgorithm; 10] = [
    JwtAlgorithm::HS256,
    JwtAlgorithm::HS384,
    JwtAlgorithm::HS512,
    JwtAlgorithm::RS256,
    JwtAlgorithm::RS384,
    JwtAlgorithm::RS512,
    JwtAlgorithm::ES256,
    JwtAlgorithm::ES384,
    JwtAlgorithm::ES512,
    JwtAlgorithm::EdDSA,
];

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (token, claims) = line(data);
    let secrets = JwtKeys::Secrets(vec![Secret::new_text("8Qp3yLz0cXv7Rk2Jt5Wn9Ad4Hs6Gf1Bu")]);
    // Checks only the signature, so that no other check can reject the token.
    let lax = rule(Vec::new(), Expires::Never);
    for keys in [&secrets, &JwtKeys::Public(PUBLIC.clone()), &JwtKeys::Published] {
        let verdict = check(&lax, keys, &token, &*WORLD);
        assert!(matches!(verdict, Err(VerifyError::Rejected(_))), "{token} is accepted");
        let unknown = check(&lax, keys, &token, &EmptyKeyStore);
        assert!(unknown.is_err(), "{token} is accepted");
    }
    if let Ok(claims) = serde_json::from_slice::<Value>(claims) {
        signed(&secrets, &claims);
    }
});

/// Checks a correctly signed token with these claims.
fn signed(secrets: &JwtKeys, claims: &Value) {
    let JwtKeys::Secrets(values) = secrets else { return };
    for algorithm in &ALGORITHMS[..3] {
        let token = compose(*algorithm, &values[0], claims).expect("the algorithm takes a secret");
        let fits = token.len() <= 16 << 10;
        let verdict = |jwt: &Jwt| check(jwt, secrets, &token, &EmptyKeyStore);
        let lax = verdict(&rule(Vec::new(), Expires::Never));
        if claims.is_object() && claims.get("nbf").is_none() && fits {
            assert_eq!(lax, Ok(()), "{token}");
        }
        assert!(lax.is_err() || claims.is_object(), "{token} has no claims");
        let expiring = verdict(&rule(Vec::new(), Expires::Required));
        let end = claims.get("exp").and_then(Value::as_f64);
        #[expect(clippy::cast_precision_loss, reason = "the time now is exact in a float")]
        let is_past = end.is_none_or(|end| end <= now().unix_timestamp() as f64);
        assert!(expiring.is_err() || !is_past, "{token} has expired");
        let issuer = Claim {
            name: "iss".into(),
            must: ClaimCheck::OneOf(vec!["creel".into()]),
            unless_empty_body: false,
        };
        let issued = verdict(&rule(vec![issuer], Expires::Never));
        assert_eq!(issued.is_ok(), lax.is_ok() && claims["iss"] == "creel", "{token}");
        let audience = ClaimCheck::Equal(Template::parse("{url}").expect("it is a template"));
        let audience = Claim { name: "aud".into(), must: audience, unless_empty_body: false };
        let addressed = verdict(&rule(vec![audience], Expires::Never));
        assert!(addressed.is_err() || claims["aud"].is_string() || claims["aud"].is_array(), "{token}");
        changed(secrets, &token);
    }
}

/// Checks that the signature covers the whole token, and is invalid for any other key.
fn changed(secrets: &JwtKeys, token: &str) {
    let lax = rule(Vec::new(), Expires::Never);
    let rejected = |keys: &JwtKeys, token: &str| {
        assert!(check(&lax, keys, token, &*WORLD).is_err(), "{token} is accepted");
    };
    rejected(&JwtKeys::Public(PUBLIC.clone()), token);
    rejected(&JwtKeys::Published, token);
    rejected(&JwtKeys::Secrets(vec![Secret::new_text(keys()[0].clone())]), token);
    let (signed, signature) = token.rsplit_once('.').expect("it has been composed");
    let (header, claims) = signed.split_once('.').expect("it has been composed");
    rejected(secrets, &format!("{header}.{claims}A.{signature}"));
    rejected(secrets, &format!("{header}.{claims}."));
    rejected(secrets, &format!("{header}.{claims}.{}", &signature[1..]));
    rejected(secrets, &format!("{header}.{claims}.{signature}."));
    // {"alg":"none"}
    rejected(secrets, &format!("eyJhbGciOiJub25lIn0.{claims}."));
}

fn rule(claims: Vec<Claim>, expires: Expires) -> Jwt {
    Jwt {
        at: Place::parse("header authorization").expect("it is a place"),
        scheme: AuthScheme::new("Bearer "),
        scheme_optional: true,
        algorithms: ALGORITHMS.to_vec(),
        claims,
        expires,
        issued: None,
        leeway: Duration::ZERO,
    }
}

fn check(jwt: &Jwt, keys: &JwtKeys, token: &str, key_store: &dyn KeyStore) -> Result<(), VerifyError> {
    let sent =
        Sent { headers: vec![("authorization".to_owned(), token.as_bytes().to_vec())], ..Sent::default() };
    sent.put(|request| {
        let terms = Terms { texts: &Texts::default(), tolerance: Duration::from_secs(300), key_store };
        jwt.check(keys, &View::new(request, None), &terms)
    })
}
