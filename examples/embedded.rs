//! Embeds the engine: one item, one buyer, a sale, a refusal, and what is left. Run with
//! `cargo run --release --example embedded`.

use purser::domain::text::{Email, Name};
use purser::domain::user::Role;
use purser::domain::{Money, Outcome, Quantity, Rejection, Stock};
use purser::engine::{
    AdjustRequest, Call, Engine, EngineError, EngineOptions, Freshness, NewItemRequest, NewUserRequest,
    PurchaseRequest,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let directory = std::env::temp_dir().join(format!("purser-example-{}", std::process::id()));
    let engine = Engine::start(EngineOptions::embedded(&directory)).await?;

    let ann = engine
        .register(NewUserRequest {
            name: Name::parse("Ann").map_err(anyhow::Error::msg)?,
            email: Email::parse("ann@example.org").map_err(anyhow::Error::msg)?,
            password: None,
            role: Role::User,
            open_session: false,
        })
        .await?
        .user;
    let lamp = NewItemRequest {
        sku: None,
        name: Name::parse("Lamp").map_err(anyhow::Error::msg)?,
        description: None,
        price: Money::new(1_999).unwrap_or_default(),
        stock: Stock::new(1).unwrap_or_default(),
    };
    let Outcome::Item(lamp) = engine.create_item(Call::default(), lamp).await?.outcome else {
        anyhow::bail!("creating an item answers with it")
    };
    let amount = Money::new(10_000).unwrap_or_default();
    let credit = AdjustRequest { user_id: ann.id, amount, reference: None, description: None };
    engine.credit(Call::default(), credit).await?;

    let Some(quantity) = Quantity::new(1) else { anyhow::bail!("one is a quantity") };
    let purchase = PurchaseRequest { user_id: ann.id, product_id: lamp.product_id, quantity };
    let reply = engine.purchase(Call::keyed(ann.id, "first"), purchase).await?;
    println!("sold at journal position {}: {:?}", reply.seq, reply.outcome);

    let again = engine.purchase(Call::keyed(ann.id, "first"), purchase).await?;
    println!("the same key again: replayed = {}", again.replayed);

    match engine.purchase(Call::by(ann.id), purchase).await {
        Err(EngineError::Rejected { rejection: rejection @ Rejection::InsufficientStock { .. }, .. }) => {
            println!("a second one: {rejection}");
        }
        other => anyhow::bail!("the last unit was sold twice: {other:?}"),
    }
    let balance = engine.balance(ann.id, Freshness::default()).await?;
    println!("balance: {} at version {}", balance.value.amount, balance.value.version);

    for check in engine.audit().await?.value {
        println!("{} {}: {}", if check.ok { "ok " } else { "BAD" }, check.name, check.detail);
    }
    println!("{:?}", engine.shutdown().await);
    std::fs::remove_dir_all(directory)?;
    Ok(())
}
