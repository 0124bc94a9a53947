//! Bodies that are CSV files: bounded in size and time as JSON bodies are.

use super::body::{Limits, receive};
use super::connection::content_length;
use super::extract::only;
use super::observe::Edge;
use super::problem::Problem;
use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use std::rc::Rc;

/// A file as it was sent.
pub struct Sheet(pub Bytes);

impl FromRequest for Sheet {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let limits = request.app_data::<Limits>().copied().ok_or_else(Problem::internal);
        let edge = request.app_data::<Rc<Edge>>().cloned().ok_or_else(Problem::internal);
        let checked = check(request.headers()).and(limits);
        let announced = content_length(request.headers());
        let payload = payload.take();
        Box::pin(async move {
            let limits = checked?;
            receive(payload, limits.large, announced, limits.deadline, &edge?.drain).await.map(Self)
        })
    }
}

fn check(headers: &HeaderMap) -> Result<(), Problem> {
    let encoded = only(headers, &header::CONTENT_ENCODING)?
        .is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
    let media =
        only(headers, &header::CONTENT_TYPE)?.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media.split(';').next().unwrap_or_default().trim();
    if encoded || !essence.eq_ignore_ascii_case("text/csv") {
        return Err(Problem::unsupported_media_type(
            "send content-type: text/csv, in UTF-8, without content-encoding",
        ));
    }
    Ok(())
}
