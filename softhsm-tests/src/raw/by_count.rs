//! A C function, called with as many words as it has arguments. `tools/hostile` includes this file: what
//! fuzzes the C interface calls it in the same way.

use cryptoki_sys::{CK_RV, CK_ULONG};

/// Calls a function with this many words.
macro_rules! call_with {
    ($function:expr, $words:expr; $($count:literal: $($index:literal)*;)*) => {
        match $words.len() {
            $($count => {
                type Function = unsafe extern "C" fn($(call_with!(@word $index)),*) -> CK_RV;
                // SAFETY: C passes numbers and pointers of a word's width alike, so this type calls
                // any function of so many of them.
                let function: Function = unsafe { std::mem::transmute($function) };
                // SAFETY: as the caller promises.
                unsafe { function($($words[$index]),*) }
            })*
            count => panic!("no function has {count} arguments"),
        }
    };
    (@word $index:literal) => { CK_ULONG };
}

/// Calls a function of a Cryptoki module.
///
/// # Safety
///
/// The function is one of the standard's, of so many arguments. What is wrong with the words is what the
/// module has to find out; the pointers among them are good for what goes with them, or null, or go with a
/// length that no memory has.
pub(crate) unsafe fn call(function: *const (), words: &[CK_ULONG]) -> CK_RV {
    call_with! { function, words;
        1: 0;
        2: 0 1;
        3: 0 1 2;
        4: 0 1 2 3;
        5: 0 1 2 3 4;
        6: 0 1 2 3 4 5;
        7: 0 1 2 3 4 5 6;
        8: 0 1 2 3 4 5 6 7;
        9: 0 1 2 3 4 5 6 7 8;
        10: 0 1 2 3 4 5 6 7 8 9;
    }
}
