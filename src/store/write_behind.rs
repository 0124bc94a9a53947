//! Moves durable records into the store.
