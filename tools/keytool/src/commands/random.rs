//! `random` and `mechanisms`: what a token does without a key.

use cryptoki::mechanism::{MechanismInfo, MechanismType};
use serde::Serialize;
use zeroize::Zeroizing;

use super::Context;
use crate::cli::{MechanismsArgs, RandomArgs};
use crate::errors::{During, Failure, Result};
use crate::files::Sink;
use crate::table::table;
use crate::token::{self, Access, Token};

/// The answer of `random`.
#[derive(Serialize)]
struct Random<'a> {
    hex: &'a str,
}

/// `random`.
pub(super) fn random(context: &Context, args: &RandomArgs) -> Result<()> {
    let place = token::choose(&context.module, &args.token, None)?;
    let token = Token::open(&context.module, place, Access::Read)?;
    let len = usize::try_from(args.bytes)
        .map_err(|error| Failure::usage("too many bytes").cause(error))?;
    let bytes = Zeroizing::new(token.random(len)?);
    if args.binary {
        let mut sink = Sink::private(args.output.out.as_deref())?;
        sink.write(&bytes)?;
        return sink.finish();
    }
    let hex = Zeroizing::new(hex::encode(&*bytes));
    if args.output.out.is_some() {
        let mut sink = Sink::private(args.output.out.as_deref())?;
        sink.write(hex.as_bytes())?;
        sink.write(b"\n")?;
        return sink.finish();
    }
    context.out.show(&Random { hex: &hex }, |_| hex.to_string())
}

/// What is shown of a mechanism.
#[derive(Serialize)]
struct View {
    name: String,
    id: u64,
    min_key_size: usize,
    max_key_size: usize,
    flags: Vec<&'static str>,
}

/// An ability of a mechanism: its name and how it is asked for.
type Flag = (&'static str, fn(&MechanismInfo) -> bool);

const FLAGS: &[Flag] = &[
    ("encrypt", MechanismInfo::encrypt),
    ("decrypt", MechanismInfo::decrypt),
    ("sign", MechanismInfo::sign),
    ("verify", MechanismInfo::verify),
    ("digest", MechanismInfo::digest),
    ("wrap", MechanismInfo::wrap),
    ("unwrap", MechanismInfo::unwrap),
    ("derive", MechanismInfo::derive),
    ("generate", MechanismInfo::generate),
    ("generate-pair", MechanismInfo::generate_key_pair),
    ("encapsulate", MechanismInfo::encapsulate),
    ("decapsulate", MechanismInfo::decapsulate),
    ("message-encrypt", MechanismInfo::message_encrypt),
    ("message-decrypt", MechanismInfo::message_decrypt),
    ("hardware", MechanismInfo::hardware),
];

/// Mechanisms that the PKCS#11 binding knows but leaves out of lists; they are asked for one
/// by one.
const UNLISTED: &[MechanismType] = &[
    MechanismType::SHA224,
    MechanismType::SHA224_RSA_PKCS,
    MechanismType::ECDSA_SHA224,
    MechanismType::DES3_CBC,
    MechanismType::DES3_CBC_PAD,
    MechanismType::HASH_ML_DSA_SHAKE256,
    MechanismType::HASH_SLH_DSA_SHAKE256,
];

/// `mechanisms`.
pub(super) fn mechanisms(context: &Context, args: &MechanismsArgs) -> Result<()> {
    let slot = token::choose(&context.module, &args.token, None)?.slot;
    let mut kinds = context.module.get_mechanism_list(slot).during("cannot list the mechanisms")?;
    kinds.extend_from_slice(UNLISTED);
    let mut views: Vec<View> = kinds
        .into_iter()
        .filter_map(|kind| {
            let info = context.module.get_mechanism_info(slot, kind).ok()?;
            Some(View {
                name: kind.to_string(),
                id: *kind,
                min_key_size: info.min_key_size(),
                max_key_size: info.max_key_size(),
                flags: FLAGS.iter().filter(|flag| flag.1(&info)).map(|flag| flag.0).collect(),
            })
        })
        .collect();
    views.sort_by(|one, two| one.name.cmp(&two.name));
    context.out.show(&views, |paint| {
        let rows: Vec<Vec<String>> = views
            .iter()
            .map(|view| {
                let sizes = match (view.min_key_size, view.max_key_size) {
                    (0, 0) => String::new(),
                    (least, most) => format!("{least}-{most}"),
                };
                vec![view.name.clone(), sizes, view.flags.join(",")]
            })
            .collect();
        table(paint, &["MECHANISM", "KEY SIZE", "USE"], &rows)
    })
}
