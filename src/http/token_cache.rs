//! Access tokens that this worker has verified lately. Only what never changes about a token is remembered; time and
//! revocation are judged on every request.

use super::tokens::Access;
use aws_lc_rs::constant_time;

/// A power of two; about 400 bytes each once filled.
const SLOTS: usize = 4_096;

/// Direct-mapped: a token has one slot, picked by the end of its signature, and the newest there wins.
pub struct TokenCache {
    slots: Vec<Option<(Box<[u8]>, Access)>>,
}

impl TokenCache {
    pub fn new() -> Self {
        Self { slots: std::iter::repeat_with(|| None).take(SLOTS).collect() }
    }

    pub fn get(&self, token: &[u8]) -> Option<Access> {
        let (known, access) = self.slots.get(slot(token)?)?.as_ref()?;
        // Not `==`: its timing would tell how much of a guessed signature is right.
        constant_time::verify_slices_are_equal(known, token).is_ok().then_some(*access)
    }

    pub fn put(&mut self, token: &[u8], access: Access) {
        if let Some(place) = slot(token).and_then(|slot| self.slots.get_mut(slot)) {
            *place = Some((token.into(), access));
        }
    }
}

/// The last but one eight characters of a signature are as good as random; the very last carries padding bits.
fn slot(token: &[u8]) -> Option<usize> {
    let end = token.len().checked_sub(1)?;
    let tail: [u8; 8] = token.get(end.checked_sub(8)?..end)?.try_into().ok()?;
    let mixed = u64::from_le_bytes(tail).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Some((mixed >> 48) as usize & (SLOTS - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::UserId;
    use crate::domain::user::Role;

    #[test]
    fn only_the_very_same_token_is_known() {
        let access =
            Access { user_id: UserId::new(7), role: Role::User, family_id: None, not_before: 0, expires: 10 };
        let mut cache = TokenCache::new();
        cache.put(b"header.claims.signature-0123456789", access);
        assert_eq!(cache.get(b"header.claims.signature-0123456789"), Some(access));
        assert_eq!(cache.get(b"header.Claims.signature-0123456789"), None);
        assert_eq!(cache.get(b"short"), None);
    }
}
