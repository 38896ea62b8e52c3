//! What a call may cost because a parameter says so: a count of iterations, or an input that goes into
//! each block of a long output. Nobody keeps a worker of a daemon busy for an hour by one number.

use strongroom_types::Result;

use crate::failure::param;

/// How many blocks a call computes at the most because a parameter says so, which takes some seconds: the
/// largest count of iterations in the tests of PBKDF2 (RFC 6070). The standard sets no limit.
pub const MOST_ROUNDS: u64 = 1 << 24;

/// What a round of a hash function takes in, in bytes; those that take more in are not faster for each.
const BLOCK: u64 = 64;

/// Refuses parameters that want so many outputs of a function, each of them of so many rounds and of so
/// many bytes of input.
///
/// # Errors
///
/// [`Error::MechanismParamInvalid`](strongroom_types::Error).
pub(crate) fn check(outputs: usize, rounds: u64, input: usize) -> Result<()> {
    let input = u64::try_from(input).unwrap_or(u64::MAX);
    let each = rounds.saturating_add(input / BLOCK);
    let all = u64::try_from(outputs).unwrap_or(u64::MAX).saturating_mul(each);
    if all > MOST_ROUNDS {
        return Err(param("so many iterations, or so much input for each block, take too long"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use strongroom_types::Error;

    use super::*;

    #[test]
    fn what_takes_too_long_is_refused() {
        let refused = Err(Error::MechanismParamInvalid);
        for (outputs, rounds, input, expected) in [
            (1, MOST_ROUNDS, 63, Ok(())),
            (1, MOST_ROUNDS, 64, refused),
            (1, MOST_ROUNDS + 1, 0, refused),
            (2, MOST_ROUNDS / 2, 0, Ok(())),
            (2, MOST_ROUNDS / 2 + 1, 0, refused),
            (16, 0, 64 << 20, Ok(())),
            (17, 0, 64 << 20, refused),
            (usize::MAX, u64::MAX, usize::MAX, refused),
            (usize::MAX, 0, 0, Ok(())),
        ] {
            assert_eq!(check(outputs, rounds, input), expected, "{outputs} {rounds} {input}");
        }
    }
}
