//! One instance of a plugin: opened, called under limits, dropped when a call does not come back in order, opened
//! again for the next call.

use crate::abi;
use crate::error::Verdict;
use crate::load::{Exports, Loaded};
use crate::ticker::Ticker;
use std::sync::Arc;
use wasmtime::component::{Func, Instance, InstancePre, ResourceAny};
use wasmtime::{Engine, ResourceLimiter, Store, Trap};
use weir_stage::{Limits, Opening};

/// Enough for the tables of every known language's runtime.
const TABLE_ELEMENTS_MAX: usize = 100_000;
/// `describe` answers constants.
const DESCRIBE_MS_MAX: u32 = 5_000;
const DESCRIBE_MEMORY_MIB_MAX: u32 = 256;
/// `open` may read tables of rules: it gets more time than a call, within its own bound.
const OPEN_CALLS: u32 = 4;

/// What a store knows of its limits.
#[derive(Debug)]
pub(crate) struct Guard {
    memory_max: usize,
    /// The memory was refused to grow past its limit.
    is_full: bool,
}

impl ResourceLimiter for Guard {
    fn memory_growing(
        &mut self,
        _now: usize,
        wanted: usize,
        _most: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if wanted <= self.memory_max {
            return Ok(true);
        }
        self.is_full = true;
        Err(wasmtime::Error::msg("memory limit"))
    }

    fn table_growing(
        &mut self,
        _now: usize,
        wanted: usize,
        _most: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(wanted <= TABLE_ELEMENTS_MAX)
    }
}

/// What stays the same over all instances of one stage.
pub(crate) struct Sandbox {
    loaded: Arc<Loaded>,
    opening: Opening,
    inputs: Vec<abi::Port>,
    key: Vec<abi::Field>,
    outputs: Vec<abi::Port>,
    limits: Limits,
    live: Option<Live>,
}

/// An instance that is in order.
pub(crate) struct Live {
    pub(crate) store: Store<Guard>,
    pub(crate) instance: ResourceAny,
    pub(crate) run: Func,
}

impl Sandbox {
    /// Opens an instance, which must declare these outputs.
    pub(crate) fn open(
        loaded: Arc<Loaded>,
        opening: Opening,
        ports: (Vec<abi::Port>, Vec<abi::Field>, Vec<abi::Port>),
        limits: Limits,
    ) -> Result<Self, Verdict> {
        let (inputs, key, outputs) = ports;
        let mut sandbox = Self {
            loaded,
            opening,
            inputs,
            key,
            outputs,
            limits,
            live: None,
        };
        sandbox.live = Some(sandbox.start()?);
        Ok(sandbox)
    }

    pub(crate) fn name(&self) -> &str {
        &self.loaded.description.name
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Calls the plugin with at most `deadline_ms`. When it does not come back in order, the instance is gone.
    pub(crate) fn call<R>(
        &mut self,
        deadline_ms: u32,
        call: impl FnOnce(&mut Live) -> wasmtime::Result<R>,
    ) -> Result<R, Verdict> {
        let mut live = match self.live.take() {
            Some(live) => live,
            None => self.start()?,
        };
        live.store.set_epoch_deadline(Ticker::ticks(deadline_ms));
        let answer = call(&mut live).map_err(|error| verdict(&live.store, &error, deadline_ms))?;
        self.live = Some(live);
        Ok(answer)
    }

    fn start(&self) -> Result<Live, Verdict> {
        let deadline_ms = self.limits.call_ms_max.saturating_mul(OPEN_CALLS);
        let mut store = store(&self.loaded.engine, deadline_ms, self.limits.memory_mib_max);
        let started = self.start_in(&mut store);
        let started = started.map_err(|error| Verdict {
            divisible: false,
            ..verdict(&store, &error, deadline_ms)
        })?;
        started.map(|(instance, run)| Live {
            store,
            instance,
            run,
        })
    }

    fn start_in(
        &self,
        store: &mut Store<Guard>,
    ) -> wasmtime::Result<Result<(ResourceAny, Func), Verdict>> {
        let whole = self.loaded.pre.instantiate(&mut *store)?;
        let exports = &self.loaded.exports;
        let open = function(store, &whole, &exports.open)?;
        let open =
            open.typed::<(abi::Opening<'_>,), (Result<ResourceAny, abi::Failure>,)>(&*store)?;
        let data = self
            .opening
            .data
            .iter()
            .map(|(name, bytes)| abi::DataFile { name, bytes });
        let opening = abi::Opening {
            config: &self.opening.config,
            data: data.collect(),
            inputs: &self.inputs,
            key: &self.key,
            properties: &[],
        };
        let instance = match open.call(&mut *store, (opening,))?.0 {
            Ok(instance) => instance,
            Err(failure) => return Ok(Err(failed(&failure))),
        };
        let outputs = function(store, &whole, &exports.outputs)?;
        let outputs = outputs.typed::<(ResourceAny,), (Vec<abi::Port>,)>(&*store)?;
        let outputs = outputs.call(&mut *store, (instance,))?.0;
        if let Some(why) = difference(&self.outputs, &outputs) {
            return Ok(Err(Verdict::wrong("plugin_output", why)));
        }
        let run = function(store, &whole, &exports.run)?;
        Ok(Ok((instance, run)))
    }
}

/// Asks a plugin that is not opened what it is.
pub(crate) fn describe(
    engine: &Engine,
    pre: &InstancePre<Guard>,
    exports: &Exports,
) -> Result<abi::Description, Verdict> {
    let mut store = store(engine, DESCRIBE_MS_MAX, DESCRIBE_MEMORY_MIB_MAX);
    let mut ask = || {
        let whole = pre.instantiate(&mut store)?;
        let describe = function(&mut store, &whole, &exports.describe)?;
        let describe = describe.typed::<(), (abi::Description,)>(&store)?;
        describe.call(&mut store, ())
    };
    let answer = ask();
    answer
        .map(|(description,)| description)
        .map_err(|error| verdict(&store, &error, DESCRIBE_MS_MAX))
}

/// What the plugin itself says went wrong.
pub(crate) fn failed(failure: &abi::Failure) -> Verdict {
    let message = format!("{}: {}", failure.code, failure.message);
    Verdict {
        code: "plugin_failed",
        message,
        transient: failure.transient,
        divisible: false,
    }
}

fn store(engine: &Engine, deadline_ms: u32, memory_mib_max: u32) -> Store<Guard> {
    let memory_max = usize::try_from(memory_mib_max)
        .unwrap_or(usize::MAX)
        .saturating_mul(1 << 20);
    let mut store = Store::new(
        engine,
        Guard {
            memory_max,
            is_full: false,
        },
    );
    store.limiter(|guard| guard);
    // An answer is a copy of what lies in the plugin's memory; one that names the same bytes twice is no answer.
    store.set_hostcall_fuel(memory_max);
    store.set_epoch_deadline(Ticker::ticks(deadline_ms));
    store
}

fn function(
    store: &mut Store<Guard>,
    instance: &Instance,
    index: &wasmtime::component::ComponentExportIndex,
) -> wasmtime::Result<Func> {
    instance
        .get_func(store, index)
        .ok_or_else(|| wasmtime::Error::msg("an export is no function"))
}

/// Why a call did not come back in order.
fn verdict(store: &Store<Guard>, error: &wasmtime::Error, deadline_ms: u32) -> Verdict {
    if store.data().is_full {
        let mib = store.data().memory_max >> 20;
        let message = format!("it wants more than {mib} MiB of memory (`memory_mib_max`)");
        return Verdict::stopped("plugin_memory", message);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => Verdict::stopped(
            "plugin_deadline",
            format!("it does not answer within {deadline_ms} ms (`call_ms_max`)"),
        ),
        Some(trap) => Verdict::stopped("plugin_trap", trap.to_string()),
        None => Verdict::stopped("plugin_output", format!("{error:#}")),
    }
}

/// How the outputs that an instance names differ from those of its description.
fn difference(declared: &[abi::Port], named: &[abi::Port]) -> Option<String> {
    if declared.len() != named.len() {
        return Some(format!(
            "it opens with {} outputs, its description has {}",
            named.len(),
            declared.len()
        ));
    }
    for (declared, named) in declared.iter().zip(named) {
        let equal = |(a, b): (&abi::Field, &abi::Field)| {
            a.name == b.name
                && a.kind == b.kind
                && a.nullable == b.nullable
                && a.children == b.children
        };
        let same = declared.fields.len() == named.fields.len()
            && declared.fields.iter().zip(&named.fields).all(equal);
        if declared.name != named.name || !same {
            return Some(format!(
                "output `{}` is not `{}` as it is described",
                named.name, declared.name
            ));
        }
    }
    None
}
