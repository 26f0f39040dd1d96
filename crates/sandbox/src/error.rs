//! Why no program is run.

use std::path::PathBuf;

/// Why programs cannot be contained here. There is no weaker mode: code problems are refused with this reason.
#[derive(Debug, thiserror::Error)]
pub enum Unsupported {
    /// Another system or processor.
    #[error(
        "programs are run on Linux on x86-64 and arm64 only, this is {0}: run a worker on such a machine"
    )]
    Platform(String),
    /// The kernel has no Landlock, or it is off.
    #[error(
        "the kernel confines no files ({0}): it needs Linux 5.13 or newer with Landlock on (`lsm=landlock,...` on the kernel's command line), and in a container an engine whose seccomp profile lets Landlock's calls through (Docker 23 or newer)"
    )]
    Landlock(String),
    /// The kernel has no seccomp filters.
    #[error("the kernel filters no system calls ({0}): it needs Linux with CONFIG_SECCOMP_FILTER")]
    Filter(String),
    /// Root that may not become anybody else.
    #[error(
        "root cannot become user {uid} for a program ({source}): give the container the capabilities SETUID and SETGID, or start it as an ordinary user"
    )]
    User {
        /// The user it tried to become.
        uid: u32,
        /// What the system said.
        source: std::io::Error,
    },
    /// No interpreter that could be used.
    #[error(
        "no Python that programs could be run with: {0}; install Python 3.9 or newer (apt-get install python3) where every user may execute it, or name one in the options"
    )]
    Python(String),
    /// No folder for programs.
    #[error(
        "no scratch folder under {}: {source}; name a folder that can be written in the options", .folder.display()
    )]
    Scratch {
        /// Where it should have been.
        folder: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A program could do what it must not.
    #[error(
        "programs would not be contained here: {0}; report this with the version of your kernel"
    )]
    Leaks(String),
}

/// Why a program that could have been run was not, or not to its end, through no fault of its own.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Slots died, again and again.
    #[error("the sandbox lost a program twice: {0}")]
    Lost(String),
    /// A slot could not be started anew.
    #[error("no new slot: {0}")]
    Slot(#[from] Unsupported),
    /// The machine lacks descriptors, memory or disk.
    #[error("the sandbox lacks what it needs: {0}")]
    Resources(#[from] std::io::Error),
    /// Tests that nothing could pass.
    #[error("the tests of {entry_point} cannot be used: {why}")]
    Tests {
        /// The function they are for.
        entry_point: String,
        /// What is wrong with them.
        why: String,
    },
}
