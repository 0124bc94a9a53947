//! Tokens that must open nothing: what can be made without the secret, and, since a defect may be anywhere behind the
//! signature, what only its holder can make and must be refused all the same.

use crate::scene::{PASSWORD, Scene};
use crate::support::api::Actor;
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use uuid::Uuid;

/// Somebody with a bad token, and the code of the refusal.
pub struct Forged {
    pub what: &'static str,
    pub actor: Actor,
    pub code: &'static str,
}

/// The key that the server signs access tokens with.
fn signing_key(scene: &Scene) -> Vec<u8> {
    let secret = std::fs::read(scene.server.data_dir().join("secret")).expect("the secret");
    let master = hmac::Key::new(hmac::HMAC_SHA256, digest::digest(&digest::SHA256, &secret).as_ref());
    hmac::sign(&master, b"purser access token v1").as_ref().to_vec()
}

fn claims() -> Value {
    json!({"iss": "purser", "aud": "purser-api", "sub": "1", "sid": Uuid::nil(), "role": "admin", "iat": 1,
        "nbf": 1, "exp": 4_102_444_800_u64, "jti": Uuid::now_v7()})
}

fn signed(claims: &Value, algorithm: Algorithm, kind: Option<&str>, key: &[u8]) -> String {
    let header = Header { typ: kind.map(str::to_owned), ..Header::new(algorithm) };
    encode(&header, claims, &EncodingKey::from_secret(key)).expect("signed")
}

/// A token that is made as the others are, but for their faults: it must be good, or theirs show nothing.
pub fn genuine(scene: &Scene) -> Actor {
    scene.server.bearer(&signed(&claims(), Algorithm::HS256, Some("at+jwt"), &signing_key(scene)))
}

pub fn corpus(scene: &Scene) -> Vec<Forged> {
    let (key, server) = (signing_key(scene), &scene.server);
    let unauthenticated =
        |what, token: &str| Forged { what, actor: server.bearer(token), code: "unauthenticated" };
    let whole = |algorithm, kind, key: &[u8]| signed(&claims(), algorithm, kind, key);
    let kind = Some("at+jwt");
    let good = whole(Algorithm::HS256, kind, &key);
    let parts: Vec<_> = good.split('.').collect();
    let none = BASE64.encode(json!({"alg": "none", "typ": "at+jwt"}).to_string());
    let raised = BASE64.encode(claims().to_string());
    let session = json!({"email": scene.ann.email, "password": PASSWORD});
    let session = server.guest().post("/auth/login", session).expect(200);
    let text = |name: &str| session[name].as_str().expect("a token").to_owned();
    let ended = server.bearer(&text("access_token"));
    ended.post("/auth/logout", json!({})).expect(204);
    let living = json!({"email": scene.mallory.email, "password": PASSWORD});
    let living = server.guest().post("/auth/login", living).expect(200);
    let mut corpus = vec![
        Forged { what: "no token", actor: server.guest(), code: "unauthenticated" },
        Forged { what: "an ended session", actor: ended, code: "token_revoked" },
        unauthenticated("no text", ""),
        unauthenticated("garbage", "gar.ba.ge"),
        unauthenticated("a long text", &"x".repeat(5_000)),
        unauthenticated("another secret", &whole(Algorithm::HS256, kind, &[7; 32])),
        unauthenticated("no signature", &format!("{}.{}.", parts[0], parts[1])),
        unauthenticated("algorithm none", &format!("{none}.{}.", parts[1])),
        unauthenticated("algorithm none, signed", &format!("{none}.{}.{}", parts[1], parts[2])),
        unauthenticated("other claims", &format!("{}.{raised}.{}", parts[0], parts[2])),
        unauthenticated("another algorithm", &whole(Algorithm::HS512, kind, &key)),
        unauthenticated("another type", &whole(Algorithm::HS256, Some("JWT"), &key)),
        unauthenticated("no type", &whole(Algorithm::HS256, None, &key)),
        unauthenticated("a refresh token", living["refresh_token"].as_str().expect("a token")),
    ];
    let changed = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        signed(&claims, Algorithm::HS256, kind, &key)
    };
    for (what, name, value) in [
        ("another issuer", "iss", json!("somebody")),
        ("another audience", "aud", json!("else")),
        ("nobody", "sub", json!("0")),
        ("no number", "sub", json!("1 or 1=1")),
        ("an unknown role", "role", json!("root")),
        ("the future", "nbf", json!(4_000_000_000_u64)),
        ("no end", "exp", Value::Null),
        ("no session", "sid", Value::Null),
    ] {
        corpus.push(unauthenticated(what, &changed(name, value)));
    }
    let expired = server.bearer(&changed("exp", json!(1_700_000_000)));
    corpus.push(Forged { what: "an expired token", actor: expired, code: "token_expired" });
    corpus
}
