//! A small blocking HTTP/1.1 client: keep-alive, Content-Length and chunked bodies, and raw access for what no
//! well-behaved client sends. It never repeats a request by itself.

use serde_json::Value;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;

/// Where the server listens now; a restart moves it.
pub struct Target(Mutex<SocketAddr>);

impl Target {
    pub fn new(address: SocketAddr) -> Self {
        Self(Mutex::new(address))
    }

    pub fn get(&self) -> SocketAddr {
        *self.0.lock().expect("no holder of the address panics")
    }

    pub fn set(&self, address: SocketAddr) {
        *self.0.lock().expect("no holder of the address panics") = address;
    }
}

/// One response.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The request that it answers, for messages.
    pub to: String,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{} answered no JSON ({error}): {}", self.to, self.text()))
    }
}

/// A pool of connections to one server; safe to share between threads.
pub struct Http {
    pub target: std::sync::Arc<Target>,
    idle: Mutex<Vec<Connection>>,
}

impl Http {
    pub fn new(target: std::sync::Arc<Target>) -> Self {
        Self { target, idle: Mutex::new(Vec::new()) }
    }

    /// Sends one request and reads its response. An error means that the outcome is unknown to the client.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(String, String)],
        body: Option<&[u8]>,
    ) -> io::Result<Reply> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.target.get());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = body {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body.unwrap_or_default());

        let mut connection = self.connection()?;
        connection.write(&bytes)?;
        let mut reply = connection.read_reply(method == "HEAD")?;
        reply.to = format!("{method} {path}");
        let closes = reply.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        if !closes {
            self.idle.lock().expect("no user of the pool panics").push(connection);
        }
        Ok(reply)
    }

    fn connection(&self) -> io::Result<Connection> {
        let target = self.target.get();
        loop {
            let idle = self.idle.lock().expect("no user of the pool panics").pop();
            match idle {
                Some(connection) if connection.peer == target && connection.is_open() => {
                    return Ok(connection);
                }
                Some(_) => {}
                None => return Connection::open(target),
            }
        }
    }
}

/// One connection, for sending bytes as they are.
pub struct Connection {
    peer: SocketAddr,
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub fn open(peer: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(peer)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(super::PATIENCE))?;
        stream.set_write_timeout(Some(super::PATIENCE))?;
        Ok(Self { peer, stream: BufReader::new(stream) })
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Whether an idle connection can still be used: nothing unread, not closed by the server.
    fn is_open(&self) -> bool {
        let stream = self.stream.get_ref();
        let open = stream.set_nonblocking(true).is_ok()
            && matches!(stream.peek(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock);
        stream.set_nonblocking(false).is_ok() && open
    }

    /// Waits until the server closes the connection, discarding what it still says.
    pub fn wait_for_close(&mut self) -> io::Result<()> {
        match io::copy(&mut self.stream, &mut io::sink()) {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(()),
            other => other.map(drop),
        }
    }

    /// Ends the connection with a reset, as a client that crashes or means harm does.
    pub fn reset(self) -> io::Result<()> {
        rustix::net::sockopt::set_socket_linger(self.stream.get_ref(), Some(std::time::Duration::ZERO))?;
        Ok(())
    }

    /// Reads what the server says until it closes the connection.
    pub fn read_to_close(&mut self, said: &mut Vec<u8>) -> io::Result<usize> {
        self.stream.read_to_end(said)
    }

    pub fn read_reply(&mut self, head_only: bool) -> io::Result<Reply> {
        loop {
            let reply = self.read_one(head_only)?;
            if !(100..200).contains(&reply.status) {
                return Ok(reply);
            }
        }
    }

    /// As [`Self::read_reply`], interim responses too.
    pub fn read_one(&mut self, head_only: bool) -> io::Result<Reply> {
        let line = self.line()?;
        let status = line
            .strip_prefix("HTTP/1.")
            .and_then(|rest| rest.get(2..5))
            .and_then(|code| code.parse().ok())
            .ok_or_else(|| malformed(&line))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| malformed(&line))?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let mut reply = Reply { to: "a raw request".into(), status, headers, body: Vec::new() };
        if !head_only && status >= 200 && status != 204 && status != 304 {
            reply.body = self.body(&reply)?;
        }
        Ok(reply)
    }

    fn body(&mut self, reply: &Reply) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        if reply.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            loop {
                let line = self.line()?;
                let size = line.split(';').next().unwrap_or_default().trim();
                let size = usize::from_str_radix(size, 16).map_err(|_| malformed(&line))?;
                let start = body.len();
                body.resize(start + size, 0);
                self.stream.read_exact(&mut body[start..])?;
                self.line()?;
                if size == 0 {
                    return Ok(body);
                }
            }
        }
        match reply.header("content-length") {
            Some(length) => {
                body.resize(length.parse().map_err(|_| malformed(length))?, 0);
                self.stream.read_exact(&mut body)?;
            }
            None => {
                self.stream.read_to_end(&mut body)?;
            }
        }
        Ok(body)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "the server closed the connection"));
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}

fn malformed(text: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("not HTTP: {text:?}"))
}
