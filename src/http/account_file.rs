//! Redemption accounts as CSV: what is read in, row by row, and what is written out.

use super::accounts::account;
use super::app::Web;
use super::extract::{Admin, MinSeq, Terms};
use super::problem::Problem;
use super::reply::{self, Answer};
use super::sheet::{Lines, Sheet};
use super::validate::Checks;
use crate::domain::Outcome;
use crate::domain::account::AccountView;
use crate::engine::{ACCOUNTS_MAX, Freshness, ImportRequest, NewAccountRequest};
use crate::store::{AccountFilter, Page};
use actix_web::http::StatusCode;
use actix_web::web::Bytes;
use actix_web::{HttpResponse, get, post};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tracing::info;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

/// Accounts read from the store at once while they are written out.
const PAGE: u32 = 1_000;

/// Literal addresses come before those with an id.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(import).service(export);
}

#[derive(Deserialize)]
struct FileRow {
    label: String,
    country: String,
    plan_id: String,
}

/// A row of the file that became no account.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct Rejected {
    /// Its place among the rows, from 1.
    row: u64,
    /// Where it begins in the file, from 1; the header is line 1.
    line: u64,
    error: String,
}

#[derive(Serialize, ToSchema)]
struct Imported {
    /// Accounts that were created.
    imported: u32,
    rejected: Vec<Rejected>,
}

/// A row with its place among the rows and its line.
type Sound = ((u64, u64), NewAccountRequest);

/// Sound rows, and the others.
fn read(file: &[u8]) -> Result<(Vec<Sound>, Vec<Rejected>), Problem> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(file);
    let header = reader.headers().map_err(|error| Problem::field("body", error.to_string()))?;
    for column in ["label", "country", "plan_id"] {
        if !header.iter().any(|name| name == column) {
            return Err(Problem::field("body", format!("the header must name the column {column}")));
        }
    }
    let header = header.clone();
    let (mut sound, mut rejected) = (Vec::new(), Vec::new());
    let mut lines = Lines::of(file);
    for (record, row) in reader.records().zip(1..) {
        let position = match &record {
            Ok(record) => record.position(),
            Err(error) => error.position(),
        };
        let line = lines.row_at(position.map_or(0, csv::Position::byte));
        let read = record.and_then(|record| record.deserialize::<FileRow>(Some(&header)));
        let parsed = read.map_err(|error| error.to_string()).and_then(|read| {
            let mut checks = Checks::default();
            let account = account(&mut checks, &read.label, &read.country, &read.plan_id);
            checks.explain(account)
        });
        match parsed {
            Ok(account) => sound.push(((row, line), account)),
            Err(error) => rejected.push(Rejected { row, line, error }),
        }
        if sound.len() + rejected.len() > ACCOUNTS_MAX {
            return Err(Problem::field(
                "body",
                format!("at most {ACCOUNTS_MAX} rows; send the rest in further calls"),
            ));
        }
    }
    Ok((sound, rejected))
}

/// Creates an account for each sound row of a CSV file with the columns `label`, `country` and `plan_id`; further columns are
/// ignored.
#[utoipa::path(tag = "redemption", request_body(content = String, content_type = "text/csv"),
    responses((status = 200, body = Imported)), security(("bearer" = [])))]
#[post("/redemption/accounts/import")]
async fn import(web: Web, admin: Admin, terms: Terms, sheet: Sheet) -> Answer {
    let (sound, mut rejected) = read(&sheet.0)?;
    let (places, accounts): (Vec<_>, Vec<_>) = sound.into_iter().unzip();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &sheet.0);
    let file = digest.as_ref().try_into().map_err(|_| Problem::internal())?;
    let request = ImportRequest { accounts, file };
    let reply = web.engine().import_accounts(terms.by(&admin.0), request).await?;
    let Outcome::AccountsImported { count, left_out } = &reply.outcome else {
        return Err(reply::misfit(&reply.outcome));
    };
    let of_no_plan = |place: &u32| {
        let (row, line) = places.get(*place as usize).copied().unwrap_or_default();
        Rejected { row, line, error: "plan_id: there is no such plan".into() }
    };
    rejected.extend(left_out.iter().map(of_no_plan));
    rejected.sort_unstable_by_key(|rejected| rejected.row);
    if !reply.replayed {
        info!(target: "audit", admin = %admin.0.user_id, imported = count, "accounts were imported");
    }
    reply::mutation(StatusCode::OK, &reply, &Imported { imported: *count, rejected })
}

#[derive(Serialize)]
struct ExportedRow<'a> {
    id: uuid::Uuid,
    label: &'a str,
    country: &'a str,
    plan_id: uuid::Uuid,
    status: &'static str,
    login_status: &'static str,
    balance: i64,
    redeemed_total: i64,
}

fn write(rows: &[AccountView], with_header: bool) -> Result<Bytes, Problem> {
    let failed = |_| Problem::internal();
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    if with_header {
        let header =
            ["id", "label", "country", "plan_id", "status", "login_status", "balance", "redeemed_total"];
        writer.write_record(header).map_err(failed)?;
    }
    for view in rows {
        let row = ExportedRow {
            id: view.account.id.get(),
            label: view.account.label.as_str(),
            country: view.account.country.as_str(),
            plan_id: view.account.plan_id.get(),
            status: view.status.word(),
            login_status: view.login.word(),
            balance: view.redeemed_total,
            redeemed_total: view.redeemed_total,
        };
        writer.serialize(row).map_err(failed)?;
    }
    Ok(writer.into_inner().map_err(|_| Problem::internal())?.into())
}

/// Where an export has arrived.
enum Next {
    First,
    Before(u64),
    End,
}

/// Writes all accounts as CSV, newest first; the columns that an import reads are among them.
#[utoipa::path(tag = "redemption", responses((status = 200, body = String, content_type = "text/csv")),
    security(("bearer" = [])))]
#[get("/redemption/accounts/export")]
async fn export(web: Web, admin: Admin, fresh: MinSeq) -> Answer {
    let engine = web.engine().clone();
    let wanted = fresh.of(Some(&admin.0));
    // The first page decides the status; what fails later breaks the body off.
    let first = engine.accounts(AccountFilter::default(), Page { limit: PAGE, before: None }, wanted).await?;
    let start = (Some(first.value), Next::First);
    let pages = stream::try_unfold((engine, start), |(engine, (read, next))| async move {
        let (listed, is_first) = match (read, next) {
            (Some(listed), _) => (listed, true),
            (None, Next::Before(place)) => {
                let page = Page { limit: PAGE, before: Some(place) };
                let read = engine.accounts(AccountFilter::default(), page, Freshness::default()).await;
                (read.map_err(Problem::from)?.value, false)
            }
            (None, _) => return Ok::<_, actix_web::Error>(None),
        };
        let bytes = write(&listed.rows, is_first)?;
        let next = listed.next.map_or(Next::End, Next::Before);
        Ok(Some((bytes, (engine, (None, next)))))
    });
    Ok(HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8")
        .insert_header(("content-disposition", "attachment; filename=\"accounts.csv\""))
        .insert_header((super::headers::AS_OF, first.as_of.get()))
        .streaming(pages))
}
