//! Just enough of Postgres' protocol (version 3) to know where a message ends, which statement a client runs with it, and
//! whether a COMMIT took effect. All else is bytes.

use std::collections::HashMap;

const SSL_REQUEST: [u8; 4] = 80_877_103_u32.to_be_bytes();

/// What one client says.
#[derive(Default)]
pub struct Wire {
    unread: Vec<u8>,
    is_started: bool,
    /// Prepared statements by name.
    statements: HashMap<Vec<u8>, String>,
}

pub struct Message {
    pub bytes: Vec<u8>,
    /// The statement that runs with it, be it prepared or not.
    pub runs: Option<String>,
    /// The client waits for answers behind it.
    pub is_last: bool,
}

impl Wire {
    pub fn take(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
    }

    /// The next message that is there as a whole.
    pub fn next_message(&mut self) -> Option<Message> {
        // The first message has no type, and neither has what comes before it.
        let typed = usize::from(self.is_started);
        let bytes = cut_off(&mut self.unread, typed)?;
        if !self.is_started {
            self.is_started = bytes.get(4..8) != Some(&SSL_REQUEST);
            return Some(Message { bytes, runs: None, is_last: true });
        }
        let mut texts = bytes[5..].split(|byte| *byte == 0);
        let (first, second) = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
        let runs = match bytes[0] {
            b'P' => {
                self.statements.insert(first.to_vec(), text(second));
                None
            }
            b'B' => self.statements.get(second).cloned(),
            b'Q' => Some(text(first)),
            _ => None,
        };
        let is_last = matches!(bytes[0], b'S' | b'Q');
        Some(Message { bytes, runs, is_last })
    }
}

/// What the server answers to a COMMIT, as far as it is there: whether the COMMIT took effect.
pub fn is_committed(answer: &[u8]) -> Option<bool> {
    let mut unread = answer.to_vec();
    while let Some(message) = cut_off(&mut unread, 1) {
        match (message[0], &message[5..]) {
            (b'C', b"COMMIT\0") => return Some(true),
            (b'E' | b'Z', _) => return Some(false),
            _ => {}
        }
    }
    None
}

/// The message at the front, if it is whole. Its length, which counts itself, stands behind `typed` bytes.
fn cut_off(unread: &mut Vec<u8>, typed: usize) -> Option<Vec<u8>> {
    let length = unread.get(typed..typed + 4)?.try_into().expect("four bytes");
    let length = typed + usize::try_from(u32::from_be_bytes(length)).expect("a length");
    if unread.len() < length {
        return None;
    }
    let rest = unread.split_off(length);
    Some(std::mem::replace(unread, rest))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
