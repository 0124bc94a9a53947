//! `purser provider-sim`: a gift-card provider in memory, ruled by the codes it is given. It speaks the protocol that
//! [`provider`](crate::provider) does, and keeps a ledger of all that reached it.

mod cards;
mod ledger;
mod rules;
mod web;

use super::args::ProviderSimArgs;
use super::failure::{Exit, Failure};
use crate::http;
use cards::Cards;
use std::sync::Arc;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

pub fn run(args: &ProviderSimArgs) -> Result<Exit, Failure> {
    let refused = |error: std::io::Error| {
        Failure::new(Exit::Refused, format!("cannot listen on {}: {error}", args.listen))
    };
    let cards = Arc::new(Cards::new(args.latency_ms));
    actix_web::rt::System::new().block_on(async {
        let listener = http::bind(args.listen, BACKLOG).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let server = web::serve(listener, cards, &args.secret).map_err(refused)?;
        println!("listening on http://{address}");
        // Ends on SIGTERM and SIGINT.
        server.await.map_err(refused)
    })?;
    Ok(Exit::Clean)
}
