//! Folders of the project and commands run in them. Every command that changes something is shown before it runs.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::failure::{Context, Failure, Outcome};

/// The root of the work tree.
pub(crate) fn root() -> PathBuf {
    let own =
        env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(own)
        .parent()
        .expect("xtask lies one level below the root")
        .to_path_buf()
}

/// Where cargo builds the workspace.
pub(crate) fn target_dir() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// A binary of the workspace, built in the one profile everything here uses.
pub(crate) fn binary(name: &str) -> PathBuf {
    target_dir().join("debug").join(name)
}

/// Where downloads live between runs: the user's cache folder.
pub(crate) fn cache_dir() -> Outcome<PathBuf> {
    let base = match (env::var_os("XDG_CACHE_HOME"), env::var_os("HOME")) {
        (Some(cache), _) if !cache.is_empty() => PathBuf::from(cache),
        (_, Some(home)) => PathBuf::from(home).join(".cache"),
        _ => {
            return Err(Failure::new(
                "neither XDG_CACHE_HOME nor HOME is set: no folder for downloads",
            ));
        }
    };
    let dir = base.join("weir");
    fs::create_dir_all(&dir).context(format_args!("cannot make {}", dir.display()))?;
    Ok(dir)
}

/// The cargo that runs us, else the one on the path.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// One line of progress.
pub(crate) fn say(text: impl AsRef<str>) {
    eprintln!("xtask: {}", text.as_ref());
}

/// Runs a command with our terminal; anything but success is a failure.
pub(crate) fn run(command: &mut Command) -> Outcome {
    say(format!("$ {}", shown(command)));
    let status = command
        .status()
        .context(format_args!("cannot run `{}`", shown(command)))?;
    successful(command, status)
}

/// Runs a command and takes what it prints; its errors stay on the screen.
pub(crate) fn capture(command: &mut Command) -> Outcome<String> {
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.context(format_args!("cannot run `{}`", shown(command)))?;
    successful(command, output.status)?;
    String::from_utf8(output.stdout).context(format_args!("what `{}` printed", shown(command)))
}

/// Runs a command for at most `limit`, then ends it with everything it started. `None` = it took longer.
pub(crate) fn run_within(command: &mut Command, limit: Duration) -> Outcome<Option<ExitStatus>> {
    say(format!("$ {}", shown(command)));
    let child = command.stdin(Stdio::null()).process_group(0).spawn();
    let mut child = child.context(format_args!("cannot run `{}`", shown(command)))?;
    let end = Instant::now() + limit;
    while Instant::now() < end {
        if let Some(status) = child.try_wait().context("waiting for a command")? {
            return Ok(Some(status));
        }
        sleep(Duration::from_millis(50));
    }
    signal("KILL", &format!("-{}", child.id()))?;
    child.wait().context("waiting for a command")?;
    Ok(None)
}

/// Sends a signal; a process that is already gone is no failure. (`kill` is built into every shell, and a package
/// of its own elsewhere.)
pub(crate) fn signal(name: &str, pid: &str) -> Outcome {
    let mut shell = Command::new("sh");
    shell.args(["-c", "kill -s \"$0\" -- \"$1\" 2>/dev/null", name, pid]);
    shell.status().context("cannot run sh").map(drop)
}

/// Waits until `ready` says yes while the child runs: who answers for a child that ended is somebody else.
pub(crate) fn wait_until(
    limit: Duration,
    child: &mut Child,
    mut ready: impl FnMut() -> bool,
) -> Outcome<bool> {
    let end = Instant::now() + limit;
    while Instant::now() < end {
        let is_ready = ready();
        if child.try_wait().context("waiting for a process")?.is_some() {
            return Ok(false);
        }
        if is_ready {
            return Ok(true);
        }
        sleep(Duration::from_millis(100));
    }
    Ok(false)
}

/// Whether a command is on the path.
pub(crate) fn have(command: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|dir| dir.join(command).is_file())
}

/// Ports nobody listens on now, all different.
pub(crate) fn free_ports<const N: usize>() -> Outcome<[u16; N]> {
    let mut ports = [0; N];
    let mut held = Vec::with_capacity(N);
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0").context("looking for a free port")?;
        *port = listener
            .local_addr()
            .context("looking for a free port")?
            .port();
        held.push(listener);
    }
    Ok(ports)
}

/// The entries of a folder, sorted; none if it is not there.
pub(crate) fn entries(dir: &Path) -> Vec<PathBuf> {
    let found = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = found.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Bytes in all files under a folder, while others may be writing it.
pub(crate) fn size_of(dir: &Path) -> u64 {
    entries(dir).iter().fold(0, |sum, path| {
        sum + match fs::symlink_metadata(path) {
            Ok(meta) if meta.is_dir() => size_of(path),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        }
    })
}

/// `h:mm:ss` or seconds, as a person reads a duration.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

fn successful(command: &Command, status: ExitStatus) -> Outcome {
    if status.success() {
        Ok(())
    } else {
        Err(Failure::new(format!(
            "`{}` failed ({status})",
            shown(command)
        )))
    }
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}
