//! A private Postgres for tests: a cluster of its own in a temporary directory, on a free TCP port of 127.0.0.1
//! and on a Unix socket, run as an unprivileged user, removed when dropped. Uses nothing of the crate under
//! test, so that every test binary can include it by path.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

const USER: &str = "purser";
const PATIENCE: Duration = Duration::from_mins(1);

/// A cluster and its server process.
pub struct PrivatePostgres {
    dir: tempfile::TempDir,
    bin: PathBuf,
    port: u16,
    fsync: bool,
    server: Option<Child>,
    databases: AtomicU32,
}

impl PrivatePostgres {
    /// Creates a cluster and starts it. Without `fsync` it is faster and loses its data when the machine
    /// crashes (not when only its processes are killed).
    pub fn create(fsync: bool) -> Self {
        let bin = find_programs();
        let dir = tempfile::Builder::new().prefix("purser-pg-").tempdir().expect("a temporary directory");
        if is_root() {
            let owner = format!("{}:", unprivileged_user());
            run(Command::new("chown").arg(&owner).arg(dir.path()));
        }
        let mut initdb = as_unprivileged(&bin.join("initdb"), dir.path());
        initdb.args([
            "--no-sync",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
            "--username",
            USER,
            "--pgdata",
        ]);
        run(initdb.arg(dir.path().join("data")));
        let (server, databases) = (None, AtomicU32::new(0));
        let mut created = Self { dir, bin, port: free_port(), fsync, server, databases };
        created.start();
        created
    }

    /// One cluster for all tests of a binary that run at the same time; the last one to let go removes it.
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<PrivatePostgres>> = Mutex::new(Weak::new());
        Self::shared_in(&SHARED, false)
    }

    /// As [`Self::shared`], with `fsync`.
    pub fn shared_durable() -> Arc<Self> {
        static SHARED: Mutex<Weak<PrivatePostgres>> = Mutex::new(Weak::new());
        Self::shared_in(&SHARED, true)
    }

    fn shared_in(shared: &Mutex<Weak<Self>>, fsync: bool) -> Arc<Self> {
        let mut shared = shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let created = Arc::new(Self::create(fsync));
            *shared = Arc::downgrade(&created);
            created
        })
    }

    /// The database `postgres`, over TCP.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Another database, over TCP.
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// The database `postgres`, over the Unix socket.
    pub fn socket_url(&self) -> String {
        let socket = self.dir.path().to_string_lossy().replace('/', "%2F");
        format!("postgres://{USER}@{socket}:{}/postgres", self.port)
    }

    /// The TCP port, for proxies.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A new, empty database; its URL over TCP.
    pub fn create_database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let port = self.port.to_string();
        run(Command::new(self.bin.join("createdb")).args([
            "--host=127.0.0.1",
            "--username",
            USER,
            "--port",
            &port,
            &name,
        ]));
        self.url_of(&name)
    }

    /// Starts the server on the same port as before and waits until it takes connections.
    pub fn start(&mut self) {
        assert!(self.server.is_none(), "the private Postgres runs already");
        let deadline = Instant::now() + PATIENCE;
        let log = self.dir.path().join("log");
        loop {
            let output = std::fs::File::create(&log).expect("a log file");
            let mut postgres = as_unprivileged(&self.bin.join("postgres"), self.dir.path());
            postgres.arg("-D").arg(self.dir.path().join("data")).arg("-k").arg(self.dir.path());
            postgres.args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
            postgres.args(["-c", if self.fsync { "fsync=on" } else { "fsync=off" }]);
            postgres.args(["-c", "max_connections=200", "-c", "max_wal_size=4GB"]);
            postgres.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output);
            let mut server = postgres.spawn().expect("the Postgres server starts");
            // After a kill the old processes may hold on to the directory for a moment.
            while server.try_wait().expect("the server's state").is_none() {
                if self.answers() {
                    self.server = Some(server);
                    return;
                }
                assert!(Instant::now() < deadline, "no start within {PATIENCE:?}: {}", read(&log));
                std::thread::sleep(Duration::from_millis(20));
            }
            assert!(Instant::now() < deadline, "the private Postgres does not start: {}", read(&log));
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Stops the server: at once as after a crash (recovery at the next start), or after disconnecting everybody.
    pub fn stop(&mut self, immediate: bool) {
        self.signal(if immediate { "QUIT" } else { "INT" });
        self.wait();
    }

    /// Kills the server and all its processes.
    pub fn kill9(&mut self) {
        let Some(main) = self.main_process() else { return };
        let children = children_of(main);
        self.signal("KILL");
        for child in &children {
            shell_kill("KILL", *child);
        }
        self.wait();
        let deadline = Instant::now() + PATIENCE;
        while children.iter().any(|child| is_running(*child)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = std::fs::remove_file(self.dir.path().join("data/postmaster.pid"));
    }

    /// Stops all its processes where they are: connections stay, and nobody answers on them.
    pub fn freeze(&self) {
        self.signal_all("STOP");
    }

    /// Lets them go on.
    pub fn thaw(&self) {
        self.signal_all("CONT");
    }

    fn signal_all(&self, signal: &str) {
        let main = self.main_process().expect("a running Postgres");
        for process in std::iter::once(main).chain(children_of(main)) {
            shell_kill(signal, process);
        }
    }

    fn answers(&self) -> bool {
        let ready = std::fs::read_to_string(self.dir.path().join("data/postmaster.pid"));
        // The eighth line is the server's own word on its state.
        ready.is_ok_and(|file| file.lines().nth(7).is_some_and(|state| state.trim() == "ready"))
            && TcpStream::connect(("127.0.0.1", self.port)).is_ok()
    }

    /// From the server's own file: the process that was spawned may be a wrapper that changed the user.
    fn main_process(&self) -> Option<u32> {
        let file = std::fs::read_to_string(self.dir.path().join("data/postmaster.pid")).ok()?;
        file.lines().next()?.trim().parse().ok()
    }

    fn signal(&self, signal: &str) {
        if let (Some(process), true) = (self.main_process(), self.server.is_some()) {
            shell_kill(signal, process);
        }
    }

    fn wait(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.wait().expect("the server ends");
        }
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        if self.server.is_some() {
            // What is frozen hears of nothing else.
            self.thaw();
            self.stop(true);
        }
    }
}

fn find_programs() -> PathBuf {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&on_path).collect();
    let mut packaged: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    packaged.sort();
    places.extend(packaged.into_iter().rev());
    let complete = |place: &PathBuf| ["initdb", "postgres"].iter().all(|name| place.join(name).is_file());
    let found = places.into_iter().find(complete).unwrap_or_else(|| {
        panic!(
            "These tests need a Postgres server (14 or newer) to start for themselves, and found no initdb and postgres on \
             PATH or in /usr/lib/postgresql/*/bin. Install one: `apt-get install postgresql` (Debian, Ubuntu), \
             `dnf install postgresql-server` (Fedora), `brew install postgresql@16` (macOS)."
        )
    });
    // A link may point to the directory that holds all of the programs.
    let real = found.join("initdb").canonicalize().ok().and_then(|file| file.parent().map(Path::to_path_buf));
    real.filter(complete).unwrap_or(found)
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

/// Postgres refuses to run as root.
fn unprivileged_user() -> &'static str {
    let known = |user: &&str| {
        Command::new("id")
            .arg(user)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|it| it.success())
    };
    ["postgres", "nobody"]
        .into_iter()
        .find(known)
        .expect("root needs a user `postgres` or `nobody` to run Postgres as")
}

fn as_unprivileged(program: &Path, dir: &Path) -> Command {
    let mut command = if is_root() {
        let user = unprivileged_user();
        let exists = |tool: &&str| {
            Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
        };
        let tool = ["setpriv", "runuser"].into_iter().find(exists);
        let mut command = Command::new(tool.expect("root needs setpriv or runuser (package util-linux)"));
        match tool {
            Some("setpriv") => {
                let groups = Command::new("id").args(["-g", user]).output().expect("the user's group").stdout;
                let group = String::from_utf8_lossy(&groups).trim().to_owned();
                command.args([
                    format!("--reuid={user}"),
                    format!("--regid={group}"),
                    "--clear-groups".into(),
                ]);
            }
            _ => {
                command.args(["-u", user, "--"]);
            }
        }
        command.arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir(dir).env("LC_ALL", "C");
    command
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} failed: {out}{err}");
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// `kill` is built into every shell, but not every system has the program.
fn shell_kill(signal: &str, process: u32) {
    let _ =
        Command::new("sh").args(["-c", &format!("kill -{signal} {process}")]).stderr(Stdio::null()).status();
}

fn children_of(parent: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
    children.unwrap_or_default().split_whitespace().filter_map(|id| id.parse().ok()).collect()
}

fn is_running(process: u32) -> bool {
    // A zombie has ended; its parent is gone, so whoever inherited it will collect it.
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
}

fn read(log: &Path) -> String {
    std::fs::read_to_string(log).unwrap_or_default()
}
