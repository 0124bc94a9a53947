//! Starts that must not happen, and what the operator is told.

use crate::support::server::{Server, Setup, purser, run};
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[test]
fn an_unknown_flag_exits_2_and_names_it() {
    Setup::new().flag("--no-such-flag").refuses().expect(2, &["--no-such-flag"]);
    let mut command = purser();
    command.arg("no-such-command");
    run(command).expect(2, &["no-such-command"]);
}

#[test]
fn an_unknown_key_in_the_configuration_exits_2_and_names_its_line() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("purser.toml");
    fs::write(&file, "# a comment\n\nno_such_key = 1\n").expect("a file");
    let ended = Setup::new().flag("--config").flag(&file.to_string_lossy()).refuses();
    ended.expect(2, &["no_such_key"]);
    assert!(ended.stderr.contains("purser.toml"), "{ended:?}");
    let names_the_line = ended.stderr.contains("line 3") || ended.stderr.contains("purser.toml:3");
    assert!(names_the_line, "the line to mend is the third: {ended:?}");
}

#[test]
fn a_configuration_that_is_no_toml_or_does_not_exist_exits_2() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("purser.toml");
    let path = file.to_string_lossy().into_owned();
    let start = || Setup::new().flag("--config").flag(&path).refuses();
    start().expect(2, &["purser.toml"]);
    fs::write(&file, "[[[").expect("a file");
    start().expect(2, &["purser.toml"]);
}

#[test]
fn an_unknown_setting_in_the_environment_exits_2_and_names_it() {
    let ended = Setup::new().env("PURSER__NO_SUCH_SECTION__KEY", "1").refuses();
    ended.expect(2, &["PURSER__NO_SUCH_SECTION__KEY", "unknown setting"]);
}

#[test]
fn an_address_that_is_none_exits_2() {
    Setup::new().listen("nowhere").refuses().expect(2, &["--listen", "nowhere"]);
}

#[test]
fn a_second_server_on_the_same_data_directory_exits_3_and_says_who_holds_it() {
    let server = Server::start();
    let ended = Setup::new().data_dir(server.data_dir()).refuses();
    ended.expect(3, &[&server.pid().to_string()]);
    let buyer = server.buyer(10);
    let item = server.admin().item("Lamp", 10, 1);
    buyer.buy(item, 1).expect(201);
    server.expect_clean_audit();
}

#[test]
fn a_paused_server_still_holds_its_data_directory() {
    let server = Server::start();
    let buyer = server.buyer(10);
    let item = server.admin().item("Lamp", 10, 1);
    server.signal("STOP");
    let ended = Setup::new().data_dir(server.data_dir()).refuses();
    server.signal("CONT");
    ended.expect(3, &[&server.pid().to_string()]);
    buyer.buy(item, 1).expect(201);
    server.expect_clean_audit();
}

#[test]
fn the_data_directory_of_a_killed_server_is_free() {
    let mut server = Server::start();
    server.kill9();
    let next = Setup::new().data_dir(server.data_dir()).start();
    next.expect_clean_audit();
}

#[test]
fn a_port_that_is_taken_exits_3_in_one_clear_line() {
    let server = Server::start();
    let address = server.address().to_string();
    let ended = Setup::new().listen(&address).refuses();
    ended.expect(3, &["cannot listen on", &address]);
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
}

#[test]
fn a_data_directory_that_cannot_be_written_exits_3_in_one_clear_line() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("a-file");
    fs::write(&file, "not a directory").expect("a file");
    // Permissions do not stop a test that runs as root; a file in the way stops everyone.
    for path in [file.clone(), file.join("below")] {
        let ended = Setup::new().data_dir(&path).refuses();
        ended.expect(3, &["the data directory", "a-file", "cannot be used"]);
        assert!(!ended.stderr.contains("panicked"), "{ended:?}");
    }
}

#[test]
fn a_directory_that_does_not_exist_is_not_found_clean_and_not_made() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let missing = dir.path().join("dtaa");
    for arguments in [&["audit"][..], &["journal", "verify"], &["journal", "inspect"]] {
        // A directory that exists and is none of ours is left as it is, too.
        for path in [missing.as_path(), dir.path()] {
            let mut command = purser();
            command.args(arguments).arg("--data-dir").arg(path);
            run(command).expect(2, &["there is no data directory", &path.to_string_lossy()]);
            assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 0, "{arguments:?}");
        }
    }
}

#[test]
fn a_store_is_not_adopted_into_a_directory_that_does_not_exist() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let missing = dir.path().join("dtaa");
    // The embedded store lies in the directory, so one without it has none to adopt.
    for path in [missing.as_path(), dir.path()] {
        let mut command = purser();
        command.args(["journal", "adopt", "--accept-loss", "--data-dir"]).arg(path);
        run(command).expect(2, &[&path.to_string_lossy()]);
        assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 0);
    }
    let mut command = purser();
    let database = ["--database-url", "postgres://nobody@127.0.0.1:1/none"];
    command.args(["journal", "adopt", "--accept-loss", "--data-dir"]).arg(&missing).args(database);
    run(command).expect(2, &["there is no data directory", "dtaa"]);
    assert!(!missing.exists());
}

#[test]
fn a_secret_that_others_may_read_exits_3_and_says_how_to_mend_it() {
    let mut server = Server::start();
    let secret = server.data_dir().join("secret");
    assert_eq!(server.sigterm(), Some(0));
    for mode in [0o644, 0o640, 0o620] {
        fs::set_permissions(&secret, fs::Permissions::from_mode(mode)).expect("our file");
        server.restart_refused().expect(3, &["chmod 600", &secret.to_string_lossy()]);
    }
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("our file");
    server.restart();
    server.expect_clean_audit();
}

#[test]
fn a_log_filter_that_cannot_be_read_exits_2_and_names_its_variable() {
    Setup::new().env("RUST_LOG", "purser=loud").refuses().expect(2, &["RUST_LOG", "purser=loud"]);
}

#[test]
fn a_variable_that_means_nothing_is_named_with_those_that_do() {
    let mut server = Setup::new().env("PURSER_NOPE", "1").env("PURSER_SERVICE_HOST", "10.0.0.1").start();
    let ended = server.stop();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.expect_line(&["PURSER_NOPE", "PURSER_LISTEN", "PURSER_DATA_DIR", "PURSER__SECTION__KEY"]);
    assert!(!ended.stderr.contains("PURSER_SERVICE_HOST"), "orchestrators set these: {ended:?}");
}

#[test]
fn a_command_finds_its_server_by_the_configuration() {
    let server = Server::start();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("purser.toml");
    let (address, data_dir) = (server.address(), server.data_dir().display());
    let text = format!("[server]\nlisten = \"{address}\"\n[data]\ndir = \"{data_dir}\"\n");
    fs::write(&file, text).expect("a file");
    for verb in ["audit", "sync-stock"] {
        let mut command = purser();
        command.arg(verb).arg("--config").arg(&file);
        let ended = run(command);
        assert_eq!(ended.code, Some(0), "{verb}: {ended:?}");
    }
}

#[test]
fn a_command_without_its_server_exits_1_and_says_so() {
    let mut command = purser();
    // Port 1 is reserved and nothing listens there.
    command.args(["audit", "--url", "http://127.0.0.1:1"]).env("PURSER_TOKEN", "none");
    run(command).expect(1, &["no answer from", "127.0.0.1:1"]);
}
