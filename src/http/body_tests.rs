use super::*;
use actix_web::ResponseError;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LineDto {
    quantity: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TestDto {
    amount: i64,
    note: Option<String>,
    #[serde(default)]
    items: Vec<Object<LineDto>>,
}

impl Input for TestDto {
    type Domain = i64;

    fn parse(self, checks: &mut Checks) -> Option<i64> {
        let note = checks.optional(self.note, |checks, note| checks.text("note", &note));
        let amount = checks.amount("amount", self.amount)?;
        note?;
        Some(amount.minor() + self.items.iter().map(|Object(line)| line.quantity).sum::<i64>())
    }
}

fn errors(body: &str) -> Value {
    let problem = interpret::<TestDto>(body.as_bytes()).expect_err(body);
    assert_eq!(problem.status_code().as_u16(), 422, "{body}: {problem}");
    serde_json::from_slice::<Value>(&problem.body("x")).expect("json")["errors"].clone()
}

#[test]
fn a_sound_body_is_its_domain_value() {
    assert_eq!(interpret::<TestDto>(br#" {"amount":5,"note":null,"items":[{"quantity":2}]} "#).ok(), Some(7));
}

#[test]
fn broken_json_is_told_from_wrong_json() {
    for bad in ["", "{", "nonsense", r#"{"amount":}"#, r#"{"amount":1}x"#, r#"{"amount":"x","#, "\u{feff}{}"]
    {
        let problem = interpret::<TestDto>(bad.as_bytes()).expect_err(bad);
        assert_eq!((problem.status_code().as_u16(), problem.code()), (400, "malformed_json"), "{bad}");
    }
    for bad in [&b"{\"note\":\"\xff\",\"amount\":1}"[..], br#"{"note":"\ud800","amount":1}"#] {
        let problem = interpret::<TestDto>(bad).expect_err("no text");
        assert_eq!((problem.status_code().as_u16(), problem.code()), (400, "malformed_json"));
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(interpret::<TestDto>(deep.as_bytes()).is_err());
}

#[test]
fn a_wrong_field_is_named_by_its_path() {
    assert_eq!(errors(r#"{"amount":1,"colour":2}"#), json!({"colour": ["is not a known field"]}));
    assert_eq!(errors(r"{}"), json!({"amount": ["is required"]}));
    assert_eq!(errors(r#"{"amount":1,"amount":2}"#), json!({"amount": ["is given twice"]}));
    assert!(errors(r#"{"amount":1,"items":[{"quantity":1,"x":1}]}"#).get("items.0.x").is_some());
    assert!(
        errors(r#"{"amount":1,"items":[{"quantity":1},{"quantity":"1"}]}"#).get("items.1.quantity").is_some()
    );
    assert!(errors(r#"{"amount":1,"items":[[1]]}"#).get("items.0").is_some());
    assert!(errors(r#"{"amount":1,"items":[{}]}"#).get("items.0.quantity").is_some());
    assert!(errors(r"[1]").get("body").is_some());
    assert!(errors("null").get("body").is_some());
}

#[test]
fn numbers_are_integers_in_range() {
    let amounts = [
        "0",
        "-1",
        "1.0",
        "1.5",
        "1e3",
        "\"1\"",
        "true",
        "null",
        "[1]",
        "9007199254740993",
        "18446744073709551616",
        "1e999",
        "1000000000000001",
    ];
    for amount in amounts {
        let found = errors(&format!(r#"{{"amount":{amount}}}"#));
        assert!(found.get("amount").is_some(), "{amount}: {found}");
    }
}

#[test]
fn all_problems_come_at_once() {
    let found = errors(r#"{"amount":0,"note":"a\u0000b"}"#);
    assert!(found.get("amount").is_some() && found.get("note").is_some(), "{found}");
}

#[test]
fn only_json_in_utf_8_is_read() {
    let accepted = |name: &'static str, value: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(name.parse().expect("name"), value.parse().expect("value"));
        media_type(&headers).is_ok_and(|media| media == Media::Json)
    };
    for good in ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=\"UTF-8\""]
    {
        assert!(accepted("content-type", good), "{good}");
    }
    for bad in
        ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "json", ""]
    {
        assert!(!accepted("content-type", bad), "{bad}");
    }
    assert!(!accepted("content-encoding", "gzip"));
}
