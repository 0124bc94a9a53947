//! Cards' codes, kept so that only this engine can use them: a keyed hash is a code's name in the whole system, and what has
//! still to be sent is sealed. Both keys come from a secret of their own, which never changes: the secret that tokens are signed
//! with may.

use crate::domain::RedemptionId;
use crate::domain::card::CardCode;
use crate::domain::redemption::SealedCode;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hmac, rand};
use std::sync::Arc;

/// Of the keyed hash that is a code's name.
const NAME_BYTES: usize = 16;

/// See the module.
pub struct CardCodes {
    /// Begins each name, to tell names under another secret.
    mark: String,
    names: hmac::Key,
    seals: LessSafeKey,
}

impl CardCodes {
    /// `None` only if the library refuses a key of its own length.
    pub fn new(secret: &[u8]) -> Option<Self> {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let derived = |purpose: &str| hmac::sign(&secret, purpose.as_bytes());
        let names = hmac::Key::new(hmac::HMAC_SHA256, derived("names of cards' codes").as_ref());
        let seals = UnboundKey::new(&AES_256_GCM, derived("seals of cards' codes").as_ref()).ok()?;
        let mark = hex(&derived("mark of cards' names").as_ref()[..2]);
        Some(Self { mark, names, seals: LessSafeKey::new(seals) })
    }

    /// The same for the same code, however it was spaced or cased. Half of the hash: no two codes share it by chance, and
    /// without the key nobody can look for two that do.
    pub fn name(&self, code: &CardCode) -> Arc<str> {
        let hash = hmac::sign(&self.names, code.expose().as_bytes());
        format!("{}{}", self.mark, hex(&hash.as_ref()[..NAME_BYTES])).into()
    }

    /// Whether the name was given under this secret.
    pub fn has_named(&self, name: &str) -> bool {
        name.starts_with(&self.mark)
    }

    /// Bound to its redemption: it opens for no other. `None` when there is no randomness to be had.
    pub fn seal(&self, id: RedemptionId, code: &CardCode) -> Option<SealedCode> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut sealed = code.expose().as_bytes().to_vec();
        let bound_to = Aad::from(*id.get().as_bytes());
        let nonce_used = Nonce::assume_unique_for_key(nonce);
        self.seals.seal_in_place_append_tag(nonce_used, bound_to, &mut sealed).ok()?;
        Some(SealedCode::new([&nonce[..], &sealed].concat()))
    }

    /// `None` when it was sealed with another secret, for another redemption, or changed since.
    pub fn open(&self, id: RedemptionId, sealed: &SealedCode) -> Option<CardCode> {
        let (nonce, sealed) = sealed.as_bytes().split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut code = sealed.to_vec();
        let opened = self.seals.open_in_place(nonce, Aad::from(*id.get().as_bytes()), &mut code).ok()?;
        CardCode::parse(std::str::from_utf8(opened).ok()?).ok()
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn id(id: u128) -> RedemptionId {
        RedemptionId::new(Uuid::from_u128(id))
    }

    #[test]
    fn a_sealed_code_opens_for_its_redemption_with_its_secret_and_unchanged() {
        let codes = CardCodes::new(b"secret").expect("keys");
        let code = CardCode::parse("ab-12 cd").expect("a code");
        let sealed = codes.seal(id(1), &code).expect("sealed");
        assert_eq!(codes.open(id(1), &sealed), Some(code.clone()));
        assert_ne!(codes.seal(id(1), &code), Some(sealed.clone()), "no two seals are alike");
        assert_eq!(codes.open(id(2), &sealed), None);
        assert_eq!(CardCodes::new(b"another").expect("keys").open(id(1), &sealed), None);
        for place in 0..sealed.as_bytes().len() {
            let mut bytes = sealed.as_bytes().to_vec();
            bytes[place] ^= 1;
            assert_eq!(codes.open(id(1), &SealedCode::new(bytes)), None, "byte {place} was changed");
        }
    }

    #[test]
    fn a_name_is_one_for_all_spellings_and_tells_nothing_without_the_secret() {
        let codes = CardCodes::new(b"secret").expect("keys");
        let name = |codes: &CardCodes, text: &str| codes.name(&CardCode::parse(text).expect("a code"));
        assert_eq!(name(&codes, "ab-12 cd"), name(&codes, "AB12CD"));
        assert_ne!(name(&codes, "AB12CD"), name(&codes, "AB12CE"));
        assert_ne!(name(&codes, "AB12CD"), name(&CardCodes::new(b"another").expect("keys"), "AB12CD"));
        assert_eq!(name(&codes, "AB12CD").len(), 4 + 2 * NAME_BYTES);
        assert!(codes.has_named(&name(&codes, "AB12CD")));
        assert!(!CardCodes::new(b"another").expect("keys").has_named(&name(&codes, "AB12CD")));
    }
}
