//! The client's side of the books against the server's.

use crate::load::{FUNDS, Kind, Operation, Shop};
use crate::support::server::Server;
use serde_json::Value;
use std::collections::HashMap;

/// All that the buyers see: orders, entries, stock.
pub fn seen(server: &Server, shop: &Shop) -> Vec<Value> {
    let mut seen = Vec::new();
    for buyer in &shop.buyers {
        seen.extend(buyer.list("/orders"));
        seen.extend(buyer.entries());
        seen.push(buyer.get("/balance").expect(200));
    }
    seen.extend(shop.items.iter().map(|(item, _)| server.item(*item)));
    seen
}

/// Every acknowledged operation is there exactly once, nothing else is, and money and stock add up.
#[track_caller]
pub fn everything_once(server: &Server, shop: &Shop) {
    let books: Vec<Books> = (0..shop.buyers.len()).map(|worker| Books::of(shop, worker)).collect();
    for (worker, log) in shop.log.iter().enumerate() {
        books[worker].expect_log(log);
        for operation in log {
            if let Kind::Transfer { to, tag } = &operation.kind {
                let (sent, received) =
                    (books[worker].tagged("transfer_out", tag), books[*to].tagged("transfer_in", tag));
                assert_eq!(sent, received, "half a transfer: {tag}");
                match &operation.told {
                    Some(told) => assert_eq!(sent, usize::from(told.status == 201), "{tag}: {}", told.text()),
                    None => assert!(sent <= 1, "{tag} happened {sent} times"),
                }
            }
        }
    }
    let kept: Vec<&Value> = books
        .iter()
        .flat_map(|book| book.orders.values())
        .filter(|order| order["status"] != "cancelled")
        .collect();
    for (item, first) in &shop.items {
        let sold: u64 = kept
            .iter()
            .flat_map(|order| order["items"].as_array().into_iter().flatten())
            .filter(|line| line["product_id"] == item.id)
            .map(|line| line["quantity"].as_u64().expect("a quantity"))
            .sum();
        assert_eq!(server.stock(*item), first - sold, "stock of item {}", item.id);
    }
    let spent: u64 = kept.iter().map(|order| order["total_amount"].as_u64().expect("a total")).sum();
    let left: u64 = books.iter().map(|book| book.balance).sum();
    assert_eq!(left + spent, FUNDS * shop.buyers.len() as u64, "money came or went");
    server.expect_clean_audit();
}

/// One buyer's side as the server tells it.
struct Books {
    orders: HashMap<String, Value>,
    entries: Vec<Value>,
    /// How many entries there are of each kind and description.
    tags: HashMap<(String, String), usize>,
    balance: u64,
}

impl Books {
    #[track_caller]
    fn of(shop: &Shop, worker: usize) -> Self {
        let buyer = &shop.buyers[worker];
        let listed = buyer.list("/orders");
        let count = listed.len();
        let id = |order: &Value| order["id"].as_str().expect("an id").to_owned();
        let orders: HashMap<_, _> = listed.into_iter().map(|order| (id(&order), order)).collect();
        assert_eq!(orders.len(), count, "an order is listed twice");
        let (entries, mut tags) = (buyer.entries(), HashMap::new());
        for entry in &entries {
            if let (Some(kind), Some(tag)) = (entry["kind"].as_str(), entry["description"].as_str()) {
                *tags.entry((kind.to_owned(), tag.to_owned())).or_default() += 1;
            }
        }
        let books = Self { orders, entries, tags, balance: buyer.balance() };
        books.expect_sound();
        books
    }

    /// Entries without gap that explain the balance, and for every order its one debit and at most its one refund.
    #[track_caller]
    fn expect_sound(&self) {
        let mut total = 0;
        let mut moves: HashMap<(&str, &str), Vec<i64>> = HashMap::new();
        for (index, entry) in self.entries.iter().enumerate() {
            let delta = entry["delta"].as_i64().expect("a delta");
            total += delta;
            assert_eq!(entry["version"], index + 1, "a gap: {entry}");
            assert_eq!(entry["balance_after"], total, "{entry}");
            let kind = entry["kind"].as_str().expect("a kind");
            if let ("order" | "cancel", Some(order)) = (kind, entry["order_id"].as_str()) {
                moves.entry((kind, order)).or_default().push(delta);
            }
        }
        assert_eq!(u64::try_from(total).ok(), Some(self.balance), "the entries do not explain the balance");
        for (id, order) in &self.orders {
            let amount = order["total_amount"].as_i64().expect("a total");
            assert_eq!(moves.remove(&("order", id)), Some(vec![-amount]), "the debit of {order}");
            let refund = (order["status"] == "cancelled").then(|| vec![amount]);
            assert_eq!(moves.remove(&("cancel", id)), refund, "the refund of {order}");
        }
        assert!(moves.is_empty(), "money moved for orders that do not exist: {moves:?}");
    }

    /// Sales and cancels stand as they were told; what was never told may stand once.
    #[track_caller]
    fn expect_log(&self, log: &[Operation]) {
        let (mut told, mut in_doubt) = (0, 0);
        for operation in log {
            match (&operation.kind, &operation.told) {
                (Kind::Sale { .. }, Some(reply)) if reply.status == 201 => {
                    let id = crate::support::api::order_id(&reply.json());
                    assert!(self.orders.contains_key(&id), "lost: {} {}", reply.to, reply.text());
                    told += 1;
                }
                (Kind::Sale { .. }, None) => in_doubt += 1,
                (Kind::Cancel { order_id }, Some(reply)) => {
                    let status = &self.orders[order_id]["status"];
                    assert_eq!(status == "cancelled", reply.status == 200, "{} {}", reply.to, reply.text());
                }
                _ => {}
            }
        }
        let stand = self.orders.len();
        assert!(
            (told..=told + in_doubt).contains(&stand),
            "{stand} orders, {told} told, {in_doubt} in doubt"
        );
    }

    fn tagged(&self, kind: &str, tag: &str) -> usize {
        self.tags.get(&(kind.to_owned(), tag.to_owned())).copied().unwrap_or(0)
    }
}
