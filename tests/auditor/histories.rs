//! What clients were told, against a journal: a shop with five lamps at ten each, and two buyers.

use purser::auditor::facts::{Cause, Entry, Fact, Key, OrderState, Refusal, Short, Step};
use purser::auditor::history::Figures;
use purser::auditor::{Ask, Call, Told, check};

const LAMP: u64 = 1;
const ANN: u64 = 7;
const BOB: u64 = 8;

#[derive(Default)]
struct Shop {
    journal: Vec<Entry>,
    stock: (i64, u64),
    money: [(i64, u64); 2],
}

fn step(known: &mut (i64, u64), delta: i64) -> Step {
    *known = (known.0 + delta, known.1 + 1);
    Step { delta, total: known.0, version: known.1 }
}

impl Shop {
    fn open() -> Self {
        let mut shop = Self::default();
        let stock = Fact::Stock { product: LAMP, step: step(&mut shop.stock, 5), cause: Cause::Free };
        shop.record(vec![stock]);
        for user in [ANN, BOB] {
            let credit = shop.money(user, 100, Cause::Free);
            shop.record(vec![credit]);
        }
        shop
    }

    fn record(&mut self, facts: Vec<Fact>) -> u64 {
        let seq = self.journal.len() as u64 + 1;
        self.journal.push(Entry { seq, at: 0, caller: None, key: None, refusal: None, facts });
        seq
    }

    fn money(&mut self, user: u64, delta: i64, cause: Cause) -> Fact {
        let known = &mut self.money[usize::from(user == BOB)];
        Fact::Money { user, step: step(known, delta), cause }
    }

    /// The order's id is its record's position.
    fn sells(&mut self, user: u64, units: i64) -> u64 {
        let (order, total) = (self.journal.len() as u128 + 1, 10 * units);
        let lines = vec![(LAMP, units, 10)];
        let placed = Fact::Placed { order, user, state: OrderState::Processed, total, lines };
        let paid = self.money(user, -total, Cause::Follows);
        let sold = Fact::Stock { product: LAMP, step: step(&mut self.stock, -units), cause: Cause::Follows };
        self.record(vec![placed, paid, sold])
    }

    fn moves(&mut self, from: u64, to: u64, amount: i64) -> u64 {
        let facts = vec![self.money(from, -amount, Cause::Transfer), self.money(to, amount, Cause::Transfer)];
        self.record(facts)
    }

    #[track_caller]
    fn explains(&self, calls: &[Call]) -> Figures {
        check(&self.journal, calls).unwrap_or_else(|wrong| panic!("{wrong}"))
    }

    #[track_caller]
    fn contradicts(&self, calls: &[Call], words: &str) {
        let wrong = check(&self.journal, calls).expect_err(words);
        assert!(wrong.contains(words), "{wrong}");
    }
}

fn call(user: u64, (invoked, returned): (u64, u64), ask: Ask, told: Told) -> Call {
    Call { user, ask, invoked, returned, told }
}

fn buys(user: u64, units: i64, when: (u64, u64), seq: u64) -> Call {
    let told = Told::Done { seq, order: Some(seq.into()), is_again: false };
    call(user, when, Ask::Order(vec![(LAMP, units)]), told)
}

fn sold_out(user: u64, asked: i64, when: (u64, u64), available: i64) -> Call {
    let told = Told::SoldOut { product: LAMP, asked, available, is_again: false };
    call(user, when, Ask::Order(vec![(LAMP, asked)]), told)
}

fn unheard(user: u64, units: i64, when: (u64, u64)) -> Call {
    call(user, when, Ask::Order(vec![(LAMP, units)]), Told::Nothing)
}

#[test]
fn what_was_told_as_it_was_is_explained() {
    let mut shop = Shop::open();
    let (first, second) = (shop.sells(ANN, 2), shop.sells(BOB, 2));
    let moved = shop.moves(ANN, BOB, 30);
    let lost = shop.sells(ANN, 1);
    let again = Told::Done { seq: first, order: Some(first.into()), is_again: true };
    let poor = Told::Poor { asked: 60, available: 50, is_again: false };
    let calls = [
        buys(ANN, 2, (1, 4), first),
        buys(BOB, 2, (2, 3), second),
        sold_out(BOB, 2, (5, 9), 1),
        call(
            ANN,
            (6, 8),
            Ask::Transfer { to: BOB, amount: 30 },
            Told::Done { seq: moved, order: None, is_again: false },
        ),
        call(ANN, (10, 11), Ask::Order(vec![(LAMP, 2)]), again),
        call(ANN, (10, 12), Ask::Order(vec![(LAMP, 6)]), poor),
        unheard(ANN, 1, (13, 14)),
        unheard(BOB, 1, (13, 14)),
    ];
    assert_eq!(lost, 7);
    let figures = Figures { records: 7, done: 4, refused: 2, read: 0, unheard_there: 1, unheard_not: 1 };
    assert_eq!(shop.explains(&calls), figures);
}

#[test]
fn a_done_without_its_record_is_found_out() {
    let mut shop = Shop::open();
    let first = shop.sells(ANN, 2);
    shop.contradicts(&[buys(ANN, 2, (1, 2), first), buys(BOB, 1, (1, 2), first + 1)], "is not there");
    shop.contradicts(&[buys(ANN, 3, (1, 2), first)], "something else");
    shop.contradicts(&[buys(BOB, 2, (1, 2), first)], "something else");
    shop.contradicts(&[buys(ANN, 2, (1, 2), first), buys(ANN, 2, (1, 3), first)], "told twice");
}

#[test]
fn who_asks_after_another_was_answered_comes_behind() {
    let mut shop = Shop::open();
    let (first, second) = (shop.sells(ANN, 2), shop.sells(BOB, 2));
    shop.explains(&[buys(ANN, 2, (1, 9), first), buys(BOB, 2, (1, 9), second)]);
    shop.explains(&[buys(ANN, 2, (1, 2), first), buys(BOB, 2, (3, 4), second)]);
    shop.contradicts(&[buys(ANN, 2, (3, 4), first), buys(BOB, 2, (1, 2), second)], "is not between");
}

#[test]
fn a_no_that_was_never_true_while_it_was_asked_is_found_out() {
    let mut shop = Shop::open();
    let first = shop.sells(ANN, 4);
    let sale = buys(ANN, 4, (5, 6), first);
    shop.explains(&[sale.clone(), sold_out(BOB, 2, (4, 9), 1)]);
    shop.contradicts(&[sale.clone(), sold_out(BOB, 2, (1, 2), 1)], "never so");
    shop.contradicts(&[sale.clone(), sold_out(BOB, 2, (7, 9), 5)], "never so");
    shop.contradicts(&[sale.clone(), sold_out(BOB, 1, (7, 9), 1)], "never so");
    let poor = |asked, available| {
        call(ANN, (7, 9), Ask::Order(vec![(LAMP, 1)]), Told::Poor { asked, available, is_again: false })
    };
    shop.explains(&[sale.clone(), poor(70, 60)]);
    shop.contradicts(&[sale.clone(), poor(60, 60)], "never so");
    shop.contradicts(&[sale, poor(101, 100)], "never so");
}

#[test]
fn what_passes_every_limit_is_too_dear_for_who_has_the_limit() {
    let (mut shop, limit) = (Shop::open(), purser::domain::LIMIT);
    let credit = shop.money(ANN, limit - 100, Cause::Free);
    let as_of = shop.record(vec![credit]);
    let refused = |asked| {
        let told = Told::Poor { asked, available: limit, is_again: false };
        call(ANN, (1, 2), Ask::Order(vec![(LAMP, 1)]), told)
    };
    shop.explains(&[refused(limit)]);
    shop.contradicts(&[refused(limit - 1)], "never so");
    shop.record(Vec::new());
    let short = |asked| Some(Short::Money { asked, available: limit });
    let entry = shop.journal.last_mut().expect("a record");
    entry.key = Some(Key { caller: ANN, fingerprint: [0; 16] });
    entry.refusal = Some(Refusal { as_of, code: "insufficient_balance", short: short(limit) });
    shop.explains(&[]);
    let entry = shop.journal.last_mut().expect("a record");
    entry.refusal = Some(Refusal { as_of, code: "insufficient_balance", short: short(limit - 1) });
    shop.contradicts(&[], "not what there was");
}

#[test]
fn what_nobody_asked_for_is_found_out() {
    let mut shop = Shop::open();
    shop.sells(ANN, 1);
    shop.contradicts(&[unheard(ANN, 2, (1, 2))], "nobody asked");
    shop.explains(&[unheard(ANN, 1, (1, 2))]);
    shop.sells(ANN, 1);
    shop.contradicts(&[unheard(ANN, 1, (1, 2))], "nobody asked");
    shop.explains(&[unheard(ANN, 1, (1, 2)), unheard(ANN, 1, (3, 4))]);
    shop.moves(BOB, ANN, 1);
    shop.contradicts(
        &[unheard(ANN, 1, (1, 2)), unheard(ANN, 1, (3, 4)), unheard(BOB, 1, (5, 6))],
        "nobody asked",
    );
}

#[test]
fn what_was_read_was_so_while_it_was_asked_for_and_is_in_the_journal() {
    let mut shop = Shop::open();
    let first = shop.sells(ANN, 2);
    let sale = buys(ANN, 2, (3, 4), first);
    let looked = |when, total, as_of| call(0, when, Ask::Stock(LAMP), Told::Stood { total, as_of });
    let has = |total| call(0, (5, 6), Ask::Money(ANN), Told::Stood { total, as_of: first });
    let figures = shop.explains(&[sale.clone(), looked((2, 6), 5, 1), looked((5, 6), 3, first), has(80)]);
    assert_eq!(figures.read, 3);
    shop.contradicts(&[sale.clone(), looked((5, 6), 5, first)], "never so");
    shop.contradicts(&[sale.clone(), looked((1, 2), 3, 3)], "never so");
    shop.contradicts(&[sale.clone(), looked((5, 6), 3, first + 1)], "is not there");
    shop.contradicts(&[sale, has(100)], "never so");
}

#[test]
fn who_looks_after_another_has_looked_does_not_see_what_was_before() {
    let mut shop = Shop::open();
    let before = shop.journal.len() as u64;
    let first = shop.sells(ANN, 4);
    let sale = buys(ANN, 4, (1, 9), first);
    let looked = |when, total, as_of| call(0, when, Ask::Stock(LAMP), Told::Stood { total, as_of });
    shop.explains(&[sale.clone(), looked((2, 5), 1, first), looked((4, 6), 5, before)]);
    shop.contradicts(&[sale.clone(), looked((2, 3), 1, first), looked((4, 6), 5, before)], "never so");
    shop.explains(&[sale.clone(), looked((2, 3), 1, first), sold_out(BOB, 2, (4, 6), 1)]);
    shop.contradicts(&[sale, looked((2, 3), 1, first), sold_out(BOB, 6, (4, 6), 5)], "never so");
}

#[test]
fn a_restock_a_credit_and_a_withdrawal_are_what_was_asked_for() {
    let mut shop = Shop::open();
    let step = step(&mut shop.stock, 3);
    let restocked = shop.record(vec![Fact::Stock { product: LAMP, step, cause: Cause::Free }]);
    let credit = shop.money(ANN, 7, Cause::Free);
    let credited = shop.record(vec![credit]);
    let (withdrawal, taken) = (1, shop.money(ANN, -5, Cause::Follows));
    let withdrawn = shop.record(vec![Fact::Asked { withdrawal, user: ANN, amount: 5 }, taken]);
    let done = |ask, seq| call(ANN, (1, 2), ask, Told::Done { seq, order: None, is_again: false });
    let restock = |product, delta| done(Ask::Restock { product, delta }, restocked);
    let all = [
        restock(LAMP, 3),
        done(Ask::Adjust { delta: 7 }, credited),
        done(Ask::Withdraw { amount: 5 }, withdrawn),
    ];
    assert_eq!(shop.explains(&all).done, 3);
    for other in [
        restock(LAMP, 2),
        restock(LAMP + 1, 3),
        done(Ask::Adjust { delta: 7 }, withdrawn),
        done(Ask::Adjust { delta: 6 }, credited),
        done(Ask::Withdraw { amount: 7 }, withdrawn),
        call(
            BOB,
            (1, 2),
            Ask::Adjust { delta: 7 },
            Told::Done { seq: credited, order: None, is_again: false },
        ),
    ] {
        shop.contradicts(&[other], "something else");
    }
}
