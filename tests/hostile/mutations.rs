//! Honest bodies made hostile: one fault each, at any depth, drawn from a seed.

use crate::support::Dice;
use serde_json::Value;

/// A body, and whether nothing may take it whatever its fields mean.
pub struct Mutant {
    pub what: &'static str,
    pub bytes: Vec<u8>,
    pub is_hopeless: bool,
}

/// What stands in for a value until it is put in as bytes: much of it is no JSON.
const HOLE: &str = "a hole in the text";

const VALUES: &[&[u8]] = &[
    b"null",
    b"true",
    b"\"\"",
    b"\"1\"",
    b"0",
    b"-0",
    b"-1",
    b"-0.0",
    b"1.5",
    b"1.0",
    b"1e3",
    b"1e400",
    b"-1e-400",
    b"9007199254740991",
    b"9007199254740992",
    b"9223372036854775807",
    b"9223372036854775808",
    b"-9223372036854775808",
    b"-9223372036854775809",
    b"18446744073709551615",
    b"18446744073709551616",
    b"340282366920938463463374607431768211456",
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"\"NaN\"",
    b"0x10",
    b"01",
    b"+1",
    b".5",
    b"1.",
    b"'1'",
    b"[]",
    b"[1]",
    b"[null]",
    b"[[]]",
    b"{}",
    b"{\"a\":1}",
    b"{\"\":{}}",
    b"\"\\u0000\"",
    b"\"a\\u0000b\"",
    b"\"\\ud800\"",
    b"\"\\udc00\\ud800\"",
    b"\"\\x\"",
    b"\"\0\"",
    b"\"\n\"",
    b"\"\x7f\"",
    b"\"\xff\"",
    b"\"\xc3\x28\"",
    b"\"\xed\xa0\x80\"",
    b"\"\xf4\x90\x80\x80\"",
    b"\"\xe2\x80\xae\xe2\x80\x8b\"",
    b"\" \"",
    b"\"' OR 1=1; --\"",
    b"\"%00%s%n../../etc/passwd\"",
    b"\"018f0000-0000-7000-8000-00000000dead\"",
    b"undefined",
    b"",
];

fn pick<'a, T>(from: &'a [T], dice: &mut Dice) -> &'a T {
    &from[dice.roll(from.len() as u64) as usize]
}

/// A value that hardly any field is meant for.
fn value(dice: &mut Dice) -> Vec<u8> {
    match dice.roll(12) {
        0 => format!("\"{}\"", "x".repeat(1 << dice.roll(17))).into_bytes(),
        1 => "9".repeat(1 << dice.roll(12)).into_bytes(),
        2 => nested(dice),
        3 => format!("[{}1]", "1,".repeat(1 << dice.roll(13))).into_bytes(),
        _ => pick(VALUES, dice).to_vec(),
    }
}

/// Deeper than any stack should be asked to follow, at times.
fn nested(dice: &mut Dice) -> Vec<u8> {
    let depth = 1 << dice.roll(14);
    let (open, close) = *pick(&[("[", "]"), ("{\"a\":", "}")], dice);
    format!("{}1{}", open.repeat(depth), close.repeat(depth)).into_bytes()
}

/// The places of a value and of all within it.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, field)| places(field, &format!("{at}/{name}"), found));
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(index, it)| places(it, &format!("{at}/{index}"), found));
        }
        _ => {}
    }
}

fn filled(body: &Value, hole: &[u8]) -> Vec<u8> {
    let text = body.to_string();
    let (before, after) = text.split_once(&format!("\"{HOLE}\"")).expect("a hole");
    [before.as_bytes(), hole, after.as_bytes()].concat()
}

/// `fields`: those that the document knows, and whether they are required.
pub fn mutant(honest: &Value, fields: &[(String, bool)], dice: &mut Dice) -> Mutant {
    let mut body = honest.clone();
    let text = honest.to_string().into_bytes();
    let at = dice.roll(text.len() as u64) as usize;
    let made = |what, bytes, is_hopeless| Mutant { what, bytes, is_hopeless };
    match dice.roll(16) {
        0..=4 => {
            let mut found = Vec::new();
            places(honest, "", &mut found);
            let place: &String = pick(&found, dice);
            *body.pointer_mut(place).expect("a place of it") = HOLE.into();
            made("another value", filled(&body, &value(dice)), false)
        }
        5 | 6 => {
            body[&pick(fields, dice).0] = HOLE.into();
            made("a field's value", filled(&body, &value(dice)), false)
        }
        7 => {
            let required: Vec<_> = fields.iter().filter(|(_, required)| *required).collect();
            if let Some((name, _)) = (!required.is_empty()).then(|| *pick(&required, dice)) {
                body.as_object_mut().expect("an object").remove(name);
            }
            made("a field missing", body.to_string().into_bytes(), !required.is_empty())
        }
        8 => {
            body[*pick(&["id", "role", "__proto__", "", "Amount", "user_id "], dice)] = HOLE.into();
            let known = fields.iter().any(|(name, _)| body.get(name) == Some(&HOLE.into()));
            made("an unknown field", filled(&body, b"1"), !known)
        }
        9 => {
            let name = honest.as_object().expect("an object").keys().next().expect("a field");
            let twice = format!("{{\"{name}\":{},{}", honest[name], &body.to_string()[1..]);
            made("a field twice", twice.into_bytes(), true)
        }
        10 => made("half a body", text[..at].to_vec(), at > 0),
        11 => {
            let mut bytes = text;
            bytes[at] = dice.roll(256) as u8;
            made("another byte", bytes, false)
        }
        12 => {
            let mut bytes = text;
            bytes.insert(at, *pick(b"\xff\xfe\xc0\xf8\0\x01", dice));
            made("a byte that is no text", bytes, true)
        }
        13 => {
            let list = [b"[", &text[..], b"]"].concat();
            made("an array for the object", list, true)
        }
        14 => {
            let behind = *pick(&[&b"{}"[..], b"x", b"]", b"\0", b",", b"\xff"], dice);
            made("more behind it", [&text, behind].concat(), true)
        }
        _ => {
            let bytes = match dice.roll(4) {
                0 => [b"\xef\xbb\xbf", &text[..]].concat(),
                1 => text.iter().flat_map(|byte| [*byte, 0]).collect(),
                2 => [&text, &vec![b' '; 1_100_000][..]].concat(),
                _ => nested(dice),
            };
            made("another text altogether", bytes, true)
        }
    }
}
