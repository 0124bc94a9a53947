//! The provider's side of the story: what its ledger must never show.

use crate::support::simulator::Simulator;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use time::{Duration, OffsetDateTime};

/// One attempt to exchange a card that reached the provider.
#[derive(Clone, Debug, Deserialize)]
pub struct Attempt {
    pub redemption_id: String,
    pub account: String,
    pub code: String,
    pub country: String,
    pub amount: Option<u64>,
    pub status: String,
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    ended_at: Option<OffsetDateTime>,
}

/// Somebody asked the provider how a redemption ended.
#[derive(Clone, Debug, Deserialize)]
pub struct Inquiry {
    pub redemption_id: String,
    pub answer: String,
    #[serde(with = "time::serde::rfc3339")]
    pub answered_at: OffsetDateTime,
}

impl Attempt {
    pub fn took(&self) -> bool {
        self.status == "taken"
    }

    #[track_caller]
    pub fn ended(&self) -> OffsetDateTime {
        self.ended_at.unwrap_or_else(|| panic!("it has not ended: {self:?}"))
    }
}

impl Simulator {
    /// Every attempt so far, in the order in which they began.
    #[track_caller]
    pub fn attempts(&self) -> Vec<Attempt> {
        let mut attempts: Vec<Attempt> =
            serde_json::from_value(Value::Array(self.ledger())).expect("a ledger of attempts");
        attempts.sort_by_key(|attempt| attempt.started_at);
        attempts
    }

    /// What was asked about this redemption, in order.
    #[track_caller]
    pub fn inquiries_about(&self, redemption_id: &str) -> Vec<Inquiry> {
        self.inquiries().into_iter().filter(|inquiry| inquiry.redemption_id == redemption_id).collect()
    }

    /// All that was asked about any.
    #[track_caller]
    pub fn inquiries(&self) -> Vec<Inquiry> {
        let reply = self.http.send("GET", "/inquiries", &[], None).expect("an answer");
        serde_json::from_value(reply.json()).expect("a list of inquiries")
    }

    /// The attempts that took a card, in order.
    #[track_caller]
    pub fn taken(&self) -> Vec<Attempt> {
        self.attempts().into_iter().filter(Attempt::took).collect()
    }

    /// The card of this redemption was taken in one attempt, with this amount, and not sent again after it.
    #[track_caller]
    pub fn expect_taken_once(&self, redemption_id: &str, amount: u64) {
        let attempts = self.attempts().into_iter().filter(|attempt| attempt.redemption_id == redemption_id);
        taken_once(&attempts.collect::<Vec<_>>(), &self.inquiries_about(redemption_id), amount);
    }

    /// No account ever had two cards under way.
    #[track_caller]
    pub fn expect_one_at_a_time(&self) {
        one_at_a_time(&self.attempts());
    }
}

/// Of these attempts to exchange one card one took it, with this amount, and each that came later was told so. The attempt.
#[track_caller]
pub fn taken_for_good(attempts: &[Attempt], amount: u64) -> &Attempt {
    let taken: Vec<_> = attempts.iter().filter(|attempt| attempt.took()).collect();
    assert_eq!(taken.len(), 1, "not taken once: {attempts:?}");
    assert_eq!(taken[0].amount, Some(amount), "{attempts:?}");
    for attempt in attempts.iter().filter(|attempt| attempt.started_at > taken[0].ended()) {
        assert_eq!(attempt.status, "repeated", "{attempts:?}");
    }
    taken[0]
}

/// As [`taken_for_good`], and no attempt was made by anybody who could know that. One that was long under way may take the
/// card behind the back of one who has just been told that nobody has: that one sends again, and is told what the first
/// attempt came to.
#[track_caller]
pub fn taken_once(attempts: &[Attempt], inquiries: &[Inquiry], amount: u64) {
    let taken = taken_for_good(attempts, amount);
    let again = attempts.iter().filter(|attempt| attempt.started_at > taken.ended());
    let before = |attempt: &Attempt, is_unknown: bool| {
        let answers = inquiries.iter().filter(|asked| (asked.answer == "unknown") == is_unknown);
        answers.filter(|asked| asked.answered_at < attempt.started_at).count()
    };
    let untaken = ["dropped_before", "not_taken_429", "error_500"];
    let answered = attempts.iter().filter(|attempt| untaken.contains(&attempt.status.as_str())).count();
    let unknown = inquiries.iter().filter(|asked| asked.answer == "unknown").count();
    for attempt in again {
        assert!(
            before(attempt, true) > 0,
            "sent again after it was taken, unasked: {attempts:?} {inquiries:?}"
        );
        assert_eq!(
            before(attempt, false),
            0,
            "sent again after it was told to be taken: {attempts:?} {inquiries:?}"
        );
    }
    assert!(attempts.len() <= 1 + unknown + answered, "sent without need: {attempts:?} {inquiries:?}");
}

/// In these attempts, in the order in which they began, no account has two cards under way.
#[track_caller]
pub fn one_at_a_time(attempts: &[Attempt]) {
    let mut last: BTreeMap<&str, &Attempt> = BTreeMap::new();
    for attempt in attempts {
        if let Some(before) = last.insert(&attempt.account, attempt) {
            assert!(before.ended() <= attempt.started_at, "two at once: {before:?} and {attempt:?}");
        }
    }
}

/// Of these attempts, in the order in which they began, no more than so many began within any one second.
#[track_caller]
pub fn at_most_in_a_second(attempts: &[Attempt], most: usize) {
    for window in attempts.windows(most + 1) {
        let took = window[most].started_at - window[0].started_at;
        assert!(took >= Duration::SECOND, "more than {most} in {took}: {window:?}");
    }
}
