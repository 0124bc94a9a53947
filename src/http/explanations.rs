//! `/problems/{slug}`: where the `type` of a problem leads. The texts are the sections of docs/errors.md, and stand nowhere
//! else.

use super::problem::{Problem, title};
use actix_web::http::header::{self, ContentType};
use actix_web::{HttpResponse, get, web};
use utoipa_actix_web::service_config::ServiceConfig;

const PAGE: &str = include_str!("../../docs/errors.md");

pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(explain);
}

/// Each code with its text, which begins with the status.
fn sections() -> impl Iterator<Item = (&'static str, &'static str)> {
    let section = |section: &'static str| section.split_once("`\n").map(|(code, text)| (code, text.trim()));
    PAGE.split("\n## `").skip(1).filter_map(section)
}

/// Explains a problem: its title, its status, what it means and what to do next.
#[utoipa::path(tag = "operations", params(("slug" = String, Path)),
    responses((status = 200, body = String, content_type = "text/plain")))]
#[get("/problems/{slug}")]
async fn explain(slug: web::Path<String>) -> Result<HttpResponse, Problem> {
    let explained = sections().find(|(code, _)| code.replace('_', "-") == *slug);
    let (code, text) = explained.ok_or_else(|| Problem::not_found("there is no such problem"))?;
    Ok(HttpResponse::Ok()
        .content_type(ContentType::plaintext())
        .insert_header((header::CACHE_CONTROL, "public, max-age=3600"))
        .body(format!("{}\n\n{text}\n", title(code))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_is_found_and_tells_a_status() {
        let headings = PAGE.lines().filter(|line| line.starts_with("## ")).count();
        let statuses = sections().filter_map(|(_, text)| text.get(..3)?.parse::<u16>().ok());
        assert_eq!(statuses.filter(|status| (400..600).contains(status)).count(), headings);
    }
}
