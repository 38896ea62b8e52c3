//! Black-box tests of a PKCS#11 module.
