//! The border to AWS-LC: what its failures are to an application.

use strongroom_awslc as awslc;
use strongroom_types::Error;

/// Translates a failure, for `map_err`: input that AWS-LC does not take is the error given.
pub(crate) fn or(invalid: Error) -> impl Fn(awslc::Error) -> Error {
    otherwise(move || invalid)
}

/// The same, with the reason for the log.
pub(crate) fn or_since(invalid: Error, why: &'static str) -> impl Fn(awslc::Error) -> Error {
    otherwise(move || invalid.since(why))
}

fn otherwise(invalid: impl Fn() -> Error) -> impl Fn(awslc::Error) -> Error {
    move |error| match error {
        awslc::Error::Invalid => invalid(),
        awslc::Error::Memory => Error::HostMemory,
    }
}

/// A parameter that is refused, and the member of it that is the reason.
pub(crate) fn param(why: &'static str) -> Error {
    Error::MechanismParamInvalid.since(why)
}
