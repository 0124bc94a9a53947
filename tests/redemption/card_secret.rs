//! What names and seals cards' codes is kept for good: without it codes that were used could be used again.

use crate::cards::ok;
use crate::rig::simulator;
use crate::support::expect::expect_problem;
use crate::support::server::Setup;
use crate::support::store::stores;

const ANOTHER: &str = "another secret than that of the cards, long enough";

#[test]
fn a_server_does_not_start_under_another_card_secret_and_makes_no_new_one() {
    for store in stores() {
        eprintln!("on {}", store.name);
        let provider = simulator(&[]);
        let mut server = provider.setup().store(store).start();
        let (user, code) = (server.buyer(0), ok(500));
        server.admin().account(&server.admin().plan(10_000, 10_000));
        user.redeems(&code);
        assert_eq!(server.sigterm(), Some(0));
        let file = server.data_dir().join("card-secret");
        let secret = std::fs::read(&file).expect("it was made");
        std::fs::remove_file(&file).expect("it is ours");
        for _ in 0..2 {
            server.restart_refused().expect(3, &["another card secret", "bring back the file card-secret"]);
            assert!(!file.exists(), "a new one would be taken for the right one");
        }
        server.set_env("PURSER__PROVIDER__CARD_SECRET", ANOTHER);
        server.restart_refused().expect(3, &["another card secret"]);
        server.set_env("PURSER__PROVIDER__CARD_SECRET", "");
        // Nobody else could read it.
        std::fs::copy(server.data_dir().join("secret"), &file).expect("a private file");
        server.restart_refused().expect(3, &["another card secret"]);
        std::fs::write(&file, secret).expect("brought back");
        server.restart();
        expect_problem(&user.hand_in(&code), 409, "code_already_used");
        server.expect_clean_audit();
    }
}

#[test]
fn a_card_secret_of_ones_own_is_not_written_to_the_data_directory() {
    let provider = simulator(&[]);
    let server = provider.setup().env("PURSER__PROVIDER__CARD_SECRET", ANOTHER).start();
    server.admin().account(&server.admin().plan(10_000, 10_000));
    server.buyer(0).redeems(&ok(500));
    assert!(!server.data_dir().join("card-secret").exists());
    assert!(Setup::new().env("PURSER__PROVIDER__CARD_SECRET", "short").refuses().code == Some(2));
}
