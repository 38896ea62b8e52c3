//! Safe wrappers over AWS-LC.
