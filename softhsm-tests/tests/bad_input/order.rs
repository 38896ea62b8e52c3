//! The functions of operations in every order, right and wrong, and a model that says what each of
//! them answers.

use std::collections::BTreeMap;

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::Fails;
use strongroom_softhsm_tests::batch::{Verdict, run};
use strongroom_softhsm_tests::case_of_batches;

use crate::arguments::{judge, prepare};
use crate::fixture::{Fixture, Login};

/// A kind of operation: the functions that start it, work in it and end it.
struct Family {
    steps: &'static [(&'static str, Step)],
}

/// What a function does in its operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Starts it.
    Init,
    /// Does all in one call, and ends it.
    Whole,
    /// Takes a part.
    Part,
    /// Ends it, with whatever was taken.
    Final,
    /// Gives results, and ends nothing.
    Look,
    /// Does a whole message; the next may follow.
    Message,
    /// Begins a message.
    Begin,
    /// Takes the last part of a message.
    Last,
}

use Step::{Begin, Final, Init, Last, Look, Message, Part, Whole};

const FAMILIES: &[Family] = &[
    Family {
        steps: &[
            ("C_DigestInit", Init),
            ("C_Digest", Whole),
            ("C_DigestUpdate", Part),
            ("C_DigestKey", Part),
            ("C_DigestFinal", Final),
        ],
    },
    Family {
        steps: &[
            ("C_SignInit", Init),
            ("C_Sign", Whole),
            ("C_SignUpdate", Part),
            ("C_SignFinal", Final),
        ],
    },
    Family {
        steps: &[
            ("C_VerifyInit", Init),
            ("C_Verify", Whole),
            ("C_VerifyUpdate", Part),
            ("C_VerifyFinal", Final),
        ],
    },
    Family {
        steps: &[
            ("C_EncryptInit", Init),
            ("C_Encrypt", Whole),
            ("C_EncryptUpdate", Part),
            ("C_EncryptFinal", Final),
        ],
    },
    Family {
        steps: &[
            ("C_DecryptInit", Init),
            ("C_Decrypt", Whole),
            ("C_DecryptUpdate", Part),
            ("C_DecryptFinal", Final),
        ],
    },
    Family {
        steps: &[
            ("C_FindObjectsInit", Init),
            ("C_FindObjects", Look),
            ("C_FindObjectsFinal", Final),
        ],
    },
    Family { steps: &[("C_SignRecoverInit", Init), ("C_SignRecover", Whole)] },
    Family { steps: &[("C_VerifyRecoverInit", Init), ("C_VerifyRecover", Whole)] },
    Family {
        steps: &[
            ("C_VerifySignatureInit", Init),
            ("C_VerifySignature", Whole),
            ("C_VerifySignatureUpdate", Part),
            ("C_VerifySignatureFinal", Final),
        ],
    },
    Family {
        steps: &[
            ("C_MessageEncryptInit", Init),
            ("C_EncryptMessage", Message),
            ("C_EncryptMessageBegin", Begin),
            ("C_EncryptMessageNext", Last),
            ("C_MessageEncryptFinal", Final),
        ],
    },
    Family {
        steps: &[
            ("C_MessageDecryptInit", Init),
            ("C_DecryptMessage", Message),
            ("C_DecryptMessageBegin", Begin),
            ("C_DecryptMessageNext", Last),
            ("C_MessageDecryptFinal", Final),
        ],
    },
    Family {
        steps: &[
            ("C_MessageSignInit", Init),
            ("C_SignMessage", Message),
            ("C_SignMessageBegin", Begin),
            ("C_SignMessageNext", Last),
            ("C_MessageSignFinal", Final),
        ],
    },
    Family {
        steps: &[
            ("C_MessageVerifyInit", Init),
            ("C_VerifyMessage", Message),
            ("C_VerifyMessageBegin", Begin),
            ("C_VerifyMessageNext", Last),
            ("C_MessageVerifyFinal", Final),
        ],
    },
];

/// How far an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ready,
    /// A part was taken, or a message has begun.
    Begun,
    /// A fault ended it, or what it was at; the standard does not say which.
    Unclear,
}

/// Good, and what is said of a signature or a ciphertext that is none: no model knows all data.
const WELL: &[CK_RV] = &[CKR_OK, CKR_SIGNATURE_INVALID, CKR_AEAD_DECRYPT_FAILED];
const NOT_INITIALIZED: &[CK_RV] = &[CKR_OPERATION_NOT_INITIALIZED];
const ACTIVE: &[CK_RV] = &[CKR_OPERATION_ACTIVE];
const EITHER: &[CK_RV] = &[CKR_OPERATION_ACTIVE, CKR_OPERATION_NOT_INITIALIZED];

/// What is right, and how far the operation is then.
fn model(state: Option<State>, step: Step) -> (&'static [CK_RV], Option<State>) {
    use State::{Begun, Ready, Unclear};
    match (state, step) {
        (_, _) if state == Some(Unclear) => (&[], Some(Unclear)),
        (None, Init) => (&[CKR_OK], Some(Ready)),
        (None, _) => (NOT_INITIALIZED, None),
        (Some(_), Init) => (ACTIVE, state),
        (Some(Ready), Whole) => (WELL, None),
        // Section 5.2: any error but too little room ends the operation.
        (Some(_), Whole) => (ACTIVE, None),
        (Some(_), Part) => (&[CKR_OK], Some(Begun)),
        (Some(Ready), Final) => (WELL, None),
        (Some(Begun), Final) => (WELL, None),
        (Some(_), Look) => (&[CKR_OK], state),
        (Some(Ready), Message) => (WELL, Some(Ready)),
        (Some(Ready), Begin) => (&[CKR_OK], Some(Begun)),
        (Some(Begun), Last) => (WELL, Some(Ready)),
        (Some(Ready), Last) => (NOT_INITIALIZED, Some(Unclear)),
        (Some(_), Message | Begin) => (EITHER, Some(Unclear)),
        (Some(Unclear), Final | Last) => (&[], Some(Unclear)),
    }
}

/// A function, and the family that it is of.
type Call = (usize, usize);

/// Calls one after the other.
struct Sequence(Vec<Call>);

impl Sequence {
    fn name(&self) -> String {
        let names = self.0.iter().map(|(family, step)| FAMILIES[*family].steps[*step].0);
        names.collect::<Vec<_>>().join(", ")
    }
}

fn calls() -> Vec<Call> {
    let families = FAMILIES.iter().enumerate();
    families.flat_map(|(at, family)| (0..family.steps.len()).map(move |step| (at, step))).collect()
}

/// Every two calls; every four of one family; and whatever comes between the start of an operation
/// and its next step.
fn sequences() -> Vec<Sequence> {
    let all = calls();
    let mut sequences = Vec::new();
    for first in &all {
        sequences.extend(all.iter().map(|second| Sequence(vec![*first, *second])));
    }
    for family in 0..FAMILIES.len() {
        let own: Vec<Call> = all.iter().copied().filter(|(of, _)| *of == family).collect();
        let mut longer: Vec<Vec<Call>> = vec![vec![]];
        for _ in 0..4 {
            longer = longer
                .iter()
                .flat_map(|begin| own.iter().map(|call| [&begin[..], &[*call]].concat()))
                .collect();
        }
        sequences.extend(longer.into_iter().map(Sequence));
        for other in all.iter().filter(|(of, _)| *of != family) {
            sequences.extend(own.iter().map(|last| Sequence(vec![(family, 0), *other, *last])));
        }
    }
    sequences
}

fn follow(fixture: &mut Fixture, sequence: &Sequence) -> Verdict {
    fixture.watch(|fixture| steps(fixture, sequence))
}

fn steps(fixture: &Fixture, sequence: &Sequence) -> Verdict {
    let mut states: BTreeMap<usize, State> = BTreeMap::new();
    for (at, (family, step)) in sequence.0.iter().enumerate() {
        let (name, step) = FAMILIES[*family].steps[*step];
        let Some(rv) = fixture.call_well(name) else { return Verdict::Absent };
        if rv == CKR_FUNCTION_NOT_SUPPORTED && !fixture.complete {
            return Verdict::Absent;
        }
        // A module may do one operation of a session at a time.
        let others = states.keys().any(|other| other != family);
        if step == Init && others && !fixture.complete && rv == CKR_OPERATION_ACTIVE {
            continue;
        }
        let (wanted, after) = model(states.get(family).copied(), step);
        if !wanted.is_empty()
            && let Verdict::Wrong(what) = judge(rv, wanted)
        {
            return Verdict::Wrong(format!("{name}, call {}: {what}", at + 1));
        }
        match after {
            Some(state) => states.insert(*family, state),
            None => states.remove(family),
        };
    }
    Verdict::Right
}

#[test]
fn every_order_of_calls() {
    case_of_batches(Fails("C_Sign after C_SignUpdate, and the like"), |world| {
        prepare(world);
        run(&sequences(), Sequence::name, || Fixture::begin(world, Login::User), follow)
            .judge("orders of calls");
    });
}
