//! Pointers that C handed over, as types that remember the promise.

use core::ffi::c_void;
use core::marker::PhantomData;

use cryptoki_sys::{
    CK_ATTRIBUTE, CK_C_INITIALIZE_ARGS, CK_INTERFACE, CK_MECHANISM, CK_NOTIFY, CK_VERSION,
};
use strongroom_types::{Error, Result};

use super::{CkUlong, MOST_BYTES};

/// A pointer that the caller lets us read until the call returns.
pub(crate) struct InPtr<'call, T>(*mut T, PhantomData<&'call T>);

/// A pointer that the caller lets us read and write until the call returns.
pub(crate) struct OutPtr<'call, T>(*mut T, PhantomData<&'call T>);

/// A place that is known to be there, for one value that is yet to be made.
///
/// Asking for it first keeps a function from doing its work and then having nowhere to put it.
pub(crate) struct Place<'call, T>(OutPtr<'call, T>);

/// Room for bytes, filled piece by piece.
pub(crate) struct Bytes<'call> {
    at: OutPtr<'call, u8>,
    len: usize,
}

/// An argument of a C function: a type of ours, and the type in the C prototype.
pub(crate) trait Argument {
    /// What the prototype says.
    type C;

    /// Takes the argument over.
    ///
    /// # Safety
    ///
    /// A pointer must be null, or stay good for the type's use of it as long as what this returns
    /// lives; so must the pointers in the structures that it leads to.
    unsafe fn from_c(argument: Self::C) -> Self;
}

impl<T> Argument for InPtr<'_, T> {
    type C = *mut T;

    unsafe fn from_c(argument: *mut T) -> Self {
        Self(argument, PhantomData)
    }
}

impl<T> Argument for OutPtr<'_, T> {
    type C = *mut T;

    unsafe fn from_c(argument: *mut T) -> Self {
        Self(argument, PhantomData)
    }
}

macro_rules! plain_arguments {
    ($($ty:ty),*) => {$(
        impl Argument for $ty {
            type C = Self;

            unsafe fn from_c(argument: Self) -> Self {
                argument
            }
        }
    )*};
}

plain_arguments!(u8, CkUlong, CK_NOTIFY);

impl<'call, T> InPtr<'call, T> {
    /// Whether there is nothing at all.
    pub(crate) fn is_null(&self) -> bool {
        self.0.is_null()
    }

    /// The same address, holding something else.
    pub(crate) fn cast<U>(&self) -> InPtr<'call, U> {
        InPtr(self.0.cast(), PhantomData)
    }

    /// The element that lies `index` places further on.
    pub(super) fn element(&self, index: usize) -> Self {
        Self(self.0.wrapping_add(index), PhantomData)
    }

    /// The same address, with this many bytes added.
    pub(super) fn byte_offset(&self, bytes: usize) -> Self {
        Self(self.0.wrapping_byte_add(bytes), PhantomData)
    }

    /// The same address, to be written.
    ///
    /// # Safety
    ///
    /// The standard has the token write there, so the caller of this call lets us.
    pub(super) unsafe fn writable(&self) -> OutPtr<'call, T> {
        OutPtr(self.0, PhantomData)
    }
}

impl<T: Plain> InPtr<'_, T> {
    /// Reads the value, which C callers are free to misalign.
    pub(crate) fn read(&self) -> Result<T> {
        if self.0.is_null() {
            return Err(Error::ArgumentsBad);
        }
        // SAFETY: non-null, and readable during 'call as the caller promises; any bytes there are
        // a `T`, as `Plain` promises.
        Ok(unsafe { self.0.read_unaligned() })
    }
}

impl<'call> InPtr<'call, u8> {
    /// The `len` bytes at this pointer. Null is the empty slice, and nothing else.
    pub(crate) fn slice(&self, len: CkUlong) -> Result<&'call [u8]> {
        let len = checked_len::<u8>(len)?;
        if len == 0 {
            return Ok(&[]);
        }
        if self.0.is_null() {
            return Err(Error::ArgumentsBad);
        }
        // SAFETY: non-null, no longer than an allocation can be, and readable during 'call as the
        // caller promises.
        Ok(unsafe { core::slice::from_raw_parts(self.0, len) })
    }

    /// The same where many bytes are a mistake: a PIN, a signature, a wrapped key. What they are for
    /// would copy or digest all of them before it finds out.
    pub(crate) fn short_slice(&self, len: CkUlong) -> Result<&'call [u8]> {
        let short = usize::try_from(len).is_ok_and(|len| len <= MOST_BYTES);
        let why = || format!("what can not have more than {MOST_BYTES} bytes has {len}");
        if short { self.slice(len) } else { Err(Error::ArgumentsBad.because(why)) }
    }

    /// The `N` bytes at this pointer.
    pub(crate) fn array<const N: usize>(&self) -> Result<[u8; N]> {
        self.cast::<[u8; N]>().read()
    }

    /// Whether this text, which ends with a zero byte, is `text`. Reads no further than it must.
    pub(crate) fn is_text(&self, text: &core::ffi::CStr) -> Result<bool> {
        for (index, byte) in text.to_bytes_with_nul().iter().enumerate() {
            if self.element(index).read()? != *byte {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl<'call, T> OutPtr<'call, T> {
    /// Whether there is nothing at all.
    pub(crate) fn is_null(&self) -> bool {
        self.0.is_null()
    }

    /// The place for a value; null is refused.
    pub(crate) fn place(self) -> Result<Place<'call, T>> {
        if self.0.is_null() { Err(Error::ArgumentsBad) } else { Ok(Place(self)) }
    }

    /// The same address, holding something else.
    pub(super) fn cast<U>(&self) -> OutPtr<'call, U> {
        OutPtr(self.0.cast(), PhantomData)
    }

    /// The element that lies `index` places further on.
    pub(super) fn element(&self, index: usize) -> Self {
        Self(self.0.wrapping_add(index), PhantomData)
    }

    /// Replaces the value.
    pub(super) fn write(&self, value: T) -> Result<()> {
        if self.0.is_null() {
            return Err(Error::ArgumentsBad);
        }
        // SAFETY: non-null, and writable during 'call as the caller promises.
        unsafe { self.0.write_unaligned(value) };
        Ok(())
    }
}

impl<T: Plain> OutPtr<'_, T> {
    /// Reads the value, which C callers are free to misalign.
    pub(super) fn read(&self) -> Result<T> {
        InPtr(self.0, PhantomData).read()
    }
}

impl<'call> OutPtr<'call, u8> {
    /// The room for `len` bytes at this pointer. Null is no room, and nothing else.
    pub(crate) fn bytes(self, len: CkUlong) -> Result<Bytes<'call>> {
        let len = checked_len::<u8>(len)?;
        if len > 0 && self.0.is_null() {
            return Err(Error::ArgumentsBad);
        }
        Ok(Bytes { at: self, len })
    }

    /// Replaces as many bytes as `bytes` has; the caller of this has seen that there is room for them.
    pub(super) fn write_bytes(&self, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.0.is_null() {
            return Err(Error::ArgumentsBad);
        }
        // SAFETY: non-null, and writable during 'call for the length that the caller named, which
        // holds `bytes`. They are our own allocation, so the two do not overlap.
        unsafe { self.0.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Ok(())
    }
}

impl<T> Place<'_, T> {
    /// Puts the value there.
    pub(crate) fn put(self, value: T) -> Result<()> {
        self.0.write(value)
    }
}

impl Bytes<'_> {
    /// How many bytes are still to be filled.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Fills the next bytes.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.len = self.len.checked_sub(bytes.len()).ok_or(Error::GeneralError)?;
        self.at.write_bytes(bytes)?;
        self.at = self.at.element(bytes.len());
        Ok(())
    }
}

/// A process has no more addresses than this unless it asks for one beyond, on processors that have more
/// than these 48 bits; on x86-64 the kernel has half of them. So nothing is longer.
const MOST_MEMORY: u64 = if cfg!(target_arch = "x86_64") { 1 << 47 } else { 1 << 48 };

/// A length that memory can have, in elements of `T`.
pub(super) fn checked_len<T>(len: CkUlong) -> Result<usize> {
    let len = usize::try_from(len).map_err(|_| Error::ArgumentsBad)?;
    let bytes = len.checked_mul(size_of::<T>()).ok_or(Error::ArgumentsBad)?;
    let bytes = isize::try_from(bytes).map_err(|_| Error::ArgumentsBad)?;
    if u64::try_from(bytes).is_ok_and(|bytes| bytes <= MOST_MEMORY) {
        Ok(len)
    } else {
        Err(Error::ArgumentsBad)
    }
}

/// Types that C may hand us.
///
/// # Safety
///
/// Every initialised bit pattern is a value of the type.
pub(crate) unsafe trait Plain: Copy {}

macro_rules! plain {
    ($($ty:ty: $why:literal;)*) => {$(
        #[doc = $why]
        // SAFETY: see the line above.
        unsafe impl Plain for $ty {}
    )*};
}

plain! {
    u8: "An integer.";
    CkUlong: "An integer.";
    *mut u8: "Any bits are a pointer; reading it is not following it.";
    CK_VERSION: "Made of integers.";
    CK_ATTRIBUTE: "Made of integers and pointers.";
    CK_MECHANISM: "Made of integers and pointers.";
    CK_INTERFACE: "Made of integers and pointers.";
    cryptoki_sys::CK_RSA_PKCS_OAEP_PARAMS: "Made of integers and a pointer.";
    CK_C_INITIALIZE_ARGS: "Made of integers, pointers and optional functions.";
}

// SAFETY: made of integers.
unsafe impl<const N: usize> Plain for [u8; N] {}

impl<'call> InPtr<'call, c_void> {
    /// A pointer that was found in a structure of the caller's.
    ///
    /// # Safety
    ///
    /// The structure came from the caller of this call, who promises the same for the pointers in
    /// it as for the pointer to it.
    pub(super) unsafe fn found<T>(pointer: *mut T) -> InPtr<'call, T> {
        InPtr(pointer, PhantomData)
    }
}

impl<'call> OutPtr<'call, c_void> {
    /// A pointer that was found in a structure of the caller's.
    ///
    /// # Safety
    ///
    /// The structure came from the caller of this call, who promises the same for the pointers in
    /// it as for the pointer to it.
    pub(super) unsafe fn found<T>(pointer: *mut T) -> OutPtr<'call, T> {
        OutPtr(pointer, PhantomData)
    }
}

#[cfg(test)]
mod tests {
    use strongroom_types::reason;

    use super::*;

    fn input<T>(value: &mut T) -> InPtr<'_, T> {
        InPtr(&raw mut *value, PhantomData)
    }

    #[test]
    fn null_is_the_empty_slice_and_nothing_else() {
        let null = InPtr::<u8>(core::ptr::null_mut(), PhantomData);
        assert_eq!(null.slice(0), Ok([].as_slice()));
        assert_eq!(null.slice(1), Err(Error::ArgumentsBad));
        assert_eq!(null.read(), Err(Error::ArgumentsBad));
        assert_eq!(null.array::<32>(), Err(Error::ArgumentsBad));
        assert_eq!(input(&mut 7).slice(1), Ok([7].as_slice()));
        assert_eq!(input(&mut 7).slice(0), Ok([].as_slice()));
    }

    #[test]
    fn lengths_that_memory_can_not_have_are_refused() {
        let mut byte = 0;
        for len in [CkUlong::MAX, CkUlong::MAX / 2 + 1, CkUlong::MAX / 2, CkUlong::MAX >> 15] {
            assert_eq!(input(&mut byte).slice(len), Err(Error::ArgumentsBad));
        }
        assert_eq!(checked_len::<CK_ATTRIBUTE>(CkUlong::MAX / 4), Err(Error::ArgumentsBad));
        let more = CkUlong::try_from(MOST_BYTES + 1).unwrap();
        let (outcome, account) = reason::record(|| input(&mut byte).short_slice(more));
        assert_eq!(outcome, Err(Error::ArgumentsBad));
        assert_eq!(account.why, "what can not have more than 67108864 bytes has 67108865");
        assert_eq!(input(&mut byte).short_slice(1), Ok([0].as_slice()));
    }

    #[test]
    fn values_may_be_misaligned() {
        let mut bytes = [0_u8; 2 * size_of::<CkUlong>()];
        let odd = OutPtr(bytes[1..].as_mut_ptr().cast::<CkUlong>(), PhantomData);
        odd.write(0x0102_0304).unwrap();
        assert_eq!(odd.read(), Ok(0x0102_0304));
    }

    #[test]
    fn text_is_read_no_further_than_it_agrees() {
        for (mut text, agrees) in
            [(*b"PKCS 11\0", true), (*b"PKCS 11x", false), (*b"Q.......", false)]
        {
            let text = InPtr(text.as_mut_ptr(), PhantomData);
            assert_eq!(text.is_text(c"PKCS 11"), Ok(agrees));
        }
        // A shorter text ends the comparison: nothing behind its zero byte is read.
        let mut short = *b"PK\0";
        assert_eq!(InPtr(short.as_mut_ptr(), PhantomData).is_text(c"PKCS 11"), Ok(false));
    }

    #[test]
    fn a_place_is_asked_for_before_the_work() {
        assert!(OutPtr::<CkUlong>(core::ptr::null_mut(), PhantomData).place().is_err());
        let mut handle = 0;
        OutPtr(&raw mut handle, PhantomData).place().unwrap().put(9).unwrap();
        assert_eq!(handle, 9);
    }
}
