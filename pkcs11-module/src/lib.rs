//! The PKCS#11 C interface of Strongroom.
