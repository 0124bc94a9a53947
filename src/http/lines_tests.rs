use super::*;
use crate::domain::{ProductId, Seq};
use actix_web::ResponseError;

fn line(product_id: i64, quantity: i64, unit_price: i64) -> Object<LineDto> {
    Object(LineDto { product_id, quantity, unit_price })
}

fn refused(lines: Vec<Object<LineDto>>) -> serde_json::Value {
    let mut checks = Checks::default();
    let parsed = parse_lines(&mut checks, lines);
    let problem = checks.finish(parsed).expect_err("refused");
    serde_json::from_slice::<serde_json::Value>(&problem.body("x")).expect("json")["errors"].clone()
}

#[test]
fn sound_lines_come_with_their_sum() {
    let mut checks = Checks::default();
    let lines = parse_lines(&mut checks, vec![line(1, 2, 30), line(1, 1, 5)]).expect("sound");
    assert_eq!((lines.len(), lines.total().minor()), (2, 65));
}

#[test]
fn every_wrong_field_of_every_line_is_named() {
    let errors = refused(vec![line(1, 0, 30), line(1, 1, 5), line(0, 1_000_001, -1)]);
    let paths: Vec<_> = errors.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(paths, ["items.0.quantity", "items.2.product_id", "items.2.quantity", "items.2.unit_price"]);
}

#[test]
fn the_number_of_lines_and_their_worth_are_bounded() {
    assert!(refused(Vec::new()).get("items").is_some());
    assert!(refused((0..1_001).map(|_| line(1, 1, 1)).collect()).get("items").is_some());
    assert!(refused(vec![line(1, 2, crate::domain::LIMIT)]).get("items").is_some());
}

#[test]
fn an_unknown_product_is_blamed_on_its_lines() {
    let mut checks = Checks::default();
    let lines = vec![line(5, 1, 1), line(6, 1, 1), line(5, 2, 1)];
    let lines = parse_lines(&mut checks, lines).expect("sound");
    let rejection = Rejection::UnknownProduct { product_id: ProductId::new(5), further: Vec::new() };
    let problem = blame_lines(EngineError::Rejected { rejection, seq: Seq::ZERO, replayed: false }, &lines);
    assert_eq!(problem.status_code().as_u16(), 422);
    let body: serde_json::Value = serde_json::from_slice(&problem.body("x")).expect("json");
    let paths: Vec<_> = body["errors"].as_object().expect("an object").keys().cloned().collect();
    assert_eq!(paths, ["items.0.product_id", "items.2.product_id"]);
}
