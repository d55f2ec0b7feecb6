//! What ends calls that do not end: a thread that moves the runtime's epoch on at a fixed pace.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use wasmtime::Engine;

/// The pace: how exact deadlines are. A hundred wake-ups a second cost nothing that can be measured.
const TICK_MS: u32 = 10;

/// The thread; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Ticker {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    pub(crate) fn start(engine: Engine) -> std::io::Result<Self> {
        let (stop, stopped) = sync_channel(1);
        let thread = std::thread::Builder::new().name("weir-plugin-clock".to_owned());
        let thread = thread.spawn(move || run(&engine, &stopped))?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The number of ticks that take at least so long.
    pub(crate) fn ticks(ms: u32) -> u64 {
        u64::from(ms.div_ceil(TICK_MS)) + 1
    }
}

fn run(engine: &Engine, stopped: &Receiver<()>) {
    while stopped.recv_timeout(Duration::from_millis(TICK_MS.into()))
        == Err(RecvTimeoutError::Timeout)
    {
        engine.increment_epoch();
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the ticker does not panic");
        }
    }
}
