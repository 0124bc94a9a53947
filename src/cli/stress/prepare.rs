//! Sets the scene for a stress run: items with the stock spread over them, and funded buyers with access tokens.

use super::PRICE;
use crate::cli::api;
use crate::cli::args::StressArgs;
use crate::cli::client::blocking;
use crate::cli::failure::{Exit, Failure};
use crate::cli::lanes::{Lanes, Until, progress};
use crate::cli::server::Target;
use serde_json::json;
use std::sync::{Arc, OnceLock, RwLock};
use uuid::Uuid;

/// Money per buyer when they buy again and again: more purchases than anyone makes in a day.
const PLENTY: i64 = 100_000_000 * PRICE;

pub struct Scene {
    pub items: Vec<StressItem>,
    pub buyers: Vec<Buyer>,
}

pub struct StressItem {
    pub id: i64,
    pub stock: u64,
    /// Buyers that want a unit of it.
    pub buyers: u64,
}

pub struct Buyer {
    pub id: i64,
    token: RwLock<Arc<str>>,
}

impl Buyer {
    pub fn token(&self) -> Arc<str> {
        let token = self.token.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        Arc::clone(&token)
    }
    pub fn renew(&self, token: String) {
        *self.token.write().unwrap_or_else(std::sync::PoisonError::into_inner) = token.into();
    }
}

/// Item `index`'s part of a total that is spread evenly; the first ones get one more.
fn part(total: u64, index: u64, items: u64) -> u64 {
    total / items + u64::from(index < total % items)
}

pub fn scene(args: &StressArgs, lanes: &Lanes, token: &str) -> Result<Scene, Failure> {
    // Part of every name, so that runs against the same server do not meet.
    let run = Uuid::now_v7().simple().to_string();
    let items = slots(args.items);
    let bar = progress("making items", items.len());
    lanes.run(Until::Count(items.len()), &bar, async |client, index| {
        let stock = part(args.stock, index as u64, args.items);
        let body = json!({ "name": format!("Stress {run} {index}"), "price": PRICE, "stock": stock });
        let id = api::create_item(client, token, body).await?.id;
        let buyers = part(args.buyers, index as u64, args.items);
        let _ = items[index].set(StressItem { id, stock, buyers });
        Ok(())
    })?;

    let buyers = slots(args.buyers);
    let funds = if args.duration.is_some() { PLENTY } else { PRICE };
    let bar = progress("making buyers", buyers.len());
    lanes.run(Until::Count(buyers.len()), &bar, async |client, index| {
        let name = format!("Buyer {index}");
        let email = format!("buyer-{index}-{run}@stress.invalid");
        let id = api::create_user(client, token, &name, &email).await?.id;
        api::fund(client, token, id, funds).await?;
        let access = api::user_token(client, token, id).await?.access_token;
        let _ = buyers[index].set(Buyer { id, token: RwLock::new(access.into()) });
        Ok(())
    })?;
    Ok(Scene { items: filled(items)?, buyers: filled(buyers)? })
}

/// The stock that the server shows for each item.
pub fn remaining(target: &Target, scene: &Scene) -> Result<Vec<i64>, Failure> {
    blocking(&target.url, async |client| {
        let mut stock = Vec::with_capacity(scene.items.len());
        for item in &scene.items {
            stock.push(api::item(client, &target.token, item.id).await?.stock);
        }
        Ok(stock)
    })
}

fn slots<T>(count: u64) -> Vec<OnceLock<T>> {
    (0..count).map(|_| OnceLock::new()).collect()
}

fn filled<T>(slots: Vec<OnceLock<T>>) -> Result<Vec<T>, Failure> {
    let all: Option<Vec<T>> = slots.into_iter().map(OnceLock::into_inner).collect();
    all.ok_or_else(|| Failure::new(Exit::Violation, "not everything could be prepared; run it again"))
}

#[cfg(test)]
mod tests {
    use super::part;

    #[test]
    fn a_total_is_spread_without_loss() {
        for (total, items) in [(1000, 1), (1000, 3), (2, 5), (0, 2)] {
            assert_eq!((0..items).map(|index| part(total, index, items)).sum::<u64>(), total);
        }
    }
}
