//! Tells the outside over HTTP, signed as the Standard Webhooks specification says: the receiver can tell that it was us,
//! when, and, by the id that stays the same over all attempts, whether it has heard of it before.

use super::dispatcher::Trouble;
use crate::domain::{MessageId, Timestamp};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::time::Duration;

/// What a secret begins with when the rest of it is base64.
const ENCODED: &str = "whsec_";
/// Of an error's answer, so much is kept.
const ANSWER_BYTES: usize = 4 << 10;

/// Where notices go.
#[derive(Clone)]
pub struct WebhookOptions {
    pub url: String,
    /// Signs them; `whsec_` and base64, or taken as it is. Without one they are not signed.
    pub secret: String,
}

/// See the module.
pub struct Webhook {
    url: String,
    key: Option<hmac::Key>,
    timeout: Duration,
}

impl Webhook {
    /// `timeout`: for one call.
    ///
    /// # Errors
    /// A secret that begins with `whsec_` and is not base64.
    pub fn new(options: &WebhookOptions, timeout: Duration) -> Result<Self, String> {
        let bytes = match options.secret.strip_prefix(ENCODED) {
            Some(encoded) => {
                STANDARD.decode(encoded).map_err(|_| "behind whsec_ the webhook's secret must be base64")?
            }
            None => options.secret.clone().into_bytes(),
        };
        let key = (!bytes.is_empty()).then(|| hmac::Key::new(hmac::HMAC_SHA256, &bytes));
        Ok(Self { url: options.url.clone(), key, timeout })
    }

    /// `v1,` and the signature of id, time and body.
    fn signature(&self, id: MessageId, seconds: i64, body: &str) -> Option<String> {
        let signed = hmac::sign(self.key.as_ref()?, format!("{id}.{seconds}.{body}").as_bytes());
        Some(format!("v1,{}", STANDARD.encode(signed)))
    }

    /// Posts a notice. Needs a thread that runs local tasks.
    ///
    /// # Errors
    /// [`Trouble::Temporary`] unless the receiver answered 2xx; a redirect is no such answer, and not followed.
    pub async fn post(&self, id: MessageId, now: Timestamp, body: String) -> Result<(), Trouble> {
        let seconds = now.seconds();
        // A client of its own: calls are rare, and one that hangs must not hold the connection of another.
        let client = awc::Client::builder().timeout(self.timeout).disable_redirects().finish();
        let mut request = client
            .post(&self.url)
            .insert_header(("content-type", "application/json"))
            .insert_header(("user-agent", concat!("purser/", env!("CARGO_PKG_VERSION"))))
            .insert_header(("webhook-id", id.to_string()))
            .insert_header(("webhook-timestamp", seconds.to_string()));
        if let Some(signature) = self.signature(id, seconds, &body) {
            request = request.insert_header(("webhook-signature", signature));
        }
        let sent = request.send_body(body).await;
        let mut response =
            sent.map_err(|error| Trouble::Temporary(format!("the webhook's receiver: {error}")))?;
        if response.status().is_success() {
            return Ok(());
        }
        let answer = response.body().limit(ANSWER_BYTES).await.unwrap_or_default();
        let (status, answer) = (response.status(), String::from_utf8_lossy(&answer).into_owned());
        Err(Trouble::Temporary(format!("the webhook's receiver answered {status}: {answer}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_notice_is_signed_as_standard_webhooks_says() {
        // The example of the specification's own libraries, with their id in place of ours.
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned();
        let options = WebhookOptions { url: "http://localhost".into(), secret };
        let webhook = Webhook::new(&options, Duration::from_secs(1)).expect("a secret");
        let key = hmac::Key::new(
            hmac::HMAC_SHA256,
            &STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64"),
        );
        let payload = r#"{"test": 2432232314}"#;
        let published =
            hmac::sign(&key, format!("msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{payload}").as_bytes());
        assert_eq!(STANDARD.encode(published), "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let id = MessageId::new(Uuid::from_u128(1));
        let signature = webhook.signature(id, 1_614_265_330, payload).expect("signed");
        let expected = hmac::sign(&key, format!("{id}.1614265330.{payload}").as_bytes());
        assert_eq!(signature, format!("v1,{}", STANDARD.encode(expected)));
    }

    #[test]
    fn a_secret_may_be_plain_or_missing_but_not_broken() {
        let webhook = |secret: &str| {
            let options = WebhookOptions { url: "http://localhost".into(), secret: secret.into() };
            Webhook::new(&options, Duration::from_secs(1))
        };
        assert!(webhook("").expect("none").key.is_none());
        assert!(webhook("plain text").expect("plain").key.is_some());
        assert!(webhook("whsec_?").is_err());
    }
}
