//! A TCP proxy before Postgres that follows what the server under test says on each connection. So a test can cut a line at
//! the one moment that matters, around the COMMIT of a batch, and not at any moment and by luck; and count how often it did.

use crate::wire::{Message, Wire, is_committed};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, watch};

/// The statement that every batch begins with, and nothing else.
const BATCH: &str = "UPDATE engine SET watermark";

/// What can happen to a connection. Those that are cut are reset, towards both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Cut before a batch's COMMIT is forwarded.
    CommitLost,
    /// A batch's COMMIT is forwarded and done, and the line cut before its answer.
    AnswerLost,
    /// The line is cut, and the COMMIT that was under way arrives when the test says so.
    CommitLate,
    /// Cut in the middle of a message of a transaction.
    Torn,
    Refused,
    /// Forwarded later.
    Delayed,
    /// Kept waiting by a line that stalls.
    Stalled,
    /// What is said is taken, and reaches nobody, until the end of the connection.
    Swallowed,
}

/// What becomes of connections at large.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Passes,
    /// What is said waits.
    Stalls,
    /// New connections are reset.
    Refuses,
    Swallows,
}

#[derive(Default)]
struct State {
    next_commit: Option<(Fault, bool)>,
    torn_at: Option<usize>,
    delay: Duration,
    fired: BTreeMap<Fault, usize>,
    commits: usize,
}

struct Shared {
    upstream: SocketAddr,
    state: Mutex<State>,
    line: watch::Sender<Line>,
    arrival: Notify,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, fault: Fault) {
        *self.state().fired.entry(fault).or_default() += 1;
    }
}

/// See the module.
pub struct Proxy {
    address: SocketAddr,
    path: String,
    shared: Arc<Shared>,
    _runtime: Runtime,
}

impl Proxy {
    /// Stands before the database of this URL.
    pub fn before(database: &str) -> Self {
        let (_, place) = database.split_once('@').expect("a URL with a user");
        let (upstream, path) = place.split_once('/').expect("a URL with a database");
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared {
            upstream: upstream.parse().expect("an address"),
            state: Mutex::default(),
            line: watch::Sender::new(Line::Passes),
            arrival: Notify::new(),
        });
        runtime.spawn(listen(listener, shared.clone()));
        Self { address, path: path.to_owned(), shared, _runtime: runtime }
    }

    pub fn url(&self) -> String {
        format!("postgres://purser@{}/{}", self.address, self.path)
    }

    /// What happens to the next batch at its COMMIT.
    pub fn next_commit(&self, fault: Fault) {
        self.shared.state().next_commit = Some((fault, false));
    }

    /// As [`Self::next_commit`], and from that moment on nobody is connected.
    pub fn next_commit_and_refuse(&self, fault: Fault) {
        self.shared.state().next_commit = Some((fault, true));
    }

    /// Tears the message with this number, counted from a transaction's BEGIN, in the first transaction that has so many.
    pub fn tear(&self, message: usize) {
        self.shared.state().torn_at = Some(message);
    }

    /// Lets a COMMIT that is late arrive.
    pub fn arrives(&self) {
        self.shared.arrival.notify_one();
    }

    pub fn fired(&self, fault: Fault) -> usize {
        self.shared.state().fired.get(&fault).copied().unwrap_or_default()
    }

    /// Batches that came to their COMMIT, whatever became of it.
    pub fn commits(&self) -> usize {
        self.shared.state().commits
    }

    /// How long each write waits before it is forwarded.
    pub fn delay(&self, time: Duration) {
        self.shared.state().delay = time;
    }

    pub fn pass(&self) {
        self.shared.line.send_replace(Line::Passes);
    }

    pub fn stall(&self) {
        self.shared.line.send_replace(Line::Stalls);
    }

    /// Whoever says something meanwhile is never heard again.
    pub fn swallow(&self) {
        self.shared.line.send_replace(Line::Swallows);
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        // A reset where possible; without it the end is an orderly one, which must do no harm either.
        let _ = client.set_zero_linger();
        if *shared.line.borrow() == Line::Refuses {
            drop(client);
            shared.note(Fault::Refused);
            continue;
        }
        let shared = shared.clone();
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(shared.upstream).await else { return };
            let _ = (server.set_zero_linger(), server.set_nodelay(true), client.set_nodelay(true));
            let connection =
                Connection { client, server, shared, wire: Wire::default(), is_batch: false, said: None };
            // How a connection ends is for its two sides to notice.
            let _ = connection.run().await;
        });
    }
}

struct Connection {
    client: TcpStream,
    server: TcpStream,
    shared: Arc<Shared>,
    wire: Wire,
    /// The transaction under way writes a batch.
    is_batch: bool,
    /// Messages since the last BEGIN.
    said: Option<usize>,
}

enum Then {
    GoesOn,
    Ends,
    /// With the first message of a COMMIT at which this is to happen.
    Commits(Fault, Message),
}

impl Connection {
    async fn run(mut self) -> io::Result<()> {
        let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        loop {
            tokio::select! {
                read = self.client.read(&mut asked) => {
                    let read = read?;
                    if self.is_swallowed().await {
                        return self.swallow().await;
                    }
                    self.wire.take(&asked[..read]);
                    while let Some(message) = self.wire.next_message() {
                        match self.forward(message).await? {
                            Then::GoesOn => {}
                            Then::Ends => return Ok(()),
                            Then::Commits(fault, message) => return self.commit(fault, message).await,
                        }
                    }
                    if read == 0 {
                        return Ok(());
                    }
                }
                read = self.server.read(&mut answered) => {
                    let read = read?;
                    if self.is_swallowed().await {
                        return self.swallow().await;
                    }
                    if read == 0 {
                        return Ok(());
                    }
                    self.client.write_all(&answered[..read]).await?;
                }
            }
        }
    }

    /// Waits as long as the line is slow or stalls. Whether what was said is lost.
    async fn is_swallowed(&self) -> bool {
        let delay = self.shared.state().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
            self.shared.note(Fault::Delayed);
        }
        let mut line = self.shared.line.subscribe();
        let stalls = *line.borrow() == Line::Stalls;
        if stalls {
            self.shared.note(Fault::Stalled);
        }
        line.wait_for(|line| *line != Line::Stalls).await.is_ok_and(|line| *line == Line::Swallows)
    }

    /// Neither side hears of the other any more.
    async fn swallow(mut self) -> io::Result<()> {
        self.shared.note(Fault::Swallowed);
        tokio::io::copy(&mut self.client, &mut tokio::io::sink()).await.map(drop)
    }

    async fn forward(&mut self, message: Message) -> io::Result<Then> {
        match message.runs.as_deref() {
            Some("BEGIN") => (self.is_batch, self.said) = (false, Some(0)),
            Some(sql) if sql.starts_with(BATCH) => self.is_batch = true,
            Some("COMMIT") if std::mem::take(&mut self.is_batch) => {
                let mut state = self.shared.state();
                state.commits += 1;
                if let Some((fault, refuses)) = state.next_commit.take() {
                    if refuses {
                        self.shared.line.send_replace(Line::Refuses);
                    }
                    return Ok(Then::Commits(fault, message));
                }
            }
            _ => {}
        }
        if let Some(said) = &mut self.said {
            *said += 1;
            let is_torn = self.shared.state().torn_at.take_if(|message| message == said).is_some();
            if is_torn {
                self.server.write_all(&message.bytes[..message.bytes.len() / 2]).await?;
                self.shared.note(Fault::Torn);
                return Ok(Then::Ends);
            }
        }
        self.server.write_all(&message.bytes).await?;
        Ok(Then::GoesOn)
    }

    /// The end of this connection, at the COMMIT of a batch.
    async fn commit(self, fault: Fault, first: Message) -> io::Result<()> {
        let Self { mut client, mut server, shared, mut wire, .. } = self;
        if fault == Fault::CommitLost {
            drop((client, server));
            shared.note(fault);
            return Ok(());
        }
        let (mut whole, mut is_last) = (first.bytes, first.is_last);
        while !is_last {
            if let Some(message) = wire.next_message() {
                whole.extend(message.bytes);
                is_last = message.is_last;
            } else {
                let mut more = Vec::with_capacity(1 << 10);
                if client.read_buf(&mut more).await? == 0 {
                    return Ok(());
                }
                wire.take(&more);
            }
        }
        let kept = if fault == Fault::CommitLate {
            drop(client);
            shared.arrival.notified().await;
            None
        } else {
            Some(client)
        };
        server.write_all(&whole).await?;
        let mut answer = Vec::new();
        let is_done = loop {
            if let Some(is_done) = is_committed(&answer) {
                break is_done;
            }
            if server.read_buf(&mut answer).await? == 0 {
                break false;
            }
        };
        drop((kept, server));
        if is_done {
            shared.note(fault);
        }
        Ok(())
    }
}
