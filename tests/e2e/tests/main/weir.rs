//! Starting the binary under test.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository.
pub(crate) fn root() -> PathBuf {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    tests
        .ancestors()
        .nth(2)
        .expect("tests/e2e is two folders down")
        .to_owned()
}

/// The binary: `WEIR_BIN`, else the debug build's.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("WEIR_BIN").map_or_else(|| root().join("target/debug/weir"), PathBuf::from)
}

/// The binary, to be started with this folder as a small file system of its own: of 1 MiB, all but this is in its file
/// `ballast`.
pub(crate) fn on_small_disk(folder: &Path, room_kib: usize) -> Command {
    const MOUNT: &str = "mount -t tmpfs -o size=1m weir \"$0\" && head -c $(((1024 - $1) * 1024)) /dev/zero > \"$0/ballast\" && \
                         shift && exec \"$@\"";
    // Root may mount as it is, and not everywhere begin a user's space; for anybody else it is the other way round. In a
    // chroot, whose root is no mount, how mounts spread cannot be changed.
    let ways = [
        &["--mount"][..],
        &["--user", "--map-root-user", "--mount"],
        &["--mount", "--propagation", "unchanged"],
    ];
    let is_permitted = |way: &&&[&str]| {
        let tried = Command::new("unshare").args(**way).arg("true").output();
        tried.is_ok_and(|tried| tried.status.success())
    };
    let way = ways.iter().find(is_permitted);
    let way = way.expect("this machine lets a process have mounts of its own");
    let mut command = Command::new("unshare");
    command.args(*way).args(["sh", "-c", MOUNT]);
    command.arg(folder).arg(room_kib.to_string()).arg(binary());
    command
}

/// Sends a signal to a process, or with a minus in front to a group of them. (By the shell: not every machine has `kill`
/// as a program.)
pub(crate) fn signal(name: &str, process: &str) {
    let sent = Command::new("sh")
        .args(["-c", "kill -s \"$0\" -- \"$1\"", name, process])
        .status();
    assert!(sent.expect("a shell").success(), "kill -s {name} {process}");
}

/// Runs the generator of days: `WEIR_FEED_BIN`, else the debug build's; panics when it does not end well.
pub(crate) fn feed<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) {
    let mut feed = feeder();
    let status = feed.args(args).status();
    let status = status.unwrap_or_else(|error| panic!("cannot start {feed:?}: {error}"));
    assert!(status.success(), "weir-feed: {status}");
}

/// The same program, to be started.
pub(crate) fn feeder() -> Command {
    let feed = std::env::var_os("WEIR_FEED_BIN");
    let feed = feed.map_or_else(|| root().join("target/debug/weir-feed"), PathBuf::from);
    let mut command = Command::new(feed);
    command.current_dir(root());
    command
}

/// Runs a pipeline that ends by itself; panics with its output when it does not end well.
pub(crate) fn run_to_end(pipeline: &str, args: &[&str]) {
    let mut command = Command::new(binary());
    command
        .current_dir(root())
        .arg("run")
        .arg(pipeline)
        .args(args);
    let output = command.output().unwrap_or_else(|error| {
        panic!(
            "cannot start {}: {error}; build it with `cargo build --workspace --bins`, or set WEIR_BIN",
            binary().display()
        )
    });
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "weir run {pipeline} {args:?}: {}\n{text}",
        output.status
    );
}
