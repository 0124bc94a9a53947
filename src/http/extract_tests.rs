use super::*;
use actix_web::test::TestRequest;

fn terms(name: &'static str, value: &str) -> Result<Terms, &'static str> {
    let request = TestRequest::default().insert_header((name, value)).to_http_request();
    Terms::read(request.headers()).map_err(|problem| problem.code())
}

#[test]
fn a_key_is_bare_or_quoted() {
    for (sent, key) in [("abc", "abc"), ("\"abc\"", "abc"), ("a b", "a b"), ("a\"b", "a\"b")] {
        assert_eq!(terms("idempotency-key", sent).map(|terms| terms.key), Ok(Some(key.to_owned())), "{sent}");
    }
    let long = "x".repeat(256);
    for bad in ["", "\"", "\"\"", "\"a", "a\"", "ä", "\"a\"b\"", long.as_str()] {
        assert_eq!(terms("idempotency-key", bad).err(), Some("idempotency_key_invalid"), "{bad}");
    }
    let twice = TestRequest::default()
        .append_header(("idempotency-key", "a"))
        .append_header(("idempotency-key", "b"))
        .to_http_request();
    assert!(Terms::read(twice.headers()).is_err());
}

#[test]
fn a_revision_is_read_from_its_tag() {
    let revision = |value| terms("if-match", value).map(|terms| terms.if_revision);
    assert_eq!(revision("\"3\""), Ok(Some(3)));
    assert_eq!(revision("3"), Ok(Some(3)));
    assert_eq!(revision("*"), Ok(None));
    assert_eq!(revision("\"abc\""), Ok(Some(0)));
    assert_eq!(revision("W/\"3\""), Ok(Some(0)));
    assert_eq!(revision("\"1\", \"2\""), Err("bad_request"));
}

#[test]
fn durability_and_preference_are_closed_sets() {
    assert_eq!(terms("purser-durability", "store").map(|terms| terms.durability), Ok(Durability::Store));
    assert_eq!(terms("purser-durability", "disk").err(), Some("bad_request"));
    assert!(terms("prefer", "wait=5, Respond-Async").is_ok_and(|terms| terms.respond_async));
    assert!(terms("prefer", "return=minimal").is_ok_and(|terms| !terms.respond_async));
}

#[test]
fn ids_have_one_spelling() {
    assert_eq!(integer_id("7"), Some(7));
    for bad in ["", "0", "07", "+7", "-7", "7.0", " 7", "9007199254740992", "99999999999999999999"] {
        assert_eq!(integer_id(bad), None, "{bad}");
    }
    assert!(uuid("0190f1a0-0000-7000-8000-000000000001").is_some());
    for bad in ["0190f1a0000070008000000000000001", "{0190f1a0-0000-7000-8000-000000000001}", "x", ""] {
        assert!(uuid(bad).is_none(), "{bad}");
    }
}

#[test]
fn a_bearer_token_is_found() {
    let token = |value: &str| {
        let request = TestRequest::default().insert_header(("authorization", value)).to_http_request();
        bearer(request.headers()).map(<[u8]>::to_vec).map_err(|problem| problem.code())
    };
    assert_eq!(token("Bearer abc"), Ok(b"abc".to_vec()));
    assert_eq!(token("bearer  abc "), Ok(b"abc".to_vec()));
    for bad in ["Basic abc", "Bearer", "abc", ""] {
        assert_eq!(token(bad), Err("unauthenticated"), "{bad}");
    }
}

#[test]
fn how_long_to_wait_is_read_from_prefer_and_bounded() {
    let wait = |value: &str| {
        let request = TestRequest::default().insert_header(("prefer", value)).to_http_request();
        Wait::read(request.headers()).0.map(|wait| wait.as_secs())
    };
    assert_eq!(wait("wait=5"), Some(5));
    assert_eq!(wait("respond-async, Wait = 7"), Some(7));
    assert_eq!(wait("wait=3600"), Some(60));
    assert_eq!((wait("wait"), wait("wait=-1"), wait("respond-async")), (None, None, None));
}
