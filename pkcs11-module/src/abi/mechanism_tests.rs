//! Parameters as C programs lay them out.

use core::ptr::null_mut;

use cryptoki_sys::{
    CK_AES_CTR_PARAMS, CK_DERIVED_KEY, CK_ECDH1_DERIVE_PARAMS, CK_EDDSA_PARAMS, CK_GCM_PARAMS,
    CK_HKDF_PARAMS, CK_PKCS5_PBKD2_PARAMS, CK_PKCS5_PBKD2_PARAMS2, CK_PRF_DATA_PARAM,
    CK_RSA_PKCS_OAEP_PARAMS, CK_RSA_PKCS_PSS_PARAMS, CK_SP800_108_COUNTER_FORMAT,
    CK_SP800_108_KDF_PARAMS, CK_SSL3_KEY_MAT_OUT, CK_SSL3_RANDOM_DATA, CK_TLS12_KEY_MAT_PARAMS,
};
use strongroom_types::{Attributes, ObjectHandle, attribute};

use super::super::Argument;
use super::*;

const GCM: Layout = &[Field::PtrLen, Field::Ulong, Field::PtrLen, Field::Ulong];
const CTR: Layout = &[Field::Ulong, Field::Fixed(16)];
const PSS: Layout = &[Field::Ulong, Field::Ulong, Field::Ulong];
const OAEP: Layout = &[Field::Ulong, Field::Ulong, Field::Ulong, Field::PtrLen];
const ECDH1: Layout = &[Field::Ulong, Field::LenPtr, Field::LenPtr];
const EDDSA: Layout = &[Field::Bool, Field::LenPtr];
const HKDF: Layout = &[
    Field::Bool,
    Field::Bool,
    Field::Ulong,
    Field::Ulong,
    Field::PtrLen,
    Field::Ulong,
    Field::PtrLen,
];

const PBKD2: Layout =
    &[Field::Ulong, Field::PtrLen, Field::Ulong, Field::Ulong, Field::PtrLen, Field::PtrLenOrPtr];
const COUNTER: Layout = &[Field::Bool, Field::Ulong];
const SP800_108: Layout = &[
    Field::Ulong,
    Field::Array(&[Field::Tagged(&[(1, COUNTER), (1, &[]), (4, &[Field::Whole])])]),
    Field::Array(&[Field::Template, Field::Ptr(&[Field::OutHandle])]),
];
const KEY_MAT_OUT: Layout = &[
    Field::OutHandle,
    Field::OutHandle,
    Field::OutHandle,
    Field::OutHandle,
    Field::OutPtrBits(2),
    Field::OutPtrBits(2),
];
const KEY_MAT: Layout = &[
    Field::Ulong,
    Field::Ulong,
    Field::Ulong,
    Field::Bool,
    Field::PtrLen,
    Field::PtrLen,
    Field::Ptr(KEY_MAT_OUT),
    Field::Ulong,
];

fn layouts(mechanism: MechanismType) -> Option<&'static [Layout]> {
    Some(match mechanism.0 {
        1 => &[GCM],
        2 => &[CTR],
        3 => &[PSS],
        4 => &[OAEP],
        5 => &[ECDH1],
        6 => &[&[], EDDSA],
        7 => &[&[Field::Whole]],
        8 => &[&[]],
        9 => &[&[Field::Ulong]],
        10 => &[HKDF],
        11 => &[PBKD2],
        12 => &[SP800_108],
        13 => &[KEY_MAT],
        14 => &[&[Field::PtrBits(&[32, 64]), Field::PtrBits(&[64, 96])]],
        _ => return None,
    })
}

/// Asks for a mechanism whose parameter lies at `parameter`.
fn read(mechanism: CkUlong, parameter: *mut c_void, len: CkUlong) -> Result<Params> {
    let mut raw = CK_MECHANISM { mechanism, pParameter: parameter, ulParameterLen: len };
    // SAFETY: a local, whose parameter is null or as long as it says, or refused for its length.
    let call = unsafe { InPtr::from_c(&raw mut raw) }.mechanism(layouts)?;
    assert_eq!(call.mechanism, MechanismType(wide(mechanism)));
    Ok(call.params)
}

/// Has the places of a parameter filled, or told that nothing was made.
fn fill<T>(mechanism: CkUlong, parameter: &mut T, placed: Option<Vec<Placed>>) -> Result<()> {
    let len = CkUlong::try_from(size_of::<T>()).unwrap();
    let at = (&raw mut *parameter).cast();
    let mut raw = CK_MECHANISM { mechanism, pParameter: at, ulParameterLen: len };
    // SAFETY: a local, whose parameter is as long as it says.
    let places = unsafe { InPtr::from_c(&raw mut raw) }.mechanism_with_places(layouts)?.1;
    match placed {
        Some(placed) => places.put(placed),
        None => {
            places.nothing_made();
            Ok(())
        }
    }
}

fn structure<T>(mechanism: CkUlong, parameter: &mut T) -> Result<Params> {
    let len = CkUlong::try_from(size_of::<T>()).unwrap();
    read(mechanism, (&raw mut *parameter).cast(), len)
}

fn same(params: Result<Params>, wanted: impl IntoIterator<Item = Param>) {
    assert!(params.unwrap() == wanted.into_iter().collect::<Params>());
}

fn gcm(iv: &mut [u8], aad: &mut [u8]) -> CK_GCM_PARAMS {
    CK_GCM_PARAMS {
        pIv: iv.as_mut_ptr(),
        ulIvLen: iv.len().try_into().unwrap(),
        ulIvBits: 96,
        pAAD: aad.as_mut_ptr(),
        ulAADLen: aad.len().try_into().unwrap(),
        ulTagBits: 128,
    }
}

#[test]
fn structures_of_the_header_are_read() {
    use Param::{Bool, Ulong};
    let bytes = |bytes: &[u8]| Param::from(bytes);
    let (mut a, mut b) = ([7_u8; 12], [9_u8; 3]);

    same(structure(1, &mut gcm(&mut a, &mut b)), [bytes(&a), Ulong(96), bytes(&b), Ulong(128)]);

    let mut ctr = CK_AES_CTR_PARAMS { ulCounterBits: 128, cb: [3; 16] };
    same(structure(2, &mut ctr), [Ulong(128), bytes(&[3; 16])]);

    let mut pss = CK_RSA_PKCS_PSS_PARAMS { hashAlg: 0x250, mgf: 2, sLen: 32 };
    same(structure(3, &mut pss), [Ulong(0x250), Ulong(2), Ulong(32)]);

    let mut oaep = CK_RSA_PKCS_OAEP_PARAMS {
        hashAlg: 0x220,
        mgf: 1,
        source: 1,
        pSourceData: b.as_mut_ptr().cast(),
        ulSourceDataLen: 3,
    };
    same(structure(4, &mut oaep), [Ulong(0x220), Ulong(1), Ulong(1), bytes(&b)]);

    let mut ecdh = CK_ECDH1_DERIVE_PARAMS {
        kdf: 1,
        ulSharedDataLen: 0,
        pSharedData: null_mut(),
        ulPublicDataLen: 12,
        pPublicData: a.as_mut_ptr(),
    };
    same(structure(5, &mut ecdh), [Ulong(1), bytes(&[]), bytes(&a)]);

    let mut eddsa =
        CK_EDDSA_PARAMS { phFlag: 1, ulContextDataLen: 3, pContextData: b.as_mut_ptr() };
    same(structure(6, &mut eddsa), [Bool(true), bytes(&b)]);
    same(read(6, null_mut(), 0), []);

    let mut hkdf = CK_HKDF_PARAMS {
        bExtract: 1,
        bExpand: 0,
        prfHashMechanism: 0x250,
        ulSaltType: 1,
        pSalt: null_mut(),
        ulSaltLen: 0,
        hSaltKey: 0,
        pInfo: b.as_mut_ptr(),
        ulInfoLen: 3,
    };
    let values = [Bool(true), Bool(false), Ulong(0x250), Ulong(1), bytes(&[]), Ulong(0), bytes(&b)];
    same(structure(10, &mut hkdf), values);
}

#[test]
fn sizes_are_those_of_the_header() {
    for (layout, wanted) in [
        (GCM, size_of::<CK_GCM_PARAMS>()),
        (CTR, size_of::<CK_AES_CTR_PARAMS>()),
        (PSS, size_of::<CK_RSA_PKCS_PSS_PARAMS>()),
        (OAEP, size_of::<CK_RSA_PKCS_OAEP_PARAMS>()),
        (ECDH1, size_of::<CK_ECDH1_DERIVE_PARAMS>()),
        (EDDSA, size_of::<CK_EDDSA_PARAMS>()),
        (HKDF, size_of::<CK_HKDF_PARAMS>()),
        (PBKD2, size_of::<CK_PKCS5_PBKD2_PARAMS2>()),
        (SP800_108, size_of::<CK_SP800_108_KDF_PARAMS>()),
        (KEY_MAT, size_of::<CK_TLS12_KEY_MAT_PARAMS>()),
        (KEY_MAT_OUT, size_of::<CK_SSL3_KEY_MAT_OUT>()),
        (&[], 0),
    ] {
        assert_eq!(size(layout), wanted);
    }
}

#[test]
fn a_length_may_be_behind_a_pointer() {
    let mut password = *b"password";
    let mut new = CK_PKCS5_PBKD2_PARAMS2 {
        saltSource: 1,
        pSaltSourceData: null_mut(),
        ulSaltSourceDataLen: 0,
        iterations: 1000,
        prf: 4,
        pPrfData: null_mut(),
        ulPrfDataLen: 0,
        pPassword: password.as_mut_ptr(),
        ulPasswordLen: 8,
    };
    let read = structure(11, &mut new).unwrap();
    assert!(read.as_slice().last() == Some(&Param::from(password.as_slice())));
    let mut len = 8;
    let mut old = CK_PKCS5_PBKD2_PARAMS {
        saltSource: 1,
        pSaltSourceData: null_mut(),
        ulSaltSourceDataLen: 0,
        iterations: 1000,
        prf: 4,
        pPrfData: null_mut(),
        ulPrfDataLen: 0,
        pPassword: password.as_mut_ptr(),
        ulPasswordLen: &raw mut len,
    };
    assert!(structure(11, &mut old).unwrap() == read);
}

#[test]
fn arrays_of_structures_are_read_and_their_places_filled() {
    let mut format = CK_SP800_108_COUNTER_FORMAT { bLittleEndian: 0, ulWidthInBits: 32 };
    let mut label = *b"label";
    let mut data = [
        CK_PRF_DATA_PARAM {
            type_: 1,
            pValue: (&raw mut format).cast(),
            ulValueLen: size_of::<CK_SP800_108_COUNTER_FORMAT>().try_into().unwrap(),
        },
        CK_PRF_DATA_PARAM { type_: 4, pValue: label.as_mut_ptr().cast(), ulValueLen: 5 },
        CK_PRF_DATA_PARAM { type_: 1, pValue: null_mut(), ulValueLen: 0 },
    ];
    let mut value_len: CkUlong = 16;
    let mut attribute = cryptoki_sys::CK_ATTRIBUTE {
        type_: cryptoki_sys::CKA_VALUE_LEN,
        pValue: (&raw mut value_len).cast(),
        ulValueLen: size_of::<CkUlong>().try_into().unwrap(),
    };
    let mut handle: CkUlong = 77;
    let mut additional = CK_DERIVED_KEY {
        pTemplate: &raw mut attribute,
        ulAttributeCount: 1,
        phKey: &raw mut handle,
    };
    let mut params = CK_SP800_108_KDF_PARAMS {
        prfType: 0x251,
        ulNumberOfDataParams: 3,
        pDataParams: data.as_mut_ptr(),
        ulAdditionalDerivedKeys: 1,
        pAdditionalDerivedKeys: &raw mut additional,
    };
    let one = |values: Vec<Param>| {
        let inner = Param::Structure(values.into_iter().collect());
        [inner].into_iter().collect::<Params>()
    };
    let mut template = Attributes::default();
    template.set(attribute::VALUE_LEN, 16);
    let place = Param::Structure([Param::Place(true)].into_iter().collect());
    same(
        structure(12, &mut params),
        [
            Param::Ulong(0x251),
            Param::Structures(vec![
                one(vec![Param::Ulong(1), Param::Bool(false), Param::Ulong(32)]),
                one(vec![Param::Ulong(4), Param::from(label.as_slice())]),
                one(vec![Param::Ulong(1)]),
            ]),
            Param::Structures(vec![[Param::Template(template), place].into_iter().collect()]),
        ],
    );
    assert_eq!(fill(12, &mut params, Some(vec![Placed::Handle(ObjectHandle(5))])), Ok(()));
    assert_eq!(handle, 5);
    assert_eq!(fill(12, &mut params, None), Ok(()));
    assert_eq!(handle, cryptoki_sys::CK_INVALID_HANDLE);

    let invalid = Some(Error::MechanismParamInvalid);
    for count in [4097 << 20, CkUlong::MAX] {
        let mut params = CK_SP800_108_KDF_PARAMS { ulNumberOfDataParams: count, ..params };
        assert_eq!(structure(12, &mut params).err(), invalid);
    }
    let mut params = CK_SP800_108_KDF_PARAMS { pDataParams: null_mut(), ..params };
    assert_eq!(structure(12, &mut params).err(), invalid);
    // A number that says nothing, and a length that does not go with the number.
    for (type_, len) in [(9, 5), (1, 5)] {
        data[1] = CK_PRF_DATA_PARAM { type_, pValue: label.as_mut_ptr().cast(), ulValueLen: len };
        let mut params = CK_SP800_108_KDF_PARAMS { pDataParams: data.as_mut_ptr(), ..params };
        assert_eq!(structure(12, &mut params).err(), invalid);
    }
}

#[test]
fn places_for_handles_and_bytes_are_filled() {
    let (mut random, mut iv) = ([3_u8; 32], [0_u8; 5]);
    let random = random.as_mut_ptr();
    let mut out = CK_SSL3_KEY_MAT_OUT {
        hClientMacSecret: 9,
        hServerMacSecret: 9,
        hClientKey: 9,
        hServerKey: 9,
        pIVClient: iv.as_mut_ptr(),
        pIVServer: null_mut(),
    };
    let mut params = CK_TLS12_KEY_MAT_PARAMS {
        ulMacSizeInBits: 0,
        ulKeySizeInBits: 128,
        ulIVSizeInBits: 32,
        bIsExport: 0,
        RandomInfo: CK_SSL3_RANDOM_DATA {
            pClientRandom: random,
            ulClientRandomLen: 32,
            pServerRandom: random,
            ulServerRandomLen: 32,
        },
        pReturnedKeyMaterial: &raw mut out,
        prfHashMechanism: 0x250,
    };
    let place = Param::Place;
    let inner = [true, true, true, true, true, false].map(place).into_iter().collect();
    let values = structure(13, &mut params).unwrap();
    assert!(values.as_slice()[6] == Param::Structure(inner));
    let bytes = || Placed::Bytes(vec![1, 2, 3, 4].into());
    let handle = |number| Placed::Handle(ObjectHandle(number));
    let placed = || vec![handle(1), Placed::Nothing, handle(3), handle(4), bytes()];
    let all = placed().into_iter().chain([Placed::Nothing]).collect();
    assert_eq!(fill(13, &mut params, Some(all)), Ok(()));
    let handles = [out.hClientMacSecret, out.hServerMacSecret, out.hClientKey, out.hServerKey];
    assert_eq!((handles, iv), ([1, 9, 3, 4], [1, 2, 3, 4, 0]));
    let nowhere = placed().into_iter().chain([bytes()]).collect();
    assert_eq!(fill(13, &mut params, Some(nowhere)), Err(Error::ArgumentsBad));
    assert_eq!(fill(13, &mut params, Some(placed())), Err(Error::GeneralError));
    let mut long = placed();
    long[4] = Placed::Bytes(vec![8; 5].into());
    long.push(Placed::Nothing);
    assert_eq!(
        fill(13, &mut params, Some(long)),
        Err(Error::GeneralError),
        "more than there is room for"
    );
    assert_eq!(iv, [1, 2, 3, 4, 0]);

    params.pReturnedKeyMaterial = null_mut();
    assert_eq!(structure(13, &mut params).err(), Some(Error::MechanismParamInvalid));
}

#[test]
fn a_parameter_may_be_bytes_or_nothing() {
    let mut iv = [5_u8; 16];
    same(structure(7, &mut iv), [Param::from(iv.as_slice())]);
    same(read(7, null_mut(), 0), [Param::from([].as_slice())]);
    same(read(8, null_mut(), 0), []);
    same(read(8, iv.as_mut_ptr().cast(), 0), []);
    let mut len: CkUlong = 16;
    same(structure(9, &mut len), [Param::Ulong(16)]);
}

#[test]
fn a_parameter_of_the_wrong_length_is_refused() {
    let mut words = [CkUlong::default(); 16];
    let word = size_of::<CkUlong>();
    for (mechanism, len) in
        [(1, 0), (1, 5 * word), (1, 7 * word), (3, word), (3, 4 * word), (6, word), (8, 1)]
    {
        let result = read(mechanism, words.as_mut_ptr().cast(), len.try_into().unwrap());
        assert_eq!(result.err(), Some(Error::MechanismParamInvalid), "{mechanism} {len}");
    }
}

#[test]
fn null_with_a_length_is_refused_everywhere() {
    let invalid = Some(Error::MechanismParamInvalid);
    for (mechanism, len) in [(1, 48), (2, 24), (7, 16), (8, 1)] {
        assert_eq!(read(mechanism, null_mut(), len).err(), invalid);
    }
    let (mut a, mut b) = ([7_u8; 12], [9_u8; 3]);
    let mut params = CK_GCM_PARAMS { pIv: null_mut(), ..gcm(&mut a, &mut b) };
    assert_eq!(structure(1, &mut params).err(), invalid);
    let mut params = CK_GCM_PARAMS { pAAD: null_mut(), ..gcm(&mut a, &mut b) };
    assert_eq!(structure(1, &mut params).err(), invalid);
}

#[test]
fn lengths_that_no_parameter_has_are_refused() {
    let invalid = Some(Error::MechanismParamInvalid);
    let (mut a, mut b) = ([7_u8; 12], [9_u8; 3]);
    for len in [CkUlong::MAX, 1 << 40] {
        assert_eq!(read(7, a.as_mut_ptr().cast(), len).err(), invalid);
        let mut params = CK_GCM_PARAMS { ulAADLen: len, ..gcm(&mut a, &mut b) };
        assert_eq!(structure(1, &mut params).err(), invalid);
    }
}

/// Each of the pieces alone could be copied, and so could two; they all point to the same memory.
#[test]
#[cfg_attr(miri, ignore = "what is copied is wiped byte by byte, for which Miri takes hours")]
fn the_sum_of_the_members_is_bounded() {
    let most: usize = 64 << 20;
    let mut memory = vec![0_u8; most];
    let start = memory.as_mut_ptr();
    let piece = |len: &usize| CK_PRF_DATA_PARAM {
        type_: 4,
        pValue: start.cast(),
        ulValueLen: (*len).try_into().unwrap(),
    };
    let run = |lens: &[usize]| {
        let mut data: Vec<_> = lens.iter().map(piece).collect();
        let mut params = CK_SP800_108_KDF_PARAMS {
            prfType: 0x251,
            ulNumberOfDataParams: lens.len().try_into().unwrap(),
            pDataParams: data.as_mut_ptr(),
            ulAdditionalDerivedKeys: 0,
            pAdditionalDerivedKeys: null_mut(),
        };
        structure(12, &mut params).err()
    };
    let invalid = Some(Error::MechanismParamInvalid);
    assert_eq!(run(&[most / 4, most / 4]), None);
    assert_eq!(run(&[most / 2, most / 2]), invalid, "the structures count too");
    assert_eq!(run(&[1 << 20; 64]), invalid);
    assert_eq!(run(&[0; 4096]), None);
    assert_eq!(run(&[0; 4097]), invalid);

    let run = |lens: &[usize]| {
        let attribute = |len: &usize| cryptoki_sys::CK_ATTRIBUTE {
            type_: cryptoki_sys::CKA_LABEL,
            pValue: start.cast(),
            ulValueLen: (*len).try_into().unwrap(),
        };
        let mut template: Vec<_> = lens.iter().map(attribute).collect();
        let mut keys = CK_DERIVED_KEY {
            pTemplate: template.as_mut_ptr(),
            ulAttributeCount: lens.len().try_into().unwrap(),
            phKey: &mut 0,
        };
        let mut params = CK_SP800_108_KDF_PARAMS {
            prfType: 0x251,
            ulNumberOfDataParams: 0,
            pDataParams: null_mut(),
            ulAdditionalDerivedKeys: 1,
            pAdditionalDerivedKeys: &raw mut keys,
        };
        structure(12, &mut params).err()
    };
    assert_eq!(run(&[1 << 20; 8]), None);
    assert_eq!(run(&[1 << 20; 64]), Some(Error::AttributeValueInvalid));
}

#[test]
fn structures_may_be_misaligned() {
    let mut memory = [core::mem::MaybeUninit::<u8>::uninit(); 64];
    let odd = memory[1..].as_mut_ptr().cast::<CK_RSA_PKCS_PSS_PARAMS>();
    // SAFETY: `memory` has room for it behind its first byte.
    unsafe { odd.write_unaligned(CK_RSA_PKCS_PSS_PARAMS { hashAlg: 1, mgf: 2, sLen: 3 }) };
    let len = size_of::<CK_RSA_PKCS_PSS_PARAMS>().try_into().unwrap();
    same(read(3, odd.cast(), len), [Param::Ulong(1), Param::Ulong(2), Param::Ulong(3)]);
}

#[test]
fn no_mechanism_is_not_an_unknown_one() {
    assert_eq!(read(99, null_mut(), 0).err(), Some(Error::MechanismInvalid));
    // SAFETY: null.
    let null: InPtr<'_, CK_MECHANISM> = unsafe { InPtr::from_c(null_mut()) };
    assert_eq!(null.mechanism(layouts).err(), Some(Error::ArgumentsBad));
    assert!(matches!(null.optional_mechanism(layouts), Ok(None)));
}

#[test]
fn lengths_in_bits_and_in_bytes() {
    let (mut counter, mut nonce) = ([1_u8, 2, 3, 4], [5_u8; 12]);
    for (counter_len, nonce_len) in [(32, 96), (4, 12), (32, 12)] {
        let mut parameter = cryptoki_sys::CK_CHACHA20_PARAMS {
            pBlockCounter: counter.as_mut_ptr(),
            blockCounterBits: counter_len,
            pNonce: nonce.as_mut_ptr(),
            ulNonceBits: nonce_len,
        };
        same(
            structure(14, &mut parameter),
            [Param::from(&[1, 2, 3, 4][..]), Param::from(&[5; 12][..])],
        );
    }
}
