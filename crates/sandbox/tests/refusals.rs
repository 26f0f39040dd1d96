//! Where programs cannot be contained, nothing is run, and the reason says what to do.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use common::options;
use sandbox::{Ended, Error, Limits, Options, Program, Sandbox, Unsupported, Users};
use seccompiler::{
    SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition, SeccompFilter,
    SeccompRule,
};
use std::{collections::BTreeMap, process::Command};

const LACK: &str = "PROMPTIMAL_TEST_LACKS";

/// What this process says where something is lacking: it starts itself, and takes the thing away there.
fn said(lack: &str, mut command: Command) -> String {
    let output = command
        .args(["--exact", "child", "--nocapture"])
        .env(LACK, lack)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}");
    told
}

fn this() -> Command {
    Command::new(std::env::current_exe().unwrap())
}

/// Nothing by itself: the other tests start it.
#[test]
fn child() {
    let Ok(lack) = std::env::var(LACK) else {
        return;
    };
    let filter = match lack.as_str() {
        "landlock" => Some((libc::SYS_landlock_create_ruleset, vec![])),
        "seccomp" => {
            let set = SeccompCondition::new(0, Len::Dword, Op::Eq, libc::PR_SET_SECCOMP as u64);
            let rule = SeccompRule::new(vec![set.unwrap()]).unwrap();
            Some((libc::SYS_prctl, vec![rule]))
        }
        _ => None,
    };
    let python = (lack == "python")
        .then(|| "/nowhere/python3".into())
        .or(options().python);
    if let Some((call, rules)) = filter {
        refuse(call, rules);
    }
    let opened = Sandbox::open(Options {
        python,
        ..options()
    });
    match opened {
        Ok(sandbox) => println!("opened: {}", sandbox.level()),
        Err(error) => println!("refused: {error}"),
    }
}

/// The kernel does not know a call from now on.
fn refuse(call: i64, rules: Vec<SeccompRule>) {
    let filter = SeccompFilter::new(
        BTreeMap::from([(call, rules)]),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::ENOSYS as u32),
        std::env::consts::ARCH.try_into().unwrap(),
    );
    // Threads that there are keep their rights: the sandbox is opened by this one.
    let program: seccompiler::BpfProgram = filter.unwrap().try_into().unwrap();
    seccompiler::apply_filter(&program).unwrap();
}

#[test]
fn without_landlock_nothing_is_run() {
    let told = said("landlock", this());
    assert!(
        told.contains("refused: the kernel confines no files"),
        "{told}"
    );
    assert!(told.contains("5.13"), "{told}");
}

#[test]
fn without_filters_nothing_is_run() {
    let told = said("seccomp", this());
    assert!(
        told.contains("refused: the kernel filters no system calls"),
        "{told}"
    );
}

#[test]
fn without_an_interpreter_nothing_is_run() {
    let told = said("python", this());
    assert!(told.contains("refused: no Python"), "{told}");
    assert!(told.contains("/nowhere/python3"), "{told}");
    assert!(said("nothing", this()).contains("opened: Python"));
}

/// Root that may not become anybody else has no user for a program.
#[test]
fn root_without_its_capabilities_runs_nothing() {
    if Sandbox::open(options()).unwrap().level().users == Users::Same {
        return;
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--bounding-set=-setuid", "--"])
        .arg(std::env::current_exe().unwrap());
    let told = said("nothing", command);
    assert!(told.contains("refused: root cannot become user"), "{told}");
    assert!(told.contains("SETUID"), "{told}");
}

#[test]
fn a_scratch_folder_that_is_not_there_is_named() {
    let opened = Sandbox::open(Options {
        scratch: Some("/nowhere".into()),
        ..options()
    });
    let error = opened.map(drop).unwrap_err();
    assert!(matches!(error, Unsupported::Scratch { .. }), "{error}");
    assert!(error.to_string().contains("/nowhere"));
}

/// Programs may have limits of their own, and more slots than one run at a time.
#[test]
fn limits_of_one_program_are_its_own() {
    let sandbox = Sandbox::open(options()).unwrap();
    let code = "import resource\nprint(resource.getrlimit(resource.RLIMIT_AS)[0], resource.getrlimit(resource.RLIMIT_CPU)[0])";
    let limits = Limits {
        memory: 200 << 20,
        cpu: std::time::Duration::from_millis(2500),
        ..options().limits
    };
    let verdict = sandbox.run(&Program {
        code: code.to_owned(),
        limits: Some(limits),
    });
    assert_eq!(verdict.unwrap().stdout.text, "209715200 3\n");
    let verdict = sandbox.run(&Program::new(code)).unwrap();
    assert_eq!(verdict.stdout.text, "536870912 2\n");
}

/// What a program makes its end look like is its own affair; a child that never began is nobody's answer.
#[test]
fn only_what_began_has_an_end() {
    let sandbox = Sandbox::open(options()).unwrap();
    for status in [70, 71, 72, 99] {
        let verdict = sandbox.run(&Program::new(format!("import os\nos._exit({status})")));
        assert_eq!(verdict.unwrap().ended, Ended::Exited(status));
    }
    let limits = Limits {
        // No process may have that many: setting it fails.
        file: u64::MAX,
        ..options().limits
    };
    let impossible = sandbox.run(&Program {
        code: "print('hello')".to_owned(),
        limits: Some(limits),
    });
    assert!(matches!(impossible, Err(Error::Lost(_))), "{impossible:?}");
    assert!(sandbox.run(&Program::new("print('hello')")).is_ok());
}
