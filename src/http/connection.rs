//! What must be known of a connection beyond one request: whether it is about to be closed. Nothing that was sent behind
//! the request that closes it may be executed (RFC 9112, 9.6); actix-http hands out whatever it has read by then.

use actix_web::HttpMessage;
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::error::PayloadError;
use actix_web::http::ConnectionType;
use actix_web::web::Bytes;
use futures_util::Stream;
use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// A client's connection, for all requests on it.
#[derive(Clone, Default)]
pub struct Connection {
    closing: Rc<Cell<bool>>,
}

impl Connection {
    /// Whether a request or a reply has closed it: what comes now must not be executed.
    pub fn is_closing(&self) -> bool {
        self.closing.get()
    }

    pub fn close(&self) {
        self.closing.set(true);
    }

    /// Notices when this request is the connection's last: by its own word, or because its body is not read to the end, so
    /// that nobody knows where the next one begins.
    pub fn take_up(&self, request: &mut ServiceRequest) {
        // Upgrades are not offered, and actix-http closes after a request for one.
        if request.head().connection_type() != ConnectionType::KeepAlive {
            self.close();
        }
        match request.take_payload() {
            Payload::None => {}
            body => {
                let watched = Watched { body, connection: self.clone(), is_read: false };
                request.set_payload(Payload::from(Box::pin(watched) as Pin<Box<dyn Stream<Item = _>>>));
            }
        }
    }
}

/// A body whose connection ends with it when it is not read to its end.
struct Watched {
    body: Payload,
    connection: Connection,
    is_read: bool,
}

impl Stream for Watched {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = Pin::new(&mut self.body).poll_next(context);
        self.is_read |= matches!(polled, Poll::Ready(None));
        polled
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // What has arrived whole and interests nobody is no reason to close.
        let mut context = Context::from_waker(Waker::noop());
        while !self.is_read {
            match Pin::new(&mut self.body).poll_next(&mut context) {
                Poll::Ready(None) => self.is_read = true,
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(_))) | Poll::Pending => return self.connection.close(),
            }
        }
    }
}
