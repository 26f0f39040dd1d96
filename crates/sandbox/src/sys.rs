//! All unsafe code of this crate: what happens between `fork` and `exec`, and one probing system call.
#![allow(
    unsafe_code,
    reason = "confining a process before its program starts has no safe interface"
)]

use std::{
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::{Child, Command},
};

/// What a process may no longer do once its program starts.
pub(crate) struct Confine {
    /// The files it may reach: a Landlock ruleset. Nothing is restricted without one.
    pub(crate) rules: Option<OwnedFd>,
    /// The user and group it becomes, where this process is root.
    pub(crate) uid: Option<u32>,
}

/// Starts a command confined: in a session of its own, without inherited descriptors, environment or privileges.
pub(crate) fn spawn(command: &mut Command, confine: Confine) -> io::Result<Child> {
    command.env_clear();
    // SAFETY: the closure runs in the forked child, where only async-signal-safe functions may be called. It makes
    // system calls alone; it allocates nothing but for the error of a start that fails, which ends the child.
    unsafe {
        command.pre_exec(move || {
            libc::setsid();
            libc::umask(0o077);
            // Descriptors 0 to 2 are set already; all others vanish with exec, whoever forgot to mark them.
            check(libc::syscall(
                libc::SYS_close_range,
                3u32,
                u32::MAX,
                libc::CLOSE_RANGE_CLOEXEC,
            ))?;
            limit(libc::RLIMIT_CORE, 0)?;
            limit(libc::RLIMIT_MEMLOCK, 0)?;
            limit(libc::RLIMIT_MSGQUEUE, 0)?;
            limit(libc::RLIMIT_NOFILE, DESCRIPTORS)?;
            // Capabilities that would survive exec; none where this is an ordinary user.
            libc::prctl(
                libc::PR_CAP_AMBIENT,
                libc::PR_CAP_AMBIENT_CLEAR_ALL,
                0,
                0,
                0,
            );
            if let Some(uid) = confine.uid {
                become_user(uid)?;
            }
            check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).into())?;
            if let Some(rules) = &confine.rules {
                let fd = rules.as_raw_fd();
                check(libc::syscall(libc::SYS_landlock_restrict_self, fd, 0))?;
            }
            Ok(())
        });
    }
    command.spawn()
}

/// How many descriptors a zygote may have, fewer than any system gives; its programs may have half as many.
const DESCRIPTORS: u64 = 64;

/// Drops to a user for good.
///
/// # Safety
///
/// Only between `fork` and `exec`: it changes this process's user.
unsafe fn become_user(uid: u32) -> io::Result<()> {
    // SAFETY: plain system calls without pointers, but for an empty list of groups.
    unsafe {
        check(libc::setgroups(0, std::ptr::null()).into())?;
        check(libc::setresgid(uid, uid, uid).into())?;
        check(libc::setresuid(uid, uid, uid).into())?;
        // Where the kernel was told to keep privileges across the change, the way back is open.
        if libc::setresuid(0, 0, 0) == 0 {
            return Err(io::Error::from_raw_os_error(libc::EPERM));
        }
    }
    Ok(())
}

fn limit(resource: libc::__rlimit_resource_t, most: u64) -> io::Result<()> {
    let value = libc::rlimit {
        rlim_cur: most,
        rlim_max: most,
    };
    // SAFETY: the kernel reads one value that lives on this stack.
    check(unsafe { libc::setrlimit(resource, &value) }.into())
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The version of Landlock that the kernel offers, asked by system call: the list of security modules in `/sys` is not
/// mounted everywhere.
pub(crate) fn landlock_version() -> io::Result<u32> {
    const VERSION: u32 = 1;
    // SAFETY: with this flag the kernel reads no attributes: null and 0 are what it asks for.
    let version = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<u8>(),
            0usize,
            VERSION,
        )
    };
    check(version)?;
    Ok(version as u32)
}

/// Whether root may become a user: tried in a process of its own, which ends at once.
pub(crate) fn can_become(uid: u32) -> io::Result<()> {
    let mut command = Command::new("/proc/self/exe");
    // SAFETY: as in `spawn`; the error ends the child before any program starts, and so does success.
    unsafe {
        command.pre_exec(move || {
            become_user(uid)?;
            libc::_exit(0)
        });
    }
    // A child that leaves before exec looks like one that started.
    command.spawn()?.wait().map(drop)
}
