//! The application: its routes, and what each worker keeps.

use super::body::Limits;
use super::connection::Connections;
use super::drain::Drain;
use super::observe::{Edge, Observe};
use super::outgoing::Outgoing;
use super::problem::Problem;
use super::routes::Routes;
use super::throttle::Throttle;
use super::token_cache::TokenCache;
use super::tokens::{Access, Tokens};
use super::{
    HttpOptions, account_file, accounts, auth, balances, batches, distributors, document, explanations,
    items, messages, operations, orders, plans, purchases, redemptions, returns, stock, users, withdrawals,
};
use crate::domain::Timestamp;
use crate::engine::Engine;
use actix_web::body::BoxBody;
use actix_web::dev::{Payload, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::{App, Error, FromRequest, HttpRequest, HttpResponse, web};
use futures_util::future::{Ready, ready};
use metrics_exporter_prometheus::PrometheusHandle;
use std::cell::RefCell;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use utoipa_actix_web::service_config::ServiceConfig;
use utoipa_actix_web::{AppExt, scope};

/// What all workers share.
pub struct Shared {
    pub engine: Engine,
    pub options: HttpOptions,
    pub metrics: PrometheusHandle,
    pub tokens: Tokens,
    pub by_account: Throttle,
    pub by_address: Throttle,
    pub routes: Arc<Routes>,
    pub drain: Arc<Drain>,
    pub connections: Arc<Connections>,
    pub outgoing: Arc<Outgoing>,
    /// The OpenAPI document, written once.
    pub document: String,
}

impl Shared {
    pub fn new(engine: Engine, options: HttpOptions, metrics: PrometheusHandle) -> Self {
        let document = document::document();
        Self {
            tokens: Tokens::new(&options.secret, options.access_token_seconds),
            by_account: Throttle::new(options.login_attempts_per_minute),
            by_address: Throttle::new(options.login_attempts_per_minute_per_address),
            routes: Arc::new(Routes::of(&document)),
            drain: Arc::default(),
            connections: Arc::default(),
            outgoing: Outgoing::new(options.replies_bytes_max),
            document: document.to_json().unwrap_or_default(),
            engine,
            options,
            metrics,
        }
    }
}

/// What one worker has: the shared part, and what is faster to have alone.
pub struct Worker {
    shared: Arc<Shared>,
    cache: RefCell<TokenCache>,
    edge: Rc<Edge>,
}

impl Worker {
    pub fn engine(&self) -> &Engine {
        &self.shared.engine
    }
    pub fn options(&self) -> &HttpOptions {
        &self.shared.options
    }
    pub fn shared(&self) -> &Shared {
        &self.shared
    }
    pub fn now(&self) -> Timestamp {
        self.shared.options.clock.now()
    }

    /// Checks an access token, except for revocation.
    pub fn verify(&self, token: &[u8]) -> Result<Access, Problem> {
        let known = self.cache.borrow().get(token);
        let access = if let Some(access) = known {
            access
        } else {
            let access = self.shared.tokens.verify(token)?;
            self.cache.borrow_mut().put(token, access);
            access
        };
        access.check_time(self.now()).map(|()| access)
    }

    pub fn count_purchase(&self, result: &'static str, took: Duration) {
        self.edge.meters.borrow_mut().purchase(result, took);
    }
}

/// The worker that serves a request.
#[derive(Clone)]
pub struct Web(Rc<Worker>);

impl Web {
    pub fn new(shared: Arc<Shared>) -> Self {
        let edge = Edge::new(
            shared.routes.clone(),
            shared.options.slow_request,
            shared.drain.clone(),
            shared.outgoing.clone(),
        );
        Self(Rc::new(Worker { shared, cache: RefCell::new(TokenCache::new()), edge: Rc::new(edge) }))
    }

    pub fn of(request: &HttpRequest) -> Result<Self, Problem> {
        request.app_data::<Self>().cloned().ok_or_else(Problem::internal)
    }
}

impl Deref for Web {
    type Target = Worker;
    fn deref(&self) -> &Worker {
        &self.0
    }
}

impl FromRequest for Web {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request))
    }
}

/// The router tries these in order, so what is asked most comes first.
pub fn api(config: &mut ServiceConfig<'_>) {
    config.service(purchases::purchase);
    orders::routes(config);
    items::routes(config);
    stock::routes(config);
    balances::routes(config);
    auth::routes(config);
    returns::routes(config);
    users::routes(config);
    withdrawals::routes(config);
    distributors::routes(config);
    plans::routes(config);
    account_file::routes(config);
    accounts::routes(config);
    batches::routes(config);
    redemptions::routes(config);
    messages::routes(config);
    operations::api_routes(config);
}

/// The application for one worker.
pub fn build(
    worker: Web,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<BoxBody>,
        Error = Error,
        InitError = (),
    >,
> {
    let edge = worker.edge.clone();
    App::new()
        .app_data(Limits::of(worker.options()))
        .app_data(edge.clone())
        .app_data(worker)
        .into_utoipa_app()
        .service(scope("/api/v1").configure(api))
        .configure(operations::routes)
        .configure(explanations::routes)
        .into_app()
        .service(operations::swagger_ui())
        .default_service(web::to(elsewhere))
        .wrap(Observe(edge))
}

/// Nothing is at this address.
pub async fn elsewhere() -> Result<HttpResponse, Problem> {
    Err(Problem::not_found("nothing is at this address"))
}
