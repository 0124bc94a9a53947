//! `purser journal …`: a stopped server's journal, looked at and checked; and the one way to take over a store whose
//! journal is lost.

use super::args::{JournalArgs, JournalVerb, ServeArgs};
use super::engine_options::engine_options;
use super::failure::{Exit, Failure};
use super::report::{emit, print_json};
use crate::domain::Seq;
use crate::engine::{EngineOptions, offline};
use serde::Serialize;
use std::time::Instant;

/// How many of the last records `inspect` shows.
const SHOWN: usize = 10;

#[derive(Serialize)]
struct Segment {
    number: u32,
    first_seq: u64,
    last_seq: u64,
    frames: u64,
    used_bytes: u64,
    size_bytes: u64,
}

#[derive(Serialize)]
struct Inspection {
    journal_id: Option<String>,
    first_seq: Option<u64>,
    last_seq: u64,
    records: u64,
    torn_frame: Option<(u32, u64)>,
    segments: Vec<Segment>,
    last_records: Vec<String>,
}

#[derive(Serialize)]
struct Verification {
    ok: bool,
    records: u64,
    seconds: f64,
    torn_frame: Option<(u32, u64)>,
}

pub fn run(verb: JournalVerb) -> Result<Exit, Failure> {
    match verb {
        JournalVerb::Inspect(args) => inspect(&args),
        JournalVerb::Verify(args) => verify(&args),
        JournalVerb::Adopt { journal, database_url, .. } => adopt(&journal, database_url),
    }
}

fn options(args: &JournalArgs, database_url: Option<String>) -> Result<EngineOptions, Failure> {
    let args = ServeArgs {
        config: args.config.clone(),
        listen: None,
        data_dir: args.data_dir.clone(),
        database_url,
    };
    Ok(engine_options(&super::settings(&args)?.config))
}

fn inspect(args: &JournalArgs) -> Result<Exit, Failure> {
    let mut last_records = std::collections::VecDeque::new();
    let survey = offline::read_journal(&options(args, None)?, Seq::new(1), |record| {
        last_records.push_back(record);
        if last_records.len() > SHOWN {
            last_records.pop_front();
        }
    })?;
    let last_records: Vec<_> = last_records
        .iter()
        .map(|record| format!("{} {:?}, {} events", record.seq, record.operation, record.events.len()))
        .collect();
    let segment = |known: &crate::journal::reader::Surveyed| Segment {
        number: known.segment,
        first_seq: known.first.get(),
        last_seq: known.last.get(),
        frames: known.frames,
        used_bytes: known.end,
        size_bytes: known.size,
    };
    let inspection = Inspection {
        journal_id: survey.journal_id.map(|id| id.to_string()),
        first_seq: survey.first().map(Seq::get),
        last_seq: survey.last().get(),
        records: survey.first().map_or(0, |first| survey.last().get() + 1 - first.get()),
        torn_frame: survey.torn,
        segments: survey.segments.iter().map(segment).collect(),
        last_records,
    };
    if args.json {
        print_json(&inspection);
        return Ok(Exit::Clean);
    }
    let mut text = format!(
        "journal {}\n{} records, {} to {}\n",
        inspection.journal_id.as_deref().unwrap_or("(none yet)"),
        inspection.records,
        inspection.first_seq.unwrap_or(0),
        inspection.last_seq
    );
    for segment in &inspection.segments {
        text.push_str(&format!(
            "  segment {}: records {} to {} in {} frames, {} of {} bytes\n",
            segment.number,
            segment.first_seq,
            segment.last_seq,
            segment.frames,
            segment.used_bytes,
            segment.size_bytes
        ));
    }
    if let Some((segment, offset)) = inspection.torn_frame {
        text.push_str(&format!(
            "  a torn frame in segment {segment} at offset {offset}; the next start drops it\n"
        ));
    }
    for record in &inspection.last_records {
        text.push_str(&format!("  {record}\n"));
    }
    emit(&text);
    Ok(Exit::Clean)
}

fn verify(args: &JournalArgs) -> Result<Exit, Failure> {
    let begun = Instant::now();
    let mut records = 0;
    let survey = offline::read_journal(&options(args, None)?, Seq::new(1), |_| records += 1)?;
    let seconds = begun.elapsed().as_secs_f64();
    let verification = Verification { ok: true, records, seconds, torn_frame: survey.torn };
    if args.json {
        print_json(&verification);
    } else {
        let torn = match verification.torn_frame {
            Some((segment, offset)) => {
                format!("; a torn frame in segment {segment} at offset {offset} will be dropped")
            }
            None => String::new(),
        };
        emit(&format!("{records} records are whole ({seconds:.2} s){torn}\n"));
    }
    Ok(Exit::Clean)
}

fn adopt(args: &JournalArgs, database_url: Option<String>) -> Result<Exit, Failure> {
    let watermark = offline::adopt(&options(args, database_url)?)?;
    if args.json {
        print_json(&serde_json::json!({ "adopted": true, "continues_after_seq": watermark.get() }));
    } else {
        emit(&format!("the store is ours; the journal continues after record {watermark}\n"));
    }
    Ok(Exit::Clean)
}
