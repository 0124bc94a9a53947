use super::*;

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("absent")
}

#[test]
fn a_problem_has_the_documented_members() {
    let problem = Problem::new(StatusCode::CONFLICT, "insufficient_stock", "3 requested, 1 available")
        .with("available", 1)
        .with("product_id", 7);
    let body: Value = serde_json::from_slice(&problem.body("abc")).expect("json");
    let expected = json!({
        "type": "/problems/insufficient-stock", "title": "Insufficient stock", "status": 409,
        "code": "insufficient_stock", "detail": "3 requested, 1 available", "outcome": "not_applied",
        "request_id": "abc", "available": 1, "product_id": 7,
    });
    assert_eq!(body, expected);
}

#[test]
fn validation_names_fields() {
    let body: Value =
        serde_json::from_slice(&Problem::field("items.0.quantity", "must be at least 1").body("x"))
            .expect("json");
    assert_eq!(body["status"], 422);
    assert_eq!(body["errors"], json!({"items.0.quantity": ["must be at least 1"]}));
}

#[test]
fn an_unauthenticated_caller_is_told_the_scheme() {
    for problem in [Problem::unauthenticated("x"), Problem::token_expired(), Problem::token_revoked()] {
        let mut headers = HeaderMap::new();
        problem.write_headers(&mut headers);
        assert_eq!(problem.status_code(), StatusCode::UNAUTHORIZED);
        assert!(text(&headers, &header::WWW_AUTHENTICATE).starts_with("Bearer "));
        assert_eq!(text(&headers, &header::CONTENT_TYPE), "application/problem+json");
    }
}

#[test]
fn a_problem_that_stands_alone_is_complete() {
    let response = Problem::internal().identified_by(HeaderValue::from_static("abc")).error_response();
    assert_eq!(text(response.headers(), &headers::REQUEST_ID), "abc");
    assert_eq!(text(response.headers(), &header::CONTENT_TYPE), "application/problem+json");
}
