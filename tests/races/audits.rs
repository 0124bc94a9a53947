//! Audits of a server that is at work: they find nothing amiss, whatever is written and removed meanwhile.

use crate::support::server::Setup;
use crate::support::store::stores;
use serde_json::json;
use std::thread;

#[test]
fn an_audit_finds_nothing_amiss_while_purchases_are_written_and_segments_removed() {
    let removed = crate::support::setting("PURSER_RACE_SEGMENTS", 3) as u32;
    for store in stores() {
        eprintln!("on {}", store.name);
        let server = Setup::new().store(store).env("PURSER__JOURNAL__KEEP_SEGMENTS", "0").start();
        let item = server.admin().item("Lamp", 1, 1_000_000);
        let goes_on = || server.oldest_segment() <= removed;
        let trade = || {
            let (admin, buyer) = (server.admin(), server.buyer(1_000_000));
            let path = format!("/users/{}/balance/increment", buyer.id);
            // Long texts fill segments soon.
            let text = "\u{1f4a1}".repeat(2_000);
            while goes_on() {
                buyer.buy(item, 1).expect(201);
                let credit = json!({"amount": 1, "reference": text, "description": text});
                admin.post(&path, credit).expect(200);
            }
        };
        let mut audits = 0;
        thread::scope(|scope| {
            (0..4).for_each(|_| _ = scope.spawn(trade));
            while goes_on() {
                server.expect_clean_audit();
                audits += 1;
            }
        });
        assert!(audits > 0, "nobody looked");
        server.expect_clean_audit();
    }
}
