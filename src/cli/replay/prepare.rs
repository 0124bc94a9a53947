//! Items and customers for a replay: existing ones are found by stock code and name, the rest is created, and all get
//! the stock and money that the file needs, or what `--stock` and `--funds` say.

use super::plan::{Customer, Plan, Product};
use crate::cli::api::{self, Item, User};
use crate::cli::args::ReplayArgs;
use crate::cli::client::Client;
use crate::cli::failure::{Exit, Failure};
use crate::cli::lanes::{Lanes, Until, progress};
use serde_json::json;
use std::sync::OnceLock;

/// An item or user as it stood before the replay.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    pub id: i64,
    /// Stock, or balance.
    pub amount: i64,
}

pub struct Cast {
    pub products: Vec<Ready>,
    pub customers: Vec<Ready>,
}

/// All look-ups come before all changes: a list waits until it reflects what its caller has changed.
pub fn cast(args: &ReplayArgs, lanes: &Lanes, token: &str, plan: &Plan<'_>) -> Result<Cast, Failure> {
    let items = each(lanes, "looking for items", &plan.products, async |client, product| {
        Ok(api::find_item(client, token, product.sku).await?)
    })?;
    let users = each(lanes, "looking for customers", &plan.customers, async |client, customer| {
        find_customer(client, token, customer).await
    })?;
    let products: Vec<_> = plan.products.iter().zip(items).collect();
    let products = each(lanes, "preparing items", &products, async |client, (product, found)| {
        stock(client, token, product, found.as_ref(), args.stock.map(|stock| stock as i64)).await
    })?;
    let customers: Vec<_> = plan.customers.iter().zip(users).collect();
    let customers = each(lanes, "preparing customers", &customers, async |client, (customer, found)| {
        fund(client, token, customer, found.as_ref(), args.funds.map(|funds| funds as i64)).await
    })?;
    Ok(Cast { products, customers })
}

/// Runs one job per entry, many at a time; results stand in the entries' order.
pub fn each<T: Sync, R: Send + Sync>(
    lanes: &Lanes,
    what: &'static str,
    entries: &[T],
    job: impl AsyncFn(&Client, &T) -> Result<R, Failure> + Sync,
) -> Result<Vec<R>, Failure> {
    let slots: Vec<OnceLock<R>> = entries.iter().map(|_| OnceLock::new()).collect();
    let bar = progress(what, entries.len());
    lanes.run(Until::Count(entries.len()), &bar, async |client, index| {
        let result = job(client, &entries[index]).await?;
        let _ = slots[index].set(result);
        Ok(())
    })?;
    let all: Option<Vec<R>> = slots.into_iter().map(OnceLock::into_inner).collect();
    all.ok_or_else(|| Failure::new(Exit::Violation, format!("{what} was not finished; run it again")))
}

/// The one with our own address for this name, else one that bears the name.
async fn find_customer(
    client: &Client,
    token: &str,
    customer: &Customer<'_>,
) -> Result<Option<User>, Failure> {
    let by_email =
        api::find_user(client, token, &customer.email, |user| user.email == customer.email).await?;
    if by_email.is_some() {
        return Ok(by_email);
    }
    Ok(api::find_user(client, token, customer.name, |user| user.name == customer.name).await?)
}

async fn stock(
    client: &Client,
    token: &str,
    product: &Product<'_>,
    found: Option<&Item>,
    wanted: Option<i64>,
) -> Result<Ready, Failure> {
    let Some(found) = found else {
        let stock = wanted.unwrap_or(product.needed);
        let body =
            json!({ "sku": product.sku, "name": product.name, "price": product.price, "stock": stock });
        let item = api::create_item(client, token, body).await.map_err(|error| {
            if error.is_code("sku_taken") {
                let advice =
                    "a deleted item keeps its sku; restore it, or replay into a fresh data directory";
                return Failure::new(
                    Exit::Violation,
                    format!("stock code {} is taken: {advice}", product.sku),
                );
            }
            Failure::from(error)
        })?;
        return Ok(Ready { id: item.id, amount: item.stock });
    };
    // The list may lag behind; what is there now is asked of the item itself.
    let now = api::item(client, token, found.id).await?.stock;
    let target = wanted.unwrap_or_else(|| product.needed.max(now));
    if target != now {
        api::restock(client, token, found.id, target - now).await?;
    }
    Ok(Ready { id: found.id, amount: target })
}

async fn fund(
    client: &Client,
    token: &str,
    customer: &Customer<'_>,
    found: Option<&User>,
    wanted: Option<i64>,
) -> Result<Ready, Failure> {
    let (id, now) = match found {
        Some(user) => (user.id, api::balance(client, token, user.id).await?.amount),
        None => (api::create_user(client, token, customer.name, &customer.email).await?.id, 0),
    };
    let target = wanted.unwrap_or_else(|| customer.needed.max(now));
    api::fund(client, token, id, target - now).await?;
    Ok(Ready { id, amount: target })
}
