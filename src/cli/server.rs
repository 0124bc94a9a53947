//! The server that a verb works on: one that runs already, or an own child process that ends with the verb.

use super::args::{ServeArgs, ServerArgs, TargetArgs};
use super::failure::{Exit, Failure};
use super::lanes::spinner;
use std::fs::{self, DirBuilder, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How long an own server may take to bring its backlog into the store after SIGTERM.
const STOP_TIME: Duration = Duration::from_mins(10);
/// The same after a failure, when nobody needs its data any more.
const ABANDON_TIME: Duration = Duration::from_secs(5);

/// A reachable server and the admin's token.
pub struct Target {
    pub url: String,
    pub token: String,
    own: Option<OwnServer>,
}

impl Target {
    /// The server at `--url`, or a new one.
    pub fn open(args: &TargetArgs) -> Result<Self, Failure> {
        if let Some(url) = &args.url {
            let data_dir = args.data_dir.clone();
            let settings = ServeArgs { config: args.config.clone(), data_dir, ..ServeArgs::default() };
            return Ok(Self { url: checked(url)?, token: admin_token(&settings)?, own: None });
        }
        let own = OwnServer::start(args)?;
        let token = read_token(&own.data_dir)?;
        Ok(Self { url: own.url.clone(), token, own: Some(own) })
    }

    /// Stops an own server and waits until it has ended cleanly. If the work failed because that server had ended by
    /// itself, its own last words are the better explanation.
    pub fn finish<T>(mut self, work: Result<T, Failure>) -> Result<T, Failure> {
        let Some(mut own) = self.own.take() else { return work };
        match work {
            Ok(result) => own.stop().map(|()| result),
            Err(failure) => match own.child.try_wait() {
                Ok(Some(status)) if failure.exit != Exit::Interrupted => {
                    let exit =
                        status.code().filter(|code| *code != 0).map_or(Exit::Violation, Exit::from_code);
                    let said = own.last_words();
                    Err(Failure::new(exit, format!("the own server ended in the middle ({status}): {said}")))
                }
                _ => Err(failure),
            },
        }
    }
}

/// Base URL and admin token for verbs that talk to a running server.
pub fn running(args: &ServerArgs) -> Result<(String, String), Failure> {
    let data_dir = args.data_dir.clone();
    let settings = ServeArgs { config: args.config.clone(), data_dir, ..ServeArgs::default() };
    let url = match &args.url {
        Some(url) => checked(url)?,
        None => listening_at(&super::settings(&settings)?.config.server.listen)?,
    };
    Ok((url, admin_token(&settings)?))
}

/// Where a server with this `server.listen` is reached from its own host.
fn listening_at(listen: &str) -> Result<String, Failure> {
    match listen.rsplit_once(':') {
        None | Some((_, "0")) => {
            Err(Failure::usage(format!("server.listen is {listen}: say by --url where the server is")))
        }
        Some(("0.0.0.0", port)) => Ok(format!("http://127.0.0.1:{port}")),
        Some(("[::]", port)) => Ok(format!("http://[::1]:{port}")),
        Some(_) => Ok(format!("http://{listen}")),
    }
}

fn checked(url: &str) -> Result<String, Failure> {
    let is_http = url.starts_with("http://") || url.starts_with("https://");
    match url.parse::<awc::http::Uri>() {
        Ok(parsed) if is_http && parsed.host().is_some() => Ok(url.trim_end_matches('/').to_owned()),
        _ => Err(Failure::usage(format!("--url must be like http://127.0.0.1:8080, not `{url}`"))),
    }
}

fn admin_token(settings: &ServeArgs) -> Result<String, Failure> {
    match std::env::var("PURSER_TOKEN") {
        Ok(token) if !token.trim().is_empty() => Ok(token.trim().to_owned()),
        _ => read_token(&super::settings(settings)?.config.data.dir),
    }
}

fn read_token(data_dir: &Path) -> Result<String, Failure> {
    let path = data_dir.join("admin-token");
    let text = fs::read_to_string(&path).map_err(|error| {
        let advice = "set PURSER_TOKEN, or give the server's directory by --data-dir";
        Failure::usage(format!("cannot read the admin token {}: {error}; {advice}", path.display()))
    })?;
    Ok(text.trim().to_owned())
}

struct OwnServer {
    url: String,
    data_dir: PathBuf,
    child: Child,
    /// Holds the server's log, and its data unless they were to be kept. Removed at the end.
    scratch: PathBuf,
    /// Its data or its store outlive it, so it has to end cleanly whatever happens.
    leaves_something: bool,
}

impl OwnServer {
    fn start(args: &TargetArgs) -> Result<Self, Failure> {
        let scratch = std::env::temp_dir().join(format!("purser-{}", Uuid::now_v7()));
        let wrong =
            |what: &str, error: std::io::Error| Failure::new(Exit::Refused, format!("{what}: {error}"));
        DirBuilder::new()
            .mode(0o700)
            .create(&scratch)
            .map_err(|error| wrong(&format!("cannot create {}", scratch.display()), error))?;
        let data_dir = args.data_dir.as_ref().map_or_else(|| scratch.join("data"), PathBuf::from);
        let started = Self::spawn(args, &scratch, &data_dir);
        let child = match started {
            Ok(child) => child,
            Err(error) => {
                let _ = fs::remove_dir_all(&scratch);
                return Err(wrong("cannot start an own server", error));
            }
        };
        let leaves_something = args.data_dir.is_some() || args.database_url.is_some();
        let mut server = Self { url: String::new(), data_dir, child, scratch, leaves_something };
        server.url = server.wait_until_ready()?;
        Ok(server)
    }

    fn spawn(args: &TargetArgs, scratch: &Path, data_dir: &Path) -> std::io::Result<Child> {
        let log = File::create(scratch.join("server.log"))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").args(["--listen", "127.0.0.1:0"]).arg("--data-dir").arg(data_dir);
        // Always given, even if empty: a store named in the environment or a file is not meant for test data.
        command.arg("--database-url").arg(args.database_url.as_deref().unwrap_or_default());
        if let Some(config) = &args.config {
            command.arg("--config").arg(config);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn()
    }

    /// Waits for the line with the address; recovery of a kept data directory may take its time.
    fn wait_until_ready(&mut self) -> Result<String, Failure> {
        let waiting = spinner("starting a server");
        let Some(stdout) = self.child.stdout.take() else {
            return Err(Failure::new(Exit::Violation, "the own server has no output"));
        };
        let mut lines = BufReader::new(stdout).lines();
        let found = lines.by_ref().map_while(Result::ok).find_map(|line| {
            line.find("listening on http://").map(|at| line[at + "listening on ".len()..].trim().to_owned())
        });
        waiting.finish_and_clear();
        let Some(url) = found else {
            let status = self.child.wait().ok().and_then(|status| status.code()).unwrap_or(1);
            let exit = if status == 0 { Exit::Violation } else { Exit::from_code(status) };
            return Err(Failure::new(exit, format!("the own server did not start: {}", self.last_words())));
        };
        // Whatever it prints later must not fill the pipe and stop it.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(url)
    }

    fn stop(mut self) -> Result<(), Failure> {
        let waiting = spinner("stopping the server");
        let status = self.end_within(STOP_TIME);
        waiting.finish_and_clear();
        match status.map(|status| (status.code(), status)) {
            Some((Some(0), _)) => Ok(()),
            Some((Some(code), _)) => {
                let said = self.last_words();
                Err(Failure::new(
                    Exit::from_code(code),
                    format!("the own server ended with code {code}: {said}"),
                ))
            }
            Some((None, status)) => {
                Err(Failure::new(Exit::Violation, format!("the own server was killed: {status}")))
            }
            None => Err(Failure::new(Exit::Violation, "the own server did not end in time and was killed")),
        }
    }

    /// Sends SIGTERM and waits; `None` if it did not end in time.
    fn end_within(&mut self, time: Duration) -> Option<ExitStatus> {
        self.signal_end();
        let deadline = Instant::now() + time;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
                _ => return None,
            }
        }
    }

    fn signal_end(&self) {
        let process = rustix::process::Pid::from_child(&self.child);
        // It may have ended already; waiting for it tells.
        let _ = rustix::process::kill_process(process, rustix::process::Signal::TERM);
    }

    /// The end of the server's log.
    fn last_words(&self) -> String {
        let log = fs::read(self.scratch.join("server.log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        match lines.len().saturating_sub(3) {
            _ if lines.is_empty() => "it said nothing".into(),
            first => lines[first..].join("\n  "),
        }
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let time = if self.leaves_something { STOP_TIME } else { ABANDON_TIME };
            if self.end_within(time).is_none() {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
        let _ = fs::remove_dir_all(&self.scratch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_looked_for_where_it_listens() {
        let at = |listen| listening_at(listen).ok();
        assert_eq!(at("10.0.0.1:9000").as_deref(), Some("http://10.0.0.1:9000"));
        assert_eq!(at("0.0.0.0:9000").as_deref(), Some("http://127.0.0.1:9000"));
        assert_eq!(at("[::]:9000").as_deref(), Some("http://[::1]:9000"));
        assert_eq!(at("127.0.0.1:0"), None, "nobody knows the port");
    }
}
