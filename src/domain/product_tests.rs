//! Sentences about one product, and a naive model that it must agree with.

use super::*;
use crate::domain::money::LIMIT;
use proptest::prelude::*;

const AT: Timestamp = Timestamp::from_micros(1);

fn details(price: i64) -> Arc<Details> {
    Arc::new(Details {
        sku: Some(Sku::parse("SKU-1").expect("a sku")),
        name: Name::parse("Lamp").expect("a name"),
        description: None,
        price: Money::new(price).expect("money"),
        revision: 1,
        created_at: AT,
        deleted_at: None,
    })
}

fn product(stock: i64) -> Product {
    let (product_id, details) = (ProductId::new(7), details(10));
    Product::stored(ProductView { product_id, details, stock, version: 1, updated_at: AT })
}

/// Applies a decision as the tail would have it recorded.
fn commit(product: &mut Product, decision: Decision) {
    for mut event in decision.own {
        let (total, version) = (product.stock.bound(), product.version());
        if let Some(posting) = event.posting_mut() {
            (posting.total, posting.version) = (total + posting.delta, version + 1);
        }
        product.apply(&event, AT);
    }
}

fn granted<T: std::fmt::Debug>(verdict: Verdict<T>) -> T {
    match verdict {
        Verdict::Granted(value) => value,
        other => panic!("{other:?}"),
    }
}

fn refused<T: std::fmt::Debug>(verdict: Verdict<T>) -> Rejection {
    match verdict {
        Verdict::Refused(rejection) => rejection,
        other => panic!("{other:?}"),
    }
}

fn run(product: &mut Product, command: &ProductCommand) -> Verdict<()> {
    product.decide(command, AT, false).map(|decision| commit(product, decision))
}

fn reprice(price: i64) -> ProductCommand {
    let change = Change { price: Money::new(price), ..Change::default() };
    ProductCommand::Change { change, if_revision: None }
}

fn move_stock(delta: i64) -> ProductCommand {
    ProductCommand::MoveStock { delta, reason: None }
}

/// What a settled hold brings.
fn sell(product: &mut Product, units: i64) {
    product.release(&ProductClaim::Units(units));
    let (total, version) = (product.stock.bound() - units, product.version() + 1);
    let posting = Posting { delta: -units, total, version };
    let (product_id, kind) = (product.id, MovementKind::Sale);
    product
        .apply(&Event::StockMoved(StockMove { product_id, kind, order_id: None, reason: None, posting }), AT);
}

#[test]
fn a_hold_that_might_be_released_makes_others_wait_and_never_refuses_them() {
    let mut product = product(5);
    granted(product.claim(&ProductClaim::Units(4), false));
    assert_eq!(product.claim(&ProductClaim::Units(2), false), Verdict::Wait);
    product.release(&ProductClaim::Units(4));
    granted(product.claim(&ProductClaim::Units(2), false));
}

#[test]
fn more_than_the_committed_stock_is_refused_at_once() {
    let mut product = product(5);
    let rejection = refused(product.claim(&ProductClaim::Units(6), true));
    let expected = Rejection::InsufficientStock { product_id: product.id, requested: 6, available: 5 };
    assert_eq!(rejection, expected);
}

#[test]
fn nobody_overtakes_those_who_wait() {
    let mut product = product(5);
    assert_eq!(product.claim(&ProductClaim::Units(1), true), Verdict::Wait);
    assert_eq!(product.decide(&move_stock(-1), AT, true), Verdict::Wait);
    assert_eq!(product.decide(&reprice(11), AT, true), Verdict::Wait);
}

#[test]
fn the_terms_of_a_sale_do_not_change_under_a_hold() {
    for command in [reprice(11), ProductCommand::Delete { if_revision: None }] {
        let mut product = product(5);
        let grant = granted(product.claim(&ProductClaim::Units(1), false));
        assert_eq!(grant.price.minor(), 10);
        assert_eq!(run(&mut product, &command), Verdict::Wait);
        sell(&mut product, 1);
        assert_eq!(run(&mut product, &command), Verdict::Granted(()));
        assert_eq!(product.view().expect("it exists").details.revision, 2);
    }
}

#[test]
fn stock_under_holds_cannot_be_taken_away() {
    let mut product = product(5);
    granted(product.claim(&ProductClaim::Units(4), false));
    assert_eq!(run(&mut product, &move_stock(-2)), Verdict::Wait);
    assert_eq!(run(&mut product, &move_stock(-1)), Verdict::Granted(()));
    sell(&mut product, 4);
    assert_eq!(product.view().expect("it exists").stock, 0);
}

#[test]
fn a_change_that_changes_nothing_makes_no_record_and_waits_for_nobody() {
    let mut product = product(5);
    granted(product.claim(&ProductClaim::Units(5), false));
    let decision = granted(product.decide(&reprice(10), AT, true));
    assert!(decision.is_void());
    assert_eq!(decision.snapshot, product.view().map(Snapshot::Product));
}

#[test]
fn a_change_meant_for_another_revision_is_refused() {
    let change = Change { price: Money::new(11), ..Change::default() };
    let mut product = product(5);
    let meant = |revision| ProductCommand::Change { change: change.clone(), if_revision: Some(revision) };
    assert_eq!(refused(product.decide(&meant(2), AT, false)), Rejection::VersionConflict { revision: 1 });
    assert_eq!(run(&mut product, &meant(1)), Verdict::Granted(()));
    assert_eq!(refused(product.decide(&meant(1), AT, false)), Rejection::VersionConflict { revision: 2 });
}

#[test]
fn a_new_sku_is_taken_before_the_old_one_is_freed() {
    let to = |sku: Option<&str>| {
        let sku = Some(sku.map(|sku| Sku::parse(sku).expect("a sku")));
        ProductCommand::Change { change: Change { sku, ..Change::default() }, if_revision: None }
    };
    let named = |decision: Decision| -> Vec<String> {
        let name = |event| match event {
            Event::NameTaken { name, holder, .. } => format!("{holder} takes {name}"),
            Event::NameFreed { name, .. } => format!("{name} is free"),
            other => panic!("{other:?}"),
        };
        decision.foreign.into_iter().map(name).collect()
    };
    let product = product(5);
    assert_eq!(named(granted(product.decide(&to(Some("B")), AT, false))), ["7 takes B", "SKU-1 is free"]);
    assert_eq!(named(granted(product.decide(&to(None), AT, false))), ["SKU-1 is free"]);
    assert_eq!(named(granted(product.decide(&to(Some("SKU-1")), AT, false))), [""; 0]);
}

#[test]
fn a_deleted_product_is_neither_sold_nor_changed_but_takes_goods_back() {
    let mut product = product(5);
    assert_eq!(run(&mut product, &ProductCommand::Delete { if_revision: None }), Verdict::Granted(()));
    let gone = Rejection::ItemDeleted { product_id: product.id };
    assert_eq!(refused(product.claim(&ProductClaim::Units(1), false)), gone);
    assert_eq!(refused(product.decide(&reprice(11), AT, false)), gone);
    assert_eq!(refused(product.decide(&move_stock(1), AT, false)), gone);
    granted(product.claim(&ProductClaim::Room(1), false));
    let again = granted(product.decide(&ProductCommand::Delete { if_revision: None }, AT, false));
    assert!(again.is_void(), "deleting twice is deleting once");
    assert_eq!(run(&mut product, &ProductCommand::Restore), Verdict::Granted(()));
    granted(product.claim(&ProductClaim::Units(1), false));
}

#[test]
fn a_product_that_does_not_exist_yet_is_not_found() {
    let mut product = Product::unborn();
    let missing = Rejection::NotFound(Missing::Item);
    assert_eq!(refused(product.claim(&ProductClaim::Units(1), false)), missing);
    assert_eq!(refused(product.claim(&ProductClaim::Room(1), false)), missing);
    for command in [reprice(1), move_stock(1), ProductCommand::Restore, ProductCommand::Rewrite] {
        assert_eq!(refused(product.decide(&command, AT, false)), missing, "{command:?}");
    }
}

#[test]
fn room_is_refused_past_the_limit_and_waited_for_below_it() {
    let mut product = product(LIMIT - 3);
    let limit = Rejection::StockLimit { product_id: product.id };
    assert_eq!(refused(product.claim(&ProductClaim::Room(4), false)), limit);
    granted(product.claim(&ProductClaim::Room(2), false));
    assert_eq!(product.claim(&ProductClaim::Room(2), false), Verdict::Wait);
    assert_eq!(product.decide(&move_stock(2), AT, false), Verdict::Wait);
    product.release(&ProductClaim::Room(2));
    assert_eq!(run(&mut product, &move_stock(3)), Verdict::Granted(()));
    assert_eq!(refused(product.decide(&move_stock(1), AT, false)), limit);
}

/// What anybody may do to a product.
#[derive(Clone, Debug)]
enum Act {
    Hold(i64),
    Room(i64),
    Settle(usize),
    Release(usize),
    Move(i64),
    Reprice(i64),
    Delete,
    Restore,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (1i64..8).prop_map(Act::Hold),
        2 => (1i64..8).prop_map(Act::Room),
        4 => any::<usize>().prop_map(Act::Settle),
        3 => any::<usize>().prop_map(Act::Release),
        3 => (-8i64..8).prop_map(Act::Move),
        1 => (1i64..4).prop_map(Act::Reprice),
        1 => Just(Act::Delete),
        1 => Just(Act::Restore),
    ];
    prop::collection::vec(act, 1..80)
}

/// The same product on a slip of paper.
#[derive(Debug)]
struct Model {
    stock: i64,
    price: i64,
    is_deleted: bool,
    /// Open holds: units out, or room in.
    holds: Vec<ProductClaim>,
}

impl Model {
    fn held(&self) -> i64 {
        self.holds.iter().map(|hold| if let ProductClaim::Units(units) = hold { *units } else { 0 }).sum()
    }

    fn coming(&self) -> i64 {
        self.holds.iter().map(|hold| if let ProductClaim::Room(units) = hold { *units } else { 0 }).sum()
    }

    /// Granted, refused or made to wait.
    fn out(&self, units: i64) -> Option<bool> {
        match units {
            _ if self.is_deleted || units > self.stock => Some(false),
            _ if units > self.stock - self.held() => None,
            _ => Some(true),
        }
    }

    fn back(&self, units: i64) -> Option<bool> {
        match units {
            _ if units > LIMIT - self.stock => Some(false),
            _ if units > LIMIT - self.stock - self.coming() => None,
            _ => Some(true),
        }
    }
}

fn answer<T>(verdict: &Verdict<T>) -> Option<bool> {
    match verdict {
        Verdict::Granted(_) => Some(true),
        Verdict::Refused(_) => Some(false),
        Verdict::Wait => None,
    }
}

proptest! {
    #[test]
    fn a_product_agrees_with_the_model(acts in acts(), stock in prop_oneof![0i64..12, LIMIT - 12..LIMIT]) {
        let mut product = product(stock);
        let mut model = Model { stock, price: 10, is_deleted: false, holds: Vec::new() };
        for act in acts {
            match act {
                Act::Hold(units) | Act::Room(units) => {
                    let (claim, expected) = match act {
                        Act::Hold(_) => (ProductClaim::Units(units), model.out(units)),
                        _ => (ProductClaim::Room(units), model.back(units)),
                    };
                    let verdict = product.claim(&claim, false);
                    prop_assert_eq!(answer(&verdict), expected, "{:?} of {:?}", claim, model);
                    if let Verdict::Granted(terms) = verdict {
                        prop_assert_eq!(terms.price.minor(), model.price);
                        model.holds.push(claim);
                    }
                }
                Act::Settle(index) if !model.holds.is_empty() => {
                    match model.holds.swap_remove(index % model.holds.len()) {
                        ProductClaim::Units(units) => {
                            sell(&mut product, units);
                            model.stock -= units;
                        }
                        ProductClaim::Room(units) => {
                            product.release(&ProductClaim::Room(units));
                            let move_in = Event::StockMoved(StockMove {
                                product_id: product.id,
                                kind: MovementKind::Return,
                                order_id: None,
                                reason: None,
                                posting: Posting { delta: units, total: model.stock + units, version: product.version() + 1 },
                            });
                            product.apply(&move_in, AT);
                            model.stock += units;
                        }
                    }
                }
                Act::Release(index) if !model.holds.is_empty() => {
                    product.release(&model.holds.swap_remove(index % model.holds.len()));
                }
                Act::Settle(_) | Act::Release(_) => {}
                Act::Move(delta) => {
                    let expected = match delta {
                        _ if model.is_deleted => Some(false),
                        0.. => model.back(delta),
                        _ => model.out(-delta),
                    };
                    prop_assert_eq!(answer(&run(&mut product, &move_stock(delta))), expected, "{} of {:?}", delta, model);
                    model.stock += if expected == Some(true) { delta } else { 0 };
                }
                Act::Reprice(price) => {
                    let expected = match price {
                        _ if model.is_deleted => Some(false),
                        _ if price != model.price && model.held() > 0 => None,
                        _ => Some(true),
                    };
                    prop_assert_eq!(answer(&run(&mut product, &reprice(price))), expected, "{} of {:?}", price, model);
                    model.price = if expected == Some(true) { price } else { model.price };
                }
                Act::Delete | Act::Restore => {
                    let delete = matches!(act, Act::Delete);
                    let command = if delete { ProductCommand::Delete { if_revision: None } } else { ProductCommand::Restore };
                    let expected = if delete != model.is_deleted && model.held() > 0 { None } else { Some(true) };
                    prop_assert_eq!(answer(&run(&mut product, &command)), expected);
                    model.is_deleted = if expected.is_some() { delete } else { model.is_deleted };
                }
            }
            let view = product.view().expect("it exists");
            prop_assert_eq!((view.stock, view.details.price.minor()), (model.stock, model.price));
            prop_assert_eq!(product.open_holds(), (model.held(), model.coming()));
            prop_assert!((0..=LIMIT).contains(&view.stock) && model.held() <= view.stock);
        }
    }
}
