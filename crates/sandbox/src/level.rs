//! How programs are contained on this machine, or why they cannot be.

use crate::{
    error::Unsupported,
    options::Options,
    pool::Pool,
    run::{self, Ended, Program},
    slot::Plan,
    sys,
};
use std::{
    fmt,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

/// How programs are contained here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// The version of Landlock. From 6 on, it forbids signals and abstract sockets as well, which the filter of system
    /// calls forbids anyway.
    pub landlock: u32,
    /// Whose programs run.
    pub users: Users,
    /// The interpreter.
    pub python: PathBuf,
    /// Its version.
    pub version: [u32; 3],
}

/// The users that programs run as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Users {
    /// Two of each slot's own, from this number on: this process is root.
    Own(u32),
    /// The user of this process.
    Same,
}

impl Level {
    pub(crate) fn new(landlock: u32, plan: &Plan) -> Self {
        Self {
            landlock,
            users: plan.first_uid.map_or(Users::Same, Users::Own),
            python: plan.python.program.clone(),
            version: plan.python.version,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.version;
        let (python, landlock) = (self.python.display(), self.landlock);
        write!(
            f,
            "Python {major}.{minor}.{patch} ({python}) under Landlock {landlock} and a filter of system calls, as "
        )?;
        match self.users {
            Users::Own(first) => write!(f, "users from {first} on"),
            Users::Same => write!(f, "the same user"),
        }
    }
}

/// The version of Landlock, and the first user to drop to where this is root.
pub(crate) fn detect(options: &Options) -> Result<(u32, Option<u32>), Unsupported> {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    if os != "linux" || !["x86_64", "aarch64"].contains(&arch) {
        return Err(Unsupported::Platform(format!("{os} on {arch}")));
    }
    let landlock =
        sys::landlock_version().map_err(|error| Unsupported::Landlock(error.to_string()))?;
    let root = rustix::process::geteuid().is_root();
    let first = root.then(|| options.first_uid.unwrap_or_else(|| choose(options.slots)));
    if let Some(uid) = first {
        sys::can_become(uid).map_err(|source| Unsupported::User { uid, source })?;
    }
    Ok((landlock, first))
}

/// Users that sandboxes of other processes hardly use at the same time: sharing one would cost a line of defence, not
/// the containment.
fn choose(slots: usize) -> u32 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let (first, all) = (61_200, 4_000);
    let users = 2 * slots.max(1) as u32;
    let taken = TAKEN.fetch_add(users, Ordering::Relaxed);
    first + (std::process::id().wrapping_mul(64).wrapping_add(taken)) % (all - users.min(all - 1))
}

/// Has a program try what none may do.
pub(crate) fn prove(pool: &Pool) -> Result<(), Unsupported> {
    let program = Program::new(include_str!("../python/selftest.py"));
    let verdict = pool.with(|plan, slot| run::run(plan, slot, &program));
    let verdict = verdict.map_err(|error| match error {
        crate::Error::Slot(why) => why,
        other => Unsupported::Leaks(other.to_string()),
    })?;
    match verdict.ended {
        Ended::Exited(0) if verdict.stdout.text.trim() == "contained" => Ok(()),
        ended => {
            let said = [verdict.stdout.text.trim(), verdict.stderr.last_line()].join(" ");
            Err(Unsupported::Leaks(format!("{said} ({ended:?})")))
        }
    }
}
