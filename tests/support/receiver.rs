//! Who webhooks are sent to: takes one request per connection, writes it down, and answers as it is told.

use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    Status(u16),
    /// This status with this body.
    Json(u16, &'static str),
    /// The same address, once more.
    Redirect,
    /// The connection is closed without a word.
    Nothing,
    /// The connection stays open without a word.
    Silence,
    /// This status, but only when the next request has come: by then nobody may be waiting for it.
    Late(u16),
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Received {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("a JSON body")
    }
}

#[derive(Default)]
struct State {
    received: Vec<Received>,
    silent: Vec<TcpStream>,
    late: Option<(TcpStream, u16)>,
}

/// See the module.
pub struct Receiver {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Receiver {
    /// `answers` is told how many requests came before.
    pub fn start(answers: impl Fn(usize) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = state.clone();
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(received) = read(&stream) else { continue };
                let mut state = lock(&shared);
                state.received.push(received);
                if let Some((stream, status)) = state.late.take() {
                    reply(&stream, status, "");
                }
                match answers(state.received.len() - 1) {
                    Answer::Status(status) => reply(&stream, status, ""),
                    Answer::Json(status, body) => reply_with(&stream, status, "", body),
                    Answer::Redirect => {
                        reply(&stream, 307, &format!("Location: http://{address}/hook\r\n"));
                    }
                    Answer::Nothing => {}
                    Answer::Silence => state.silent.push(stream),
                    Answer::Late(status) => state.late = Some((stream, status)),
                }
            }
        });
        Self { address, state }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub fn received(&self) -> Vec<Received> {
        lock(&self.state).received.clone()
    }
}

fn reply(stream: &TcpStream, status: u16, headers: &str) {
    reply_with(stream, status, headers, "");
}

/// Whether anybody reads it is their business.
fn reply_with(mut stream: &TcpStream, status: u16, headers: &str, body: &str) {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} So\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n");
    let reply = format!("{head}\r\n{body}");
    let _ = stream.write_all(reply.as_bytes());
}

fn read(stream: &TcpStream) -> Option<Received> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some(Received { headers, body: String::from_utf8(body).ok()? })
}
