//! A record as bytes: a version byte, then the version's frozen layout (postcard). Version 1 is [`Record`] itself; a
//! change of any type that it contains needs a version 2 and a frozen copy of version 1. Golden files hold each version.

use crate::domain::Record;
use thiserror::Error;

/// The version that this build writes.
pub const VERSION: u8 = 1;

/// Bytes that are not a record.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum CodecError {
    #[error("record version {0} is unknown to this build; use a newer one")]
    Version(u8),
    #[error("the record cannot be decoded: {0}")]
    Layout(String),
}

/// Appends the record's bytes to `out`.
pub fn encode(record: &Record, out: &mut Vec<u8>) {
    out.push(VERSION);
    // Writing into a vector cannot fail, and every field of a record has a serialisation.
    if let Err(error) = postcard::serialize_with_flavor::<Record, _, _>(record, Appender(out)) {
        unreachable!("a record is always encodable: {error}");
    }
}

/// Reads a record back. Never panics, whatever the bytes.
pub fn decode(bytes: &[u8]) -> Result<Record, CodecError> {
    match bytes.split_first() {
        Some((&VERSION, layout)) => match postcard::take_from_bytes::<Record>(layout) {
            Ok((record, [])) => Ok(record),
            Ok((_, rest)) => Err(CodecError::Layout(format!("{} bytes too many", rest.len()))),
            Err(error) => Err(CodecError::Layout(error.to_string())),
        },
        Some((version, _)) => Err(CodecError::Version(*version)),
        None => Err(CodecError::Layout("no bytes".into())),
    }
}

struct Appender<'a>(&'a mut Vec<u8>);

impl postcard::ser_flavors::Flavor for Appender<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
