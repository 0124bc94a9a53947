//! COPY's text format: one line per row, columns between tabs, `\N` for nothing. The fastest way in for history.

use super::fault;
use crate::store::StoreError;
use crate::store::writer::int;
use sqlx::postgres::PgConnection;
use std::fmt::Write;
use uuid::Uuid;

/// Bytes per message: large enough to cost nothing, small enough not to be copied around.
const MESSAGE: usize = 256 * 1024;

/// The rows of one COPY statement.
pub struct Copy {
    sql: &'static str,
    text: String,
}

impl Copy {
    pub const fn into(sql: &'static str) -> Self {
        Self { sql, text: String::new() }
    }

    pub const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub fn int(&mut self, value: i64) -> &mut Self {
        // Writing to a string cannot fail, here and below.
        let _ = write!(self.text, "{value}\t");
        self
    }

    pub fn count(&mut self, value: u64) -> &mut Self {
        self.int(int(value))
    }

    pub fn maybe_count(&mut self, value: Option<u64>) -> &mut Self {
        match value {
            Some(value) => self.count(value),
            None => self.nothing(),
        }
    }

    pub fn uuid(&mut self, value: Uuid) -> &mut Self {
        let mut buffer = Uuid::encode_buffer();
        self.text.push_str(value.hyphenated().encode_lower(&mut buffer));
        self.text.push('\t');
        self
    }

    pub fn maybe_uuid(&mut self, value: Option<Uuid>) -> &mut Self {
        match value {
            Some(value) => self.uuid(value),
            None => self.nothing(),
        }
    }

    /// The four characters that mean something to COPY are escaped; all others stand for themselves.
    pub fn text(&mut self, value: &str) -> &mut Self {
        let mut rest = value;
        while let Some(at) = rest.find(['\\', '\t', '\n', '\r']) {
            let (plain, special) = rest.split_at(at);
            self.text.push_str(plain);
            self.text.push_str(match special.as_bytes().first() {
                Some(b'\t') => "\\t",
                Some(b'\n') => "\\n",
                Some(b'\r') => "\\r",
                _ => "\\\\",
            });
            rest = special.get(1..).unwrap_or_default();
        }
        self.text.push_str(rest);
        self.text.push('\t');
        self
    }

    pub fn maybe_text(&mut self, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.text(value),
            None => self.nothing(),
        }
    }

    fn nothing(&mut self) -> &mut Self {
        self.text.push_str("\\N\t");
        self
    }

    /// Ends the row: its last tab becomes the line's end.
    pub fn end(&mut self) {
        self.text.pop();
        self.text.push('\n');
    }

    pub async fn run(self, conn: &mut PgConnection) -> Result<(), StoreError> {
        let mut copy = conn.copy_in_raw(self.sql).await.map_err(fault)?;
        for message in self.text.as_bytes().chunks(MESSAGE) {
            copy.send(message).await.map_err(fault)?;
        }
        copy.finish().await.map(drop).map_err(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_copy_would_read_as_its_own_is_escaped() {
        let mut copy = Copy::into("");
        copy.text("a\tb\\N\nü\r\\.").maybe_text(None).maybe_count(Some(7)).end();
        assert_eq!(copy.text, "a\\tb\\\\N\\nü\\r\\\\.\t\\N\t7\n");
    }

    #[test]
    fn an_empty_text_is_not_nothing() {
        let mut copy = Copy::into("");
        copy.text("").maybe_text(Some("")).end();
        assert_eq!(copy.text, "\t\n");
    }
}
