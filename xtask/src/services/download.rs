//! The services' files: fetched once by Maven into the cache folder, checked by hash before every use.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::failure::{Context, Failure, Outcome};
use crate::shell::{cache_dir, duration, run, say, size_of};

const POM: &str = include_str!("pom.xml");
const KAFKA: &str = include_str!("kafka.sha256");
const REGISTRY: &str = include_str!("registry.sha256");
const DEPENDENCY_PLUGIN: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1";
const REGISTRY_ARTIFACT: &str = "io.apicurio:apicurio-registry-app:2.6.13.Final:tar.gz:all";
const REGISTRY_JAR: &str = "apicurio-registry-app-2.6.13.Final-runner.jar";

/// Where the services' files are.
#[derive(Debug)]
pub(crate) struct Downloads {
    /// The folder of Kafka's jars.
    pub(crate) kafka: PathBuf,
    /// The registry's runnable jar.
    pub(crate) registry: PathBuf,
}

/// Gets what is not there yet.
pub(crate) fn all() -> Outcome<Downloads> {
    let cache = cache_dir()?;
    let kafka = cache.join("kafka-4.1.1");
    if !intact(&kafka, KAFKA)? {
        fs::create_dir_all(&cache).context(cache.display())?;
        let pom = cache.join("pom.xml");
        fs::write(&pom, POM).context(pom.display())?;
        let pom = pom.display();
        fetch(
            "Kafka 4.1.1 (54 MB)",
            &kafka,
            KAFKA,
            &[
                "copy-dependencies",
                "-DincludeScope=runtime",
                &format!("-f{pom}"),
            ],
        )?;
    }
    let registry = cache.join("registry-2.6.13");
    if !intact(&registry, REGISTRY)? {
        let artifact = format!("-Dartifact={REGISTRY_ARTIFACT}");
        fetch(
            "the schema registry (142 MB)",
            &registry,
            REGISTRY,
            &["copy", &artifact],
        )?;
    }
    let jar = registry.join(REGISTRY_JAR);
    if !jar.exists() {
        let archive = REGISTRY
            .split_whitespace()
            .last()
            .expect("a line of sha256sum names a file");
        run(Command::new("tar")
            .arg("-xzf")
            .arg(registry.join(archive))
            .arg("-C")
            .arg(&registry))?;
    }
    Ok(Downloads {
        kafka,
        registry: jar,
    })
}

/// Whether a folder holds exactly the files that a list of hashes names, unchanged.
fn intact(dir: &Path, hashes: &str) -> Outcome<bool> {
    if !dir.exists() {
        return Ok(false);
    }
    let mut check = Command::new("sha256sum");
    check
        .args(["--check", "--status", "--strict", "-"])
        .current_dir(dir);
    let mut check = check
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot run sha256sum")?;
    let mut input = check.stdin.take().expect("the input is a pipe");
    // It stops reading when it has seen enough to say no.
    let written = input.write_all(hashes.as_bytes());
    drop(input);
    Ok(check.wait().context("waiting for sha256sum")?.success() && written.is_ok())
}

/// Runs one goal of Maven's dependency plugin into `dir`, saying how far it is.
fn fetch(what: &str, dir: &Path, hashes: &str, goal: &[&str]) -> Outcome {
    let (name, options) = goal.split_first().expect("a goal has a name");
    let repository = cache_dir()?.join("m2");
    let mut maven = Command::new("mvn");
    maven.args([
        "-B",
        "-q",
        &format!("-Dmaven.repo.local={}", repository.display()),
    ]);
    maven
        .arg(format!("{DEPENDENCY_PLUGIN}:{name}"))
        .args(options);
    maven
        .arg(format!("-DoutputDirectory={}", dir.display()))
        .current_dir(cache_dir()?);
    say(format!("downloading {what}"));
    if dir.exists() {
        fs::remove_dir_all(dir).context(dir.display())?;
    }
    let started = Instant::now();
    // Its stdout would be taken for ours, which a shell evaluates.
    let mut child = maven
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .context("cannot run mvn")?;
    let mut shown = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().context("waiting for mvn")? {
            break status;
        }
        if shown.elapsed() > Duration::from_secs(5) {
            shown = Instant::now();
            say(format!(
                "  {} MB here after {}",
                size_of(&repository) >> 20,
                duration(started.elapsed())
            ));
        }
        sleep(Duration::from_millis(100));
    };
    if !status.success() {
        return Err(Failure::new(format!(
            "mvn could not get {what}; is Maven Central within reach?"
        )));
    }
    if !intact(dir, hashes)? {
        let dir = dir.display();
        return Err(Failure::new(format!(
            "{what}: the files in {dir} are not those whose hashes this project keeps"
        )));
    }
    Ok(())
}
