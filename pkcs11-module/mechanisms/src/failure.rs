//! The border to AWS-LC: what its failures are to an application.

use strongroom_awslc as awslc;
use strongroom_types::Error;

/// Translates a failure, for `map_err`: input that AWS-LC does not take is the error given.
pub(crate) fn or(invalid: Error) -> impl Fn(awslc::Error) -> Error {
    move |error| match error {
        awslc::Error::Invalid => invalid,
        awslc::Error::Memory => Error::HostMemory,
    }
}
