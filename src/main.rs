//! The `barograph` program; everything it does is in the library's `cli` room.

use std::process::ExitCode;

// The system's allocator keeps what request bodies and log buffers leave behind; this one gives it back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    barograph::cli::run()
}
