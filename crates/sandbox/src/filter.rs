//! The system calls a program may make. Everything that is not here fails with `EPERM`: sockets, processes, threads,
//! programs, signals to anybody, other processes' memory, namespaces, mounts, keys, and whatever kernels learn later.

use crate::error::Unsupported;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition,
    SeccompFilter, SeccompRule,
};
use std::collections::BTreeMap;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// The filter as the kernel reads it: 8 bytes an instruction.
pub(crate) fn bytes() -> Result<Vec<u8>, Unsupported> {
    let program = program().map_err(|error| Unsupported::Filter(error.to_string()))?;
    let instruction = |i: seccompiler::sock_filter| {
        let mut bytes = [0; 8];
        bytes[..2].copy_from_slice(&i.code.to_ne_bytes());
        bytes[2] = i.jt;
        bytes[3] = i.jf;
        bytes[4..].copy_from_slice(&i.k.to_ne_bytes());
        bytes
    };
    Ok(program.into_iter().flat_map(instruction).collect())
}

fn program() -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: Rules = plain().into_iter().map(|call| (call, vec![])).collect();
    rules.extend(conditional()?);
    let denied = SeccompAction::Errno(libc::EPERM as u32);
    // Calls of another architecture (int 0x80 on x86-64) end the process: their numbers mean something else.
    let arch = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, denied, SeccompAction::Allow, arch)?.try_into()
}

/// Calls allowed whatever their arguments are.
fn plain() -> Vec<i64> {
    let calls = vec![
        // Descriptors it has, and files that Landlock lets it open.
        libc::SYS_read,
        libc::SYS_write,
        libc::SYS_readv,
        libc::SYS_writev,
        libc::SYS_pread64,
        libc::SYS_pwrite64,
        libc::SYS_close,
        libc::SYS_close_range,
        libc::SYS_lseek,
        libc::SYS_ftruncate,
        libc::SYS_fsync,
        libc::SYS_fdatasync,
        libc::SYS_sendfile,
        libc::SYS_dup,
        libc::SYS_dup3,
        libc::SYS_pipe2,
        libc::SYS_ppoll,
        libc::SYS_pselect6,
        libc::SYS_epoll_create1,
        libc::SYS_epoll_ctl,
        libc::SYS_epoll_pwait,
        libc::SYS_eventfd2,
        libc::SYS_getcwd,
        libc::SYS_getdents64,
        libc::SYS_unlinkat,
        libc::SYS_renameat,
        libc::SYS_renameat2,
        // Names and sizes: Landlock does not hide them.
        libc::SYS_fstat,
        libc::SYS_newfstatat,
        libc::SYS_statx,
        libc::SYS_faccessat,
        libc::SYS_faccessat2,
        // Memory.
        libc::SYS_brk,
        libc::SYS_mmap,
        libc::SYS_mprotect,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_madvise,
        libc::SYS_futex,
        // Its own signals.
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
        libc::SYS_setitimer,
        libc::SYS_getitimer,
        libc::SYS_restart_syscall,
        // About itself.
        libc::SYS_getpid,
        libc::SYS_getppid,
        libc::SYS_gettid,
        libc::SYS_getuid,
        libc::SYS_geteuid,
        libc::SYS_getgid,
        libc::SYS_getegid,
        libc::SYS_getgroups,
        libc::SYS_getrusage,
        libc::SYS_times,
        libc::SYS_umask,
        libc::SYS_uname,
        libc::SYS_sysinfo,
        libc::SYS_exit,
        libc::SYS_exit_group,
        // Time and chance.
        libc::SYS_getrandom,
        libc::SYS_clock_gettime,
        libc::SYS_clock_getres,
        libc::SYS_clock_nanosleep,
        libc::SYS_nanosleep,
        libc::SYS_gettimeofday,
        libc::SYS_sched_yield,
    ];
    // What older processors have besides.
    #[cfg(target_arch = "x86_64")]
    let calls = [
        calls,
        vec![
            libc::SYS_stat,
            libc::SYS_lstat,
            libc::SYS_access,
            libc::SYS_dup2,
            libc::SYS_pipe,
            libc::SYS_poll,
            libc::SYS_select,
            libc::SYS_epoll_wait,
            libc::SYS_unlink,
            libc::SYS_rename,
            libc::SYS_getrlimit,
            libc::SYS_alarm,
            libc::SYS_time,
        ],
    ]
    .concat();
    calls
}

/// Calls whose arguments decide.
fn conditional() -> Result<Rules, seccompiler::BackendError> {
    let mut rules = Rules::new();
    rules.insert(libc::SYS_openat, opening(2)?);
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_open, opening(1)?);
    // Not the owner of a descriptor and the signal it sends: they reach any process of the same user.
    let fcntl = [
        libc::F_DUPFD,
        libc::F_DUPFD_CLOEXEC,
        libc::F_GETFD,
        libc::F_SETFD,
        libc::F_GETFL,
        libc::F_SETFL,
    ];
    rules.insert(libc::SYS_fcntl, any_of(1, fcntl.map(|c| c as u64))?);
    let ioctl = [
        libc::FIONREAD,
        libc::TCGETS,
        libc::TIOCGWINSZ,
        libc::FIOCLEX,
        libc::FIONCLEX,
    ];
    rules.insert(libc::SYS_ioctl, any_of(1, ioctl)?);
    // Reading its own limits: with another process's number, it would set those of any process of the same user.
    let own = SeccompCondition::new(0, Len::Dword, Op::Eq, 0)?;
    let reading = SeccompCondition::new(2, Len::Qword, Op::Eq, 0)?;
    rules.insert(
        libc::SYS_prlimit64,
        vec![SeccompRule::new(vec![own.clone(), reading])?],
    );
    rules.insert(
        libc::SYS_sched_getaffinity,
        vec![SeccompRule::new(vec![own])?],
    );
    Ok(rules)
}

/// Opening files: all but emptying one that is opened for reading, which Landlock sees from its version 3 on only.
fn opening(flags: u8) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let masked = |mask: i32, value: i32| {
        let condition =
            SeccompCondition::new(flags, Len::Dword, Op::MaskedEq(mask as u64), value as u64)?;
        SeccompRule::new(vec![condition])
    };
    Ok(vec![
        masked(libc::O_TRUNC, 0)?,
        masked(libc::O_ACCMODE, libc::O_WRONLY)?,
        masked(libc::O_ACCMODE, libc::O_RDWR)?,
    ])
}

fn any_of(
    argument: u8,
    values: impl IntoIterator<Item = u64>,
) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let one = |value| {
        let condition = SeccompCondition::new(argument, Len::Dword, Op::Eq, value)?;
        SeccompRule::new(vec![condition])
    };
    values.into_iter().map(one).collect()
}
