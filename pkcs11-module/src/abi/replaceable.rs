//! A static that can be left behind.

use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

/// A value for the rest of the process, or until a fork: made when it is first wanted, never
/// dropped, and abandoned as a whole in a forked child.
///
/// A lock that another thread held at the fork stays locked in the child for ever. Such a lock can
/// not be repaired, but it can be left behind together with all that it guards.
pub(crate) struct Replaceable<T: Sync + 'static>(AtomicPtr<T>);

impl<T: Sync + 'static> Replaceable<T> {
    /// Nothing yet.
    pub(crate) const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// The value, if it has been made.
    pub(crate) fn get(&self) -> Option<&'static T> {
        let value = self.0.load(Ordering::Acquire);
        // SAFETY: null, or a box that `get_or_make` leaked, so it is never freed nor changed.
        unsafe { value.as_ref() }
    }

    /// The value, made now if it has not been.
    pub(crate) fn get_or_make(&self, make: impl FnOnce() -> T) -> &'static T {
        if let Some(value) = self.get() {
            return value;
        }
        let made = Box::into_raw(Box::new(make()));
        match self.0.compare_exchange(ptr::null_mut(), made, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: the box is leaked by now, so it is never freed nor changed.
            Ok(_) => unsafe { &*made },
            Err(first) => {
                // SAFETY: nobody else has seen this pointer, which came from a box.
                drop(unsafe { Box::from_raw(made) });
                // SAFETY: not null, so a box that another caller of this leaked.
                unsafe { &*first }
            }
        }
    }

    /// Puts another value in its place. The old one stays in memory: calls may be using it.
    pub(crate) fn replace(&self, value: T) {
        self.0.store(Box::into_raw(Box::new(value)), Ordering::Release);
    }

    /// Forgets the value without touching it.
    pub(super) fn abandon(&self) {
        self.0.store(ptr::null_mut(), Ordering::Release);
    }
}
