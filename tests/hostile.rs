//! Clients that mean harm, on every operation that the document names: forged tokens and foreign objects, bodies and headers
//! that no honest client sends, storms of repeated requests while the server dies, connections that are torn.

mod support;

#[path = "hostile/access.rs"]
mod access;
#[path = "hostile/bodies.rs"]
mod bodies;
#[path = "hostile/crowds.rs"]
mod crowds;
#[path = "hostile/document.rs"]
mod document;
#[path = "hostile/headers.rs"]
mod headers;
#[path = "hostile/matrix.rs"]
mod matrix;
#[path = "hostile/mutations.rs"]
mod mutations;
#[path = "hostile/resets.rs"]
mod resets;
#[path = "hostile/scene.rs"]
mod scene;
#[path = "hostile/storms.rs"]
mod storms;
#[path = "hostile/tokens.rs"]
mod tokens;

/// Says how much a test was, and fails if that is too little to mean anything.
#[track_caller]
fn proof(what: &str, counts: [usize; 3], least: [usize; 3]) {
    let [runs, faults, acks] = counts;
    println!("proof: tier=T4 what={what} runs={runs} faults={faults} acks={acks}");
    let enough = counts.iter().zip(least).all(|(count, least)| *count >= least);
    assert!(enough, "{what}: runs, faults and acknowledgements are {counts:?}, at least {least:?} are due");
}
