use super::super::app::elsewhere;
use super::super::body::{Body, Input, Limits};
use super::super::document::document;
use super::super::validate::Checks;
use super::*;
use actix_web::web::Bytes;
use actix_web::{App, HttpResponse, test, web};
use serde::Deserialize;
use serde_json::Value;

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("absent")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Echo {
    amount: i64,
}

impl Input for Echo {
    type Domain = i64;
    fn parse(self, checks: &mut Checks) -> Option<i64> {
        checks.amount("amount", self.amount).map(|money| money.minor())
    }
}

async fn echo(body: Body<Echo>) -> HttpResponse {
    HttpResponse::Ok().body(body.0.to_string())
}

async fn panics() -> HttpResponse {
    panic!("as the test wants it")
}

/// Sends a request to an application with the real outer layers; its status, problem and headers.
async fn send(request: test::TestRequest) -> (u16, Value, HeaderMap) {
    let edge = Rc::new(Edge::new(
        Arc::new(Routes::of(&document())),
        Duration::from_secs(1),
        Arc::default(),
        Outgoing::new(0),
    ));
    let app = App::new()
        .app_data(Limits { small: 64, large: 128, deadline: Duration::from_millis(50) })
        .app_data(edge.clone())
        .route("/echo", web::post().to(echo))
        .route("/panic", web::get().to(panics))
        .default_service(web::to(elsewhere))
        .wrap(Observe(edge));
    let app = test::init_service(app).await;
    match test::try_call_service(&app, request.to_request()).await {
        Ok(response) => {
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let body = test::read_body(response).await;
            (status, serde_json::from_slice(&body).unwrap_or_default(), headers)
        }
        Err(error) => {
            let response = error.error_response();
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let body = actix_web::body::to_bytes(response.into_body()).await.unwrap_or_else(|_| Bytes::new());
            (status, serde_json::from_slice(&body).unwrap_or_default(), headers)
        }
    }
}

fn post(body: &'static str) -> test::TestRequest {
    let request = test::TestRequest::post().uri("/echo").insert_header(("content-type", "application/json"));
    request.set_payload(body)
}

async fn assert_problem(request: test::TestRequest, status: u16, code: &str) -> HeaderMap {
    let (found, problem, headers) = send(request).await;
    assert_eq!((found, problem["code"].as_str()), (status, Some(code)), "{problem}");
    assert_eq!(problem["status"], status);
    assert_eq!(text(&headers, &header::CONTENT_TYPE), "application/problem+json");
    assert_eq!(text(&headers, &header::CACHE_CONTROL), "no-store");
    assert_eq!(Some(text(&headers, &REQUEST_ID)), problem["request_id"].as_str());
    headers
}

#[actix_web::test]
async fn every_failure_is_a_problem() {
    assert_problem(test::TestRequest::get().uri("/nothing"), 404, "not_found").await;
    let headers =
        assert_problem(test::TestRequest::put().uri("/api/v1/items/7"), 405, "method_not_allowed").await;
    assert_eq!(text(&headers, &header::ALLOW), "GET, HEAD, PATCH, DELETE");
    // Not another's id.
    let batches = test::TestRequest::get().uri("/api/v1/redemptions/batches");
    let headers = assert_problem(batches, 405, "method_not_allowed").await;
    assert_eq!(text(&headers, &header::ALLOW), "POST");
    assert_problem(post("{"), 400, "malformed_json").await;
    assert_problem(post(""), 400, "malformed_json").await;
    assert_problem(post(r#"{"amount":0}"#), 422, "validation_failed").await;
    let plain = test::TestRequest::post().uri("/echo");
    assert_problem(plain.set_payload("{}"), 415, "unsupported_media_type").await;
    let spaces = " ".repeat(200);
    let large = test::TestRequest::post().uri("/echo").insert_header(("content-type", "application/json"));
    assert_problem(large.set_payload(spaces), 413, "payload_too_large").await;
    assert_problem(test::TestRequest::get().uri("/panic"), 500, "internal").await;
}

#[actix_web::test]
async fn a_sound_request_passes_and_has_an_id() {
    let (status, body, headers) = send(post(r#"{"amount":5}"#)).await;
    assert_eq!((status, body), (200, Value::from(5)));
    let id = text(&headers, &REQUEST_ID);
    assert_eq!(Uuid::parse_str(id).expect("a uuid").get_version_num(), 7);
}

#[actix_web::test]
async fn a_sane_request_id_is_kept() {
    let sane = test::TestRequest::get().uri("/x").insert_header(("request-id", "trace-1.a:b"));
    assert_eq!(text(&send(sane).await.2, &REQUEST_ID), "trace-1.a:b");
    let long = "x".repeat(129);
    for odd in ["a b", "a\"b", "<x>", long.as_str()] {
        let request = test::TestRequest::get().uri("/x").insert_header(("request-id", odd));
        assert_ne!(text(&send(request).await.2, &REQUEST_ID), odd);
    }
}
