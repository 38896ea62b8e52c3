//! 4.6 and 4.7: certificates of all types, and objects that say what they are trusted for.

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::{self, Fails, Passes};
use strongroom_softhsm_tests::{Attribute, Rv, SO_PIN, Session, case, merge, t, table};

use crate::keys;

/// SoftHSM2's type for OpenPGP keys.
const CKC_OPENPGP: CK_CERTIFICATE_TYPE = CKC_VENDOR_DEFINED | 0x0050_4750;

const NO_ATTRIBUTE_CERTIFICATES: &str = "it knows the type, and refuses it";
const NO_TRUST: &str = "trust objects came with 3.2 (#604)";
const CHECKS_TOO_LITTLE: &str = "any value is taken";

fn x509() -> Vec<Attribute> {
    t![
        CKA_CLASS => CKO_CERTIFICATE, CKA_CERTIFICATE_TYPE => CKC_X_509,
        CKA_SUBJECT => b"subject", CKA_VALUE => b"a certificate",
    ]
}

fn openpgp() -> Vec<Attribute> {
    t![
        CKA_CLASS => CKO_CERTIFICATE, CKA_CERTIFICATE_TYPE => CKC_OPENPGP,
        CKA_SUBJECT => "Alice <alice@example.org>", CKA_VALUE => b"a key of OpenPGP",
    ]
}

fn attribute_certificate() -> Vec<Attribute> {
    t![
        CKA_CLASS => CKO_CERTIFICATE, CKA_CERTIFICATE_TYPE => CKC_X_509_ATTR_CERT,
        CKA_OWNER => b"owner", CKA_VALUE => b"an attribute certificate",
    ]
}

fn without(template: &[Attribute], kind: CK_ATTRIBUTE_TYPE) -> Vec<Attribute> {
    template.iter().filter(|(other, _)| *other != kind).cloned().collect()
}

struct Kind {
    template: Vec<Attribute>,
    defaults: Vec<Attribute>,
    /// The first three bytes of the SHA-1 digest of the value, by another implementation.
    check_value: &'static str,
    /// What may be set.
    news: Vec<Attribute>,
    needed: [CK_ATTRIBUTE_TYPE; 3],
    /// What only the other types have.
    foreign: CK_ATTRIBUTE_TYPE,
}

fn x509_kind() -> Kind {
    Kind {
        template: x509(),
        defaults: t![
            CKA_ID => "", CKA_ISSUER => "", CKA_SERIAL_NUMBER => "", CKA_URL => "",
            CKA_NAME_HASH_ALGORITHM => CKM_SHA_1,
        ],
        check_value: "bbb2b7",
        news: t![CKA_ID => b"1", CKA_ISSUER => b"issuer", CKA_SERIAL_NUMBER => b"1"],
        needed: [CKA_CERTIFICATE_TYPE, CKA_SUBJECT, CKA_VALUE],
        foreign: CKA_OWNER,
    }
}

fn openpgp_kind() -> Kind {
    Kind {
        template: openpgp(),
        defaults: t![CKA_ID => "", CKA_ISSUER => "", CKA_SERIAL_NUMBER => "", CKA_URL => ""],
        check_value: "1a6663",
        news: t![CKA_LABEL => "Alice"],
        needed: [CKA_CERTIFICATE_TYPE, CKA_SUBJECT, CKA_VALUE],
        foreign: CKA_OWNER,
    }
}

fn attribute_kind() -> Kind {
    Kind {
        template: attribute_certificate(),
        defaults: t![CKA_AC_ISSUER => "", CKA_SERIAL_NUMBER => "", CKA_ATTR_TYPES => ""],
        check_value: "2f1d60",
        news: t![CKA_AC_ISSUER => b"issuer", CKA_SERIAL_NUMBER => b"1", CKA_ATTR_TYPES => b"types"],
        needed: [CKA_CERTIFICATE_TYPE, CKA_OWNER, CKA_VALUE],
        foreign: CKA_SUBJECT,
    }
}

fn same(session: &Session<'_>, object: CK_OBJECT_HANDLE, wanted: &[Attribute]) {
    for (kind, value) in wanted {
        let one = [(*kind, value.clone())];
        let found = session.find(&[&t![CKA_CLASS => CKO_CERTIFICATE][..], &one].concat());
        assert!(found.contains(&object), "attribute {kind:#x} is not {value:?}");
    }
}

fn certificates(softhsm2: [SoftHsm2; 3]) -> [(&'static str, SoftHsm2, Kind); 3] {
    let [x509, openpgp, attribute] = softhsm2;
    [
        ("X.509", x509, x509_kind()),
        ("OpenPGP", openpgp, openpgp_kind()),
        ("attribute certificate", attribute, attribute_kind()),
    ]
}

#[test]
fn certificates_of_all_types() {
    let rows = certificates([Passes, Passes, Fails(NO_ATTRIBUTE_CERTIFICATES)]);
    table(&rows, |world, kind| {
        let session = world.user();
        let common = t![
            CKA_PRIVATE => false, CKA_TRUSTED => false, CKA_CERTIFICATE_CATEGORY => 0_u64,
            CKA_START_DATE => "", CKA_END_DATE => "",
        ];
        for token in [false, true] {
            let template = merge(&kind.template, &t![CKA_TOKEN => token]);
            let object = session.create(&template).expect("C_CreateObject");
            same(&session, object, &template);
            same(&session, object, &common);
            same(&session, object, &kind.defaults);
            assert_eq!(
                session.get(object, kind.foreign),
                Err(Rv(CKR_ATTRIBUTE_TYPE_INVALID)),
                "an attribute of another type"
            );
            assert_eq!(session.set(object, &t![CKA_VALUE => b"x"]), CKR_ATTRIBUTE_READ_ONLY);
            let copy = session.copy(object, &t![CKA_LABEL => "copy"]).expect("C_CopyObject");
            same(&session, copy, &kind.template);
            assert_eq!(session.destroy(object), Rv::OK);
            assert_eq!(session.destroy(copy), Rv::OK);
        }
    });
}

#[test]
fn what_a_certificate_needs() {
    let rows = certificates([Passes, Passes, Passes]);
    table(&rows, |world, kind| {
        let session = world.user();
        for needed in kind.needed {
            let refused = session.create(&without(&kind.template, needed)).err();
            let codes = [CKR_TEMPLATE_INCOMPLETE, CKR_ATTRIBUTE_VALUE_INVALID];
            assert!(refused.is_some_and(|rv| codes.contains(&rv.0)), "without {needed:#x}");
        }
    });
}

#[test]
fn what_of_a_certificate_may_be_set() {
    let rows = certificates([Passes, Passes, Fails(NO_ATTRIBUTE_CERTIFICATES)]);
    table(&rows, |world, kind| {
        let session = world.user();
        let object = session.create(&kind.template).expect("C_CreateObject");
        assert_eq!(session.set(object, &kind.news), Rv::OK);
        same(&session, object, &kind.news);
    });
}

#[test]
fn check_values_of_certificates() {
    const NONE: &str = "certificates have an empty one";
    let rows = certificates([Fails(NONE), Fails(NONE), Fails(NO_ATTRIBUTE_CERTIFICATES)]);
    table(&rows, |world, kind| {
        let session = world.user();
        let right = keys::hex(kind.check_value);
        for given in [vec![], t![CKA_CHECK_VALUE => right.clone()]] {
            let object = session.create(&merge(&kind.template, &given)).expect("a certificate");
            assert_eq!(session.get(object, CKA_CHECK_VALUE), Ok(right.clone()));
        }
        let wrong = merge(&kind.template, &t![CKA_CHECK_VALUE => b"abc"]);
        assert_eq!(session.create(&wrong), Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)));
    });
}

#[test]
fn certificates_that_are_elsewhere() {
    let at = t![CKA_VALUE => b"", CKA_URL => "https://example.org/certificate"];
    let hashes = t![
        CKA_HASH_OF_SUBJECT_PUBLIC_KEY => &[1; 20], CKA_HASH_OF_ISSUER_PUBLIC_KEY => &[2; 20],
    ];
    let whole = [at.clone(), hashes].concat();
    let rows: &[(&str, SoftHsm2, (Vec<Attribute>, CK_RV))] = &[
        ("a URL and hashes", Passes, (whole, CKR_OK)),
        ("a URL alone", Fails(CHECKS_TOO_LITTLE), (at, CKR_TEMPLATE_INCOMPLETE)),
        ("nowhere", Fails(CHECKS_TOO_LITTLE), (t![CKA_VALUE => b""], CKR_ATTRIBUTE_VALUE_INVALID)),
    ];
    table(rows, |world, (more, wanted)| {
        let rv = world.user().create(&merge(&x509(), more)).err().unwrap_or(Rv::OK);
        assert_eq!(rv, Rv(*wanted));
    });
}

#[test]
fn a_trusted_certificate_does_not_change() {
    case(Passes, |world| {
        let session = world.so();
        let trusted = t![CKA_TRUSTED => true, CKA_TOKEN => true, CKA_LABEL => "trusted"];
        let object = session.create(&merge(&x509(), &trusted)).expect("a certificate");
        let untrust = t![CKA_TRUSTED => false];
        assert_eq!(session.set(object, &untrust), CKR_ATTRIBUTE_READ_ONLY);
        assert_eq!(session.logout(), Rv::OK);
        assert_eq!(session.login(CKU_USER, strongroom_softhsm_tests::USER_PIN), Rv::OK);
        for news in [t![CKA_ID => b"1"], t![CKA_LABEL => "x"], untrust] {
            assert_eq!(session.set(object, &news), CKR_ATTRIBUTE_READ_ONLY);
            assert_eq!(session.copy(object, &news), Err(Rv(CKR_ATTRIBUTE_READ_ONLY)));
        }
        assert_eq!(session.find(&trusted), [object]);
        assert_eq!(session.logout(), Rv::OK);
        assert_eq!(session.login(CKU_SO, SO_PIN), Rv::OK);
        assert_eq!(session.destroy(object), Rv::OK, "but it may go");
    });
}

/// The values of `CK_TRUST`, as numbers of attributes.
mod trust {
    use cryptoki_sys::*;

    pub(super) const TRUST_UNKNOWN: CK_ULONG = CKT_TRUST_UNKNOWN as CK_ULONG;
    pub(super) const TRUSTED: CK_ULONG = CKT_TRUSTED as CK_ULONG;
    pub(super) const TRUST_ANCHOR: CK_ULONG = CKT_TRUST_ANCHOR as CK_ULONG;
    pub(super) const NOT_TRUSTED: CK_ULONG = CKT_NOT_TRUSTED as CK_ULONG;
    pub(super) const TRUST_MUST_VERIFY_TRUST: CK_ULONG = CKT_TRUST_MUST_VERIFY_TRUST as CK_ULONG;
}

fn trust() -> Vec<Attribute> {
    t![
        CKA_CLASS => CKO_TRUST, CKA_ISSUER => b"issuer", CKA_SERIAL_NUMBER => b"1",
        CKA_HASH_OF_CERTIFICATE => &[3; 32], CKA_NAME_HASH_ALGORITHM => CKM_SHA256,
        CKA_TRUST_SERVER_AUTH => trust::TRUST_ANCHOR, CKA_TRUST_CODE_SIGNING => trust::NOT_TRUSTED,
    ]
}

#[test]
fn trust_objects() {
    case(Fails(NO_TRUST), |world| {
        let session = world.user();
        for token in [false, true] {
            let template = merge(&trust(), &t![CKA_TOKEN => token]);
            let object = session.create(&template).expect("C_CreateObject");
            for (kind, wanted) in [
                (CKA_TRUST_SERVER_AUTH, trust::TRUST_ANCHOR),
                (CKA_TRUST_CODE_SIGNING, trust::NOT_TRUSTED),
                (CKA_TRUST_CLIENT_AUTH, trust::TRUST_UNKNOWN),
                (CKA_TRUST_EMAIL_PROTECTION, trust::TRUST_UNKNOWN),
                (CKA_TRUST_IPSEC_IKE, trust::TRUST_UNKNOWN),
                (CKA_TRUST_TIME_STAMPING, trust::TRUST_UNKNOWN),
                (CKA_TRUST_OCSP_SIGNING, trust::TRUST_UNKNOWN),
            ] {
                assert_eq!(session.number(object, kind), Ok(wanted), "{kind:#x}");
            }
            assert_eq!(session.flag(object, CKA_PRIVATE), Ok(false));
            assert_eq!(session.flag(object, CKA_MODIFIABLE), Ok(true));
            let of = t![
                CKA_CLASS => CKO_TRUST, CKA_ISSUER => b"issuer", CKA_SERIAL_NUMBER => b"1",
                CKA_TOKEN => token,
            ];
            assert_eq!(session.find(&of), [object], "found by whom it trusts");
            let revoked = t![CKA_TRUST_SERVER_AUTH => trust::NOT_TRUSTED];
            assert_eq!(session.set(object, &revoked), Rv::OK);
            assert_eq!(session.number(object, CKA_TRUST_SERVER_AUTH), Ok(trust::NOT_TRUSTED));
            assert_eq!(session.destroy(object), Rv::OK);
        }
    });
}

#[test]
fn trust_needs_to_know_whom() {
    let unhashed = || without(&trust(), CKA_HASH_OF_CERTIFICATE);
    let server = |trust: CK_ULONG| t![CKA_TRUST_SERVER_AUTH => trust];
    let rows: &[(&str, _, (Vec<Attribute>, CK_RV))] = &[
        ("no issuer", Fails(NO_TRUST), (without(&trust(), CKA_ISSUER), CKR_TEMPLATE_INCOMPLETE)),
        (
            "no serial number",
            Fails(NO_TRUST),
            (without(&trust(), CKA_SERIAL_NUMBER), CKR_TEMPLATE_INCOMPLETE),
        ),
        ("an anchor without a hash", Fails(NO_TRUST), (unhashed(), CKR_TEMPLATE_INCOMPLETE)),
        (
            "trust without a hash",
            Fails(NO_TRUST),
            (merge(&unhashed(), &server(trust::TRUSTED)), CKR_TEMPLATE_INCOMPLETE),
        ),
        (
            "trust to verify without a hash",
            Fails(NO_TRUST),
            (merge(&unhashed(), &server(trust::TRUST_MUST_VERIFY_TRUST)), CKR_TEMPLATE_INCOMPLETE),
        ),
        (
            "distrust without a hash",
            Fails(NO_TRUST),
            (merge(&unhashed(), &server(trust::NOT_TRUSTED)), CKR_OK),
        ),
        ("no such trust", Passes, (merge(&trust(), &server(77)), CKR_ATTRIBUTE_VALUE_INVALID)),
    ];
    table(rows, |world, (template, wanted)| {
        let rv = world.user().create(template).err().unwrap_or(Rv::OK);
        assert_eq!(rv, Rv(*wanted));
    });
}

#[test]
fn distrust_becomes_trust_with_a_hash() {
    case(Fails(NO_TRUST), |world| {
        let session = world.user();
        let distrust = t![
            CKA_CLASS => CKO_TRUST, CKA_ISSUER => b"issuer", CKA_SERIAL_NUMBER => b"1",
            CKA_TRUST_SERVER_AUTH => trust::NOT_TRUSTED,
        ];
        let object = session.create(&distrust).expect("C_CreateObject");
        let trusted = t![CKA_TRUST_SERVER_AUTH => trust::TRUSTED];
        assert_eq!(session.set(object, &trusted), CKR_TEMPLATE_INCONSISTENT);
        let hash = t![CKA_HASH_OF_CERTIFICATE => &[3; 20]];
        assert_eq!(session.set(object, &[trusted, hash].concat()), Rv::OK);
    });
}
