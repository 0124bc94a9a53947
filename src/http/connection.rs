//! What must be known of a connection beyond one request: whether it is about to be closed. Nothing that was sent behind
//! the request that closes it may be executed (RFC 9112, 9.6); actix-http hands out whatever it has read by then.

use actix_web::HttpMessage;
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::error::PayloadError;
use actix_web::http::header::{self, HeaderMap};
use actix_web::http::{ConnectionType, Version};
use actix_web::web::Bytes;
use futures_util::{Stream, StreamExt};
use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::Notify;

/// Bytes of a body that are read only so that the connection can go on.
const DISCARDED_MAX: usize = 64 << 10;
/// For how long.
const DISCARDING_MAX: Duration = Duration::from_millis(500);

/// The connections that are open, over all workers.
#[derive(Default)]
pub struct Connections {
    open: AtomicUsize,
    last_closed: Notify,
}

impl Connections {
    /// One more, until it is dropped.
    pub fn open(self: &Arc<Self>) -> Connection {
        self.open.fetch_add(1, Ordering::SeqCst);
        let counted = Some(Counted(self.clone()));
        Connection { state: Rc::new(State { counted, ..State::default() }) }
    }

    pub fn count(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// Returns once none is open.
    pub async fn all_closed(&self) {
        loop {
            // Made before the look, so that no closing falls between the two.
            let closed = self.last_closed.notified();
            if self.count() == 0 {
                return;
            }
            closed.await;
        }
    }
}

struct Counted(Arc<Connections>);

impl Drop for Counted {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.last_closed.notify_waiters();
        }
    }
}

/// A client's connection, for all requests on it.
#[derive(Clone, Default)]
pub struct Connection {
    state: Rc<State>,
}

#[derive(Default)]
struct State {
    closing: Cell<bool>,
    unread: RefCell<Option<Unread>>,
    #[expect(dead_code, reason = "counts until it is dropped")]
    counted: Option<Counted>,
}

/// A body that its request has left behind. As long as it is kept, actix-http knows that the connection cannot go on and
/// closes it behind the reply; a chunked one that is dropped it would go on reading for ever.
struct Unread {
    body: Payload,
    /// It is small, as far as known, and nobody has waited for it in vain.
    is_worth_reading: bool,
}

impl Connection {
    /// Whether a request or a reply has closed it: what comes now must not be executed.
    pub fn is_closing(&self) -> bool {
        self.state.closing.get()
    }

    pub fn close(&self) {
        self.state.closing.set(true);
    }

    /// Notices when this request is the connection's last by its own word, and watches how far its body is read.
    pub fn take_up(&self, request: &mut ServiceRequest) {
        // Upgrades are not offered: their requests are served as any other, and are the last.
        let head = request.head();
        let is_endless =
            head.version == Version::HTTP_11 && is_read_to_the_end_of_the_connection(&head.headers);
        if is_endless || head.connection_type() != ConnectionType::KeepAlive {
            self.close();
        }
        let announced = content_length(&head.headers);
        match request.take_payload() {
            Payload::None => {}
            body => {
                let watched = Watched {
                    body,
                    connection: self.clone(),
                    left: is_endless.then(|| announced.unwrap_or(0)),
                    is_small: announced.is_none_or(|length| length <= DISCARDED_MAX),
                    is_begun: false,
                    is_read: false,
                };
                request.set_payload(Payload::from(Box::pin(watched) as Pin<Box<dyn Stream<Item = _>>>));
            }
        }
    }

    /// Before the reply: reads what is left of a small body, that the connection may go on; anything more closes it, because
    /// nobody knows where the next request begins.
    pub async fn settle(&self) {
        let Some(mut unread) = self.state.unread.take() else { return };
        let is_read = unread.is_worth_reading
            && !self.is_closing()
            && tokio::time::timeout(DISCARDING_MAX, discard(&mut unread.body)).await.unwrap_or(false);
        if !is_read {
            self.close();
            self.state.unread.replace(Some(unread));
        }
    }
}

/// Whether the body came to its end within bounds.
async fn discard(body: &mut Payload) -> bool {
    let mut left = DISCARDED_MAX;
    loop {
        match body.next().await {
            None => return true,
            Some(Ok(bytes)) if bytes.len() <= left => left -= bytes.len(),
            Some(_) => return false,
        }
    }
}

/// actix-http takes everything behind the head of such a request for its body, whatever length was announced.
fn is_read_to_the_end_of_the_connection(headers: &HeaderMap) -> bool {
    let is = |name, word: &str| {
        headers.get_all(name).any(|value| value.as_bytes().trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    };
    is(header::UPGRADE, "websocket") && !is(header::TRANSFER_ENCODING, "chunked")
}

/// As announced by the request's head.
pub fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

/// A body that is handed to its connection when it is not read to its end.
struct Watched {
    body: Payload,
    connection: Connection,
    /// Bytes until the body ends although the stream goes on.
    left: Option<usize>,
    is_small: bool,
    is_begun: bool,
    is_read: bool,
}

impl Stream for Watched {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.is_begun = true;
        if self.left == Some(0) {
            return Poll::Ready(None);
        }
        let mut polled = Pin::new(&mut self.body).poll_next(context);
        self.is_read |= matches!(polled, Poll::Ready(None));
        if let (Some(left), Poll::Ready(Some(Ok(bytes)))) = (&mut self.left, &mut polled) {
            bytes.truncate(*left);
            *left -= bytes.len();
        }
        polled
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.is_read {
            let body = std::mem::replace(&mut self.body, Payload::None);
            let is_worth_reading = self.is_small && !self.is_begun;
            self.connection.state.unread.replace(Some(Unread { body, is_worth_reading }));
        }
    }
}
