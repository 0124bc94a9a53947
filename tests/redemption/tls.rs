//! A provider over TLS.

use crate::cards::ok;
use crate::scripted::{AUTHORITY, Answer, Scripted};
use crate::sentences::number;
use crate::support::server::Setup;

fn server_of(setup: Setup) -> Setup {
    setup.env("PURSER__PROVIDER__TIMEOUT_MS", "2000")
}

#[test]
fn a_card_is_exchanged_over_tls_with_whom_the_authority_vouches_for() {
    let provider = Scripted::start_with_tls(|_| Answer::Taken(500));
    let server = server_of(provider.setup()).env("PURSER__PROVIDER__CA_FILE", AUTHORITY).start();
    server.admin().account(&server.admin().plan(10_000, 5_000));
    let user = server.buyer(0);
    let card = user.redeems(&ok(500));
    assert_eq!((number(&card, "amount"), number(&card, "attempts"), user.balance()), (500, 1, 250));
    let asked = provider.asked();
    let [sent] = &asked[..] else { panic!("asked otherwise than once: {asked:?}") };
    assert!(sent.headers.contains_key("purser-signature"), "{sent:?}");
    server.expect_clean_audit();
}

#[test]
fn no_card_goes_to_a_provider_that_nobody_vouches_for() {
    let provider = Scripted::start_with_tls(|_| Answer::Taken(500));
    // The public authorities know nothing of it.
    let server = server_of(provider.setup()).start();
    server.admin().account(&server.admin().plan(10_000, 5_000));
    let user = server.buyer(0);
    let id = user.handed_in(&ok(500));
    let doubt = user.becomes(&id, "in_doubt");
    let why = doubt["failure"]["detail"].as_str().expect("a reason");
    assert!(why.starts_with("not taken within 2s: ") && why.contains("certificate"), "{why}");
    assert!(provider.asked().is_empty());
}

#[test]
fn a_file_without_authorities_is_refused_at_the_start() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let empty = data.path().join("empty.pem");
    std::fs::write(&empty, "").expect("written");
    let setup = || Setup::new().env("PURSER__PROVIDER__URL", "https://127.0.0.1:9");
    let empty = empty.to_str().expect("a path");
    let refused = setup().env("PURSER__PROVIDER__CA_FILE", empty).refuses();
    refused.expect(3, &["the provider cannot be used", "there is no certificate in it"]);
    setup().env("PURSER__PROVIDER__CA_FILE", "/no/such/file").refuses().expect(3, &["/no/such/file"]);
}
