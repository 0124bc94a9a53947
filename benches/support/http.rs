//! A server process and kept-alive connections to it: just enough HTTP to measure a purchase.

use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Sold;

/// A running server; killed in the end.
pub struct Server {
    child: Child,
    address: String,
    /// The admin's token; empty for a server that has none.
    admin: String,
}

impl Server {
    /// Starts a process that prints where it listens.
    pub fn start(mut command: Command) -> anyhow::Result<Self> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        for line in BufReader::new(child.stdout.take().context("no output")?).lines() {
            if let Some(address) = line?.strip_prefix("listening on http://") {
                return Ok(Self { child, address: address.to_owned(), admin: String::new() });
            }
        }
        bail!("the server ended before it listened")
    }

    /// Starts the binary on a data directory, with a free port, room for a long backlog, and these settings.
    pub fn purser(binary: &str, data: &Path, settings: &[(&str, String)]) -> anyhow::Result<Self> {
        let mut command = Command::new(binary);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data);
        command.env("PURSER__WRITE_BEHIND__BACKLOG_RECORDS_MAX", "20000000");
        command.env("PURSER__WRITE_BEHIND__BACKLOG_BYTES_MAX", "8589934592");
        command.envs(settings.iter().map(|(name, value)| (name, value)));
        let mut server = Self::start(command)?;
        // Written next to the first words of the server.
        let token = data.join("admin-token");
        let admin = std::fs::read_to_string(&token).with_context(|| token.display().to_string())?;
        admin.trim().clone_into(&mut server.admin);
        Ok(server)
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// The admin's token.
    pub fn admin(&self) -> &str {
        &self.admin
    }

    pub async fn connect(&self) -> anyhow::Result<Connection> {
        Connection::open(&self.address).await
    }

    /// What the server answers to its admin.
    pub async fn ask(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.connect().await?.json(&request(method, path, &self.admin, body)).await
    }

    /// An access token for a user.
    pub async fn token(&self, user: u64) -> anyhow::Result<String> {
        let value = self.ask("POST", &format!("/api/v1/users/{user}/token"), &json!({})).await?;
        Ok(value["access_token"].as_str().context("no token")?.to_owned())
    }

    /// Item 1's stock.
    pub async fn stock(&self) -> anyhow::Result<i64> {
        let value = self.ask("GET", "/api/v1/items/1", &Value::Null).await?;
        value["stock"].as_i64().context("no stock")
    }

    /// One connection per token buys units of item 1 until the time is up.
    pub async fn buy(&self, tokens: Vec<String>, duration: Duration) -> anyhow::Result<Sold> {
        let begun = Instant::now();
        let lanes: Vec<_> = tokens
            .into_iter()
            .map(|token| {
                let address = self.address.clone();
                tokio::spawn(async move {
                    let purchase =
                        request("POST", "/api/v1/items/1/purchase", &token, &json!({"quantity": 1}));
                    let mut connection = Connection::open(&address).await?;
                    let mut sold = 0;
                    while begun.elapsed() < duration {
                        let (status, _) = connection.exchange(&purchase).await?;
                        anyhow::ensure!((200..300).contains(&status), "status {status}");
                        sold += 1;
                    }
                    Ok(sold)
                })
            })
            .collect();
        let mut count = 0;
        for lane in lanes {
            count += lane.await??;
        }
        Ok(Sold { count, seconds: begun.elapsed().as_secs_f64() })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One kept-alive connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub async fn open(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4_096) })
    }

    /// Sends a request and answers with status and body.
    pub async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<(u16, &[u8])> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            anyhow::ensure!(
                self.stream.read_buf(&mut self.buffer).await? > 0,
                "the server closed the connection"
            );
            let Some(head) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") else {
                continue;
            };
            let text = std::str::from_utf8(&self.buffer[..head])?;
            let length = text.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            if self.buffer.len() >= head + 4 + length.unwrap_or(0) {
                let status = text.get(9..12).context("no status")?.parse()?;
                return Ok((status, &self.buffer[head + 4..]));
            }
        }
    }

    /// The JSON of a success.
    pub async fn json(&mut self, request: &[u8]) -> anyhow::Result<Value> {
        let (status, body) = self.exchange(request).await?;
        let value = serde_json::from_slice(body).unwrap_or(Value::Null);
        if status >= 300 {
            bail!("{status}: {value}")
        }
        Ok(value)
    }
}

/// The bytes of a request; no body for `null`.
pub fn request(method: &str, path: &str, token: &str, body: &Value) -> Vec<u8> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}
