//! The files a process may reach, as a Landlock ruleset.

use crate::{error::Unsupported, python::Python};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};
use std::{os::fd::OwnedFd, path::Path};

/// The newest version whose rights we know by name; on older kernels, those that they know.
const NEWEST: ABI = ABI::V6;

/// An interpreter, its library and the shared objects it maps may be read, and files may be made in the scratch
/// folder. Nothing else can be opened.
///
/// # Errors
///
/// The kernel refuses the ruleset.
pub(crate) fn ruleset(python: &Python, scratch: Option<&Path>) -> Result<OwnedFd, Unsupported> {
    let refused = |error: RulesetError| Unsupported::Landlock(error.to_string());
    let rules = build(python, scratch).map_err(refused)?;
    let fd: Option<OwnedFd> = rules.into();
    fd.ok_or_else(|| Unsupported::Landlock("the kernel made no ruleset".to_owned()))
}

fn build(python: &Python, scratch: Option<&Path>) -> Result<RulesetCreated, RulesetError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    let read = AccessFs::ReadFile;
    rules = allow(rules, &python.program, read | AccessFs::Execute)?;
    for object in &python.objects {
        rules = allow(rules, object, read | AccessFs::Execute)?;
    }
    for entry in &python.library {
        let folder = if entry.is_dir() {
            read | AccessFs::ReadDir
        } else {
            read.into()
        };
        rules = allow(rules, entry, folder)?;
    }
    for folder in &python.folders {
        rules = allow(rules, folder, AccessFs::ReadDir.into())?;
    }
    rules = allow(rules, Path::new("/etc/ld.so.cache"), read.into())?;
    rules = allow(rules, Path::new("/dev/null"), read | AccessFs::WriteFile)?;
    if let Some(scratch) = scratch {
        rules = allow(rules, scratch, in_scratch())?;
    }
    Ok(rules)
}

/// Plain files only: no folders, links, sockets or devices, so that a scratch folder is emptied by one loop.
fn in_scratch() -> BitFlags<AccessFs> {
    AccessFs::ReadFile
        | AccessFs::WriteFile
        | AccessFs::ReadDir
        | AccessFs::MakeReg
        | AccessFs::RemoveFile
        | AccessFs::Truncate
}

/// A path that is not there needs no rule.
fn allow(
    rules: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    match PathFd::new(path) {
        Ok(fd) => rules.add_rule(PathBeneath::new(fd, access)),
        Err(_) => Ok(rules),
    }
}
