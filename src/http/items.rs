//! `/items`: the catalogue.

use super::app::Web;
use super::body::{Body, Input, present};
use super::extract::{Admin, MinSeq, PathId, Terms, Visitor};
use super::headers;
use super::problem::Problem;
use super::query::Query;
use super::reply::{self, Answer, Rows, rfc3339, rfc3339_option};
use super::validate::Checks;
use crate::domain::product::{Change, ProductView};
use crate::domain::{Outcome, ProductId, Timestamp};
use crate::engine::{ChangeItemRequest, ItemRequest, NewItemRequest, Reply};
use crate::store::ItemFilter;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{delete, get, patch, post};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(show).service(create).service(change).service(remove).service(restore);
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewItemDto {
    sku: Option<String>,
    name: String,
    description: Option<String>,
    #[schema(minimum = 0)]
    price: i64,
    #[schema(minimum = 0)]
    stock: i64,
}

impl Input for NewItemDto {
    type Domain = NewItemRequest;

    fn parse(self, checks: &mut Checks) -> Option<NewItemRequest> {
        let sku = checks.optional(self.sku, |checks, sku| checks.sku("sku", &sku));
        let name = checks.name("name", &self.name);
        let description = checks.optional(self.description, |checks, text| checks.text("description", &text));
        let price = checks.money("price", self.price);
        let stock = checks.stock("stock", self.stock);
        Some(NewItemRequest {
            sku: sku?,
            name: name?,
            description: description?,
            price: price?,
            stock: stock?,
        })
    }
}

/// `null` removes the sku or the description; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::option_option, reason = "a field that is absent, null or given means three things")]
struct ChangeItemDto {
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    sku: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    description: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    price: Option<i64>,
}

impl Input for ChangeItemDto {
    type Domain = Change;

    fn parse(self, checks: &mut Checks) -> Option<Change> {
        let sku = checks
            .optional(self.sku, |checks, sku| checks.optional(sku, |checks, sku| checks.sku("sku", &sku)));
        let name = checks.optional(self.name, |checks, name| checks.name("name", &name));
        let description = checks.optional(self.description, |checks, text| {
            checks.optional(text, |checks, text| checks.text("description", &text))
        });
        let price = checks.optional(self.price, |checks, price| checks.money("price", price));
        Some(Change { sku: sku?, name: name?, description: description?, price: price? })
    }
}

#[derive(Serialize, ToSchema)]
pub struct ItemView<'a> {
    id: u64,
    sku: Option<&'a str>,
    name: &'a str,
    description: Option<&'a str>,
    price: i64,
    stock: i64,
    version: u64,
    revision: u64,
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    #[serde(serialize_with = "rfc3339_option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    deleted_at: Option<Timestamp>,
}

impl<'a> ItemView<'a> {
    fn of(view: &'a ProductView) -> Self {
        let details = &view.details;
        Self {
            id: view.product_id.get(),
            sku: details.sku.as_ref().map(super::super::domain::text::Sku::as_str),
            name: details.name.as_str(),
            description: details.description.as_ref().map(super::super::domain::text::Text::as_str),
            price: details.price.minor(),
            stock: view.stock,
            version: view.version,
            revision: details.revision,
            created_at: details.created_at,
            updated_at: view.updated_at,
            deleted_at: details.deleted_at,
        }
    }
}

fn tagged(answer: Answer, view: &ProductView) -> Answer {
    let revision = HeaderValue::from_str(&format!("\"{}\"", view.details.revision));
    match revision {
        Ok(revision) => reply::with(answer, header::ETAG, revision),
        Err(_) => answer,
    }
}

pub fn answer_item(status: StatusCode, reply: &Reply) -> Answer {
    match &reply.outcome {
        Outcome::Item(view) => tagged(reply::mutation(status, reply, &ItemView::of(view)), view),
        other => Err(reply::misfit(other)),
    }
}

/// Lists items, newest first.
#[utoipa::path(tag = "items", responses((status = 200, body = Rows<ItemView>)),
    params(("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query), ("q" = Option<String>, Query),
        ("sku" = Option<String>, Query), ("include_deleted" = Option<bool>, Query)))]
#[get("/items")]
async fn list(web: Web, visitor: Visitor, fresh: MinSeq, query: Query) -> Answer {
    let admin = visitor.0.is_some_and(|caller| caller.is_admin());
    let filter = ItemFilter {
        name: query.text("q")?,
        sku: query.text("sku")?,
        include_deleted: query.flag("include_deleted")? && admin,
    };
    let items = web.engine().items(filter, query.page()?, fresh.of(visitor.0.as_ref())).await?;
    reply::list(&items, ItemView::of)
}

/// Shows an item.
#[utoipa::path(tag = "items", responses((status = 200, body = ItemView)),
    params(("id" = u64, Path), ("include_deleted" = Option<bool>, Query)))]
#[get("/items/{id}")]
async fn show(web: Web, visitor: Visitor, id: PathId<ProductId>, fresh: MinSeq, query: Query) -> Answer {
    let admin = visitor.0.is_some_and(|caller| caller.is_admin());
    let deleted_too = query.flag("include_deleted")? && admin;
    let item = web.engine().item(id.0, fresh.of(visitor.0.as_ref())).await?;
    if item.value.details.deleted_at.is_some() && !deleted_too {
        let gone = Problem::not_found("no such item");
        return Err(gone.header(headers::AS_OF, HeaderValue::from(item.as_of.get())));
    }
    tagged(reply::read(item.as_of, &ItemView::of(&item.value)), &item.value)
}

/// Creates an item.
#[utoipa::path(tag = "items", request_body = NewItemDto, responses((status = 201, body = ItemView)),
    security(("bearer" = [])))]
#[post("/items")]
async fn create(web: Web, admin: Admin, terms: Terms, body: Body<NewItemDto>) -> Answer {
    let reply = web.engine().create_item(terms.by(&admin.0), body.0).await?;
    answer_item(StatusCode::CREATED, &reply)
}

/// Changes an item's terms.
#[utoipa::path(tag = "items", params(("id" = u64, Path)), request_body = ChangeItemDto,
    responses((status = 200, body = ItemView)), security(("bearer" = [])))]
#[patch("/items/{id}")]
async fn change(
    web: Web,
    admin: Admin,
    id: PathId<ProductId>,
    terms: Terms,
    body: Body<ChangeItemDto>,
) -> Answer {
    let request = ChangeItemRequest { product_id: id.0, change: body.0, if_revision: terms.if_revision };
    let reply = web.engine().change_item(terms.by(&admin.0), request).await?;
    answer_item(StatusCode::OK, &reply)
}

/// Deletes an item; it can be restored.
#[utoipa::path(tag = "items", params(("id" = u64, Path)), responses((status = 204)), security(("bearer" = [])))]
#[delete("/items/{id}")]
async fn remove(web: Web, admin: Admin, id: PathId<ProductId>, terms: Terms) -> Answer {
    let request = ItemRequest { product_id: id.0, if_revision: terms.if_revision };
    let reply = web.engine().delete_item(terms.by(&admin.0), request).await?;
    reply::empty(&reply)
}

/// Restores a deleted item.
#[utoipa::path(tag = "items", params(("id" = u64, Path)), responses((status = 200, body = ItemView)),
    security(("bearer" = [])))]
#[post("/items/{id}/restore")]
async fn restore(web: Web, admin: Admin, id: PathId<ProductId>, terms: Terms) -> Answer {
    let request = ItemRequest { product_id: id.0, if_revision: terms.if_revision };
    let reply = web.engine().restore_item(terms.by(&admin.0), request).await?;
    answer_item(StatusCode::OK, &reply)
}
