//! Mechanisms and key types, one row each.
