//! Signatures of requests to the provider: HMAC-SHA256 over time, method, path and body, so that none of them can be
//! changed on the way and an old request cannot be sent again much later.

use crate::domain::Timestamp;
use aws_lc_rs::{constant_time, hmac};

/// The header with the Unix time in seconds at which a request was signed.
pub const TIMESTAMP: &str = "purser-timestamp";
/// The header with the signature: `v1=` and lower-case hexadecimal digits.
pub const SIGNATURE: &str = "purser-signature";

/// How far the clocks of both sides may be apart, in seconds.
pub const TOLERANCE: u64 = 300;

/// What both sides share.
pub struct Key(hmac::Key);

/// A request as it is signed.
#[derive(Clone, Copy)]
pub struct Signed<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub body: &'a [u8],
}

impl Key {
    /// `None` for an empty secret: nothing is signed then.
    pub fn new(secret: &str) -> Option<Self> {
        (!secret.is_empty()).then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())))
    }

    /// The signature header of a request that is sent at `seconds`.
    pub fn sign(&self, seconds: i64, request: Signed<'_>) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(format!("{seconds}.{}.{}.", request.method, request.path).as_bytes());
        context.update(request.body);
        let mut header = "v1=".to_owned();
        for byte in context.sign().as_ref() {
            header.push_str(&format!("{byte:02x}"));
        }
        header
    }

    /// Checks both headers of a request, the signature in constant time.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn verify(
        &self,
        timestamp: &str,
        signature: &str,
        now: Timestamp,
        request: Signed<'_>,
    ) -> Result<(), &'static str> {
        let seconds: i64 = timestamp.parse().map_err(|_| "the timestamp is no number")?;
        if seconds.abs_diff(now.seconds()) > TOLERANCE {
            return Err("the timestamp is too far from the time here");
        }
        let expected = self.sign(seconds, request);
        constant_time::verify_slices_are_equal(expected.as_bytes(), signature.as_bytes())
            .map_err(|_| "the signature does not fit")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: i64 = 1_700_000_000;
    const REQUEST: Signed<'static> =
        Signed { method: "POST", path: "/exchange", body: br#"{"code":"OK100X1"}"# };

    fn key() -> Key {
        Key::new("a secret").expect("a key")
    }

    #[test]
    fn a_signature_is_the_published_one() {
        // printf '1700000000.POST./exchange.{"code":"OK100X1"}' | openssl dgst -sha256 -hmac 'a secret'
        let published = "v1=12b50b99f294c7d16adb37cc5d9a3eadeb597682a6dee45e2b24d95a7dbb6c02";
        assert_eq!(key().sign(AT, REQUEST), published);
    }

    #[test]
    fn a_signature_holds_for_its_request_alone() {
        let (now, time) = (Timestamp::from_micros(AT * 1_000_000), AT.to_string());
        let signature = key().sign(AT, REQUEST);
        assert_eq!(key().verify(&time, &signature, now, REQUEST), Ok(()));
        let others = [
            Signed { method: "GET", ..REQUEST },
            Signed { path: "/exchange/1", ..REQUEST },
            Signed { body: b"{}", ..REQUEST },
        ];
        for other in others {
            assert!(key().verify(&time, &signature, now, other).is_err(), "{} {}", other.method, other.path);
        }
        let later = (AT + 1).to_string();
        assert!(key().verify(&later, &signature, now, REQUEST).is_err(), "another time");
        for broken in
            ["", "v1=", &signature[3..], &signature[..signature.len() - 1], &signature.to_uppercase()]
        {
            assert!(key().verify(&time, broken, now, REQUEST).is_err(), "{broken}");
        }
        let stranger = Key::new("another").expect("a key");
        assert!(stranger.verify(&time, &signature, now, REQUEST).is_err(), "another secret");
    }

    #[test]
    fn a_signature_grows_old() {
        let signature = key().sign(AT, REQUEST);
        let verify_at = |seconds: i64| {
            let now = Timestamp::from_micros(seconds * 1_000_000);
            key().verify(&AT.to_string(), &signature, now, REQUEST)
        };
        assert_eq!((verify_at(AT + 300), verify_at(AT - 300)), (Ok(()), Ok(())));
        assert!(verify_at(AT + 301).is_err() && verify_at(AT - 301).is_err());
        let now = Timestamp::from_micros(AT * 1_000_000);
        assert!(key().verify("now", &signature, now, REQUEST).is_err());
    }

    #[test]
    fn without_a_secret_nothing_is_signed() {
        assert!(Key::new("").is_none());
    }
}
