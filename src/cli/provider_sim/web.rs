//! The simulator's edge: the protocol's two calls, the ledger, and the check of signatures.

use super::cards::{Asked, Cards, Reply};
use crate::clock::{Clock, SystemClock};
use crate::provider::signature::{Key, SIGNATURE, Signed, TIMESTAMP};
use actix_web::dev::Server;
use actix_web::http::{StatusCode, header};
use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, rt};
use futures_util::stream;
use serde_json::json;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use uuid::Uuid;

const BODY_BYTES: usize = 64 << 10;
const WORKERS: usize = 2;
/// How long exchanges under way may take when the simulator is asked to end.
const LAST_SECONDS: u64 = 1;

#[derive(Clone)]
struct State {
    cards: Arc<Cards>,
    key: Arc<Option<Key>>,
}

pub fn serve(listener: TcpListener, cards: Arc<Cards>, secret: &str) -> io::Result<Server> {
    let state = Data::new(State { cards, key: Arc::new(Key::new(secret)) });
    let app = move || {
        App::new()
            .app_data(state.clone())
            .app_data(web::PayloadConfig::new(BODY_BYTES))
            .route("/exchange", web::post().to(exchange))
            .route("/exchange/{redemption_id}", web::get().to(status))
            .route("/ledger", web::get().to(ledger))
            .route("/inquiries", web::get().to(inquiries))
            .route("/health", web::get().to(HttpResponse::Ok))
    };
    Ok(HttpServer::new(app).workers(WORKERS).shutdown_timeout(LAST_SECONDS).listen(listener)?.run())
}

async fn exchange(state: Data<State>, request: HttpRequest, body: Bytes) -> HttpResponse {
    if let Err(why) = state.verify(&request, &body) {
        return unsigned(why);
    }
    let asked: Asked = match serde_json::from_slice(&body) {
        Ok(asked) => asked,
        Err(_) => return wrong("the body must have redemption_id, account, code and country"),
    };
    let is_other = |key: &header::HeaderValue| key.as_bytes() != asked.redemption_id.to_string().as_bytes();
    if request.headers().get("idempotency-key").is_some_and(is_other) {
        return wrong("the Idempotency-Key must be the redemption_id");
    }
    let cards = state.cards.clone();
    // A task of its own: an exchange goes on when whoever asked for it has hung up.
    match rt::spawn(async move { cards.exchange(asked).await }).await {
        Ok(reply) => answer(reply),
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}

fn answer(reply: Reply) -> HttpResponse {
    let Some(status) = reply.http_status().and_then(|status| StatusCode::from_u16(status).ok()) else {
        return hang_up();
    };
    let mut response = HttpResponse::build(status);
    match reply {
        Reply::Outcome(outcome) => response.json(outcome),
        Reply::TooMany => response.insert_header((header::RETRY_AFTER, "1")).json(json!({"status": "busy"})),
        Reply::Broken | Reply::Dropped => response.json(json!({"status": "error"})),
    }
}

/// Closes the connection without a byte of an answer. actix-web has no call for that, but a body whose first part fails
/// ends the connection at once, and the head that was written ahead of it is never sent: what is answered is flushed only
/// after the body was asked for its first part.
fn hang_up() -> HttpResponse {
    HttpResponse::Ok().streaming(stream::iter([Err::<Bytes, _>(io::Error::other("to be dropped"))]))
}

async fn status(state: Data<State>, request: HttpRequest, id: web::Path<Uuid>) -> HttpResponse {
    if let Err(why) = state.verify(&request, b"") {
        return unsigned(why);
    }
    match state.cards.outcome(*id).await {
        Some(outcome) => HttpResponse::Ok().json(outcome),
        None => HttpResponse::Ok().json(json!({"status": "unknown"})),
    }
}

async fn ledger(state: Data<State>) -> HttpResponse {
    HttpResponse::Ok().json(state.cards.ledger())
}

async fn inquiries(state: Data<State>) -> HttpResponse {
    HttpResponse::Ok().json(state.cards.inquiries())
}

fn wrong(why: &str) -> HttpResponse {
    HttpResponse::BadRequest().json(json!({"status": "error", "reason": why}))
}

fn unsigned(why: &str) -> HttpResponse {
    HttpResponse::Unauthorized().json(json!({"status": "error", "reason": why}))
}

impl State {
    fn verify(&self, request: &HttpRequest, body: &[u8]) -> Result<(), &'static str> {
        let Some(key) = &*self.key else { return Ok(()) };
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        let (Some(timestamp), Some(signature)) = (header(TIMESTAMP), header(SIGNATURE)) else {
            return Err("the request is not signed");
        };
        let signed = Signed { method: request.method().as_str(), path: request.path(), body };
        key.verify(timestamp, signature, SystemClock.now(), signed)
    }
}
