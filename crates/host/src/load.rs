//! Plugin files to compiled code, once per file: in memory by the hash of its bytes, on disk by that hash and the
//! runtime's version and settings.

use crate::abi;
use crate::describe::{Description, SECTION, World};
use crate::error::{HostError, Verdict};
use crate::sandbox::Guard;
use crate::section::{self, FileKind};
use crate::ticker::Ticker;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker};
use wasmtime::{Config, Engine, OptLevel};
use weir_stage::PluginError;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// The largest stack of a plugin: deep recursion is a trap, not the end of the process.
const STACK_BYTES_MAX: usize = 512 << 10;

/// The runtime, and what is loaded.
pub(crate) struct Loader {
    engine: Engine,
    cache: Option<PathBuf>,
    loaded: Mutex<BTreeMap<u128, Arc<Loaded>>>,
    ticker: Arc<Ticker>,
}

/// A plugin's compiled code, shared by all of its instances.
pub(crate) struct Loaded {
    pub(crate) engine: Engine,
    pub(crate) description: Description,
    pub(crate) pre: InstancePre<Guard>,
    pub(crate) exports: Exports,
    /// Instances outlive the host; deadlines must too.
    _ticker: Arc<Ticker>,
}

/// Where the world's functions are.
pub(crate) struct Exports {
    pub(crate) describe: ComponentExportIndex,
    pub(crate) open: ComponentExportIndex,
    pub(crate) outputs: ComponentExportIndex,
    pub(crate) run: ComponentExportIndex,
}

impl Loader {
    pub(crate) fn new(cache: Option<PathBuf>) -> Result<Self, HostError> {
        if let Some(path) = &cache {
            std::fs::create_dir_all(path).map_err(|source| HostError::Cache {
                path: path.clone(),
                source,
            })?;
        }
        let mut config = Config::new();
        config
            .wasm_component_model(true)
            .epoch_interruption(true)
            .max_wasm_stack(STACK_BYTES_MAX);
        config
            .cranelift_opt_level(OptLevel::Speed)
            .cranelift_nan_canonicalization(true);
        let engine =
            Engine::new(&config).map_err(|error| HostError::Runtime(format!("{error:#}")))?;
        let ticker =
            Ticker::start(engine.clone()).map_err(|error| HostError::Runtime(error.to_string()))?;
        Ok(Self {
            engine,
            cache,
            loaded: Mutex::default(),
            ticker: Arc::new(ticker),
        })
    }

    /// The compiled plugin of this file.
    pub(crate) fn load(&self, file: &Path) -> Result<Arc<Loaded>, PluginError> {
        let bytes = read(file)?;
        let hash = xxh3_128(&bytes);
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = loaded.get(&hash) {
            return Ok(Arc::clone(known));
        }
        let description = describe(&bytes).map_err(|verdict| verdict.of(&stem(file)))?;
        let new = self
            .compile(&bytes, hash, description)
            .map_err(|verdict| verdict.of(&stem(file)))?;
        let new = Arc::new(new);
        loaded.insert(hash, Arc::clone(&new));
        Ok(new)
    }

    /// Compiles a component whose description is not known yet, and asks for it.
    pub(crate) fn first(&self, component: &[u8]) -> Result<(World, abi::Description), Verdict> {
        let component = Component::new(&self.engine, component)
            .map_err(|error| invalid(&format!("{error:#}")))?;
        let (world, pre, exports) = self.prepare(&component)?;
        Ok((
            world,
            crate::sandbox::describe(&self.engine, &pre, &exports)?,
        ))
    }

    fn compile(
        &self,
        bytes: &[u8],
        hash: u128,
        description: Description,
    ) -> Result<Loaded, Verdict> {
        let component = self
            .component(bytes, hash)
            .map_err(|error| invalid(&format!("{error:#}")))?;
        let (world, pre, exports) = self.prepare(&component)?;
        if world != description.world {
            let (says, is) = (description.world.name(), world.name());
            return Err(invalid(&format!(
                "its description says {says}, its exports are those of a {is}: pack it again"
            )));
        }
        Ok(Loaded {
            engine: self.engine.clone(),
            description,
            pre,
            exports,
            _ticker: Arc::clone(&self.ticker),
        })
    }

    /// Checks what it imports and exports.
    fn prepare(
        &self,
        component: &Component,
    ) -> Result<(World, InstancePre<Guard>, Exports), Verdict> {
        let mut linker = Linker::new(&self.engine);
        refuse_imports(&self.engine, component, &mut linker)?;
        let world = world_of(&self.engine, component)?;
        let exports = exports(component, world)?;
        let pre = linker
            .instantiate_pre(component)
            .map_err(|error| invalid(&format!("{error:#}")))?;
        Ok((world, pre, exports))
    }

    /// From the cache folder, else compiled and put there. A cache that cannot be read or written is only slow.
    fn component(&self, bytes: &[u8], hash: u128) -> wasmtime::Result<Component> {
        let Some(folder) = &self.cache else {
            return Component::new(&self.engine, bytes);
        };
        let path = folder.join(format!("{hash:032x}-{:016x}.cwasm", self.settings()));
        if let Some(component) = self.cached(&path) {
            return Ok(component);
        }
        let component = Component::new(&self.engine, bytes)?;
        if let Err(error) = store(&path, &component.serialize()?) {
            tracing::warn!(%error, path = %path.display(), "compiled plugin is not cached");
        }
        Ok(component)
    }

    #[expect(
        unsafe_code,
        reason = "the folder is this user's own, files get there whole by rename, and their name holds the hash of the \
                  plugin and of the runtime's version and settings"
    )]
    fn cached(&self, path: &Path) -> Option<Component> {
        if !path.exists() {
            return None;
        }
        // SAFETY: only `store` writes here, and only what `Component::serialize` gave for these bytes and settings.
        match unsafe { Component::deserialize_file(&self.engine, path) } {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "cached plugin code is not used");
                None
            }
        }
    }

    /// A hash of the runtime's version and settings.
    fn settings(&self) -> u64 {
        let mut hasher = Xxh3::new();
        self.engine
            .precompile_compatibility_hash()
            .hash(&mut hasher);
        hasher.finish()
    }
}

impl std::fmt::Debug for Loader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loader")
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

/// A plugin file's description, without compiling or running it.
pub(crate) fn description(file: &Path) -> Result<Description, PluginError> {
    describe(&read(file)?).map_err(|verdict| verdict.of(&stem(file)))
}

/// The name of a plugin whose own is not known.
pub(crate) fn stem(file: &Path) -> String {
    file.file_stem()
        .unwrap_or(file.as_os_str())
        .to_string_lossy()
        .into_owned()
}

fn read(file: &Path) -> Result<Vec<u8>, PluginError> {
    let cause = |error: std::io::Error| {
        let cure =
            "build plugins with `cargo xtask plugins`, or correct `plugins:` or the plugin's name";
        Verdict::wrong(
            "plugin_missing",
            format!("cannot read {}: {error}; {cure}", file.display()),
        )
        .of(&stem(file))
    };
    std::fs::read(file).map_err(cause)
}

fn describe(bytes: &[u8]) -> Result<Description, Verdict> {
    match section::kind_of(bytes) {
        FileKind::Component => {}
        FileKind::Module => {
            return Err(invalid(
                "the file is a core module: pack it with `weir plugin pack`",
            ));
        }
        FileKind::Other => return Err(invalid("the file is not WebAssembly")),
    }
    let text = section::find(bytes, SECTION)
        .ok_or_else(|| invalid("the file has no description: pack it with `weir plugin pack`"))?;
    let description: Description = serde_json::from_slice(text).map_err(|error| {
        invalid(&format!(
            "its description cannot be read ({error}): pack it again"
        ))
    })?;
    description.check().map_err(|why| invalid(&why))?;
    Ok(description)
}

fn invalid(why: &str) -> Verdict {
    Verdict::wrong("plugin_invalid", why)
}

/// Which of the known worlds it exports.
fn world_of(engine: &Engine, component: &Component) -> Result<World, Verdict> {
    let known = [World::Transform, World::Group];
    let exports: Vec<String> = component
        .component_type()
        .exports(engine)
        .map(|(name, _)| name.to_owned())
        .collect();
    let found = known
        .into_iter()
        .find(|world| exports.iter().any(|export| export == world.interface()));
    found.ok_or_else(|| {
        let known = known.map(World::interface).join("` or `");
        let exports = if exports.is_empty() {
            "nothing".to_owned()
        } else {
            format!("`{}`", exports.join("`, `"))
        };
        Verdict::wrong(
            "plugin_version",
            format!("it exports {exports}; this host runs plugins that export `{known}`"),
        )
    })
}

/// A plugin imports no function. Instances that hold types alone are no function.
fn refuse_imports(
    engine: &Engine,
    component: &Component,
    linker: &mut Linker<Guard>,
) -> Result<(), Verdict> {
    for (name, item) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(instance) = item.ty else {
            return Err(Verdict::wrong(
                "plugin_imports",
                format!("it imports `{name}`; a plugin imports nothing"),
            ));
        };
        for (part, item) in instance.exports(engine) {
            if !matches!(item.ty, ComponentItem::Type(_)) {
                let message = format!(
                    "it imports `{part}` of `{name}`; a plugin imports nothing, neither time nor files"
                );
                return Err(Verdict::wrong("plugin_imports", message));
            }
        }
        linker
            .instance(name)
            .map_err(|error| invalid(&format!("{error:#}")))?;
    }
    Ok(())
}

fn exports(component: &Component, world: World) -> Result<Exports, Verdict> {
    let interface = component.get_export_index(None, world.interface());
    let find = |name: &str| {
        let index = interface
            .as_ref()
            .and_then(|interface| component.get_export_index(Some(interface), name));
        let missing = || format!("`{}` has no function `{name}`", world.interface());
        index.ok_or_else(|| Verdict::wrong("plugin_version", missing()))
    };
    let run = match world {
        World::Transform => "[method]instance.transform",
        World::Group => "[method]instance.evaluate",
    };
    Ok(Exports {
        describe: find("describe")?,
        open: find("[static]instance.open")?,
        outputs: find("[method]instance.outputs")?,
        run: find(run)?,
    })
}

/// Writes a file whole: under another name first, as several processes may do this at once.
fn store(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let partial = path.with_extension(format!("{}-{number}.partial", std::process::id()));
    std::fs::write(&partial, bytes)?;
    std::fs::rename(&partial, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_stage::Plugins as _;

    /// `(component (import "now" (func)))`
    const IMPORTS_A_FUNCTION: &[u8] =
        b"\0asm\x0d\0\x01\0\x07\x05\x01\x40\0\x01\0\x0a\x08\x01\0\x03now\x01\0";
    /// `(component (import "a:b/clock" (instance (export "now" (func)))))`
    const IMPORTS_A_CLOCK: &[u8] =
        b"\0asm\x0d\0\x01\0\x07\x10\x01\x42\x02\x01\x40\0\x01\0\x04\0\x03now\x01\0\
        \x0a\x0e\x01\0\x09a:b/clock\x05\0";
    const DESCRIPTION: &[u8] =
        br#"{"world":"transform","name":"curious","version":"1","config_schema":"{}","shapes":[{
        "inputs":[{"name":"in","fields":[{"name":"a","kind":"utf8","nullable":true}]}],
        "outputs":[{"name":"out","fields":[{"name":"a","kind":"utf8","nullable":true}]}]}]}"#;

    fn message_of(component: &[u8]) -> String {
        let mut file = component.to_vec();
        section::append(&mut file, SECTION, DESCRIPTION);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("curious.wasm");
        std::fs::write(&path, file).unwrap();
        let host = crate::Host::new(None).unwrap();
        let opened = host.open_transform(
            &path,
            &weir_stage::Opening {
                config: "{}".to_owned(),
                ..Default::default()
            },
            &weir_stage::Limits::default(),
        );
        opened
            .err()
            .expect("what imports a function is refused")
            .to_string()
    }

    /// Whatever a plugin imports is refused by its name.
    #[test]
    fn imports_are_refused() {
        assert_eq!(
            message_of(IMPORTS_A_FUNCTION),
            "plugin curious: it imports `now`; a plugin imports nothing"
        );
        assert_eq!(
            message_of(IMPORTS_A_CLOCK),
            "plugin curious: it imports `now` of `a:b/clock`; a plugin imports nothing, neither time nor files"
        );
        assert!(
            message_of(b"\0asm\x0d\0\x01\0")
                .contains("it exports nothing; this host runs plugins that export")
        );
    }
}
