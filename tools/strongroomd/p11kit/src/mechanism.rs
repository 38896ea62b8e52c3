//! Mechanisms: a number, and the parameter as the mechanism's own layout describes it.

use strongroom_types::{
    Error, Field, Layout, MechanismCall, MechanismType, Param, Params, mechanism,
};

use crate::bytes::NULL;
use crate::request::{Argument, Request, Understood, Wire};

/// A mechanism that the client knows by another number than the standard's.
struct Alias {
    /// That number. The client sends no parameter with it.
    number: u64,
    /// What it stands for.
    means: MechanismType,
}

/// No generation sends `CKM_EDDSA`, but those that know it send the number that IBM gave to the
/// same signature: Ed25519 of the message as it is. A number of a vendor's means what the token
/// says that it means; here it means what it means at IBM.
static ALIASES: &[Alias] = &[Alias { number: 0x8001_001C, means: mechanism!(CKM_EDDSA).0 }];

/// What a number of the client's stands for.
pub(crate) fn meant(mechanism: MechanismType, wire: Wire<'_>) -> MechanismType {
    alias(mechanism, wire).map_or(mechanism, |alias| alias.means)
}

fn alias(mechanism: MechanismType, wire: Wire<'_>) -> Option<&'static Alias> {
    let known = ALIASES.iter().find(|alias| alias.number == mechanism.0);
    known.filter(|_| wire.generation.knows_ibm)
}

/// The list of mechanisms as the client is told it: with its own numbers, too.
pub(crate) fn listed(mut mechanisms: Vec<MechanismType>, wire: Wire<'_>) -> Vec<u64> {
    let known = ALIASES.iter().filter(|_| wire.generation.knows_ibm);
    let known: Vec<_> = known
        .filter(|alias| mechanisms.contains(&alias.means))
        .map(|alias| MechanismType(alias.number))
        .collect();
    mechanisms.extend(known);
    mechanisms.into_iter().map(|mechanism| mechanism.0).collect()
}

/// A mechanism; a null pointer, which ends an operation, is none.
impl Argument<'_> for Option<MechanismCall> {
    const SIGNATURE: &'static str = "M";

    fn read(request: &mut Request<'_>) -> Understood<Self> {
        read(request, |layouts| layouts.iter().any(|layout| layout.is_empty()))
    }
}

/// A mechanism that must be there.
impl Argument<'_> for MechanismCall {
    const SIGNATURE: &'static str = "M";

    fn read(request: &mut Request<'_>) -> Understood<Self> {
        let mechanism = Option::<MechanismCall>::read(request)?;
        Ok(mechanism.ok_or(Error::ArgumentsBad)?)
    }
}

/// A mechanism whose messages have parameters, so that it has none itself.
pub(crate) struct OfMessages(pub(crate) Option<MechanismCall>);

impl Argument<'_> for OfMessages {
    const SIGNATURE: &'static str = "M";

    fn read(request: &mut Request<'_>) -> Understood<Self> {
        match read(request, |_| true)? {
            Some(call) if !call.params.is_empty() => Err(Error::MechanismParamInvalid.into()),
            mechanism => Ok(Self(mechanism)),
        }
    }
}

/// A mechanism whose parameter goes back to the client.
pub(crate) struct Returning {
    pub(crate) call: MechanismCall,
    /// Whether the client sent a parameter; nothing if the mechanism never has one.
    pub(crate) parameter: Option<bool>,
}

impl Argument<'_> for Returning {
    const SIGNATURE: &'static str = "M";

    fn read(request: &mut Request<'_>) -> Understood<Self> {
        let call = MechanismCall::read(request)?;
        let layouts = (request.wire.layouts)(call.mechanism).unwrap_or(NO_PARAMETER);
        let can = layouts.iter().any(|layout| !layout.is_empty());
        let parameter = can.then_some(!call.params.is_empty());
        Ok(Self { call, parameter })
    }
}

fn read(
    request: &mut Request<'_>,
    may_be_absent: fn(&[Layout]) -> bool,
) -> Understood<Option<MechanismCall>> {
    let number = request.body.u32()?;
    if number == NULL {
        return Ok(None);
    }
    let number = MechanismType(number.into());
    let mechanism = meant(number, request.wire);
    let layouts = if alias(number, request.wire).is_some() {
        NO_PARAMETER
    } else {
        (request.wire.layouts)(mechanism).ok_or(Error::MechanismInvalid)?
    };
    let params = match parameter(request, layouts)? {
        None if may_be_absent(layouts) => Params::NONE,
        None => return Err(Error::MechanismParamInvalid.into()),
        Some(params) => params,
    };
    Ok(Some(MechanismCall { mechanism, params }))
}

/// The layouts of a mechanism that never has a parameter.
const NO_PARAMETER: &[Layout] = &[&[]];

/// The parameter, if there is one. The newest form of a structure comes first, and is the one that
/// travels.
fn parameter(request: &mut Request<'_>, layouts: &[Layout]) -> Understood<Option<Params>> {
    let says_whether = request.wire.generation.says_whether_parameter;
    let Some(layout) = layouts.iter().find(|layout| !layout.is_empty()) else {
        let sent = if says_whether { None } else { request.body.string()? };
        return match sent.unwrap_or_default() {
            [] => Ok(None),
            _ => Err(Error::MechanismParamInvalid.into()),
        };
    };
    if says_whether && request.body.byte()? == 0 {
        return Ok(None);
    }
    let params = layout.iter().map(|field| value(request, *field)).collect::<Understood<_>>()?;
    Ok(Some(params))
}

fn value(request: &mut Request<'_>, field: Field) -> Understood<Param> {
    let body = &mut request.body;
    Ok(match field {
        Field::Bool => Param::Bool(body.byte()? != 0),
        Field::Ulong => Param::Ulong(body.u64()?),
        Field::PtrLen | Field::LenPtr | Field::Whole => body.string()?.unwrap_or_default().into(),
        Field::Fixed(len) => {
            let bytes = body.string()?.unwrap_or_default();
            if bytes.len() != len {
                return Err(Error::MechanismParamInvalid.into());
            }
            bytes.into()
        }
        // No generation of the client sends a mechanism with anything else, whatever we have.
        _ => return Err(Error::MechanismInvalid.into()),
    })
}
