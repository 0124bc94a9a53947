//! Large replies that their clients have not taken yet, bounded over all connections: whoever asks and does not read
//! must not fill the memory. How long one may take is bounded by the connection's write time-out.

use super::problem::Problem;
use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::web::Bytes;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

/// Replies up to here are not counted: together they are bounded by the number of connections.
const SMALL: u64 = 64 << 10;

/// Bytes of large replies under way.
pub struct Outgoing {
    bytes: AtomicUsize,
    most: usize,
}

/// A reply's part of them, until it is dropped.
struct Share {
    of: Arc<Outgoing>,
    bytes: usize,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Outgoing {
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { bytes: AtomicUsize::new(0), most })
    }

    /// Counts a large reply until its client has taken it. Without room for it there is a refusal instead, unless the reply is
    /// owed: it tells of something that has happened.
    pub fn count(
        self: &Arc<Self>,
        response: ServiceResponse<BoxBody>,
        is_owed: bool,
    ) -> ServiceResponse<BoxBody> {
        let bytes = match response.response().body().size() {
            BodySize::Sized(bytes) if bytes > SMALL => usize::try_from(bytes).unwrap_or(usize::MAX),
            _ => return response,
        };
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let share = Share { of: self.clone(), bytes };
        // A lone one is let through, however large.
        if !is_owed && before > 0 && before.saturating_add(bytes) > self.most {
            return response.into_response(HttpResponse::from_error(Self::full()));
        }
        response.map_body(|_, body| BoxBody::new(Counted { body, _share: share }))
    }

    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn full() -> Problem {
        let detail = "too many large replies wait for their clients to read them; retry in a moment";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail).retry_after(1)
    }
}

/// actix-http drops a body when nearly all of it is with the kernel.
struct Counted {
    body: BoxBody,
    _share: Share,
}

impl MessageBody for Counted {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}
