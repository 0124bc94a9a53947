//! A provider that does what the test says, at the moment that it says.

use crate::rig::sending_to;
use crate::support::server::Setup;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What becomes of a request.
#[derive(Clone, Copy)]
pub enum Answer {
    Taken(u64),
    Unknown,
    /// This status, without a body.
    Status(u16),
    /// The connection is closed without a word.
    Nothing,
    /// The connection stays open until [`Scripted::release`].
    Held,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// `POST /exchange` sends a card; any other asks what became of one.
    line: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Value,
    pub at: Instant,
}

impl Asked {
    pub fn is_exchange(&self) -> bool {
        self.line.starts_with("POST /exchange ")
    }

    /// The redemption that it is about.
    pub fn redemption_id(&self) -> String {
        match self.body["redemption_id"].as_str() {
            Some(id) => id.to_owned(),
            None => self.line.split([' ', '/']).find(|part| part.len() == 36).unwrap_or_default().to_owned(),
        }
    }
}

/// The authority that vouches for a provider with TLS.
pub const AUTHORITY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls/authority.pem");

/// A connection, plain or not.
trait Wire: Read + Write + Send {}
impl Wire for TcpStream {}
impl Wire for StreamOwned<ServerConnection, TcpStream> {}

type Dress = Box<dyn Fn(TcpStream) -> Box<dyn Wire> + Send>;

/// Speaks TLS, with a certificate for this machine.
fn in_tls() -> Dress {
    let file = |name: &str| format!("{}/tests/fixtures/tls/{name}", env!("CARGO_MANIFEST_DIR"));
    let chain = CertificateDer::pem_file_iter(file("server.pem")).expect("a file");
    let chain = chain.map(|certificate| certificate.expect("a certificate")).collect();
    let key = PrivateKeyDer::from_pem_file(file("server-key.pem")).expect("a key");
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
    let config = Arc::new(config.expect("they belong together"));
    Box::new(move |stream| {
        let connection = ServerConnection::new(config.clone()).expect("a sound configuration");
        Box::new(StreamOwned::new(connection, stream))
    })
}

#[derive(Default)]
struct State {
    asked: Vec<Asked>,
    held: Vec<Box<dyn Wire>>,
    is_gone: bool,
}

/// See the module.
pub struct Scripted {
    address: SocketAddr,
    scheme: &'static str,
    state: Arc<Mutex<State>>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scripted {
    pub fn start(answers: impl Fn(&Asked) -> Answer + Send + 'static) -> Self {
        Self::start_at("127.0.0.1:0".parse().expect("an address"), answers)
    }

    pub fn start_at(address: SocketAddr, answers: impl Fn(&Asked) -> Answer + Send + 'static) -> Self {
        Self::listen(address, "http", Box::new(|stream| Box::new(stream)), answers)
    }

    /// One that is to be asked over TLS; [`AUTHORITY`] vouches for it.
    pub fn start_with_tls(answers: impl Fn(&Asked) -> Answer + Send + 'static) -> Self {
        Self::listen("127.0.0.1:0".parse().expect("an address"), "https", in_tls(), answers)
    }

    fn listen(
        address: SocketAddr,
        scheme: &'static str,
        dress: Dress,
        answers: impl Fn(&Asked) -> Answer + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).expect("a free port");
        let address = listener.local_addr().expect("its address");
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = state.clone();
        // Ends with the test's process, or with `vanish`.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if lock(&shared).is_gone {
                    return;
                }
                let mut stream = dress(stream);
                let Some(asked) = read(&mut *stream) else { continue };
                let answer = answers(&asked);
                let mut state = lock(&shared);
                state.asked.push(asked);
                match answer {
                    Answer::Taken(amount) => reply(&mut *stream, 200, &taken(amount)),
                    Answer::Unknown => reply(&mut *stream, 200, &json!({"status": "unknown"}).to_string()),
                    Answer::Status(status) => reply(&mut *stream, status, ""),
                    Answer::Nothing => {}
                    Answer::Held => state.held.push(stream),
                }
            }
        });
        Self { address, scheme, state }
    }

    /// A server that sends its cards here.
    pub fn setup(&self) -> Setup {
        sending_to(&format!("{}://{}", self.scheme, self.address))
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every request so far, in the order in which they came.
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.state).asked.clone()
    }

    /// The requests to take a card.
    pub fn exchanges(&self) -> Vec<Asked> {
        self.asked().into_iter().filter(Asked::is_exchange).collect()
    }

    /// How many requests wait for an answer.
    pub fn held(&self) -> usize {
        lock(&self.state).held.len()
    }

    /// Tells everybody who waits that the card was taken.
    pub fn release(&self, amount: u64) {
        lock(&self.state).held.drain(..).for_each(|mut stream| reply(&mut *stream, 200, &taken(amount)));
    }

    /// Breaks every connection and takes no new one: the provider is gone for good.
    pub fn vanish(&self) {
        let mut state = lock(&self.state);
        state.is_gone = true;
        state.held.clear();
        drop(state);
        // Wakes the listener; from then on nobody listens.
        let _ = TcpStream::connect(self.address);
    }
}

fn taken(amount: u64) -> String {
    json!({"status": "taken", "amount": amount}).to_string()
}

/// Whether anybody reads it is their business.
fn reply(stream: &mut dyn Wire, status: u16, body: &str) {
    let head = format!("HTTP/1.1 {status} So\r\nContent-Type: application/json\r\nConnection: close\r\n");
    let _ = stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
    let _ = stream.flush();
}

fn read(stream: &mut dyn Wire) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    // Whoever opens a connection and closes it has asked nothing.
    (reader.read_line(&mut first).ok()? > 0).then_some(())?;
    let (mut headers, mut line) = (BTreeMap::new(), String::new());
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").map_or(Some(0), |length| length.parse().ok())?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked {
        line: first.trim_end().to_owned(),
        headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
        at: Instant::now(),
    })
}
