//! Which files the process opens.

use landlock::{
    ABI, Access, AccessFs, AccessNet, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use std::path::PathBuf;

use crate::Confinement;

/// The newest version of Landlock whose rights we name; older ones enforce what they know.
const NEWEST: ABI = ABI::V6;

/// Nothing but the files of the confinement can be opened, no TCP port used, and no process outside
/// be sent a signal.
pub(crate) fn restrict(confinement: &Confinement) -> Result<(), String> {
    let enforced = rules(confinement).map_err(|error| error.to_string())?;
    match enforced {
        RulesetStatus::FullyEnforced => Ok(()),
        RulesetStatus::PartiallyEnforced => Err("this kernel enforces a part of it only".into()),
        RulesetStatus::NotEnforced => Err("this kernel does not have it".into()),
    }
}

fn rules(confinement: &Confinement) -> Result<RulesetStatus, RulesetError> {
    let all = AccessFs::from_all(NEWEST);
    let rules = Ruleset::default()
        .handle_access(all)?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    let rules = allow(rules, &confinement.writable, all)?;
    let rules = allow(rules, &confinement.readable, AccessFs::from_read(NEWEST))?;
    Ok(rules.restrict_self()?.ruleset)
}

/// A path that is not there is not allowed, and will not be opened when it comes.
fn allow(
    mut rules: RulesetCreated,
    paths: &[PathBuf],
    access: landlock::BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    for path in paths {
        let Ok(opened) = PathFd::new(path) else { continue };
        let access = if path.is_dir() { access } else { access & AccessFs::from_file(NEWEST) };
        rules = rules.add_rule(PathBeneath::new(opened, access))?;
    }
    Ok(rules)
}
