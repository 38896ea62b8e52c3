//! Numbers, names, errors, attributes and values of PKCS#11.
