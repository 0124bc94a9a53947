//! Users and their sessions: registration under a free email address, login, refresh, logout.

use super::call::{Call, NewUserRequest, OpenedSession};
use super::items::{directory, seek};
use super::operate::{Stop, Work};
use super::orders::committed;
use super::{EngineError, Inner, LoggedIn};
use crate::domain::balance::BalanceView;
use crate::domain::directory::{DirectoryCommand, UniqueName};
use crate::domain::event::Namespace;
use crate::domain::outcome::NewUser;
use crate::domain::rejection::Missing;
use crate::domain::session::{Session, SessionCommand, SessionGrant};
use crate::domain::text::Email;
use crate::domain::user::Profile;
use crate::domain::{Event, FamilyId, Operation, Outcome, Rejection, Seq, UserId};
use crate::owners::mailbox::Committed;
use crate::owners::{Party, Pin, Unborn};
use std::sync::Arc;
use tokio::sync::oneshot;

fn email_name(email: &Email) -> UniqueName {
    UniqueName { namespace: Namespace::Email, name: email.key().into() }
}

/// What is registered, with the password already hashed.
pub(super) struct Registration {
    pub request: NewUserRequest,
    pub password_hash: Option<Arc<str>>,
    /// Where the opened session is reported to.
    pub session: Option<oneshot::Sender<OpenedSession>>,
}

pub(super) async fn register(mut work: Work, registration: Registration) -> Result<Committed, Stop> {
    let engine = work.engine.clone();
    let Registration { request, password_hash, session } = registration;
    let name = email_name(&request.email);
    let owner = directory(&engine, name.shard()).await?;
    let _permit = work.admit(&owner)?;
    let user_id = engine.view(&owner, |glimpse| glimpse.entity.reserve_user()).await?;
    let user = engine
        .balances
        .spawn_unborn(user_id)
        .await
        .map_err(|error| engine.not_pinned(error, Missing::User))?;
    let now = engine.ground.clock.now();
    let profile = Arc::new(Profile {
        name: request.name.clone(),
        email: request.email.clone(),
        password_hash,
        role: request.role,
        created_at: now,
    });
    let mut opened = None;
    if request.open_session {
        opened = Some(new_family(&engine, user_id, request.role, engine.options.session_seconds).await?);
    }
    let committed = loop {
        let (email, read_at) = seek(&engine, &name).await?;
        let grant = opened.as_ref().map(|(opened, _)| (opened.family_id, opened.grant));
        let command = DirectoryCommand::Register { email, user_id, profile: profile.clone(), session: grant };
        let mut parties: Vec<Box<dyn Party>> = vec![Box::new(user.pin())];
        if let Some((_, family)) = &opened {
            parties.push(Box::new(family.pin()));
        }
        let space = work.space().await?;
        if let Some(committed) = work.commit(&owner, command, parties, space, Some(read_at)).await? {
            break committed;
        }
    };
    if let (Some(session), Some((opened, _))) = (session, opened) {
        // A caller that is gone has no use for its session.
        let _ = session.send(opened);
    }
    Ok(committed)
}

async fn new_family(
    engine: &Inner,
    user_id: UserId,
    role: crate::domain::user::Role,
    seconds: i64,
) -> Result<(OpenedSession, Unborn<Session>), Stop> {
    let family_id = FamilyId::new(engine.ground.clock.new_id());
    let family = engine.sessions.spawn_unborn(family_id).await;
    let family = family.map_err(|error| engine.not_pinned(error, Missing::Session))?;
    let opened_at = engine.ground.clock.now();
    let expires_at = opened_at.plus_seconds(seconds);
    let grant = SessionGrant { user_id, role, opened_at, expires_at };
    Ok((OpenedSession { family_id, grant, generation: 0 }, family))
}

impl Inner {
    pub(super) async fn register(
        self: &Arc<Self>,
        mut request: NewUserRequest,
    ) -> Result<LoggedIn, EngineError> {
        let password_hash = match request.password.take() {
            Some(password) => Some(self.passwords.hash(password).await?),
            None => None,
        };
        let (report, session) = oneshot::channel();
        let registration = Registration { request, password_hash, session: Some(report) };
        let run = move |work: Work, (): ()| register(work, registration);
        let reply = self.operate(Call::default(), Operation::Register, (), run).await?;
        match reply.outcome {
            Outcome::Registered(user) => Ok(LoggedIn { user, session: session.await.ok(), seq: reply.seq }),
            _ => Err(EngineError::Internal),
        }
    }

    pub(super) async fn create_user(
        self: &Arc<Self>,
        call: Call,
        mut request: NewUserRequest,
    ) -> super::Answer {
        let password = request.password.take();
        // A stored hash is salted: it cannot tell whether a retry has the same password.
        let fingerprint = password.as_deref().map(|password| self.fingerprints.of_password(password));
        let identity = (request.name.clone(), request.email.clone(), request.role, fingerprint);
        let password_hash = match password {
            Some(password) => Some(self.passwords.hash(password).await?),
            None => None,
        };
        let registration = Registration { request, password_hash, session: None };
        self.operate(call, Operation::Register, identity, move |work, _| register(work, registration)).await
    }

    pub(super) async fn log_in(
        self: &Arc<Self>,
        email: &str,
        password: String,
    ) -> Result<LoggedIn, EngineError> {
        let known = match Email::parse(email) {
            Ok(email) => self.user_by_email(&email).await?,
            Err(_) => None,
        };
        let hash = known.as_ref().and_then(|user| user.profile.password_hash.clone());
        let fits = self.passwords.verify(password, hash).await?;
        let Some(user) = known.filter(|_| fits) else {
            return Err(self.edge_rejection(Rejection::InvalidCredentials));
        };
        let seconds = self.options.session_seconds;
        let (session, seq) = self.open_session(user.user_id, &user, seconds).await?;
        Ok(LoggedIn { user: new_user(&user), session, seq })
    }

    /// Opens a session of a user for an administrator, as long as one access token lives: nobody can refresh it.
    pub(super) async fn issue_token(
        self: &Arc<Self>,
        admin: UserId,
        user_id: UserId,
    ) -> Result<LoggedIn, EngineError> {
        let owner = self.pin(&self.balances, user_id, Missing::User).await?;
        let user = self.view(&owner, |glimpse| glimpse.entity.view()).await?;
        let user = user.ok_or_else(|| self.edge_rejection(Rejection::NotFound(Missing::User)))?;
        let seconds = self.options.access_token_seconds;
        let (session, seq) = self.open_session(admin, &user, seconds).await?;
        Ok(LoggedIn { user: new_user(&user), session, seq })
    }

    async fn open_session(
        self: &Arc<Self>,
        caller: UserId,
        user: &BalanceView,
        seconds: i64,
    ) -> Result<(Option<OpenedSession>, Seq), EngineError> {
        let (report, session) = oneshot::channel();
        let (user_id, role) = (user.user_id, user.profile.role);
        let open = move |mut work: Work, (): ()| async move {
            let engine = work.engine.clone();
            let (opened, family) = new_family(&engine, user_id, role, seconds).await?;
            let space = work.space().await?;
            let command = SessionCommand::Open { family_id: opened.family_id, grant: opened.grant };
            let outcome = committed(work.commit(&family.pin(), command, Vec::new(), space, None).await?)?;
            // A caller that is gone has no use for its session.
            let _ = report.send(opened);
            Ok(outcome)
        };
        let reply = self.operate(Call::by(caller), Operation::Login, (), open).await?;
        Ok((session.await.ok(), reply.seq))
    }

    pub(super) async fn user_by_email(&self, email: &Email) -> Result<Option<BalanceView>, EngineError> {
        let name = email_name(email);
        let owner = directory(self, name.shard()).await?;
        let holder = loop {
            let (sought, read_at) = seek(self, &name).await?;
            let name = name.clone();
            let seen =
                self.view(&owner, move |glimpse| (glimpse.entity.recent(&name), glimpse.let_go)).await?;
            match seen {
                (Some(recent), _) => break recent,
                (None, let_go) if read_at >= let_go => break sought.stored,
                (None, _) => {}
            }
        };
        let Some(holder) = holder else { return Ok(None) };
        let owner = self.pin(&self.balances, UserId::new(holder), Missing::User).await?;
        let (view, as_of) = self.view(&owner, |glimpse| (glimpse.entity.view(), glimpse.as_of)).await?;
        self.ground.durable.wait(as_of).await?;
        Ok(view)
    }

    pub(super) async fn refresh(
        self: &Arc<Self>,
        family_id: FamilyId,
        generation: u32,
    ) -> Result<(OpenedSession, Seq), EngineError> {
        let rotate = move |mut work: Work, (): ()| async move {
            let engine = work.engine.clone();
            let family = pin_family(&engine, family_id).await?;
            let _permit = work.admit(&family)?;
            let space = work.space().await?;
            let command = SessionCommand::Rotate { generation };
            let outcome = committed(work.commit(&family, command, Vec::new(), space, None).await?)?;
            match &outcome {
                Committed::Recorded { record, .. }
                    if record.events.iter().any(|event| matches!(event, Event::SessionRevoked { .. })) =>
                {
                    tracing::warn!(target: "audit", family = %family_id, "a refresh token was used again: session revoked");
                    Err(work.refused(Rejection::TokenRevoked, record.seq))
                }
                _ => Ok(outcome),
            }
        };
        let seq = self.operate(Call::default(), Operation::Refresh, (), rotate).await?.seq;
        let family = pin_family(self, family_id).await?;
        let view = self.view(&family, |glimpse| glimpse.entity.view()).await?;
        let view = view.ok_or_else(|| self.edge_rejection(Rejection::TokenRevoked))?;
        // The successor of what was presented, also when a parallel request has moved on meanwhile.
        Ok((OpenedSession { family_id, grant: view.grant, generation: generation + 1 }, seq))
    }

    pub(super) async fn log_out(self: &Arc<Self>, family_id: FamilyId) -> Result<Seq, EngineError> {
        let revoke = move |mut work: Work, (): ()| async move {
            let engine = work.engine.clone();
            let family = pin_family(&engine, family_id).await?;
            let _permit = work.admit(&family)?;
            let space = work.space().await?;
            committed(work.commit(&family, SessionCommand::Revoke, Vec::new(), space, None).await?)
        };
        Ok(self.operate(Call::default(), Operation::Logout, (), revoke).await?.seq)
    }
}

/// A family that is not known is as good as revoked.
async fn pin_family(engine: &Inner, family_id: FamilyId) -> Result<Pin<Session>, EngineError> {
    engine.pin(&engine.sessions, family_id, Missing::Session).await.map_err(|error| match error {
        EngineError::Rejected { rejection: Rejection::NotFound(_), seq, replayed } => {
            EngineError::Rejected { rejection: Rejection::TokenRevoked, seq, replayed }
        }
        other => other,
    })
}

/// A user as others may see it.
pub(super) fn new_user(view: &BalanceView) -> NewUser {
    NewUser {
        id: view.user_id,
        name: view.profile.name.as_str().into(),
        email: view.profile.email.as_str().into(),
        role: view.profile.role,
        created_at: view.profile.created_at,
    }
}
