//! Query strings: filters and pages of lists. A cursor is the place of the last row shown, in a form that nobody is
//! tempted to compute with.

use super::extract::integer_id;
use super::problem::Problem;
use crate::domain::UserId;
use crate::engine::Listed;
use crate::store::Page;
use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::{Ready, ready};

const LIMIT_DEFAULT: u32 = 20;
const LIMIT_MAX: u32 = 100;
const TEXT_MAX: usize = 200;

/// The parameters of a request; unknown ones are ignored, as is usual for links.
pub struct Query(Vec<(String, String)>);

impl FromRequest for Query {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::read(request.query_string()))
    }
}

impl Query {
    fn read(text: &str) -> Result<Self, Problem> {
        web::Query::<Vec<(String, String)>>::from_query(text)
            .map(|pairs| Self(pairs.into_inner()))
            .map_err(|_| Problem::bad_request("the query string cannot be read"))
    }

    fn get(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.0.iter().filter(|(key, _)| key == name);
        let value = values.next().map(|(_, value)| value.as_str());
        match values.next() {
            None => Ok(value),
            Some(_) => Err(Problem::bad_request(format!("{name} must be given once"))),
        }
    }

    /// A search text; empty means none.
    pub fn text(&self, name: &str) -> Result<Option<String>, Problem> {
        match self.get(name)? {
            None | Some("") => Ok(None),
            Some(text) if text.contains('\0') || text.chars().count() > TEXT_MAX => {
                let detail = format!("{name} must be at most {TEXT_MAX} characters, without U+0000");
                Err(Problem::bad_request(detail))
            }
            Some(text) => Ok(Some(text.to_owned())),
        }
    }

    /// One of a closed set of words.
    pub fn word<T>(&self, name: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Problem> {
        let unknown = || Problem::bad_request(format!("{name} has an unknown value"));
        self.get(name)?.map(|word| read(word).ok_or_else(unknown)).transpose()
    }

    pub fn flag(&self, name: &str) -> Result<bool, Problem> {
        self.word(name, |word| word.parse::<bool>().ok()).map(Option::unwrap_or_default)
    }

    pub fn user_id(&self, name: &str) -> Result<Option<UserId>, Problem> {
        self.word(name, |word| integer_id(word).map(UserId::new))
    }

    /// `limit` alone, for lists without a cursor.
    pub fn limit(&self) -> Result<u32, Problem> {
        match self.get("limit")?.map(str::parse) {
            None => Ok(LIMIT_DEFAULT),
            Some(Ok(limit)) if (1..=LIMIT_MAX).contains(&limit) => Ok(limit),
            Some(_) => Err(Problem::bad_request(format!("limit must be an integer from 1 to {LIMIT_MAX}"))),
        }
    }

    pub fn page(&self) -> Result<Page, Problem> {
        let before = match self.get("cursor")? {
            None | Some("") => None,
            Some(cursor) => Some(
                read_cursor(cursor)
                    .ok_or_else(|| Problem::bad_request("cursor must be a next_cursor as it was answered"))?,
            ),
        };
        Ok(Page { limit: self.limit()?, before })
    }
}

/// The cursor of the page after this one.
pub fn next_cursor<T>(list: &Listed<T>) -> Option<String> {
    list.next.map(|place| URL_SAFE_NO_PAD.encode(place.to_be_bytes()))
}

fn read_cursor(cursor: &str) -> Option<u64> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    Some(u64::from_be_bytes(bytes.try_into().ok()?)).filter(|place| i64::try_from(*place).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_and_nothing_else_is() {
        let list = Listed { rows: vec![()], next: Some(42) };
        let cursor = next_cursor(&list).expect("there is a next page");
        assert_eq!(read_cursor(&cursor), Some(42));
        for bad in ["42", "", "!", "__________8", "AAAAAAAAAAAAAAAA"] {
            assert_eq!(read_cursor(bad), None, "{bad} was accepted");
        }
    }

    #[test]
    fn limits_are_bounded() {
        let limit =
            |text| Query::read(text).and_then(|query| query.limit()).map_err(|problem| problem.code());
        assert_eq!(limit(""), Ok(20));
        assert_eq!(limit("limit=100"), Ok(100));
        for bad in ["limit=1&limit=1", "limit=0", "limit=101", "limit=x", "limit=-1", "limit=1.5"] {
            assert_eq!(limit(bad), Err("bad_request"), "{bad} was accepted");
        }
    }

    #[test]
    fn search_texts_are_free_of_nul() {
        let query = Query::read("q=a%00b&sku=A%20B").expect("readable");
        assert!(query.text("q").is_err());
        assert_eq!(query.text("sku").ok().flatten().as_deref(), Some("A B"));
    }
}
