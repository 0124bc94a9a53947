//! A session family: one login and the refresh tokens that descend from it. Tokens themselves are never stored; they
//! are computed from the family and its generation.

use super::entity::{Decision, Entity, Verdict};
use super::event::Event;
use super::ids::{FamilyId, UserId};
use super::rejection::{Missing, Rejection};
use super::time::Timestamp;
use super::user::Role;
use serde::{Deserialize, Serialize};

/// Within so many seconds after a rotation the predecessor still yields the same successor: parallel requests and lost
/// replies do not log anybody out.
pub const REUSE_GRACE_SECONDS: i64 = 20;

/// What a login grants, and to whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SessionGrant {
    pub user_id: UserId,
    pub role: Role,
    pub opened_at: Timestamp,
    pub expires_at: Timestamp,
}

/// A session as it was stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionView {
    pub family_id: FamilyId,
    pub grant: SessionGrant,
    pub generation: u32,
    pub rotated_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

/// The state of one family.
#[derive(Clone, Debug)]
pub struct Session {
    view: Option<SessionView>,
    /// Generations before the last but one that were traded in within the grace, and when.
    lately: Vec<(u32, Timestamp)>,
    /// `lately` is not stored: when those below this generation were traded in is not known, only that it was before then.
    forgotten: (u32, Timestamp),
}

/// What a session's owner commits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SessionCommand {
    /// A login, by the owner of a family that is about to be.
    Open {
        family_id: FamilyId,
        grant: SessionGrant,
    },
    /// A refresh token of this generation was presented.
    Rotate {
        generation: u32,
    },
    Revoke,
}

impl Session {
    pub const fn stored(view: SessionView) -> Self {
        Self { view: Some(view), lately: Vec::new(), forgotten: (view.generation, view.rotated_at) }
    }

    /// `None` before the opened event.
    pub const fn view(&self) -> Option<SessionView> {
        self.view
    }

    /// When a generation was traded in, as far as that is still of interest.
    fn traded_in(&self, view: &SessionView, generation: u32) -> Option<Timestamp> {
        if generation + 1 == view.generation {
            return Some(view.rotated_at);
        }
        self.lately.iter().find(|(known, _)| *known == generation).map(|(_, at)| *at)
    }

    fn rotate(&self, view: &SessionView, presented: u32, at: Timestamp) -> Verdict<Decision> {
        let family_id = view.family_id;
        if view.revoked_at.is_some() {
            return Verdict::Refused(Rejection::TokenRevoked);
        }
        if at >= view.grant.expires_at {
            return Verdict::Refused(Rejection::TokenExpired);
        }
        if presented == view.generation {
            let generation = presented + 1;
            return Verdict::Granted(Decision::one(Event::SessionRotated {
                family_id,
                generation,
                rotated_at: at,
            }));
        }
        let traded_in = self.traded_in(view, presented);
        if traded_in.is_some_and(|traded_in| at < traded_in.plus_seconds(REUSE_GRACE_SECONDS)) {
            return Verdict::Granted(Decision::default());
        }
        let (below, before) = self.forgotten;
        if presented < below && at < before.plus_seconds(REUSE_GRACE_SECONDS) {
            // Within its grace or not: it cannot be told any more, so nobody is taken for a thief.
            return Verdict::Refused(Rejection::TokenRevoked);
        }
        // A token that was already traded in came back: somebody else may hold its successor.
        Verdict::Granted(Decision::one(Event::SessionRevoked { family_id, revoked_at: at }))
    }
}

impl Entity for Session {
    type Claim = std::convert::Infallible;
    type Grant = ();
    type Command = SessionCommand;

    fn unborn() -> Self {
        Self { view: None, lately: Vec::new(), forgotten: (0, Timestamp::from_micros(0)) }
    }

    fn claim(&mut self, claim: &Self::Claim, _contended: bool) -> Verdict<()> {
        match *claim {}
    }

    fn release(&mut self, claim: &Self::Claim) {
        match *claim {}
    }

    fn decide(&self, command: &SessionCommand, at: Timestamp, _contended: bool) -> Verdict<Decision> {
        if let SessionCommand::Open { family_id, grant } = command {
            let opened = Event::SessionOpened { family_id: *family_id, grant: *grant };
            return Verdict::Granted(Decision::one(opened));
        }
        let Some(view) = &self.view else {
            return Verdict::Refused(Rejection::NotFound(Missing::Session));
        };
        match command {
            SessionCommand::Open { .. } => Verdict::Granted(Decision::default()),
            SessionCommand::Rotate { generation } => self.rotate(view, *generation, at),
            SessionCommand::Revoke if view.revoked_at.is_some() => Verdict::Granted(Decision::default()),
            SessionCommand::Revoke => {
                let event = Event::SessionRevoked { family_id: view.family_id, revoked_at: at };
                Verdict::Granted(Decision::one(event))
            }
        }
    }

    fn apply(&mut self, event: &Event, _at: Timestamp) {
        match (event, &mut self.view) {
            (Event::SessionOpened { family_id, grant }, view) => {
                *view = Some(SessionView {
                    family_id: *family_id,
                    grant: *grant,
                    generation: 0,
                    rotated_at: grant.opened_at,
                    revoked_at: None,
                });
            }
            (Event::SessionRotated { generation, rotated_at, .. }, Some(view)) => {
                self.lately.retain(|(_, at)| at.plus_seconds(REUSE_GRACE_SECONDS) > *rotated_at);
                if view.generation > 0 {
                    self.lately.push((view.generation - 1, view.rotated_at));
                }
                view.generation = *generation;
                view.rotated_at = *rotated_at;
            }
            (Event::SessionRevoked { revoked_at, .. }, Some(view)) => view.revoked_at = Some(*revoked_at),
            _ => {}
        }
    }

    fn version(&self) -> u64 {
        0
    }

    fn is_level(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn opened() -> Session {
        let mut session = Session::unborn();
        let grant = SessionGrant {
            user_id: UserId::new(1),
            role: Role::User,
            opened_at: Timestamp::from_micros(0),
            expires_at: Timestamp::from_micros(0).plus_seconds(1_000),
        };
        let family_id = FamilyId::new(Uuid::nil());
        session.apply(&Event::SessionOpened { family_id, grant }, grant.opened_at);
        session
    }

    fn rotate(session: &mut Session, generation: u32, second: i64) -> Verdict<Decision> {
        let at = Timestamp::from_micros(0).plus_seconds(second);
        let verdict = session.decide(&SessionCommand::Rotate { generation }, at, false);
        if let Verdict::Granted(decision) = &verdict {
            decision.own.iter().for_each(|event| session.apply(event, at));
        }
        verdict
    }

    #[test]
    fn parallel_refreshes_share_one_successor() {
        let mut session = opened();
        assert!(matches!(rotate(&mut session, 0, 10), Verdict::Granted(decision) if !decision.is_void()));
        assert!(matches!(rotate(&mut session, 0, 29), Verdict::Granted(decision) if decision.is_void()));
        assert_eq!(session.view().map(|view| view.generation), Some(1));
    }

    #[test]
    fn within_the_grace_an_older_token_yields_its_own_successor_again() {
        let mut session = opened();
        rotate(&mut session, 0, 10);
        rotate(&mut session, 1, 11);
        rotate(&mut session, 2, 12);
        for generation in [0, 1, 2] {
            let again = rotate(&mut session, generation, 29);
            assert!(matches!(again, Verdict::Granted(decision) if decision.is_void()), "{generation}");
        }
        rotate(&mut session, 0, 30);
        assert!(session.view().is_some_and(|view| view.revoked_at.is_some()), "its grace is over");
    }

    #[test]
    fn reuse_after_the_grace_revokes_the_family() {
        let mut session = opened();
        rotate(&mut session, 0, 10);
        rotate(&mut session, 0, 30);
        assert!(session.view().is_some_and(|view| view.revoked_at.is_some()));
        assert_eq!(rotate(&mut session, 1, 31), Verdict::Refused(Rejection::TokenRevoked));
    }

    #[test]
    fn a_session_that_was_just_loaded_takes_nobody_for_a_thief_whose_grace_it_forgot() {
        let mut resident = opened();
        rotate(&mut resident, 0, 10);
        rotate(&mut resident, 1, 11);
        let mut loaded = Session::stored(resident.view().expect("opened"));
        assert_eq!(rotate(&mut loaded, 0, 30), Verdict::Refused(Rejection::TokenRevoked));
        assert!(matches!(rotate(&mut loaded, 1, 30), Verdict::Granted(decision) if decision.is_void()));
        assert!(loaded.view().is_some_and(|view| view.revoked_at.is_none()), "the family lives");
        rotate(&mut loaded, 0, 31);
        assert!(loaded.view().is_some_and(|view| view.revoked_at.is_some()), "no grace reaches so far");
    }

    #[test]
    fn an_expired_family_is_not_refreshed() {
        assert_eq!(rotate(&mut opened(), 0, 1_000), Verdict::Refused(Rejection::TokenExpired));
    }
}
