//! The plan over a real excerpt, against sums worked out from the file by other means.

use super::file::{self, History};
use super::line::{GUEST, Kind, Reason, judge_all};
use super::plan::Plan;
use super::sums::Sums;
use std::collections::{BTreeMap, HashSet};

const EXCERPT: &[u8] = include_bytes!("../../../tests/fixtures/orders_excerpt.csv");
const HEADER: &str = "InvoiceNo,StockCode,Description,Quantity,UnitPrice,CustomerID\n";

fn history(rows: &str) -> History {
    file::parse(format!("{HEADER}{rows}").as_bytes()).expect("valid")
}

#[test]
fn the_excerpt_becomes_one_order_per_invoice_and_one_return_per_cancellation() {
    let history = file::parse(EXCERPT).expect("valid");
    let (lines, unsellable) = judge_all(&history);
    let plan = Plan::new(&lines);
    let shape: Vec<_> = plan
        .documents
        .iter()
        .map(|document| (document.invoice, plan.customers[document.customer].name, document.lines.len()))
        .collect();
    assert_eq!(
        shape,
        [
            ("536365", "17850", 7),
            ("536370", "12583", 8),
            ("C536379", "14527", 1),
            ("C536391", "17548", 7),
            ("536544", GUEST, 8),
            ("536592", GUEST, 8),
            ("536409", "17908", 58),
        ]
    );
    let reasons: Vec<_> =
        unsellable.iter().map(|left_out| (left_out.row.line, left_out.reason.clone())).collect();
    assert_eq!(reasons, [(25, Reason::PriceZero), (34, Reason::QuantityNegative)]);
    assert_eq!(plan.customers[0].email, "customer-17850@replay.invalid");
}

#[test]
fn the_sums_of_the_excerpt_are_those_of_the_plan_and_of_the_file() {
    let history = file::parse(EXCERPT).expect("valid");
    let (lines, _) = judge_all(&history);
    let sums = Sums::new(&lines, &HashSet::new());
    let figures = (sums.units_sold, sums.amount_sold, sums.units_returned, sums.amount_returned);
    assert_eq!(figures, (456, 81_638, 133, 16_898));

    let plan = Plan::new(&lines);
    let (mut stock, mut balance) = (BTreeMap::new(), BTreeMap::new());
    for document in &plan.documents {
        let sign = if document.kind == Kind::Order { -1 } else { 1 };
        let total: i64 = document.lines.iter().map(|line| line.quantity * line.price).sum();
        assert_eq!(total, document.total);
        *balance.entry(plan.customers[document.customer].name).or_default() += sign * i128::from(total);
        for line in &document.lines {
            *stock.entry(plan.products[line.product].sku).or_default() += sign * i128::from(line.quantity);
        }
    }
    assert_eq!((stock, balance), (sums.stock, sums.balance));
    let needed: i64 = plan.customers.iter().map(|customer| customer.needed).sum();
    assert_eq!(needed, 81_638);
}

#[test]
fn refused_lines_are_left_out_of_the_sums() {
    let history = history("1,A,x,2,1.50,7\n1,B,x,1,1,7\n2,A,x,4,1.50,8\n");
    let (lines, _) = judge_all(&history);
    let sums = Sums::new(&lines, &HashSet::from([2, 3]));
    assert_eq!(sums.stock, BTreeMap::from([("A", -4)]));
    assert_eq!(sums.balance, BTreeMap::from([("8", -600)]));
}

#[test]
fn an_invoice_of_two_customers_becomes_two_orders_and_a_long_one_several() {
    let text = format!("1,A,x,1,1,7\n1,A,x,1,1,8\n{}", "2,B,y,1,1,9\n".repeat(1_001));
    let history = history(&text);
    let (lines, _) = judge_all(&history);
    let plan = Plan::new(&lines);
    let sizes: Vec<usize> = plan.documents.iter().map(|document| document.lines.len()).collect();
    assert_eq!(sizes, [1, 1, 1_000, 1]);
    assert_eq!(plan.products[1].needed, 1_001);
}

#[test]
fn an_order_never_exceeds_the_limit_of_an_amount() {
    let history = history("1,A,x,1,80000000000000.00,7\n1,A,x,1,80000000000000.00,7\n");
    let (lines, _) = judge_all(&history);
    assert_eq!(Plan::new(&lines).documents.len(), 2);
}

#[test]
fn products_take_the_first_description_and_price_and_customers_get_distinct_addresses() {
    let history = history("1,A,,1,2.50,Ab\n1,A,LANTERN,1,3,aB\n1,C,,1,1,a b@c\n");
    let (lines, _) = judge_all(&history);
    let plan = Plan::new(&lines);
    assert_eq!((plan.products[0].name.as_str(), plan.products[0].price), ("LANTERN", 250));
    assert_eq!(plan.products[1].name, "C");
    let emails: HashSet<_> = plan.customers.iter().map(|customer| customer.email.to_lowercase()).collect();
    assert_eq!(emails.len(), 3);
    assert!(emails.iter().all(|email| email.matches('@').count() == 1 && !email.contains(' ')));
}
