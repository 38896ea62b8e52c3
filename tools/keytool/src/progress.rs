//! Progress, where work takes longer than a second.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How long a person waits without wondering.
const PATIENCE: Duration = Duration::from_secs(1);

/// Runs `work`, and shows that it is running when it takes longer than a second.
pub(crate) fn while_waiting<T>(show: bool, what: &'static str, work: impl FnOnce() -> T) -> T {
    if !show {
        return work();
    }
    let (finished, wait) = channel::<()>();
    // The module's session stays on this thread; only the drawing moves to another.
    let drawing = std::thread::spawn(move || {
        if let Err(RecvTimeoutError::Timeout) = wait.recv_timeout(PATIENCE) {
            let spinner = ProgressBar::new_spinner().with_message(what);
            spinner.enable_steady_tick(Duration::from_millis(100));
            // Ends when the other side of the channel is dropped.
            let _ended = wait.recv();
            spinner.finish_and_clear();
        }
    });
    let value = work();
    drop(finished);
    // A drawing thread that failed has nothing to say about the work.
    let _drawn = drawing.join();
    value
}

/// How much of a file is done.
pub(crate) struct Bar {
    show: bool,
    started: Instant,
    total: u64,
    done: u64,
    bar: Option<ProgressBar>,
}

impl Bar {
    /// A bar for `total` bytes, 0 when nobody knows.
    pub(crate) fn new(show: bool, total: u64) -> Self {
        Self { show, started: Instant::now(), total, done: 0, bar: None }
    }

    /// Counts bytes that were worked off.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.done = self.done.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        if self.bar.is_none() && self.show && self.started.elapsed() > PATIENCE {
            self.bar = Some(draw(self.total));
        }
        if let Some(bar) = &self.bar {
            bar.set_position(self.done);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn draw(total: u64) -> ProgressBar {
    if total == 0 {
        return ProgressBar::new_spinner();
    }
    let bar = ProgressBar::new(total);
    match ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
