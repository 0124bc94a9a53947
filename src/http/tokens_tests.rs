use super::*;
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

fn tokens() -> Tokens {
    Tokens::new(&[7; 32], 900)
}

fn family() -> FamilyId {
    FamilyId::new(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001))
}

fn grant() -> SessionGrant {
    let expires_at = NOW.plus_seconds(86_400);
    SessionGrant { user_id: UserId::new(42), role: Role::Admin, opened_at: NOW, expires_at }
}

fn code(result: Result<Access, Problem>) -> &'static str {
    result.map_or_else(|problem| problem.code(), |_| "accepted")
}

/// A token with these claims, signed with the real key.
fn signed(header: &Header, change: impl Fn(&mut Value)) -> String {
    let mut claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "42", "sid": family().get(), "role": "user",
        "iat": 1_800_000_000, "nbf": 1_800_000_000, "exp": 1_800_000_900, "jti": Uuid::nil(),
    });
    change(&mut claims);
    jsonwebtoken::encode(header, &claims, &tokens().encoding).expect("signed")
}

#[test]
fn an_access_token_is_read_back() {
    let token = tokens().access(family(), &grant(), NOW).expect("signed");
    let access = tokens().verify(token.as_bytes()).expect("valid");
    assert_eq!(
        (access.user_id, access.role, access.family_id),
        (UserId::new(42), Role::Admin, Some(family()))
    );
    assert!(access.check_time(NOW).is_ok());
    assert!(access.check_time(NOW.plus_seconds(899)).is_ok());
    assert_eq!(code(access.check_time(NOW.plus_seconds(900)).map(|()| access)), "token_expired");
    assert_eq!(code(access.check_time(NOW.plus_seconds(-6)).map(|()| access)), "unauthenticated");
}

#[test]
fn the_servers_own_token_has_no_session() {
    let token = tokens().detached(UserId::new(42), Role::User, NOW).expect("signed");
    let access = tokens().verify(token.as_bytes()).expect("valid");
    assert_eq!((access.user_id, access.role, access.family_id), (UserId::new(42), Role::User, None));
}

#[test]
fn an_access_token_does_not_outlive_its_session() {
    let grant = SessionGrant { expires_at: NOW.plus_seconds(60), ..grant() };
    let token = tokens().access(family(), &grant, NOW).expect("signed");
    let access = tokens().verify(token.as_bytes()).expect("valid");
    assert_eq!(access.expires, NOW.seconds() + 60);
}

#[test]
fn a_token_with_anything_wrong_is_refused() {
    let plain = tokens().header;
    assert_eq!(code(tokens().verify(signed(&plain, |_| ()).as_bytes())), "accepted");
    for claim in ["iss", "aud", "sub", "sid", "role", "nbf", "exp"] {
        let without = signed(&plain, |claims| drop(claims.as_object_mut().expect("object").remove(claim)));
        assert_eq!(code(tokens().verify(without.as_bytes())), "unauthenticated", "without {claim}");
    }
    for (claim, value) in [
        ("iss", json!("other")),
        ("aud", json!("other")),
        ("aud", json!([])),
        ("sub", json!("0")),
        ("sub", json!("admin")),
        ("sid", json!("x")),
        ("role", json!("root")),
        ("exp", json!("never")),
    ] {
        let token = signed(&plain, |claims| claims[claim] = value.clone());
        assert_eq!(code(tokens().verify(token.as_bytes())), "unauthenticated", "{claim} = {value}");
    }
    for header in [Header::new(Algorithm::HS256), Header { typ: Some("JWT".into()), ..plain.clone() }] {
        assert_eq!(code(tokens().verify(signed(&header, |_| ()).as_bytes())), "unauthenticated");
    }
    let stronger = Header { typ: Some(TYPE.into()), ..Header::new(Algorithm::HS512) };
    assert_eq!(code(tokens().verify(signed(&stronger, |_| ()).as_bytes())), "unauthenticated");
}

#[test]
fn a_tampered_unsigned_or_foreign_token_is_refused() {
    let token = signed(&tokens().header, |_| ());
    let mut parts = token.split('.');
    let (head, claims, tag) =
        (parts.next().expect("head"), parts.next().expect("claims"), parts.next().expect("tag"));
    let none = URL_SAFE_NO_PAD.encode(r#"{"typ":"at+jwt","alg":"none"}"#);
    let admin = URL_SAFE_NO_PAD.decode(claims).map(String::from_utf8).expect("base64").expect("utf-8");
    let admin = URL_SAFE_NO_PAD.encode(admin.replace(r#""user""#, r#""admin""#));
    let foreign = Tokens::new(&[8; 32], 900).access(family(), &grant(), NOW).expect("signed");
    let forged = [
        format!("{none}.{claims}."),
        format!("{none}.{claims}.{tag}"),
        format!("{head}.{claims}."),
        format!("{head}.{claims}"),
        format!("{head}.{admin}.{tag}"),
        format!("{token}x"),
        foreign,
        "x".repeat(TOKEN_MAX + 1),
        String::new(),
        tokens().refresh(family(), 1),
    ];
    for token in forged {
        assert_eq!(code(tokens().verify(token.as_bytes())), "unauthenticated", "{token}");
    }
}

#[test]
fn a_refresh_token_is_read_back_and_nothing_else_is() {
    let token = tokens().refresh(family(), 7);
    assert_eq!(tokens().read_refresh(&token).ok(), Some((family(), 7)));
    assert_eq!(token, tokens().refresh(family(), 7));
    for index in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
        let tampered = String::from_utf8(bytes).expect("ascii");
        assert!(tokens().read_refresh(&tampered).is_err(), "{tampered}");
    }
    assert!(Tokens::new(&[8; 32], 900).read_refresh(&token).is_err());
    for bad in ["", "x", &token[1..], &format!("{token}A")] {
        assert!(tokens().read_refresh(bad).is_err(), "{bad}");
    }
}
