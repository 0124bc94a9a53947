//! The binary: everything is in the library.

use std::process::ExitCode;

/// Less time per allocation than the system's: a purchase makes some dozens.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    purser::cli::run()
}
