//! P-192, which AWS-LC computes on like on any other curve once it is told the numbers.

use std::sync::OnceLock;

use aws_lc_sys as sys;

use crate::error::{Result, check, failed};
use crate::owned::{EcPoint, Number};

// FIPS 186-4, D.1.2.1.
const PRIME: &[u8] = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\
    \xff\xff\xff\xfe\xff\xff\xff\xff\xff\xff\xff\xff";
const A: &[u8] = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\
    \xff\xff\xff\xfe\xff\xff\xff\xff\xff\xff\xff\xfc";
const B: &[u8] = b"\x64\x21\x05\x19\xe5\x9c\x80\xe7\x0f\xa7\xe9\xab\
    \x72\x24\x30\x49\xfe\xb8\xde\xec\xc1\x46\xb9\xb1";
const X: &[u8] = b"\x18\x8d\xa8\x0e\xb0\x30\x90\xf6\x7c\xbf\x20\xeb\
    \x43\xa1\x88\x00\xf4\xff\x0a\xfd\x82\xff\x10\x12";
const Y: &[u8] = b"\x07\x19\x2b\x95\xff\xc8\xda\x78\x63\x10\x11\xed\
    \x6b\x24\xcd\xd5\x73\xf9\x77\xa1\x1e\x79\x48\x11";
const ORDER: &[u8] = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\
    \x99\xde\xf8\x36\x14\x6b\xc9\xb1\xb4\xd2\x28\x31";

/// A group that is never freed, as those of AWS-LC's own curves.
struct Group(*const sys::EC_GROUP);

// SAFETY: nobody changes the group once it is here, and no thread owns it.
unsafe impl Send for Group {}
// SAFETY: ec.h allows any number of threads to use a group that none of them changes.
unsafe impl Sync for Group {}

/// The group, made when it is asked for first.
pub(super) fn group() -> Result<*const sys::EC_GROUP> {
    static GROUP: OnceLock<Group> = OnceLock::new();
    if let Some(group) = GROUP.get() {
        return Ok(group.0);
    }
    let made = make()?;
    // Who comes second forgets what he made: it is a matter of some hundred bytes, once.
    Ok(GROUP.get_or_init(|| Group(made)).0)
}

fn make() -> Result<*const sys::EC_GROUP> {
    let [prime, a, b] =
        [Number::from_bytes(PRIME)?, Number::from_bytes(A)?, Number::from_bytes(B)?];
    let null = core::ptr::null_mut();
    // SAFETY: the numbers are alive; the context may be null.
    let group =
        unsafe { sys::EC_GROUP_new_curve_GFp(prime.as_ptr(), a.as_ptr(), b.as_ptr(), null) };
    if group.is_null() {
        return Err(failed());
    }
    let generator = generator(group)?;
    let [order, cofactor] = [Number::from_bytes(ORDER)?, Number::from_bytes(&[1])?];
    // SAFETY: group, point and numbers are alive, and nobody else has the group yet.
    check(unsafe {
        sys::EC_GROUP_set_generator(group, generator.as_ptr(), order.as_ptr(), cofactor.as_ptr())
    })?;
    Ok(group)
}

fn generator(group: *const sys::EC_GROUP) -> Result<EcPoint> {
    // SAFETY: the group is alive.
    let made = unsafe { sys::EC_POINT_new(group) };
    // SAFETY: the new point is nobody else's.
    let point = unsafe { EcPoint::take(made) }?;
    let [x, y] = [Number::from_bytes(X)?, Number::from_bytes(Y)?];
    let null = core::ptr::null_mut();
    // SAFETY: group, point and numbers are alive; the context may be null. It checks that the point
    // is on the curve.
    check(unsafe {
        sys::EC_POINT_set_affine_coordinates_GFp(
            group,
            point.as_ptr(),
            x.as_ptr(),
            y.as_ptr(),
            null,
        )
    })?;
    Ok(point)
}
