//! `cargo xtask plugins`: the plugins' crates to core modules, and those to packed components.
//!
//! Cargo decides what to compile. A plugin is packed again only when its core module, the border (`sdk`'s WIT) or the
//! packer (`host`) changed: the packed file's stamp holds a digest of those three. No output depends on the machine's
//! choice of toolchain in any way that a test may see.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use lexopt::prelude::*;

use crate::failure::{Context, Failure, Outcome};
use crate::shell::{capture, cargo, entries, have, root, run, run_within, say, target_dir};
use crate::{build, help, need};

const HELP: &str = "\
Builds every plugin to WebAssembly and packs it to target/plugins/NAME.wasm; the tests' guests to target/guests.

Usage: cargo xtask plugins [--with rustup|debian] [--yes]

The toolchain is the pinned one with its wasm32-unknown-unknown target, which `rustup target add` gets when it is
missing; where that fails, Debian's rustc-web, cargo-web and rust-web-src. `--with` insists on one of the two.";

const TARGET: &str = "wasm32-unknown-unknown";
const DEBIAN: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// `rustup target add` downloads 20 MB; where its server is out of reach it hangs instead of failing.
const RUSTUP_LIMIT: Duration = Duration::from_mins(1);

/// A way to compile for WebAssembly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Toolchain {
    Rustup,
    Debian,
}

pub(crate) fn main(mut arguments: lexopt::Parser, mut yes: bool) -> Outcome {
    let mut with = None;
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("with") => with = Some(toolchain_named(&arguments.value()?.string()?)?),
            Long("yes") => yes = true,
            Short('h') | Long("help") => return help(HELP),
            other => return Err(other.unexpected().into()),
        }
    }
    let toolchain = with.map_or_else(|| choose(yes), Ok)?;
    build_with(toolchain, &[&PLUGINS, &GUESTS])
}

/// Builds and packs whatever is not up to date, of the plugins and the tests' guests.
pub(crate) fn all(yes: bool) -> Outcome {
    build_with(choose(yes)?, &[&PLUGINS, &GUESTS])
}

/// The same of the plugins alone.
pub(crate) fn product(yes: bool) -> Outcome {
    build_with(choose(yes)?, &[&PLUGINS])
}

fn toolchain_named(name: &str) -> Outcome<Toolchain> {
    match name {
        "rustup" => Ok(Toolchain::Rustup),
        "debian" => Ok(Toolchain::Debian),
        _ => Err(Failure::usage(format!(
            "--with takes rustup or debian, not `{name}`"
        ))),
    }
}

/// What is installed first, then what can be had.
fn choose(yes: bool) -> Outcome<Toolchain> {
    if rustup_has_target() {
        return Ok(Toolchain::Rustup);
    }
    if debian_is_there() {
        return Ok(Toolchain::Debian);
    }
    if have("rustup") {
        say("the pinned toolchain has no WebAssembly target yet");
        let mut rustup = Command::new("rustup");
        let added = run_within(
            rustup.args(["target", "add", TARGET]).current_dir(root()),
            RUSTUP_LIMIT,
        )?;
        if added.is_some_and(|status| status.success()) && rustup_has_target() {
            return Ok(Toolchain::Rustup);
        }
        say("rustup could not get it; trying Debian's packages");
    }
    need::install(&DEBIAN, yes)?;
    Ok(Toolchain::Debian)
}

fn rustup_has_target() -> bool {
    let mut rustc = Command::new("rustc");
    rustc
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(root())
        .stderr(Stdio::null());
    let Ok(output) = rustc.output() else {
        return false;
    };
    let dir = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    output.status.success() && !entries(&dir).is_empty()
}

fn debian_is_there() -> bool {
    Path::new("/usr/bin/rustc").exists()
        && Path::new("/usr/bin/cargo").exists()
        && Path::new("/usr/lib/rustlib/src/rust/library/std").exists()
}

/// A workspace of guests and where its packed plugins go.
struct Set {
    workspace: &'static str,
    packed: &'static str,
}

const PLUGINS: Set = Set {
    workspace: "plugins",
    packed: "target/plugins",
};
const GUESTS: Set = Set {
    workspace: "tests/guests",
    packed: "target/guests",
};

fn build_with(toolchain: Toolchain, sets: &[&Set]) -> Outcome {
    let root = root();
    let mut stale = Vec::new();
    for set in sets {
        let cores = compile(toolchain, &root.join(set.workspace))?;
        let packed = root.join(set.packed);
        fs::create_dir_all(&packed).context("making the folder of packed plugins")?;
        remove_orphans(&packed, &cores)?;
        for core in cores {
            let job = Job::new(core, &packed)?;
            if !job.up_to_date() {
                stale.push(job);
            }
        }
    }
    if !stale.is_empty() {
        build::binaries()?;
        stale.iter().try_for_each(Job::pack)?;
    }
    for set in sets {
        let packed = entries(&root.join(set.packed));
        let count = packed
            .iter()
            .filter(|path| path.extension().is_some_and(|e| e == "wasm"))
            .count();
        say(format!("{count} plugins in {}", set.packed));
    }
    Ok(())
}

/// Compiles one workspace; answers the core modules of the crates that are plugins.
///
/// One plugin at a time and as a module alone: made together with the library that tests link, Cargo leaves out the
/// optimisation over crates that `plugins/Cargo.toml` asks for.
fn compile(toolchain: Toolchain, workspace: &Path) -> Outcome<Vec<PathBuf>> {
    let dir = target_dir().join(if toolchain == Toolchain::Rustup {
        "wasm"
    } else {
        "wasm-debian"
    });
    let out = dir.join(TARGET).join("release");
    let names = plugin_crates(workspace)?;
    for name in &names {
        let mut command = match toolchain {
            Toolchain::Rustup => cargo(),
            Toolchain::Debian => debian_cargo()?,
        };
        command.args([
            "rustc",
            "--package",
            name,
            "--lib",
            "--crate-type",
            "cdylib",
        ]);
        command.args(["--release", "--target", TARGET, "--manifest-path"]);
        command.arg(workspace.join("Cargo.toml"));
        command.env("CARGO_TARGET_DIR", &dir);
        command.env(
            "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS",
            "-Ctarget-feature=+simd128",
        );
        if toolchain == Toolchain::Debian {
            command.args(["-Zbuild-std=std,panic_abort", "--ignore-rust-version"]);
        }
        run(&mut command)?;
    }
    Ok(names
        .iter()
        .map(|name| out.join(format!("{}.wasm", name.replace('-', "_"))))
        .collect())
}

/// Debian's toolchain has no target built, but the sources of `std`, and no linker for it, which the pinned one has.
fn debian_cargo() -> Outcome<Command> {
    let sysroot = capture(
        Command::new("rustc")
            .args(["--print", "sysroot"])
            .current_dir(root()),
    )?;
    let hosts = entries(&Path::new(sysroot.trim()).join("lib/rustlib"));
    let mut linkers = hosts.iter().map(|host| host.join("bin/rust-lld"));
    let linker = linkers.find(|path| path.exists());
    let linker = linker.ok_or_else(|| {
        Failure::new("the pinned toolchain has no rust-lld to link WebAssembly with")
    })?;
    let mut command = Command::new("/usr/bin/cargo");
    command.current_dir(root());
    command
        .env("RUSTC", "/usr/bin/rustc")
        .env("RUSTC_BOOTSTRAP", "1");
    command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
    // Set by rustup and by `cargo run` for their own toolchain.
    for name in [
        "LD_LIBRARY_PATH",
        "RUSTUP_TOOLCHAIN",
        "CARGO",
        "RUSTDOC",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
    ] {
        command.env_remove(name);
    }
    Ok(command)
}

/// Names of the workspace's crates that become a module.
fn plugin_crates(workspace: &Path) -> Outcome<Vec<String>> {
    let mut names = Vec::new();
    for manifest in entries(workspace)
        .iter()
        .map(|dir| dir.join("Cargo.toml"))
        .filter(|path| path.exists())
    {
        let text = fs::read_to_string(&manifest).context(manifest.display())?;
        if text.contains("\"cdylib\"") {
            let name = text
                .lines()
                .find_map(|line| line.strip_prefix("name = \"")?.split('"').next());
            names.push(
                name.ok_or_else(|| Failure::new(format!("{}: no name", manifest.display())))?
                    .to_owned(),
            );
        }
    }
    Ok(names)
}

/// A plugin that is no longer there must not be found by a pipeline.
fn remove_orphans(packed: &Path, cores: &[PathBuf]) -> Outcome {
    for path in entries(packed) {
        let stem = path.file_stem();
        if !cores.iter().any(|core| core.file_stem() == stem) {
            fs::remove_file(&path).context(path.display())?;
        }
    }
    Ok(())
}

/// One core module to be packed.
struct Job {
    core: PathBuf,
    packed: PathBuf,
    stamp: PathBuf,
    digest: String,
}

impl Job {
    fn new(core: PathBuf, packed: &Path) -> Outcome<Self> {
        let name = core
            .file_stem()
            .expect("a core module has a name")
            .to_owned();
        let packed = packed.join(name).with_extension("wasm");
        let mut digest = Digest::default();
        digest.file(&core)?;
        digest.folder(&root().join("crates/sdk/wit"))?;
        digest.folder(&root().join("crates/host/src"))?;
        Ok(Self {
            core,
            stamp: packed.with_extension("stamp"),
            packed,
            digest: digest.text(),
        })
    }

    fn up_to_date(&self) -> bool {
        self.packed.exists()
            && fs::read_to_string(&self.stamp).is_ok_and(|stamp| stamp == self.digest)
    }

    fn pack(&self) -> Outcome {
        let mut command = Command::new(build::weir());
        command
            .args(["plugin", "pack"])
            .arg(&self.core)
            .arg("-o")
            .arg(&self.packed);
        run(&mut command)?;
        fs::write(&self.stamp, &self.digest).context(self.stamp.display())
    }
}

/// FNV-1a over bytes with their lengths: it tells changed inputs apart, and protects nothing.
#[derive(Debug)]
struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    fn bytes(&mut self, bytes: &[u8]) {
        let length = (bytes.len() as u64).to_le_bytes();
        for byte in length.iter().chain(bytes) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn file(&mut self, path: &Path) -> Outcome {
        self.bytes(&fs::read(path).context(path.display())?);
        Ok(())
    }

    fn folder(&mut self, dir: &Path) -> Outcome {
        for path in entries(dir) {
            if path.is_dir() {
                self.folder(&path)?;
            } else {
                self.file(&path)?;
            }
        }
        Ok(())
    }

    fn text(&self) -> String {
        format!("{:016x}", self.0)
    }
}
