//! What was written is read back, equal to what the domain made of the same events.

use crate::fixture::Fixture;
use crate::on_both_stores;
use crate::story::Story;
use purser::domain::directory::{DIRECTORY_SHARDS, UniqueName};
use purser::domain::event::{Entry, Namespace};
use purser::domain::ids::ShardId;
use purser::domain::message::{MessageKind, OpenMessage};
use purser::domain::order::{Order, OrderStatus};
use purser::domain::outcome::PostedEntry;
use purser::domain::{Event, FamilyId, OrderId, ProductId, Timestamp, UserId};
use purser::store::{ItemFilter, LastIds, OrderFilter, Page, Row};
use std::borrow::Cow;
use uuid::Uuid;

on_both_stores!(
    every_kind_of_event_is_read_back_equal,
    a_new_store_answers_empty,
    names_are_freed_and_retaken,
    ids_in_use_are_known_per_shard,
    keys_come_with_their_balance_until_they_expire,
    lists_are_newest_first_and_page_without_gaps,
    items_are_found_by_name_and_sku,
    users_are_found_by_name_and_email,
    orders_are_filtered_by_user_and_status,
    revoked_sessions_are_found_by_time,
    messages_that_are_not_done_are_read_back_and_the_others_counted,
    orders_that_wait_for_a_message_are_read_back_oldest_first,
);

const ALL: Page = Page { limit: 1_000, before: None };

async fn messages_that_are_not_done_are_read_back_and_the_others_counted(store: Fixture) {
    let mut story = Story::busy(11, 600);
    // Dead letters of every kind, whatever the chances were.
    let (user, item) = (UserId::new(1), ProductId::new(1));
    story.restock(item, 5);
    story.credit(user, 1_000);
    let shipped = story.order(user, &[(item, 1)]);
    story.advance_told(shipped);
    story.fail(story.last_message(), None);
    story.accept(user, &[(item, 1)]);
    story.fail(story.last_message(), None);
    let withdrawal = story.withdraw(user, 1);
    let check = story.pay_out(withdrawal);
    story.fail(check, None);
    let card = story.exchange_begun(user);
    story.taken_and_owed(card, 1);
    story.fail(story.last_message(), None);
    let store = store.holding(&story.records).await;
    let store = &*store.store;
    let mut expected: Vec<_> = story.messages.values().cloned().collect();
    expected.sort_unstable_by_key(|row| row.cursor);
    let mut pages = Vec::new();
    loop {
        let after = pages.last().map_or(0, |row: &Row<OpenMessage>| row.cursor);
        let page = store.open_messages(after, 7).await.expect("messages").value;
        if page.is_empty() {
            break;
        }
        pages.extend(page);
    }
    assert_eq!(pages, expected);
    for kind in MessageKind::ALL.map(Some).into_iter().chain([None]) {
        let wanted = |row: &&Row<OpenMessage>| {
            row.value.is_dead() && kind.is_none_or(|kind| kind == row.value.message.kind())
        };
        let dead: Vec<_> = expected.iter().rev().filter(wanted).cloned().collect();
        assert!(!dead.is_empty(), "the story has no dead letters");
        assert_eq!(store.failed_messages(kind, ALL).await.expect("dead letters").value, dead);
    }
    let ids: Vec<_> = story.messages.keys().copied().collect();
    let mut errors = story.errors.clone();
    errors.sort_unstable_by_key(|error| (error.message_id, error.attempt));
    assert_eq!(store.attempt_errors(&ids).await.expect("errors").value, errors);
    assert!(story.succeeded.len() == MessageKind::ALL.len() && !errors.is_empty());
    assert_eq!(store.succeeded_messages().await.expect("counts").value, story.succeeded);
}

async fn every_kind_of_event_is_read_back_equal(store: Fixture) {
    let story = Story::busy(7, 200);
    let store = store.holding(&story.records).await;
    let store = &*store.store;
    let ids: Vec<ProductId> = story.products.keys().copied().chain([ProductId::new(999_999)]).collect();
    let products = store.load_products(&ids).await.expect("products");
    assert_eq!(products.watermark, story.last());
    let expected: Vec<_> = story.products.keys().map(|id| story.product_view(*id)).collect();
    assert_eq!(products.value, expected);
    let ids: Vec<UserId> = story.balances.keys().copied().chain([UserId::new(999_999)]).collect();
    let balances = store.load_balances(&ids, Timestamp::default()).await.expect("balances").value;
    let views: Vec<_> = balances.into_iter().map(|stored| stored.view).collect();
    assert_eq!(views, story.balances.keys().map(|id| story.balance_view(*id)).collect::<Vec<_>>());
    let ids: Vec<FamilyId> = story.sessions.keys().copied().chain([FamilyId::new(Uuid::nil())]).collect();
    assert_eq!(store.load_sessions(&ids).await.expect("sessions").value, story.session_views());
    for (id, order) in &story.orders {
        let read = store.order(*id).await.expect("an order");
        assert_eq!((read.value.as_ref().map(|row| &row.value), read.watermark), (Some(order), story.last()));
    }
    for (caller, fingerprint, seq, outcome) in &story.outcomes {
        let read = store.outcome(*caller, *fingerprint).await.expect("an outcome").value.expect("a key");
        assert_eq!((&read.outcome, read.seq), (outcome, *seq));
    }
    for (id, product) in &story.products {
        let stock: i64 =
            store.movements(*id, ALL).await.expect("movements").value.iter().map(|row| row.value.delta).sum();
        assert_eq!(stock, product.view().expect("it was created").stock);
    }
    let posted = |user: UserId| {
        let of = |record: &purser::domain::Record| {
            let (seq, at) = (record.seq, record.at);
            let entries = record.events.iter().filter_map(Event::entry).map(Cow::into_owned);
            let of_user = entries.filter(|entry| entry.user_id == user);
            let row =
                |entry: Entry| Row { cursor: entry.posting.version, value: PostedEntry { entry, seq, at } };
            of_user.map(row).collect::<Vec<_>>()
        };
        story.records.iter().flat_map(of).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>()
    };
    for user in story.balances.keys() {
        assert_eq!(store.entries(*user, ALL).await.expect("entries").value, posted(*user));
    }
    let sums = store.stock_sums(ProductId::new(1), 3).await.expect("sums").value;
    assert_eq!(sums.iter().map(|sum| sum.product_id.get()).collect::<Vec<_>>(), [2, 3, 4]);
    for sum in sums {
        let view = story.product_view(sum.product_id);
        assert_eq!((sum.stock, sum.moved, sum.version), (view.stock, view.stock, view.version));
    }
}

async fn a_new_store_answers_empty(store: Fixture) {
    store.acquired().await;
    let store = &*store.store;
    assert!(store.load_products(&[]).await.expect("none").value.is_empty());
    assert!(
        store.load_balances(&[UserId::new(1)], Timestamp::default()).await.expect("none").value.is_empty()
    );
    assert!(store.load_sessions(&[]).await.expect("none").value.is_empty());
    assert_eq!(store.order(OrderId::new(Uuid::nil())).await.expect("none").value, None);
    assert!(store.outcome(UserId::new(1), [0; 16]).await.expect("none").value.is_none());
    assert!(store.items(&ItemFilter::default(), ALL).await.expect("none").value.is_empty());
    assert!(store.orders(OrderFilter::default(), ALL, usize::MAX).await.expect("none").value.is_empty());
    assert!(store.users(None, ALL).await.expect("none").value.is_empty());
    assert_eq!(store.last_ids(ShardId::new(0)).await.expect("none").value, LastIds::default());
}

async fn names_are_freed_and_retaken(store: Fixture) {
    let mut story = Story::small();
    let second = story.item(Some("B-1"), 1);
    let lease = store.acquired().await;
    store.write(lease, &story.records, usize::MAX).await;
    let known = story.records.len();
    // In one batch: A-1 is freed and taken by the other item, and one name comes and goes.
    story.rename(ProductId::new(1), Some("PASSING"), false);
    story.rename(second, Some("A-1"), false);
    story.rename(ProductId::new(1), None, false);
    let lease = purser::store::Lease { watermark: purser::domain::Seq::new(known as u64), ..lease };
    store.write(lease, &story.records[known..], usize::MAX).await;
    for (sku, holder) in [("A-1", Some(second.get())), ("B-1", None), ("PASSING", None)] {
        let name = UniqueName { namespace: Namespace::Sku, name: sku.into() };
        assert_eq!(store.store.name_holder(&name).await.expect("an answer").value, holder, "{sku}");
    }
    for ((namespace, name), holder) in &story.names {
        let name = UniqueName { namespace: *namespace, name: name.as_str().into() };
        assert_eq!(store.store.name_holder(&name).await.expect("an answer").value, Some(*holder));
    }
}

async fn ids_in_use_are_known_per_shard(store: Fixture) {
    let story = Story::busy(3, 150);
    let store = store.holding(&story.records).await;
    for shard in 0..DIRECTORY_SHARDS {
        let of_shard = |id: &u64| (id - 1) % u64::from(DIRECTORY_SHARDS) == u64::from(shard);
        let last = store.store.last_ids(ShardId::new(shard)).await.expect("ids").value;
        let products = story.products.keys().map(|id| id.get()).filter(of_shard).max().unwrap_or(0);
        let users = story.balances.keys().map(|id| id.get()).filter(of_shard).max().unwrap_or(0);
        assert_eq!((last.product, last.user), (products, users), "shard {shard}");
    }
}

async fn keys_come_with_their_balance_until_they_expire(store: Fixture) {
    let story = Story::busy(5, 60);
    let store = store.holding(&story.records).await;
    let since = story.records[story.records.len() / 2].at;
    let ids: Vec<UserId> = story.balances.keys().copied().collect();
    for stored in store.store.load_balances(&ids, since).await.expect("balances").value {
        let expected: Vec<_> = story
            .outcomes
            .iter()
            .filter(|(caller, ..)| *caller == stored.view.user_id)
            .map(|(_, fingerprint, seq, _)| (*fingerprint, *seq))
            .filter(|(_, seq)| story.records[seq.get() as usize - 1].at >= since)
            .collect();
        let found: Vec<_> = stored.keys.iter().map(|key| (key.fingerprint, key.seq)).collect();
        assert_eq!(found, expected);
        for key in stored.keys {
            let record = &story.records[key.seq.get() as usize - 1];
            assert_eq!((key.request, key.at), (record.key.as_ref().expect("a key").request, record.at));
        }
    }
}

async fn lists_are_newest_first_and_page_without_gaps(store: Fixture) {
    let story = Story::busy(11, 120);
    let store = store.holding(&story.records).await;
    let mut orders: Vec<&Order> = story.orders.values().collect();
    orders.sort_by_key(|order| std::cmp::Reverse(story.created[&format!("order {}", order.id)]));
    let mut seen = Vec::new();
    let mut page = Page { limit: 7, before: None };
    loop {
        let rows = store.store.orders(OrderFilter::default(), page, usize::MAX).await.expect("a page").value;
        assert!(rows.len() <= 7);
        let Some(last) = rows.last() else { break };
        page.before = Some(last.cursor);
        seen.extend(rows.into_iter().map(|row| row.value));
    }
    assert_eq!(seen.iter().collect::<Vec<_>>(), orders);
    let hot = ProductId::new(1);
    let all = store.store.movements(hot, ALL).await.expect("movements").value;
    let some = Page { limit: 5, before: Some(all[2].cursor) };
    assert_eq!(store.store.movements(hot, some).await.expect("movements").value, all[3..8]);
    let entries = store.store.entries(UserId::new(1), ALL).await.expect("entries").value;
    let some = Page { limit: 5, before: Some(entries[2].cursor) };
    assert_eq!(store.store.entries(UserId::new(1), some).await.expect("entries").value, entries[3..8]);
    let users = store.store.users(None, ALL).await.expect("users").value;
    assert!(users.is_sorted_by(|one, next| one.cursor > next.cursor));
    assert_eq!(users.len(), story.balances.len());
    let beyond = Page { limit: 1, before: Some(u64::MAX) };
    assert_eq!(store.store.users(None, beyond).await.expect("users").value, users[..1]);
}

async fn items_are_found_by_name_and_sku(store: Fixture) {
    let mut story = Story::full();
    let odd = story.item(Some("Ä 100%_"), 5);
    let store = store.holding(&story.records).await;
    let find = async |filter: ItemFilter| {
        let found = store.store.items(&filter, ALL).await.expect("items").value;
        found.into_iter().map(|row| row.value.product_id.get()).collect::<Vec<_>>()
    };
    let named = |name: &str| ItemFilter { name: Some(name.into()), ..ItemFilter::default() };
    let coded = |sku: &str| ItemFilter { sku: Some(sku.into()), ..ItemFilter::default() };
    assert_eq!(find(ItemFilter::default()).await, [4, 3, 1]);
    assert_eq!(find(ItemFilter { include_deleted: true, ..ItemFilter::default() }).await, [4, 3, 2, 1]);
    assert_eq!(find(named("iTEM 3")).await, [3]);
    assert_eq!(find(named("ÜMLAUT ж")).await, [4, 3, 1]);
    assert_eq!(find(named("100%")).await, [0; 0]);
    assert_eq!(find(coded("Ä 100%_")).await, [odd.get()]);
    assert_eq!(find(coded("ä 100%_")).await, [0; 0]);
    assert_eq!(find(coded("A-2")).await, [0; 0]);
    assert_eq!(find(ItemFilter { include_deleted: true, ..coded("A-2") }).await, [2]);
}

async fn users_are_found_by_name_and_email(store: Fixture) {
    let story = Story::full();
    let store = store.holding(&story.records).await;
    let find = async |query: &str| {
        let found = store.store.users(Some(query), ALL).await.expect("users").value;
        found.into_iter().map(|row| row.value.user_id.get()).collect::<Vec<_>>()
    };
    assert_eq!(find("BOB@").await, [2]);
    assert_eq!(find("ÜNAL").await, [2, 1]);
    assert_eq!(find("nobody").await, [0; 0]);
}

async fn orders_are_filtered_by_user_and_status(store: Fixture) {
    let story = Story::busy(13, 150);
    let store = store.holding(&story.records).await;
    for user_id in [None, Some(UserId::new(1)), Some(UserId::new(2)), Some(UserId::new(77))] {
        for status in
            [None, Some(OrderStatus::Cancelled), Some(OrderStatus::Failed), Some(OrderStatus::Pending)]
        {
            let mut expected: Vec<&Order> = story.orders.values().collect();
            expected.retain(|order| user_id.is_none_or(|id| order.user_id == id));
            expected.retain(|order| status.is_none_or(|status| order.status == status));
            expected.sort_by_key(|order| std::cmp::Reverse(story.created[&format!("order {}", order.id)]));
            let found = store
                .store
                .orders(OrderFilter { user_id, status }, ALL, usize::MAX)
                .await
                .expect("orders")
                .value;
            assert_eq!(found.iter().map(|row| &row.value).collect::<Vec<_>>(), expected);
        }
    }
}

async fn revoked_sessions_are_found_by_time(store: Fixture) {
    let story = Story::full();
    let store = store.holding(&story.records).await;
    let revoked: Vec<_> =
        story.session_views().into_iter().filter(|view| view.revoked_at.is_some()).collect();
    let at = revoked[0].revoked_at.expect("revoked");
    let found = store.store.revoked_since(at).await.expect("families").value;
    assert_eq!(found, [revoked[0].family_id]);
    let later = Timestamp::from_micros(at.micros() + 1);
    assert!(store.store.revoked_since(later).await.expect("families").value.is_empty());
}

async fn orders_that_wait_for_a_message_are_read_back_oldest_first(store: Fixture) {
    let mut story = Story::busy(12, 300);
    let (user, item) = (UserId::new(1), ProductId::new(1));
    story.accept(user, &[(item, 1)]);
    story.accept(user, &[(item, 2)]);
    let store = store.holding(&story.records).await;
    let mut expected: Vec<&Order> = story.orders.values().collect();
    expected.retain(|order| order.status == OrderStatus::Pending);
    expected.sort_by_key(|order| story.created[&format!("order {}", order.id)]);
    assert!(expected.len() > 1 && expected.len() < story.orders.len());
    for (limit, lines) in [(1, usize::MAX), (1_000, 0), (1_000, usize::MAX)] {
        let mut seen: Vec<Row<Order>> = Vec::new();
        loop {
            let after = seen.last().map_or(0, |row| row.cursor);
            let page = store.store.pending_orders(after, limit, lines).await.expect("a page").value;
            if page.is_empty() {
                break;
            }
            assert!(page.len() == 1 || lines == usize::MAX);
            seen.extend(page);
        }
        assert_eq!(seen.iter().map(|row| &row.value).collect::<Vec<_>>(), expected);
    }
}
