//! From judged lines to what is sent: one order per invoice and customer, one return per cancellation, and the stock
//! and money that all orders need together.

use super::line::{AMOUNT_MAX, Kind, Line};
use crate::engine::Lines;
use std::collections::HashMap;

const NAME_MAX: usize = 200;

/// One order or return. Products and customers are indexes into the plan's lists.
#[derive(Debug)]
pub struct Document<'a> {
    pub kind: Kind,
    pub invoice: &'a str,
    pub customer: usize,
    pub total: i64,
    pub lines: Vec<DocumentLine>,
}

#[derive(Debug)]
pub struct DocumentLine {
    pub product: usize,
    pub quantity: i64,
    pub price: i64,
    /// Where it stands in the file.
    pub file_line: u64,
}

#[derive(Debug)]
pub struct Product<'a> {
    pub sku: &'a str,
    pub name: String,
    /// The first price in the file.
    pub price: i64,
    /// Units that all orders together take.
    pub needed: i64,
}

#[derive(Debug)]
pub struct Customer<'a> {
    pub name: &'a str,
    pub email: String,
    /// Money that all orders together take.
    pub needed: i64,
}

#[derive(Debug, Default)]
pub struct Plan<'a> {
    pub documents: Vec<Document<'a>>,
    pub products: Vec<Product<'a>>,
    pub customers: Vec<Customer<'a>>,
}

impl<'a> Plan<'a> {
    /// An invoice with several customers becomes an order for each; one with more lines than a request may have, or
    /// a total beyond the limit, becomes several.
    pub fn new(lines: &[Line<'a>]) -> Self {
        let mut plan = Self::default();
        let mut products: HashMap<&str, usize> = HashMap::new();
        let mut customers: HashMap<&str, usize> = HashMap::new();
        let mut open: HashMap<(&str, &str), usize> = HashMap::new();
        for line in lines {
            let product = *products.entry(&line.row.sku).or_insert_with(|| plan.add_product(line));
            let customer =
                *customers.entry(line.customer).or_insert_with(|| plan.add_customer(line.customer));
            if line.kind == Kind::Order {
                let (units, money) =
                    (&mut plan.products[product].needed, &mut plan.customers[customer].needed);
                *units = units.saturating_add(line.quantity);
                *money = money.saturating_add(line.amount());
            }
            if plan.products[product].name.is_empty() {
                plan.products[product].name = shortened(&line.row.description);
            }
            let place = (line.row.invoice.as_str(), line.customer);
            let document = match open.get(&place) {
                Some(index) if plan.documents[*index].has_room(line) => *index,
                _ => {
                    let invoice = line.row.invoice.as_str();
                    let document =
                        Document { kind: line.kind, invoice, customer, total: 0, lines: Vec::new() };
                    plan.documents.push(document);
                    open.insert(place, plan.documents.len() - 1);
                    plan.documents.len() - 1
                }
            };
            let document = &mut plan.documents[document];
            document.total += line.amount();
            let (quantity, price, file_line) = (line.quantity, line.price, line.row.line);
            document.lines.push(DocumentLine { product, quantity, price, file_line });
        }
        for product in &mut plan.products {
            if product.name.is_empty() {
                product.name = product.sku.to_owned();
            }
        }
        plan
    }

    fn add_product(&mut self, line: &Line<'a>) -> usize {
        let sku = line.row.sku.as_str();
        self.products.push(Product { sku, name: String::new(), price: line.price, needed: 0 });
        self.products.len() - 1
    }

    fn add_customer(&mut self, name: &'a str) -> usize {
        self.customers.push(Customer { name, email: email(name), needed: 0 });
        self.customers.len() - 1
    }
}

impl Document<'_> {
    fn has_room(&self, line: &Line<'_>) -> bool {
        self.lines.len() < Lines::MAX && self.total + line.amount() <= AMOUNT_MAX
    }
}

/// `customer-17850@replay.invalid`. Addresses are compared in lower case and are short, so whatever is neither a digit
/// nor a small letter is written as its code, and a long name as its checksum.
fn email(name: &str) -> String {
    let mut local = String::new();
    for byte in name.bytes() {
        match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'-' => local.push(char::from(byte)),
            other => local.push_str(&format!("_{other:02x}")),
        }
    }
    if local.len() > 200 {
        let end = fingerprint(name);
        local = format!("{}_{end}", &local[..100]);
    }
    format!("customer-{local}@replay.invalid")
}

/// Two checksums of the text and its reverse: enough to tell long names apart.
fn fingerprint(name: &str) -> String {
    let reversed: Vec<u8> = name.bytes().rev().collect();
    format!("{:08x}{:08x}", crc32fast::hash(name.as_bytes()), crc32fast::hash(&reversed))
}

fn shortened(description: &str) -> String {
    description.chars().filter(|c| *c != '\0').take(NAME_MAX).collect::<String>().trim().to_owned()
}
