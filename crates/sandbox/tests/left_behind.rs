//! What stays when programs are gone: nothing.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use common::{full, options, ours};
use sandbox::{Ended, Limits, Program, Sandbox};
use std::{collections::BTreeSet, fs, path::Path, process::Command, time::Duration};

const CHILD: &str = "PROMPTIMAL_TEST_SANDBOX_HOST";

/// All of it is one test: each part counts what this process has.
#[test]
fn nothing_is_left_behind() {
    if std::env::var_os(CHILD).is_some() {
        return host();
    }
    mixed_runs();
    lost_slots_are_replaced();
    a_killed_host_leaves_no_process();
}

/// Programs of every kind, from more threads than there are slots.
fn mixed_runs() {
    let folder = scratch();
    let (before, open) = (descendants(std::process::id()).len(), descriptors());
    let mut options = options();
    options.scratch = Some(folder.path().to_owned());
    options.recycle = 400;
    let sandbox = Sandbox::open(options).unwrap();
    runs(&sandbox, 120);
    let memory = resident();
    runs(&sandbox, if full() { 10_000 } else { 600 });
    // Two slots of two zygotes, a socket to each.
    assert!(descriptors() <= open + 4);
    let grown = resident().saturating_sub(memory);
    assert!(grown < 16 << 20, "{grown} bytes more");
    // The zygotes, and no child of theirs.
    let there = descendants(std::process::id()).len() - before;
    assert!(there <= 4, "{there} processes");
    for scratch in fs::read_dir(folder.path()).unwrap() {
        assert_eq!(fs::read_dir(scratch.unwrap().path()).unwrap().count(), 0);
    }
    drop(sandbox);
    assert_eq!(descriptors(), open);
    assert_eq!(descendants(std::process::id()).len(), before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// A folder that slots' users may pass through.
fn scratch() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o711);
    fs::set_permissions(folder.path(), mode).unwrap();
    folder
}

fn runs(sandbox: &Sandbox, programs: usize) {
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for i in (thread..programs).step_by(4) {
                    one(sandbox, i);
                }
            });
        }
    });
}

/// Dear ones are rare.
fn one(sandbox: &Sandbox, i: usize) {
    let problems = ours();
    let solved = &problems[i % problems.len()];
    match i % 60 {
        0 => ends(
            sandbox,
            "import time\ntime.sleep(9)",
            &[Ended::Killed(sandbox::Limit::Wall)],
        ),
        1 => ends(
            sandbox,
            "import ctypes\nctypes.string_at(0)",
            &[Ended::Crashed(11)],
        ),
        2 => ends(
            sandbox,
            "while True: print('x' * 999)",
            &[Ended::Exited(1), Ended::Exited(120)],
        ),
        3 => ends(
            sandbox,
            "bytearray(1 << 40)",
            &[Ended::Killed(sandbox::Limit::Memory)],
        ),
        4 => ends(
            sandbox,
            "for i in range(9): open(str(i), 'w').write('x' * 999)",
            &[Ended::Exited(0)],
        ),
        5 => ends(sandbox, "import os\nos._exit(9)", &[Ended::Exited(9)]),
        6..20 => {
            let wrong = format!("{}    pass\n", solved.problem.prompt);
            assert!(!sandbox.judge(&solved.problem, &wrong).unwrap().passed);
        }
        20..40 => assert!(
            sandbox
                .judge(&solved.problem, &solved.program())
                .unwrap()
                .passed
        ),
        _ => ends(sandbox, "print('hello')", &[Ended::Exited(0)]),
    }
}

fn ends(sandbox: &Sandbox, code: &str, wanted: &[Ended]) {
    let limits = Limits {
        wall: Duration::from_secs(if code.contains("sleep") { 1 } else { 120 }),
        ..options().limits
    };
    let verdict = sandbox
        .run(&Program {
            code: code.to_owned(),
            limits: Some(limits),
        })
        .unwrap();
    assert!(wanted.contains(&verdict.ended), "{code}: {verdict:?}");
}

/// A slot whose processes die, or stop, costs the program another try, and nobody else anything.
fn lost_slots_are_replaced() {
    let sandbox = Sandbox::open(options()).unwrap();
    let signals: &[&str] = if full() { &["KILL", "STOP"] } else { &["KILL"] };
    for signal in signals {
        let zygote = descendants(std::process::id()).pop_first().unwrap();
        let done = Command::new("kill")
            .args([format!("-{signal}"), zygote.to_string()])
            .status();
        assert!(done.unwrap().success());
        let verdict = sandbox.run(&Program::new("print('hello')")).unwrap();
        assert_eq!(verdict.stdout.text, "hello\n");
        assert!(!descendants(std::process::id()).contains(&zygote));
    }
}

/// Whoever runs programs may be killed while they run.
fn a_killed_host_leaves_no_process() {
    // Its scratch folders stay, empty; here they go with ours.
    let folder = scratch();
    let mut host = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "nothing_is_left_behind", "--nocapture"])
        .env(CHILD, "1")
        .env("TMPDIR", folder.path())
        .spawn()
        .unwrap();
    // A zygote and the program that it forked.
    let started = wait_until(|| {
        let below = descendants(host.id());
        (below.len() >= 2 && programs(&below) >= 1).then_some(below)
    });
    host.kill().unwrap();
    host.wait().unwrap();
    wait_until(|| started.iter().all(|pid| !lives(*pid)).then_some(()));
}

/// What the killed process does: a program that never ends.
fn host() {
    let sandbox = Sandbox::open(options()).unwrap();
    let _ = sandbox.run(&Program {
        code: "import time\ntime.sleep(1000)".to_owned(),
        limits: Some(Limits {
            wall: Duration::from_secs(1000),
            ..options().limits
        }),
    });
}

/// How many of some processes are children of others of them.
fn programs(pids: &BTreeSet<u32>) -> usize {
    let of_one = |pid: &&u32| parent(**pid).is_some_and(|parent| pids.contains(&parent));
    pids.iter().filter(of_one).count()
}

fn wait_until<T>(mut come: impl FnMut() -> Option<T>) -> T {
    for _ in 0..600 {
        if let Some(value) = come() {
            return value;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("it did not come to pass within a minute");
}

/// All processes below one.
fn descendants(of: u32) -> BTreeSet<u32> {
    let all: Vec<(u32, u32)> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, parent(pid)?)))
        .collect();
    let mut found = BTreeSet::from([of]);
    loop {
        let more = |(pid, parent): &&(u32, u32)| found.contains(parent) && !found.contains(pid);
        let Some((pid, _)) = all.iter().find(more) else {
            break;
        };
        found.insert(*pid);
    }
    found.remove(&of);
    found
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after) = stat.rsplit_once(')')?;
    after.split_whitespace().nth(1)?.parse().ok()
}

/// A zombie whom nobody buried runs nothing.
fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, after)| !after.trim_start().starts_with(['Z', 'X']))
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// What this process holds in memory, in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string(Path::new("/proc/self/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 1024
}
