//! The C interface of Strongroom: what an application gets when it loads the module.
//!
//! Two rooms and a hallway. `abi` is the only place that may say `unsafe`: it turns pointers,
//! lengths, templates and mechanisms into values, and values into what C expects. `entry` holds
//! the functions of chapter 5, in safe code. `module` holds the one global: the application
//! between `C_Initialize` and `C_Finalize`. `interface` holds the function lists.
//!
//! This crate knows no cryptography, no storage and no rule about objects. What it decides on its
//! own, because the standard leaves a choice, stands in `CONFORMANCE.md`.

#![deny(unsafe_code)]

#[allow(unsafe_code, reason = "the C interface is made of raw pointers")]
#[macro_use]
mod abi;
mod entry;
mod interface;
mod log;
mod module;
mod remote;
