//! HEAD: answered as GET, without the body (RFC 9110, 9.3.2).

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::Bytes;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Lets those answer who answer GET.
pub fn as_get(request: &mut ServiceRequest) {
    if request.method() == Method::HEAD {
        request.head_mut().method = Method::GET;
    }
}

/// Leaves the body out and tells its length. actix-http would go by the method of the request that it has read last, which
/// need not be the one that is answered.
pub fn without_body(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    response.map_body(|head, body| {
        let BodySize::Sized(length) = body.size() else { return BoxBody::new(Nothing) };
        head.no_chunking(true);
        head.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        BoxBody::new(Nothing)
    })
}

/// A body of a length that is told elsewhere, and of no bytes.
struct Nothing;

impl MessageBody for Nothing {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(None)
    }
}
