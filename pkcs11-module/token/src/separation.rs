//! Key separation: what may be done with keys, by the policy of the token.
//!
//! Every rule is a row of [`SEPARATION`], with the policies in which it holds. What a call is about to
//! do with keys is an [`Act`], and [`judge`] asks every rule about it. The acts stand where all calls
//! pass, whatever the function or mechanism: where an object becomes whole, where one changes, and
//! where a key wraps, unwraps, is derived from or digested. Using a key asks nobody: what a key may do
//! was decided when it was made, so a signature costs nothing more.
//!
//! A rule of the standard's, or a habit of ours, that holds under every policy may be in the code of its
//! function; its row says that it is there, and how it is tested. `CONFORMANCE.md` has the table.

use strongroom_keystore::KeyPolicy;
use strongroom_mechanisms::{LEAST, Mechanism, Policy, has_safe_prime, is_open};
use strongroom_types::rule::Default;
use strongroom_types::{
    Attribute, Attributes, Class, Error, KeyType, MechanismType, Params, Result, attribute,
    attribute::kind, ck,
};

use crate::rules::Rules;
use crate::template::Origin;

/// A rule, with all that anybody may want to know of it.
pub struct SeparationRule {
    /// What it says.
    pub rule: &'static str,
    /// What could be done without it.
    pub reason: &'static str,
    /// The policies in which it holds. A rule that is not a strict one alone, and does not hold under
    /// the compatible policy, is what that policy costs.
    pub policies: &'static [KeyPolicy],
    /// The black-box tests that try to break it: file and function.
    pub tests: &'static [&'static str],
    check: fn(&Act<'_>) -> Result<()>,
}

/// What a call is about to do.
pub(crate) enum Act<'a> {
    /// An object comes into being.
    Make {
        key: &'a Attributes,
        origin: Origin,
        /// Whether the keys that it comes of let nothing come of them but keys that derive.
        pinned: bool,
    },
    /// An object changes, or a copy differs from it.
    Change { before: &'a Attributes, after: &'a Attributes },
    /// A key leaves the token under another.
    Wrap { with: &'a Attributes, key: &'a Attributes, mechanism: &'a Mechanism, params: &'a Params },
    /// A key comes back.
    Unwrap { with: &'a Attributes, mechanism: &'a Mechanism, params: &'a Params },
    /// A derivation tells bytes, beside the objects that it makes.
    Tell { base: &'a Attributes },
    /// The value of a key goes into a digest.
    Digest { key: &'a Attributes },
}

/// Whether all rules of a policy allow an act.
pub(crate) fn judge(policy: KeyPolicy, act: &Act<'_>) -> Result<()> {
    let mut rules = SEPARATION.iter().copied().filter(|row| row.holds(policy));
    rules.try_for_each(|row| (row.check)(act).map_err(|error| error.because(|| row.rule.into())))
}

impl SeparationRule {
    /// Whether it holds under a policy.
    #[must_use]
    pub fn holds(&self, policy: KeyPolicy) -> bool {
        self.policies.contains(&policy)
    }
}

const STRICT: &[KeyPolicy] = &[KeyPolicy::Strict];
const NOT_COMPATIBLE: &[KeyPolicy] = &[KeyPolicy::Standard, KeyPolicy::Strict];
const ALL: &[KeyPolicy] = &KeyPolicy::ALL;

/// The rule is in the code that all policies share.
const IN_ITS_PLACE: fn(&Act<'_>) -> Result<()> = |_| Ok(());

/// Every rule.
pub static SEPARATION: &[&SeparationRule] = &[
    &TEMPLATES,
    &DEFAULTS,
    &ONE_WAY,
    &NOTHING_HALF,
    &NOTHING_TOLD,
    &PIECES,
    &PARITY,
    &HERITAGE,
    &LOGOUT,
    &WHOLE_SECRETS,
    &BOTH_DERIVE,
    &USES_FIXED,
    &WRAPPING_ALONE,
    &WRAPPING_HERE,
    &DERIVING_ALONE,
    &DERIVING_HERE,
    &WRAPPED_UNDER,
    &WRAPPED_WHOLE,
    &UNWRAPPED,
    &TRUSTED,
    &TRUST_FIXED,
    &DERIVED,
    &UNDIVIDED,
    &SHORT_BLOCKS,
    &DIGESTED,
    &ONE_TIME,
    &BOUND,
    &SAFE_PRIMES,
];

static TEMPLATES: SeparationRule = SeparationRule {
    rule: "a template that says two things of one attribute, or what is not for it to say, makes nothing; in \
           SoftHSM2's place, whatever the policy of the token, the last of two values counts",
    reason: "one reader takes the first value, another the last, and what was checked is not what is kept; \
             who reads them there is one alone, the C interface",
    policies: NOT_COMPATIBLE,
    tests: &[
        "objects::templates_that_are_refused",
        "wrap::templates_of_generated_keys_that_are_refused",
        "separation::an_attribute_twice",
        "compatible::the_last_of_two_values_counts",
    ],
    check: IN_ITS_PLACE,
};

static DEFAULTS: SeparationRule = SeparationRule {
    rule: "keys are sensitive and not extractable unless their template says otherwise",
    reason: "who forgets an attribute must not give a key away",
    policies: ALL,
    tests: &[
        "objects::generated_keys_are_secret_by_default",
        "objects::defaults_of_the_standard",
        "compatible::keys_are_private_and_closed_unless_they_say_otherwise",
    ],
    check: IN_ITS_PLACE,
};

static ONE_WAY: SeparationRule = SeparationRule {
    rule: "a key once sensitive stays so, and so do its copies; likewise one that is not extractable, or \
           wraps with trusted keys alone",
    reason: "Clulow 2003: else the attribute is taken off, and the value read",
    policies: ALL,
    tests: &[
        "objects::attributes_that_go_one_way",
        "objects::attributes_that_may_not_be_set",
        "objects::copies",
    ],
    check: IN_ITS_PLACE,
};

static NOTHING_HALF: SeparationRule = SeparationRule {
    rule: "a call that fails changes nothing",
    reason: "of a template that is refused in its last attribute the first ones must not stay",
    policies: ALL,
    tests: &["objects::setting_is_all_or_nothing", "objects::a_refused_template_leaves_nothing"],
    check: IN_ITS_PLACE,
};

static NOTHING_TOLD: SeparationRule = SeparationRule {
    rule: "no search, no copy, no template of a wrapping key, no check value of a piece, no digest in a \
           key's place and no error code tells of a secret value",
    reason: "each would tell a key bit by bit",
    policies: ALL,
    tests: &[
        "search::a_sensitive_value_never_matches",
        "objects::a_copy_does_not_tell_the_value_of_a_key",
        "wrap::a_template_of_a_wrapping_key_does_not_tell_the_value_of_a_key",
        "objects::what_may_be_read_of_a_key",
        "digest::the_digest_of_an_hmac_key_that_may_not_leave",
        "check_values::what_was_given_up_is_not_tried_out",
        "wrap::a_length_in_the_template_of_an_unwrapped_key",
        "wrap::blanks_behind_an_unwrapped_key",
    ],
    check: IN_ITS_PLACE,
};

static PIECES: SeparationRule = SeparationRule {
    rule: "a piece of a hidden key has at least 14 bytes, and the key was generated here; if it goes into \
           CMAC, the output is not cut, and has as many",
    reason: "a piece of one byte is found by 256 tries, and then the next one; and whoever knows the key of \
             CMAC turns it round",
    policies: ALL,
    tests: &[
        "derive::pieces_of_hidden_keys",
        "derive::hidden_keys_under_cmac",
        "wrap::an_unwrapped_key_is_not_cut",
    ],
    check: IN_ITS_PLACE,
};

static PARITY: SeparationRule = SeparationRule {
    rule: "no DES key is made of a hidden key that may be read off it",
    reason: "it has all bits but those of the parity, which are then found by trying; and of a key that is \
             turned by one bit others are missing",
    policies: NOT_COMPATIBLE,
    tests: &["derive::bits_of_hidden_keys"],
    check: |act| match act {
        Act::Make { origin: Origin::Derive { of_bits: true, .. }, .. } => {
            Err(Error::KeyFunctionNotPermitted)
        }
        _ => Ok(()),
    },
};

static HERITAGE: SeparationRule = SeparationRule {
    rule: "a key off which another may be read is protected as that one is",
    reason: "exclusive or with zeros is a copy",
    policies: ALL,
    tests: &[
        "derive::simple_derivations",
        "derive::two_keys_make_one",
        "derive::digests_of_long_hidden_keys",
    ],
    check: IN_ITS_PLACE,
};

static LOGOUT: SeparationRule = SeparationRule {
    rule: "a logout ends every operation on private objects",
    reason: "with SoftHSM2 a signature still comes after C_Logout",
    policies: ALL,
    tests: &[
        "separation::a_logout_ends_every_operation",
        "sessions::signing_ends_with_the_login",
        "sessions::decrypting_ends_with_the_login",
    ],
    check: IN_ITS_PLACE,
};

/// Whether a secret that is encapsulated comes whole.
pub(crate) static WHOLE_SECRETS: SeparationRule = SeparationRule {
    rule: "a secret that was encapsulated is never cut; of what ECDH agrees on there are at least 14 bytes",
    reason: "who cuts it at will learns it byte by byte",
    policies: NOT_COMPATIBLE,
    tests: &[
        "encapsulate::what_a_template_may_ask_for",
        "encapsulate::a_short_end_of_a_shared_secret",
        "compatible::secrets_of_ml_kem_are_cut",
    ],
    check: IN_ITS_PLACE,
};

/// Whether every key of a derivation must be one that derives.
pub(crate) static BOTH_DERIVE: SeparationRule = SeparationRule {
    rule: "each key that goes into a derivation has CKA_DERIVE",
    reason: "the other key of CKM_CONCATENATE_BASE_AND_KEY is one that was never meant to be derived from",
    policies: NOT_COMPATIBLE,
    tests: &["derive::two_keys_make_one", "compatible::keys_put_together"],
    check: IN_ITS_PLACE,
};

static WRAPPING_ALONE: SeparationRule = SeparationRule {
    rule: "a key that wraps or unwraps does nothing else, nor does one that decapsulates",
    reason: "Clulow 2003: what it wrapped is decrypted, and what it encrypted is unwrapped; a MAC encrypts \
             as well as C_Encrypt",
    policies: STRICT,
    tests: &[
        "separation::keys_of_two_uses",
        "separation::private_keys_of_two_uses",
        "separation::wrap_and_decrypt",
    ],
    check: |act| match act {
        Act::Make { key, .. } | Act::Change { after: key, .. } | Act::Wrap { with: key, .. } => {
            let mixed = |uses: &&[Flag]| any(key, uses) && !all_among(key, uses);
            forbidden(is_own(key) && ALONE.iter().any(mixed))
        }
        _ => Ok(()),
    },
};

static WRAPPING_HERE: SeparationRule = SeparationRule {
    rule: "a key that wraps, unwraps or decapsulates is sensitive, not extractable, and neither derived \
           nor unwrapped",
    reason: "Delaune, Kremer and Steel 2008: what comes twice comes with different attributes; one twin \
             wraps, the other decrypts",
    policies: STRICT,
    tests: &["separation::twins"],
    check: |act| match act {
        Act::Make { key, origin, .. } => {
            let stays = key.is(attribute::SENSITIVE) && !key.is(attribute::EXTRACTABLE);
            let keeps_others = is_own(key) && ALONE.iter().any(|uses| any(key, uses));
            forbidden(keeps_others && !(stays && origin.is_first()))
        }
        _ => Ok(()),
    },
};

static DERIVING_ALONE: SeparationRule = SeparationRule {
    rule: "a hidden secret key that derives does nothing else",
    reason: "CKM_AES_ECB_ENCRYPT_DATA is an encryption, HKDF a MAC: who may compute them with the key has \
             what is derived of it",
    policies: STRICT,
    tests: &[
        "separation::keys_of_two_uses",
        "separation::derivation_by_encryption",
        "separation::what_is_hidden_and_not_sensitive",
    ],
    check: |act| match act {
        Act::Make { key, .. } | Act::Change { after: key, .. } => {
            forbidden(derives_in_secret(key) && !all_among(key, &[attribute::DERIVE]))
        }
        _ => Ok(()),
    },
};

static DERIVING_HERE: SeparationRule = SeparationRule {
    rule: "a hidden secret key that derives is not extractable, and neither unwrapped, encapsulated nor \
           derived, unless it is derived of a secret key whose CKA_DERIVE_TEMPLATE wants CKA_DERIVE, as do \
           those of all hidden keys that go in beside it; a secret key with such a template is not \
           extractable, and neither unwrapped nor derived; no key becomes either of these later",
    reason: "of two twins one derives, the other computes what is derived; such a template has all of them \
             derive and nothing else. That of a private key does not bind the other side, which may be in \
             the token too, and that of a key beside the base not one who knows its value",
    policies: STRICT,
    tests: &[
        "separation::twins",
        "separation::chains_of_derivations",
        "separation::a_template_that_binds_one_way_alone",
        "separation::a_template_that_binds_one_side_alone",
        "separation::an_open_key_that_is_closed",
    ],
    check: |act| match act {
        Act::Make { key, origin, pinned } => {
            let stays = !key.is(attribute::EXTRACTABLE);
            let derives = derives_in_secret(key);
            forbidden(
                (derives && !(stays && (origin.is_first() || *pinned)))
                    || (pins(key) && !(stays && origin.is_first())),
            )
        }
        Act::Change { before, after } => forbidden(
            (derives_in_secret(after) && !derives_in_secret(before))
                || (pins(after) && !pins(before)),
        ),
        _ => Ok(()),
    },
};

static USES_FIXED: SeparationRule = SeparationRule {
    rule: "no use is added to a key, nor to a copy of it",
    reason: "Delaune, Kremer and Steel 2008: else the key wraps first, and decrypts then",
    policies: STRICT,
    tests: &["separation::uses_are_not_added"],
    check: |act| match act {
        Act::Change { before, after } => {
            match USES.iter().any(|usage| after.is(*usage) && !before.is(*usage)) {
                true => Err(Error::AttributeReadOnly),
                false => Ok(()),
            }
        }
        _ => Ok(()),
    },
};

static WRAPPED_UNDER: SeparationRule = SeparationRule {
    rule: "a hidden key leaves only under a secret key that this token drew at random, and that was \
           always sensitive and never extractable",
    reason: "whoever brings, derives or computes the wrapping key, as from a password or for a public \
             key of his own, knows it",
    policies: STRICT,
    tests: &["separation::wrapping_under_a_known_key"],
    check: |act| match act {
        Act::Wrap { with, key, .. } if is_hidden(key) && !drawn_here(with) => {
            Err(Error::KeyNotWrappable)
        }
        _ => Ok(()),
    },
};

static WRAPPED_WHOLE: SeparationRule = SeparationRule {
    rule: "secret keys wrap and unwrap by CKM_AES_KEY_WRAP and CKM_AES_KEY_WRAP_KWP without an IV of the \
           caller's; private keys unwrap by CKM_RSA_AES_KEY_WRAP and CKM_ECDH_AES_KEY_WRAP",
    reason: "blocks of ECB and CBC are cut and put together, padding answers questions, a nonce used \
             twice tells the key, and an IV of the caller's lets one mechanism unwrap what another \
             wrapped; so does OAEP with the AES key of CKM_RSA_AES_KEY_WRAP",
    policies: STRICT,
    tests: &[
        "separation::mechanisms_that_wrap",
        "separation::half_of_what_was_wrapped",
        "separation::a_nonce_twice",
    ],
    check: |act| match act {
        Act::Wrap { with, mechanism, params, .. } | Act::Unwrap { with, mechanism, params } => {
            let secret = class(with) == Some(Class::SECRET_KEY);
            match class(with) {
                Some(Class::PUBLIC_KEY) => Ok(()),
                _ if !mechanism.wraps_whole => Err(Error::MechanismInvalid),
                _ if secret && !params.is_empty() => Err(Error::MechanismParamInvalid),
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    },
};

static UNWRAPPED: SeparationRule = SeparationRule {
    rule: "what is unwrapped or encapsulated is sensitive and private, and has at least 14 bytes",
    reason: "Clulow 2003: unwrapped once more as one that is not, a sensitive key is read, or whatever the \
             key decrypts; and used without a PIN",
    policies: STRICT,
    tests: &["separation::unwrapping_lowers_nothing"],
    check: |act| match act {
        Act::Make { key, origin: Origin::Unwrap { .. }, .. } => {
            let hidden = key.is(attribute::SENSITIVE) && key.is(attribute::PRIVATE);
            forbidden(!hidden || is_short(key))
        }
        _ => Ok(()),
    },
};

static TRUSTED: SeparationRule = SeparationRule {
    rule: "what a trusted key unwraps is wrapped with trusted keys alone",
    reason: "a key that leaves with trusted keys alone would come back as one that leaves with any",
    policies: STRICT,
    tests: &["separation::trusted_keys"],
    check: |act| match act {
        Act::Make { key, origin: Origin::Unwrap { by_trusted: true }, .. } => {
            forbidden(is_own(key) && !key.is(attribute::WRAP_WITH_TRUSTED))
        }
        _ => Ok(()),
    },
};

static TRUST_FIXED: SeparationRule = SeparationRule {
    rule: "whether a secret key is trusted is said by the security officer who makes it, and neither a \
           change nor a copy says otherwise",
    reason: "a copy that is not trusted, or was made before the key was, unwraps what the key wrapped as a \
             key that leaves with any",
    policies: STRICT,
    tests: &["separation::trusted_keys", "separation::a_copy_that_is_not_trusted"],
    check: |act| match act {
        Act::Change { before, after } => {
            let same = before.is(attribute::TRUSTED) == after.is(attribute::TRUSTED);
            if is_own(after) && !same { Err(Error::AttributeReadOnly) } else { Ok(()) }
        }
        _ => Ok(()),
    },
};

static DERIVED: SeparationRule = SeparationRule {
    rule: "what is derived of a hidden key is a sensitive key of at least 14 bytes, or a public key; no \
           bytes are told",
    reason: "derived once more as one that is not, or as data, as an IV, or one byte at a time, a hidden \
             key is read",
    policies: STRICT,
    tests: &["separation::derivation_lowers_nothing", "separation::bytes_beside_keys"],
    check: |act| match act {
        Act::Make { key, origin: Origin::Derive { of_hidden: true, .. }, .. } => {
            let public = class(key) == Some(Class::PUBLIC_KEY);
            forbidden(!public && (!key.is(attribute::SENSITIVE) || is_short(key)))
        }
        Act::Tell { base } if is_hidden(base) => Err(Error::KeyFunctionNotPermitted),
        _ => Ok(()),
    },
};

static UNDIVIDED: SeparationRule = SeparationRule {
    rule: "no hidden key is cut, put together, mixed with data, or if it is longer than a block \
           digested to a key",
    reason: "of two pieces that overlap, or one beside a byte that is tried, each next byte is found by 256 \
             tries; and HMAC takes the digest of a long key for the key",
    policies: STRICT,
    tests: &["separation::pieces_that_overlap", "separation::what_is_hidden_and_not_sensitive"],
    check: |act| match act {
        Act::Make { origin: Origin::Derive { of_pieces: true, .. }, .. } => {
            Err(Error::KeyFunctionNotPermitted)
        }
        _ => Ok(()),
    },
};

static SHORT_BLOCKS: SeparationRule = SeparationRule {
    rule: "no hidden DES key derives, and none is derived of a hidden key",
    reason: "a block of DES has 8 bytes: the same one twice is a key of 16 that is found as one of 8 is, and \
             then each next byte by 256 tries",
    policies: STRICT,
    tests: &["separation::keys_of_short_blocks"],
    check: |act| match act {
        Act::Make { key, .. } | Act::Change { after: key, .. } if is_des(key) => {
            let of_hidden =
                matches!(act, Act::Make { origin: Origin::Derive { of_hidden: true, .. }, .. });
            forbidden(of_hidden || derives_in_secret(key))
        }
        _ => Ok(()),
    },
};

static DIGESTED: SeparationRule = SeparationRule {
    rule: "no hidden key goes into a digest",
    reason: "CKM_SHA256_KEY_DERIVATION makes a key of the digest",
    policies: STRICT,
    tests: &["separation::a_digest_that_is_a_key"],
    check: |act| match act {
        Act::Digest { key } if is_hidden(key) => Err(Error::KeyIndigestible),
        _ => Ok(()),
    },
};

static ONE_TIME: SeparationRule = SeparationRule {
    rule: "no hidden key is one for CKM_POLY1305",
    reason: "two authenticators tell such a key, which may be the twin of any other of 32 bytes",
    policies: STRICT,
    tests: &["separation::a_twin_for_one_time_authenticators"],
    check: |act| match act {
        Act::Make { key, .. } | Act::Change { after: key, .. } => {
            let one_time = key.get(attribute::KEY_TYPE).map(KeyType) == Some(POLY1305);
            forbidden(one_time && is_hidden(key))
        }
        _ => Ok(()),
    },
};

const POLY1305: KeyType = KeyType(ck!(CKK_POLY1305));

static BOUND: SeparationRule = SeparationRule {
    rule: "a hidden key that wants a PIN for each use, names the mechanisms it is for, or has a template \
           for the keys that come of it, is not wrapped",
    reason: "it would come back without that",
    policies: STRICT,
    tests: &["separation::keys_that_are_bound"],
    check: |act| match act {
        Act::Wrap { key, .. } if is_hidden(key) => {
            let named = key.get(attribute::ALLOWED_MECHANISMS).is_some_and(|list| !list.is_empty());
            let demands = |template: &Attribute<kind::Attributes>| {
                key.get(*template).is_some_and(|demanded| !demanded.is_empty())
            };
            match named || key.is(attribute::ALWAYS_AUTHENTICATE) || DEMANDING.iter().any(demands) {
                true => Err(Error::KeyNotWrappable),
                false => Ok(()),
            }
        }
        _ => Ok(()),
    },
};

static SAFE_PRIMES: SeparationRule = SeparationRule {
    rule: "the prime of a hidden DH key is a safe one",
    reason: "Lim and Lee 1997: a peer of a small order, and as many tries, tell the private value modulo that \
             order, and a few of them all of it",
    policies: STRICT,
    tests: &["separation::groups_with_small_parts"],
    check: |act| match act {
        Act::Make { key, .. }
            if is_hidden(key) && key.get(attribute::KEY_TYPE).map(KeyType) == Some(KeyType::DH) =>
        {
            match has_safe_prime(key)? {
                true => Ok(()),
                false => Err(Error::DomainParamsInvalid),
            }
        }
        _ => Ok(()),
    },
};

type Flag = Attribute<kind::Bool>;

/// Everything that keys are used for.
const USES: &[Flag] = &[
    attribute::ENCRYPT,
    attribute::DECRYPT,
    attribute::SIGN,
    attribute::SIGN_RECOVER,
    attribute::VERIFY,
    attribute::VERIFY_RECOVER,
    attribute::WRAP,
    attribute::UNWRAP,
    attribute::DERIVE,
    attribute::ENCAPSULATE,
    attribute::DECAPSULATE,
];

/// Uses that exclude all others, but for those beside which they stand.
const ALONE: &[&[Flag]] = &[&[attribute::WRAP, attribute::UNWRAP], &[attribute::DECAPSULATE]];

/// The templates by which a key demands something of those that it wraps, or that come of it.
const DEMANDING: &[Attribute<kind::Attributes>] = &[
    attribute::WRAP_TEMPLATE,
    attribute::UNWRAP_TEMPLATE,
    attribute::DERIVE_TEMPLATE,
    attribute::DECAPSULATE_TEMPLATE,
];

/// Fills in what a template does not name, as the rules want it. What is left has the usual default.
pub(crate) fn fill_in(policy: KeyPolicy, key: &mut Attributes, rules: Rules, origin: Origin) {
    if policy != KeyPolicy::Strict || !is_own(key) {
        return;
    }
    let by_trusted = matches!(origin, Origin::Unwrap { by_trusted: true });
    if by_trusted && !key.has(attribute::WRAP_WITH_TRUSTED.info) {
        key.set(attribute::WRAP_WITH_TRUSTED, true);
    }
    fill_in_uses(key, rules);
}

/// Fills in the uses, where one excludes the others: then one that is named, or that such keys have by
/// themselves, excludes those that are not; and none is there unnamed that would want more of the key.
fn fill_in_uses(key: &mut Attributes, rules: Rules) {
    let secret = class(key) == Some(Class::SECRET_KEY);
    let unnamed = |key: &Attributes| {
        let missing = |usage: &&Flag| !key.has(usage.info) && rules.find(usage.info.id).is_some();
        USES.iter().filter(missing).copied().collect::<Vec<_>>()
    };
    for usage in unnamed(key) {
        let alone = ALONE.iter().any(|uses| uses.contains(&usage));
        let by_itself = usage == attribute::DECAPSULATE && default_of(rules, usage);
        if alone || (secret && usage == attribute::DERIVE) {
            key.set(usage, by_itself);
        }
    }
    let excludes = ALONE.iter().any(|uses| any(key, uses)) || (secret && key.is(attribute::DERIVE));
    if excludes {
        for usage in unnamed(key) {
            key.set(usage, false);
        }
    }
}

fn default_of(rules: Rules, usage: Flag) -> bool {
    rules.find(usage.info.id).is_some_and(|rule| matches!(rule.default, Default::Bool(true)))
}

fn forbidden(is: bool) -> Result<()> {
    if is { Err(Error::TemplateInconsistent) } else { Ok(()) }
}

fn class(key: &Attributes) -> Option<Class> {
    key.get(attribute::CLASS).map(Class)
}

/// Whether it is a key that somebody has to himself.
fn is_own(key: &Attributes) -> bool {
    matches!(class(key), Some(Class::SECRET_KEY | Class::PRIVATE_KEY))
}

/// Whether it is a key whose value may not be read: one that is sensitive, or not extractable.
pub(crate) fn is_hidden(key: &Attributes) -> bool {
    is_own(key) && !is_open(key)
}

fn any(key: &Attributes, uses: &[Flag]) -> bool {
    uses.iter().any(|usage| key.is(*usage))
}

/// Whether it has no other use than these.
fn all_among(key: &Attributes, uses: &[Flag]) -> bool {
    USES.iter().all(|usage| !key.is(*usage) || uses.contains(usage))
}

fn derives_in_secret(key: &Attributes) -> bool {
    class(key) == Some(Class::SECRET_KEY) && is_hidden(key) && key.is(attribute::DERIVE)
}

fn is_des(key: &Attributes) -> bool {
    let key_type = key.get(attribute::KEY_TYPE).map(KeyType);
    key_type.is_some_and(|id| [KeyType::DES, KeyType::DES2, KeyType::DES3].contains(&id))
}

/// Whether it is a secret key that wants of all that is derived of it that it derives, and so does nothing else.
pub(crate) fn pins(key: &Attributes) -> bool {
    let wants = key.get(attribute::DERIVE_TEMPLATE);
    class(key) == Some(Class::SECRET_KEY) && wants.is_some_and(|it| it.is(attribute::DERIVE))
}

/// Whether nobody outside can have known a key: a mechanism without a parameter drew it.
fn drawn_here(key: &Attributes) -> bool {
    let mechanism = key.get(attribute::KEY_GEN_MECHANISM).map(MechanismType);
    let row = mechanism.and_then(|id| Policy::Legacy.mechanism(id).ok());
    class(key) == Some(Class::SECRET_KEY)
        && key.is(attribute::LOCAL)
        && key.is(attribute::ALWAYS_SENSITIVE)
        && key.is(attribute::NEVER_EXTRACTABLE)
        && row.is_some_and(|row| row.params.iter().all(|layout| layout.is_empty()))
}

/// Whether a secret key can be found by trying.
fn is_short(key: &Attributes) -> bool {
    let value = key.get(attribute::VALUE).filter(|_| class(key) == Some(Class::SECRET_KEY));
    value.is_some_and(|value| value.len() < LEAST)
}

#[cfg(test)]
mod tests {
    use strongroom_types::Value;

    use super::*;

    /// A wrapping key that this token drew.
    fn drawn() -> Attributes {
        let mut key = Attributes::default();
        key.set(attribute::CLASS, Class::SECRET_KEY.0);
        key.set(attribute::KEY_GEN_MECHANISM, ck!(CKM_AES_KEY_GEN));
        for flag in [
            attribute::WRAP,
            attribute::SENSITIVE,
            attribute::LOCAL,
            attribute::ALWAYS_SENSITIVE,
            attribute::NEVER_EXTRACTABLE,
        ] {
            key.set(flag, true);
        }
        key
    }

    /// Whether a sensitive key may leave under another.
    fn wraps(with: &Attributes) -> Result<()> {
        let mut key = Attributes::default();
        key.set(attribute::CLASS, Class::SECRET_KEY.0);
        key.set(attribute::SENSITIVE, true);
        let mechanism = Policy::Legacy.mechanism(MechanismType(ck!(CKM_AES_KEY_WRAP))).unwrap();
        let params = &Params::NONE;
        judge(KeyPolicy::Strict, &Act::Wrap { with, key: &key, mechanism, params })
    }

    #[test]
    fn a_wrapping_key_was_never_known_outside() {
        assert_eq!(wraps(&drawn()), Ok(()));
        let but = |change: &dyn Fn(&mut Attributes)| {
            let mut key = drawn();
            change(&mut key);
            wraps(&key)
        };
        let no = Err(Error::KeyNotWrappable);
        for flag in [attribute::LOCAL, attribute::ALWAYS_SENSITIVE, attribute::NEVER_EXTRACTABLE] {
            assert_eq!(but(&|key| key.set(flag, false)), no, "{}", flag.info.name);
        }
        assert_eq!(but(&|key| key.set(attribute::CLASS, Class::PUBLIC_KEY.0)), no);
        for made in [ck!(CKM_PKCS5_PBKD2), ck!(CK_UNAVAILABLE_INFORMATION)] {
            assert_eq!(but(&|key| key.set(attribute::KEY_GEN_MECHANISM, made)), no);
        }
        let no = Err(Error::TemplateInconsistent);
        for usage in USES {
            let beside = ALONE[0].contains(usage);
            let expected = if beside { Ok(()) } else { no };
            assert_eq!(but(&|key| key.set(*usage, true)), expected, "{}", usage.info.name);
        }
    }

    /// Each of these holds by itself, though no use is added to a key anyway.
    #[test]
    fn a_key_becomes_nothing_that_it_could_not_be_made_as() {
        let no = Err(Error::TemplateInconsistent);
        let becomes = |rule: &SeparationRule, before: &Attributes, after: &Attributes| {
            (rule.check)(&Act::Change { before, after })
        };
        let mut mixed = drawn();
        mixed.set(attribute::DECRYPT, true);
        assert_eq!(becomes(&WRAPPING_ALONE, &drawn(), &mixed), no);
        assert_eq!(becomes(&USES_FIXED, &drawn(), &mixed), Err(Error::AttributeReadOnly));
        assert_eq!(becomes(&USES_FIXED, &mixed, &drawn()), Ok(()));

        let mut derives = Attributes::default();
        derives.set(attribute::CLASS, Class::SECRET_KEY.0);
        derives.set(attribute::DERIVE, true);
        let mut open = derives.clone();
        open.set(attribute::EXTRACTABLE, true);
        assert_eq!(becomes(&DERIVING_HERE, &open, &derives), no);
        derives.set(attribute::SENSITIVE, true);
        assert_eq!(becomes(&DERIVING_HERE, &open, &derives), no);
        assert_eq!(becomes(&DERIVING_ALONE, &derives, &derives), Ok(()));
        let mut encrypts = derives.clone();
        encrypts.set(attribute::ENCRYPT, true);
        assert_eq!(becomes(&DERIVING_ALONE, &derives, &encrypts), no);
        let mut wants = Attributes::default();
        wants.set(attribute::DERIVE, true);
        let mut pins = derives.clone();
        pins.put(attribute::DERIVE_TEMPLATE.info.id, Value::Attributes(wants));
        assert_eq!(becomes(&DERIVING_HERE, &derives, &pins), no);
    }
}
