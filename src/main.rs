//! The `barograph` program; everything it does is in the library's `cli` room.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;
use std::{env, thread};

// The system's allocator keeps what request bodies and log buffers leave behind; this one gives it back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Commands that run for long beside others, to whom free memory is of more use.
const SERVERS: [&str; 2] = ["serve", "demo"];
/// After how many milliseconds what is free goes back to the system; a second unless it is said here.
const PURGE_DELAY: (&str, &str) = ("MIMALLOC_PURGE_DELAY", "100");
/// The allocator looks for what has been free for that long only when a thread needs much or ends.
const LOOK_EVERY: Duration = Duration::from_millis(250);

fn main() -> ExitCode {
    if env::args_os().skip(1).any(|argument| SERVERS.iter().any(|server| argument == *server)) {
        tell_allocator();
        // Without it, more memory would be kept than is needed, and that is all.
        let _ = thread::Builder::new().name("give-back".to_owned()).spawn(give_back);
    }
    barograph::cli::run()
}

/// Starts the program anew, as the same process, unless the allocator was told before: it asks its variables once,
/// before `main`.
#[cfg(unix)]
fn tell_allocator() {
    use std::os::unix::process::CommandExt;
    let (name, value) = PURGE_DELAY;
    let mut arguments = env::args_os();
    let (Ok(program), Some(called), None) = (env::current_exe(), arguments.next(), env::var_os(name)) else { return };
    // Comes back only where that is not possible, and then it goes on as it is.
    let _ = std::process::Command::new(program).arg0(called).args(arguments).env(name, value).exec();
}

#[cfg(not(unix))]
fn tell_allocator() {}

/// Has the allocator look, by threads that end after they have allocated.
fn give_back() {
    loop {
        thread::sleep(LOOK_EVERY);
        let ended = thread::Builder::new().spawn(|| drop(black_box(Box::new(0_u64))));
        let _ = ended.map(thread::JoinHandle::join);
    }
}
