//! A real `purser` process under test: started, watched, killed, restarted and cleaned up.

use super::http::{Http, Target};
use super::journal::judge_what_is_left;
use super::store::Store;
use super::{PATIENCE, eventually, eventually_within};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

/// Lines of a server's output that a failing test shows. A command's output is kept whole.
const KEPT_LINES: usize = 200;

/// A stress test of ten thousand buyers is work for minutes where everything is slow; only a defect takes longer.
const COMMAND_PATIENCE: Duration = Duration::from_mins(10);

/// How a server is to be started.
pub struct Setup {
    store: Store,
    data_dir: Option<PathBuf>,
    env: Vec<(String, String)>,
    flags: Vec<String>,
    listen: String,
    wrapper: Vec<String>,
    is_damaged: bool,
}

impl Setup {
    pub fn new() -> Self {
        let listen = "127.0.0.1:0".to_owned();
        let (env, flags, wrapper) = (Vec::new(), Vec::new(), Vec::new());
        Self { store: Store::embedded(), data_dir: None, env, flags, listen, wrapper, is_damaged: false }
    }

    pub fn store(mut self, store: Store) -> Self {
        self.store = store;
        self
    }

    /// Uses this directory instead of a temporary one of its own.
    pub fn data_dir(mut self, path: &Path) -> Self {
        self.data_dir = Some(path.to_owned());
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    pub fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.into());
        self
    }

    pub fn listen(mut self, address: &str) -> Self {
        self.listen = address.into();
        self
    }

    /// Runs the server under another program ("strace", with its arguments) that passes on how it ends.
    pub fn under(mut self, program: &[&str]) -> Self {
        self.wrapper = program.iter().map(|part| (*part).to_owned()).collect();
        self
    }

    /// The test damages the journal on purpose, so that nothing is asked of what the server leaves.
    pub fn damaged(mut self) -> Self {
        self.is_damaged = true;
        self
    }

    /// Starts the server and waits until it serves.
    #[track_caller]
    pub fn start(self) -> Server {
        self.launch().serves()
    }

    /// Starts the server and does not wait.
    #[track_caller]
    pub fn launch(self) -> Starting {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let process = Process::spawn(self.command(dir.path()));
        Starting { process, setup: self, dir }
    }

    /// Starts a server that must refuse to serve, and says how it ended.
    #[track_caller]
    pub fn refuses(self) -> Ended {
        let dir = tempfile::tempdir().expect("a temporary directory");
        Process::spawn(self.command(dir.path())).wait()
    }

    fn command(&self, own_dir: &Path) -> Command {
        let mut command = match self.wrapper.split_first() {
            Some((program, arguments)) => {
                let mut command = without_settings(Command::new(program));
                command.args(arguments).arg(env!("CARGO_BIN_EXE_purser"));
                command
            }
            None => purser(),
        };
        let data_dir = self.data_dir.as_deref().unwrap_or(own_dir);
        command.arg("serve").args(["--listen", &self.listen]).arg("--data-dir").arg(data_dir);
        if let Some(url) = &self.store.url {
            command.args(["--database-url", url]);
        }
        // Segments are written full of zeros ahead; small ones make many servers cheap to start.
        command.env("PURSER__JOURNAL__SEGMENT_BYTES", "4194304");
        command.args(&self.flags).envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// The binary under test, with none of the surrounding environment's settings.
pub fn purser() -> Command {
    without_settings(Command::new(env!("CARGO_BIN_EXE_purser")))
}

fn without_settings(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PURSER_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command of the binary to its end.
#[track_caller]
pub fn run(command: Command) -> Ended {
    Process::spawn_keeping(command, usize::MAX, Stdio::null()).wait()
}

/// As [`run`], with this to read on its stdin.
#[track_caller]
pub fn run_reading(command: Command, input: &str) -> Ended {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(input.as_bytes()).and_then(|()| file.rewind()).expect("written");
    Process::spawn_keeping(command, usize::MAX, file.into()).wait()
}

/// How a process ended, and what it said.
#[derive(Debug)]
pub struct Ended {
    /// `None`: by a signal.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// The process ended with this code, and one line of its error output says all of these words.
    #[track_caller]
    pub fn expect(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        self.expect_line(words);
    }

    #[track_caller]
    pub fn expect_line(&self, words: &[&str]) {
        let says = |line: &str| words.iter().all(|word| line.contains(word));
        assert!(self.stderr.lines().any(says), "no line of stderr says {words:?}: {self:?}");
    }
}

/// A server that may not serve yet.
pub struct Starting {
    process: Process,
    setup: Setup,
    dir: TempDir,
}

impl Starting {
    /// Waits until a line of its output says all of these words.
    #[track_caller]
    pub fn says(&self, words: &[&str]) {
        eventually("the server says it", || {
            let says = |line: &str| words.iter().all(|word| line.contains(word));
            self.process.output().lines().any(says).then_some(())
        });
    }

    /// Waits until it serves.
    #[track_caller]
    pub fn serves(self) -> Server {
        let Self { process, setup, dir } = self;
        let address = process.wait_until_listening();
        let target = Arc::new(Target::new(address));
        let http = Arc::new(Http::new(target.clone()));
        Server { process: Some(process), setup, dir, target, http }
    }
}

/// A running server with its data directory.
pub struct Server {
    process: Option<Process>,
    setup: Setup,
    dir: TempDir,
    target: Arc<Target>,
    pub http: Arc<Http>,
}

impl Server {
    #[track_caller]
    pub fn start() -> Self {
        Setup::new().start()
    }

    pub fn data_dir(&self) -> &Path {
        self.setup.data_dir.as_deref().unwrap_or(self.dir.path())
    }

    /// Where the store is; `None` for the embedded one.
    pub fn database_url(&self) -> Option<&str> {
        self.setup.store.url.as_deref()
    }

    pub fn address(&self) -> SocketAddr {
        self.target.get()
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("the server runs").child.id()
    }

    /// Everything that the running process printed so far.
    pub fn output(&self) -> String {
        self.process.as_ref().map(Process::output).unwrap_or_default()
    }

    /// The one line of it in which all of this stands, once it is there.
    #[track_caller]
    pub fn logs_once(&self, words: &[&str]) -> String {
        let mut lines = eventually(&format!("the server logs {words:?}"), || {
            let has_all = |line: &&str| words.iter().all(|word| line.contains(word));
            let lines: Vec<_> = self.output().lines().filter(has_all).map(str::to_owned).collect();
            (!lines.is_empty()).then_some(lines)
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines.remove(0)
    }

    /// What the first start left in a file of the data directory, trimmed.
    #[track_caller]
    pub fn file(&self, name: &str) -> String {
        let path = self.data_dir().join(name);
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        text.trim().to_owned()
    }

    /// The oldest segment of the journal that is still there; they are counted from 1.
    #[track_caller]
    pub fn oldest_segment(&self) -> u32 {
        let files = std::fs::read_dir(self.data_dir().join("journal")).expect("the journal");
        let names = files.map(|file| file.expect("a file").file_name().to_string_lossy().into_owned());
        let numbers = names.filter_map(|name| name.strip_suffix(".segment")?.parse().ok());
        numbers.min().expect("a segment")
    }

    /// Ends the process with SIGKILL, in the middle of whatever it does.
    pub fn kill9(&mut self) {
        let mut process = self.process.take().expect("the server runs");
        process.child.kill().expect("the process can be killed");
        process.child.wait().expect("the process can be waited for");
    }

    /// Asks the process to end; it must do so by itself. Its exit code.
    #[track_caller]
    pub fn sigterm(&mut self) -> Option<i32> {
        self.stop().code
    }

    /// As [`Self::sigterm`], with all that it said.
    #[track_caller]
    pub fn stop(&mut self) -> Ended {
        self.signal("TERM");
        self.process.take().expect("the server runs").wait()
    }

    /// Sends a signal ("TERM", "STOP", …) and does not wait.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        self.process.as_ref().expect("the server runs").signal(name);
    }

    /// Waits for a process that ends by itself. Its exit code.
    #[track_caller]
    pub fn ends(&mut self) -> Option<i32> {
        self.process.take().expect("the server runs").wait().code
    }

    /// For the processes to come.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.setup.env.push((name.to_owned(), value.to_owned()));
    }

    /// Runs the next process without the program that ran it so far.
    pub fn by_itself(&mut self) {
        self.setup.wrapper.clear();
    }

    /// Starts the server again on the same data directory and store; what ran before must have ended.
    #[track_caller]
    pub fn restart(&mut self) {
        assert!(self.process.is_none(), "the server still runs");
        let process = Process::spawn(self.setup.command(self.dir.path()));
        self.target.set(process.wait_until_listening());
        self.process = Some(process);
    }

    /// Starts the server again under another program that may end it at any time. Whether it came to serve.
    #[track_caller]
    pub fn restart_under(&mut self, program: &[&str]) -> bool {
        assert!(self.process.is_none(), "the server still runs");
        self.setup.wrapper = program.iter().map(|part| (*part).to_owned()).collect();
        let process = Process::spawn(self.setup.command(self.dir.path()));
        let address = process.listens();
        if let Some(address) = address {
            self.target.set(address);
            self.process = Some(process);
        }
        address.is_some()
    }

    /// Whether the process has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        let process = self.process.as_mut().expect("a server that was started");
        process.child.try_wait().expect("a child of ours").is_some()
    }

    /// Starts the server again and kills it as soon as it says anything, be it in the middle of its recovery.
    #[track_caller]
    pub fn restart_and_kill9(&mut self) {
        assert!(self.process.is_none(), "the server still runs");
        let mut process = Process::spawn(self.setup.command(self.dir.path()));
        eventually("the server says something", || {
            let ended = process.child.try_wait().expect("a child of ours");
            assert!(ended.is_none(), "the server ended:\n{}", process.output());
            (!process.output().is_empty()).then_some(())
        });
    }

    /// Starts the server again where it must refuse.
    #[track_caller]
    pub fn restart_refused(&mut self) -> Ended {
        assert!(self.process.is_none(), "the server still runs");
        Process::spawn(self.setup.command(self.dir.path())).wait()
    }

    /// A command of the binary that talks to this server as its administrator.
    #[track_caller]
    pub fn cli(&self, arguments: &[&str]) -> Ended {
        let mut command = purser();
        command.args(arguments).args(["--url", &format!("http://{}", self.address())]);
        command.env("PURSER_TOKEN", self.file("admin-token"));
        run(command)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let process = self.process.take();
        if std::thread::panicking() {
            if let Some(process) = &process {
                eprintln!("--- the server's output ---\n{}---", process.output());
            }
            return;
        }
        // Whatever the test was about, what it leaves has to be sound.
        drop(process);
        if self.setup.is_damaged {
            return;
        }
        if let Err(wrong) = judge_what_is_left(self.data_dir()) {
            panic!("the journal that this server leaves: {wrong}");
        }
    }
}

type Lines = Arc<Mutex<VecDeque<String>>>;

/// A child process whose output is kept as it comes.
pub struct Process {
    child: Child,
    stdout: Lines,
    stderr: Lines,
    said: Mutex<Receiver<String>>,
}

impl Process {
    #[track_caller]
    pub fn spawn(command: Command) -> Self {
        Self::spawn_keeping(command, KEPT_LINES, Stdio::null())
    }

    #[track_caller]
    fn spawn_keeping(mut command: Command, lines: usize, stdin: Stdio) -> Self {
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary can be started");
        let (sender, said) = channel();
        let stdout = keep(child.stdout.take().expect("piped"), lines, Some(sender));
        let stderr = keep(child.stderr.take().expect("piped"), lines, None);
        Self { child, stdout, stderr, said: Mutex::new(said) }
    }

    #[track_caller]
    pub(super) fn wait_until_listening(&self) -> SocketAddr {
        self.listens().unwrap_or_else(|| panic!("the server ended:\n{}", self.output()))
    }

    /// Waits until it listens; `None` if it ends before.
    #[track_caller]
    fn listens(&self) -> Option<SocketAddr> {
        let deadline = std::time::Instant::now() + PATIENCE;
        let said = self.said.lock().expect("nobody else listens");
        loop {
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            match said.recv_timeout(left) {
                Ok(line) => {
                    if let Some((_, address)) = line.split_once("listening on http://") {
                        return Some(address.trim().parse().expect("the server prints its socket address"));
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("the server does not listen:\n{}", self.output()),
                Err(RecvTimeoutError::Disconnected) => {
                    eventually("the last words are read", || {
                        (Arc::strong_count(&self.stderr) == 1).then_some(())
                    });
                    return None;
                }
            }
        }
    }

    /// Waits until SIGINT would not end it at once.
    #[track_caller]
    pub fn minds_interruptions(&self) {
        let path = format!("/proc/{}/status", self.child.id());
        eventually("the process has a handler for SIGINT", || {
            let status = std::fs::read_to_string(&path).expect("a running process");
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?.trim();
            let caught = u64::from_str_radix(caught, 16).expect("a mask of signals");
            (caught & (1 << 1) != 0).then_some(())
        });
    }

    #[track_caller]
    pub fn signal(&self, name: &str) {
        let kill = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.child.id())]).status();
        assert!(kill.is_ok_and(|status| status.success()), "SIG{name} could not be sent");
    }

    fn output(&self) -> String {
        format!("{}{}", kept(&self.stdout), kept(&self.stderr))
    }

    #[track_caller]
    pub fn wait(mut self) -> Ended {
        let exited = |child: &mut Child| -> Option<ExitStatus> { child.try_wait().expect("a child of ours") };
        let ends = "the process ends by itself";
        let status = eventually_within(COMMAND_PATIENCE, ends, || exited(&mut self.child));
        // The pipes end with the process; once their readers are gone everything has been kept.
        eventually("the output is read", || {
            (Arc::strong_count(&self.stdout) == 1 && Arc::strong_count(&self.stderr) == 1).then_some(())
        });
        Ended { code: status.code(), stdout: kept(&self.stdout), stderr: kept(&self.stderr) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only for a process that has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps the last lines of a pipe, passing each on if someone listens.
fn keep(pipe: impl Read + Send + 'static, most: usize, listener: Option<Sender<String>>) -> Lines {
    let lines = Lines::default();
    let ours = lines.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n') {
            let Ok(line) = line else { break };
            let line = String::from_utf8_lossy(&line).into_owned();
            if let Some(listener) = &listener {
                // Nobody listens any more once the server is up.
                let _ = listener.send(line.clone());
            }
            let mut kept = ours.lock().expect("no reader of the output panics");
            if kept.len() >= most {
                kept.pop_front();
            }
            kept.push_back(line);
        }
    });
    lines
}

fn kept(lines: &Lines) -> String {
    lines.lock().expect("no reader of the output panics").iter().flat_map(|line| [line, "\n"]).collect()
}
