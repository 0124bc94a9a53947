//! The provider over HTTP. Only what its protocol calls definite is taken for definite: of a call that went wrong anywhere
//! behind the connection's making, nobody knows what it did.

use super::signature::{Key, SIGNATURE, Signed, TIMESTAMP};
use super::{Answer, Exchange, Provider, Standing};
use crate::clock::Clock;
use crate::domain::card::CardCode;
use crate::domain::message::error_text;
use crate::domain::text::Text;
use crate::domain::{LIMIT, Money};
use async_trait::async_trait;
use awc::error::{ConnectError, SendRequestError};
use awc::http::{Method, StatusCode, Uri, Version, header};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Of an answer, so much is read.
const ANSWER_BYTES: usize = 16 << 10;
/// How long an idle connection is kept: less than servers do, so that a call seldom meets one that is being closed.
const IDLE: Duration = Duration::from_secs(3);

/// Where cards are exchanged.
#[derive(Clone)]
pub struct ProviderOptions {
    pub url: String,
    /// Signs the calls; without one they are not signed.
    pub secret: String,
    /// For one call, from its connecting to its answer's last byte.
    pub timeout: Duration,
    /// The authorities that its certificate may come from, in PEM; none for the public ones.
    pub ca_file: Option<PathBuf>,
}

impl ProviderOptions {
    /// # Errors
    /// What is wrong with the address, or with the file.
    pub fn check(&self) -> Result<(), String> {
        let uri: Uri = self.url.parse().map_err(|_| "the provider's url must be a URL")?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
            return Err("the provider's url must begin with http:// or https:// and name a host".into());
        }
        if self.url.contains(['?', '#']) {
            return Err("the provider's url must end with its path".into());
        }
        self.ca_file.as_deref().map_or(Ok(()), |path| trusting(path).map(drop))
    }
}

/// See the module. Lives on a thread that runs local tasks.
pub struct HttpProvider {
    url: String,
    key: Option<Key>,
    timeout: Duration,
    clock: Arc<dyn Clock>,
    client: awc::Client,
}

#[derive(Serialize)]
struct Asked<'a> {
    redemption_id: Uuid,
    account: &'a str,
    code: &'a str,
    country: &'a str,
}

#[derive(Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum Reply {
    Taken { amount: i64 },
    Refused { reason: Option<String> },
    Unknown,
}

struct Heard {
    status: StatusCode,
    retry_after: Option<Duration>,
    /// `None`: there was none that can be read.
    reply: Option<Reply>,
}

/// Why nothing was heard.
enum Silence {
    /// Not a byte of the call was sent.
    Unsent(String),
    Unheard(String),
}

impl HttpProvider {
    /// # Errors
    /// As [`ProviderOptions::check`].
    pub fn new(options: &ProviderOptions, clock: Arc<dyn Clock>) -> Result<Self, String> {
        options.check()?;
        // Connecting ends before the call does, so that its end is told from a call's that was sent. A call has its
        // connection to itself (HTTP/1.1) and waits for no other's (no limit): one that hangs holds up nobody.
        let part = options.timeout / 3;
        let mut connector = awc::Connector::new()
            .max_http_version(Version::HTTP_11)
            .limit(0)
            .timeout(part)
            .handshake_timeout(part)
            .conn_keep_alive(IDLE);
        if let Some(path) = &options.ca_file {
            // Last: the version above makes the connector's TLS anew.
            connector = connector.rustls_0_23(trusting(path)?);
        }
        let client = awc::Client::builder()
            .connector(connector)
            .disable_timeout()
            .disable_redirects()
            .add_default_header((header::USER_AGENT, concat!("purser/", env!("CARGO_PKG_VERSION"))))
            .finish();
        Ok(Self {
            url: options.url.trim_end_matches('/').to_owned(),
            key: Key::new(&options.secret),
            timeout: options.timeout,
            clock,
            client,
        })
    }

    async fn call(
        &self,
        method: Method,
        tail: &str,
        once: Option<Uuid>,
        body: String,
    ) -> Result<Heard, Silence> {
        let asked = self.ask(method, tail, once, body);
        tokio::time::timeout(self.timeout, asked)
            .await
            .unwrap_or_else(|_| Err(Silence::Unheard(format!("no answer within {:?}", self.timeout))))
    }

    async fn ask(
        &self,
        method: Method,
        tail: &str,
        once: Option<Uuid>,
        body: String,
    ) -> Result<Heard, Silence> {
        let mut request = self.client.request(method, format!("{}{tail}", self.url));
        if let Some(key) = &self.key {
            let seconds = self.clock.now().seconds();
            let (method, path) = (request.get_method().as_str(), request.get_uri().path());
            let signature = key.sign(seconds, Signed { method, path, body: body.as_bytes() });
            request = request.insert_header((TIMESTAMP, seconds.to_string()));
            request = request.insert_header((SIGNATURE, signature));
        }
        let sent = match once {
            Some(id) => request
                .insert_header(("idempotency-key", id.to_string()))
                .insert_header((header::CONTENT_TYPE, "application/json"))
                .send_body(body),
            None => request.send(),
        };
        let mut response = sent.await.map_err(Silence::of)?;
        let status = response.status();
        let seconds = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = seconds.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        let reply = match status {
            StatusCode::OK | StatusCode::UNPROCESSABLE_ENTITY => {
                let bytes = response.body().limit(ANSWER_BYTES).await;
                let bytes =
                    bytes.map_err(|error| Silence::Unheard(format!("the answer {status}: {error}")))?;
                serde_json::from_slice(&bytes).ok()
            }
            // Said by its status alone.
            _ => None,
        };
        Ok(Heard { status, retry_after, reply })
    }
}

/// TLS with whom these authorities, and nobody else, vouch for.
fn trusting(path: &Path) -> Result<Arc<ClientConfig>, String> {
    let failed = |error: &dyn Display| format!("the authorities in {}: {error}", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(&error))? {
        let certificate = certificate.map_err(|error| failed(&error))?;
        roots.add(certificate).map_err(|error| failed(&error))?;
    }
    if roots.is_empty() {
        return Err(failed(&"there is no certificate in it"));
    }
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

impl Silence {
    fn of(error: SendRequestError) -> Self {
        let why = match error {
            // The client calls this, too, a failure to connect.
            SendRequestError::Connect(ConnectError::Disconnected) => {
                "the provider closed the connection without an answer".to_owned()
            }
            _ => error.to_string(),
        };
        match error {
            // The client reports these while it connects and never afterwards, unlike `Disconnected` and `H2`.
            SendRequestError::Connect(
                ConnectError::Resolver(_)
                | ConnectError::NoRecords
                | ConnectError::Unresolved
                | ConnectError::SslIsNotSupported
                | ConnectError::Timeout
                | ConnectError::Io(_),
            ) => Self::Unsent(why),
            _ => Self::Unheard(why),
        }
    }
}

/// A card that was taken for nothing, or for more than can be kept, is for a person to look at.
fn worth(amount: i64) -> Result<Money, String> {
    let amount = Money::new(amount).filter(|amount| *amount > Money::ZERO);
    amount.ok_or_else(|| format!("the provider took the card for an amount outside 1..={LIMIT}"))
}

impl Heard {
    fn answer(self, code: &CardCode) -> Answer {
        let Self { status, retry_after, reply } = self;
        match (status, reply) {
            (StatusCode::OK, Some(Reply::Taken { amount })) => match worth(amount) {
                Ok(amount) => Answer::Taken { amount },
                Err(why) => Answer::InDoubt { why },
            },
            (StatusCode::UNPROCESSABLE_ENTITY, Some(Reply::Refused { reason })) => {
                let reason = reason.map(|reason| code.redact(&reason)).unwrap_or_default();
                Answer::Refused { reason: error_text(&reason) }
            }
            (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, _) => {
                Answer::NotTaken { why: format!("the provider answered {status}"), retry_after }
            }
            (status, _) => Answer::InDoubt { why: unclear(status) },
        }
    }

    fn standing(self) -> Standing {
        match (self.status, self.reply) {
            (StatusCode::OK, Some(Reply::Taken { amount })) => match worth(amount) {
                Ok(amount) => Standing::Taken { amount },
                Err(why) => Standing::NoAnswer { why },
            },
            (StatusCode::OK, Some(Reply::Refused { .. })) => {
                // Not in the provider's words: they may hold the code, which is not known here.
                let reason = "refused, as the provider said when it was asked again".to_owned();
                Standing::Refused { reason: Text::stored(reason) }
            }
            (StatusCode::OK, Some(Reply::Unknown)) => Standing::Unknown,
            // A 404 too: an address that is wrong knows no exchange either.
            (status, _) => Standing::NoAnswer { why: unclear(status) },
        }
    }
}

/// Without the answer's body, which may repeat what was asked.
fn unclear(status: StatusCode) -> String {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            format!("the provider answered {status}: it may not know provider.secret")
        }
        _ => format!("the provider answered {status}, not as agreed"),
    }
}

#[async_trait(?Send)]
impl Provider for HttpProvider {
    async fn exchange(&self, exchange: &Exchange) -> Answer {
        let Exchange { redemption_id, account, code, country } = exchange;
        let asked = Asked { redemption_id: *redemption_id, account, code: code.expose(), country };
        let Ok(body) = serde_json::to_string(&asked) else {
            return Answer::NotTaken { why: "the call cannot be written".into(), retry_after: None };
        };
        match self.call(Method::POST, "/exchange", Some(*redemption_id), body).await {
            Ok(heard) => heard.answer(code),
            Err(Silence::Unsent(why)) => Answer::NotTaken { why, retry_after: None },
            Err(Silence::Unheard(why)) => Answer::InDoubt { why },
        }
    }

    async fn status(&self, redemption_id: Uuid) -> Standing {
        match self.call(Method::GET, &format!("/exchange/{redemption_id}"), None, String::new()).await {
            Ok(heard) => heard.standing(),
            Err(Silence::Unsent(why) | Silence::Unheard(why)) => Standing::NoAnswer { why },
        }
    }
}
