//! Every program in `hostile/`, run as what this process is, and as an ordinary user where that is root.
//!
//! The first lines of a program say what must happen: `# expect: ` and one or more of these, ` | ` between them.
//!
//! - `raises NAME`: that exception ends it
//! - `prints TEXT`: it ends well, having written this
//! - `killed LIMIT`: wall, cpu, memory or scratch
//! - `crashed`: a signal ends it
//! - `cut`: its output was cut, however it ended; may be followed by one of the others
//!
//! `# wall: N` gives it N seconds. `@HOST@` stands for the process that runs the tests, `@SECRET@` for a file that every
//! user may read and write.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use common::options;
use sandbox::{Ended, Limit, Limits, Program, Sandbox, Users, Verdict};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const SECRET: &str = "what stands in this file is hidden-from-programs\n";
const FOLDER: &str = "PROMPTIMAL_TEST_HOSTILE";

#[test]
fn hostile_programs_are_contained() {
    let folder = std::env::var_os(FOLDER).map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile"),
        PathBuf::from,
    );
    let mut programs: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "py"))
        .collect();
    programs.sort();
    assert!(programs.len() >= 50);
    let sandbox = Sandbox::open(options()).unwrap();
    let outside = outside();
    let half = programs.len().div_ceil(2);
    let failures: Vec<String> = std::thread::scope(|scope| {
        let (sandbox, outside) = (&sandbox, outside.path());
        let check = move |path: &PathBuf| failure(sandbox, path, outside);
        let threads: Vec<_> = programs
            .chunks(half)
            .map(|part| scope.spawn(move || part.iter().filter_map(check).collect::<Vec<_>>()))
            .collect();
        threads
            .into_iter()
            .flat_map(|t| t.join().unwrap())
            .collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A folder with a file and a module, both open to everybody.
fn outside() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    open_to_all(folder.path(), 0o777);
    for (name, text) in [("secret", SECRET), ("outside.py", "print('imported')")] {
        fs::write(folder.path().join(name), text).unwrap();
        open_to_all(&folder.path().join(name), 0o666);
    }
    folder
}

fn open_to_all(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// What went otherwise than the program's first lines say.
fn failure(sandbox: &Sandbox, path: &Path, outside: &Path) -> Option<String> {
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    let text = fs::read_to_string(path).unwrap();
    let secret = outside.join("secret");
    let code = text
        .replace("@HOST@", &std::process::id().to_string())
        .replace("@SECRET@", secret.to_str().unwrap());
    let head = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
    let expected = head("# expect: ").unwrap_or_else(|| panic!("{name} expects nothing"));
    let mut limits = options().limits;
    if let Some(seconds) = head("# wall: ") {
        limits.wall = Duration::from_secs(seconds.parse().unwrap());
    }
    let verdict = sandbox.run(&Program {
        code,
        limits: Some(limits),
    });
    let verdict = verdict.unwrap_or_else(|error| panic!("{name}: {error}"));
    let told = format!("{}{}", verdict.stdout.text, verdict.stderr.text);
    assert!(!told.contains(SECRET.trim()), "{name} read the secret");
    assert_eq!(
        fs::read_to_string(&secret).unwrap(),
        SECRET,
        "{name} changed the secret"
    );
    assert!(
        bounded(&verdict, &limits),
        "{name} wrote {} bytes",
        told.len()
    );
    neighbour(sandbox, &name);
    let met = expected.split(" | ").any(|one| meets(&verdict, one));
    (!met).then(|| format!("{name} should: {expected}, but: {verdict:?}"))
}

fn bounded(verdict: &Verdict, limits: &Limits) -> bool {
    // What is no UTF-8 becomes a mark of three bytes.
    verdict.stdout.text.len() <= 3 * limits.output && verdict.stderr.text.len() <= 3 * limits.output
}

fn meets(verdict: &Verdict, expected: &str) -> bool {
    let (word, rest) = expected.split_once(' ').unwrap_or((expected, ""));
    let named = || {
        verdict
            .stderr
            .text
            .lines()
            .any(|line| line.starts_with(rest))
    };
    match word {
        "raises" => verdict.ended == Ended::Exited(1) && named(),
        "prints" => verdict.ended == Ended::Exited(0) && verdict.stdout.text.trim() == rest,
        "crashed" => matches!(verdict.ended, Ended::Crashed(_)),
        "cut" => verdict.stdout.cut && (rest.is_empty() || meets(verdict, rest)),
        "killed" => match verdict.ended {
            Ended::Killed(Limit::Wall) => rest == "wall",
            Ended::Killed(Limit::Cpu) => rest == "cpu",
            Ended::Killed(Limit::Memory) => rest == "memory",
            Ended::Killed(Limit::Scratch) => rest == "scratch",
            _ => false,
        },
        other => panic!("unknown expectation {other}"),
    }
}

/// The next program finds an empty folder and an interpreter as it should be.
fn neighbour(sandbox: &Sandbox, name: &str) {
    let code = "import os, json\nprint(os.listdir(), len(json.loads('[1]')), sorted(os.environ))";
    let verdict = sandbox.run(&Program::new(code)).unwrap();
    assert_eq!(verdict.ended, Ended::Exited(0), "after {name}: {verdict:?}");
    assert_eq!(verdict.stdout.text.trim(), "[] 1 []", "after {name}");
}

/// The same, once more, as a user without rights: this program starts itself as one.
#[test]
fn hostile_programs_are_contained_by_an_ordinary_user() {
    let sandbox = Sandbox::open(options()).unwrap();
    if sandbox.level().users == Users::Same {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    open_to_all(folder.path(), 0o777);
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile");
    for entry in fs::read_dir(here).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        open_to_all(&folder.path().join(entry.file_name()), 0o644);
    }
    let program = folder.path().join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    open_to_all(&program, 0o755);
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(&program)
        .args(["--exact", "hostile_programs_are_contained"])
        .env(FOLDER, folder.path())
        .env("TMPDIR", folder.path())
        .env("PROMPTIMAL_TEST_SECRET", SECRET.trim())
        .current_dir("/")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{told}"
    );
}
