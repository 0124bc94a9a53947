//! What the first start leaves behind, and what later starts keep.

use crate::support::server::{Server, Setup};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;

fn mode(server: &Server, name: &str) -> u32 {
    let path = server.data_dir().join(name);
    let metadata = fs::metadata(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    metadata.permissions().mode() & 0o777
}

fn log_in(server: &Server, email: &str, password: &str) -> u16 {
    server.guest().post("/auth/login", json!({"email": email, "password": password})).status
}

#[test]
fn the_first_start_creates_an_administrator_whose_password_only_the_operator_reads() {
    let mut server = Server::start();
    assert!(server.output().contains("admin-password"), "the path is not printed:\n{}", server.output());
    for name in ["admin-password", "admin-token"] {
        assert_eq!(mode(&server, name), 0o600, "{name}");
    }
    let password = server.file("admin-password");
    assert!(password.len() >= 16, "a short password: {password:?}");
    assert!(!server.output().contains(&password), "the password is printed");
    assert_eq!(log_in(&server, "admin@localhost", &password), 200);
    assert_eq!(server.admin().get("/auth/me").expect(200)["role"], "admin");

    assert_eq!(server.sigterm(), Some(0));
    server.restart();
    assert_eq!(server.file("admin-password"), password, "a second password");
    assert_eq!(log_in(&server, "admin@localhost", &password), 200);
    assert_eq!(server.admin().list("/users?q=admin").len(), 1);
}

#[test]
fn the_secret_is_kept_private_and_across_restarts() {
    let mut server = Server::start();
    let names: Vec<_> = fs::read_dir(server.data_dir())
        .expect("the data directory")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    let secrets: Vec<_> = names.iter().filter(|name| name.contains("secret")).collect();
    assert!(!secrets.is_empty(), "no secret among {names:?}");
    for name in secrets {
        assert_eq!(mode(&server, name), 0o600, "{name}");
    }
    let buyer = server.buyer(10);
    server.kill9();
    server.restart();
    assert_eq!(buyer.balance(), 10);
}

#[test]
fn the_administrator_can_come_from_the_environment() {
    let server = Setup::new()
        .env("PURSER_ADMIN_EMAIL", "root@example.org")
        .env("PURSER_ADMIN_PASSWORD", "from the environment")
        .start();
    assert_eq!(log_in(&server, "root@example.org", "from the environment"), 200);
    assert!(!server.data_dir().join("admin-password").exists(), "the given password was written down");
    assert_eq!(server.admin().get("/auth/me").expect(200)["role"], "admin");
}

#[test]
fn a_data_directory_is_created_with_its_parents() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("not").join("there").join("yet");
    let server = Setup::new().data_dir(&path).start();
    server.expect_clean_audit();
    assert!(path.join("admin-token").exists());
}
