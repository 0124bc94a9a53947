//! The OpenAPI document: what the handlers say of themselves, and what holds for many of them, said once: failures are
//! problems, and the headers of requests and replies.

use super::problem::ProblemDocument;
use super::{app, explanations, operations};
use actix_web::App;
use actix_web::http::StatusCode;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, Object, ObjectBuilder, Ref, RefOr, Required, Response, ResponseBuilder, Type,
};
use utoipa::{OpenApi, PartialSchema};
use utoipa_actix_web::{AppExt, scope};

/// A header: its name, the values it takes (text if none are named, a number if it is a journal position), and its meaning.
struct Described(&'static str, Values, &'static str);

enum Values {
    Text,
    Position,
    OneOf(&'static [&'static str]),
}

use Values::{OneOf, Position, Text};

const REQUEST_ID: Described =
    Described("Request-Id", Text, "Names the request in the log. The client's own is taken if it is sane.");
const IDEMPOTENCY_KEY: Described = Described(
    "Idempotency-Key",
    Text,
    "1-255 printable ASCII characters, bare or quoted. The same key with the same request gets the stored answer.",
);
const ASKED_DURABILITY: Described = Described(
    "Purser-Durability",
    OneOf(&["journal", "store"]),
    "`store`: answer only once the store has it too. Without it, `journal`.",
);
const MIN_SEQ: Described = Described(
    "Purser-Min-Seq",
    Position,
    "A journal position that the read must reflect; it waits for that, then 503 `read_timeout`.",
);
const IF_MATCH: Described =
    Described("If-Match", Text, "The item's revision, as `ETag` gave it; if it is another by now, 412.");
const SEQ: Described = Described("Purser-Seq", Position, "The change's position in the journal.");
const AS_OF: Described =
    Described("Purser-As-Of", Position, "The journal position that the answer reflects.");
const REACHED_DURABILITY: Described =
    Described("Purser-Durability", OneOf(&["journal", "store"]), "Where the change is safe already.");
const REPLAYED: Described = Described(
    "Idempotency-Replayed",
    OneOf(&["true"]),
    "The key was used before, and this is the answer from then.",
);
const ETAG: Described = Described("ETag", Text, "The item's revision, quoted, for `If-Match`.");

impl Described {
    fn schema(&self) -> Object {
        match self.1 {
            Text => ObjectBuilder::new().schema_type(Type::String).build(),
            Position => ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).build(),
            OneOf(values) => ObjectBuilder::new()
                .schema_type(Type::String)
                .enum_values(Some(values.iter().copied()))
                .build(),
        }
    }

    fn asked(&self) -> Parameter {
        ParameterBuilder::new()
            .name(self.0)
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(self.2))
            .schema(Some(self.schema()))
            .build()
    }

    fn sent(&self) -> Header {
        HeaderBuilder::new().description(Some(self.2)).schema(Some(self.schema())).build()
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Purser",
        description = "Sells contended things exactly once. Amounts are integers in minor units; failures are \
                       application/problem+json (RFC 9457)."
    ),
    modifiers(&BearerToken)
)]
struct Base;

struct BearerToken;

impl utoipa::Modify for BearerToken {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document.components.get_or_insert_default().add_security_scheme("bearer", scheme);
    }
}

/// Whose body may be left out. An `Option` in the handlers would say that it may be `null`.
const MAY_BE_LEFT_OUT: [&str; 2] = ["/messages/failed/retry", "/admin/sync-stock"];

/// The OpenAPI document of all handlers.
pub fn document() -> utoipa::openapi::OpenApi {
    let (_, mut document) = App::new()
        .into_utoipa_app()
        .openapi(Base::openapi())
        .service(scope("/api/v1").configure(app::api))
        .configure(operations::routes)
        .configure(explanations::routes)
        .split_for_parts();
    let components = document.components.get_or_insert_default();
    components.schemas.insert("Problem".to_owned(), ProblemDocument::schema());
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let failure = ResponseBuilder::new()
        .description("Any failure; `code` says which")
        .content("application/problem+json", content)
        .build();
    for (path, item) in &mut document.paths.paths {
        for (is_read, operation) in operations_of(item) {
            operation.responses.responses.insert("default".to_owned(), failure.clone().into());
            let (asked, sent) = headers(path, is_read, operation);
            operation.operation_id = name(operation);
            if MAY_BE_LEFT_OUT.iter().any(|tail| path.ends_with(tail))
                && let Some(RefOr::T(body)) = &mut operation.request_body
            {
                body.required = Some(Required::False);
            }
            operation
                .parameters
                .get_or_insert_default()
                .extend(asked.iter().map(|header| header.asked().into()));
            for (status, response) in &mut operation.responses.responses {
                let RefOr::T(response) = response else { continue };
                if response.description.is_empty() {
                    response.description = reason(status).to_owned();
                }
                add(response, &REQUEST_ID);
                if status.starts_with('2') {
                    for header in &sent {
                        add(response, header);
                    }
                }
            }
        }
    }
    document
}

/// The handler's name with its subject's: alone it is others', too.
fn name(operation: &Operation) -> Option<String> {
    let subject = operation.tags.as_deref()?.first()?;
    Some(format!("{subject}_{}", operation.operation_id.as_deref()?))
}

/// What a status means to HTTP.
fn reason(status: &str) -> &'static str {
    let status = status.parse::<u16>().ok().and_then(|code| StatusCode::from_u16(code).ok());
    status.and_then(|status| status.canonical_reason()).unwrap_or("Success")
}

fn add(response: &mut Response, header: &Described) {
    response.headers.insert(header.0.to_owned(), header.sent().into());
}

/// The operations at one address, and whether each only reads.
fn operations_of(item: &mut PathItem) -> impl Iterator<Item = (bool, &mut Operation)> {
    let read = item.get.iter_mut().map(|operation| (true, operation));
    let changing = [&mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
    read.chain(changing.into_iter().flatten().map(|operation| (false, operation)))
}

/// Which headers a request may have, and which a success has.
fn headers(
    path: &str,
    is_read: bool,
    operation: &Operation,
) -> (Vec<&'static Described>, Vec<&'static Described>) {
    let Some(path) = path.strip_prefix("/api/v1") else { return (vec![&REQUEST_ID], Vec::new()) };
    let (mut asked, mut sent) = (vec![&REQUEST_ID], Vec::new());
    match path {
        "/auth/register" | "/auth/login" | "/auth/refresh" | "/users/{id}/token" => {
            sent.extend([&SEQ, &REACHED_DURABILITY]);
        }
        "/auth/logout" => sent.push(&SEQ),
        "/admin/audit" | "/admin/sync-stock" => sent.push(&AS_OF),
        "/messages/stats" => {}
        _ if path.starts_with("/admin/") => {}
        _ if is_read || path == "/auth/me" => {
            asked.push(&MIN_SEQ);
            sent.push(&AS_OF);
        }
        _ => {
            asked.extend([&IDEMPOTENCY_KEY, &ASKED_DURABILITY]);
            sent.extend([&SEQ, &REACHED_DURABILITY, &REPLAYED]);
        }
    }
    let verb = operation.operation_id.as_deref().unwrap_or_default();
    let is_item = ["/items", "/items/{id}", "/items/{id}/restore", "/items/{id}/stock"].contains(&path);
    if is_item && ["change", "remove", "restore"].contains(&verb) {
        asked.push(&IF_MATCH);
    }
    if is_item && !["list", "remove"].contains(&verb) {
        sent.push(&ETAG);
    }
    (asked, sent)
}
