//! `promptimal doctor`

use crate::{cli::DoctorArgs, out, render};
use model::catalogue;
use sandbox::{Options, Sandbox};
use serde::Serialize;
use spec::Purpose;
use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// Free space below which a run may not fit, bytes.
const SPACE: u64 = 1 << 30;

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    what: String,
    ok: bool,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    todo: Option<String>,
}

impl Check {
    fn new(what: &str, ok: bool, found: impl Into<String>, todo: &str) -> Self {
        let todo = (!ok).then(|| todo.to_owned());
        Self {
            what: what.to_owned(),
            ok,
            found: found.into(),
            todo,
        }
    }
}

/// Checks this machine, and what a spec needs.
pub fn doctor(dir: &Path, args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let mut checks = vec![
        python(),
        pip(),
        model_file(),
        writable(dir),
        disk(dir),
        cores(),
        contained(),
    ];
    if let Some(path) = &args.spec {
        checks.push(of_spec(path));
    }
    let well = checks.iter().all(|c| c.ok);
    if args.json {
        out::json(&checks)?;
    } else {
        let mut table = render::table(["", "check", "found", "what to do"]);
        for c in &checks {
            let mark = if c.ok { "ok" } else { "!!" };
            let todo = c.todo.clone().unwrap_or_default();
            table.add_row([mark.to_owned(), c.what.clone(), c.found.clone(), todo]);
        }
        out::line(table.to_string());
    }
    Ok(if well {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

fn answers(arguments: &[&str]) -> Result<String, String> {
    let run = Command::new("python3")
        .args(arguments)
        .output()
        .map_err(|e| e.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if run.status.success() {
        Ok(text(&run.stdout))
    } else {
        Err(text(&run.stderr))
    }
}

fn python() -> Check {
    let found = answers(&["--version"]);
    let todo = "install python3: it fetches the local model where no hub is reached";
    Check::new("python", found.is_ok(), found.unwrap_or_else(|e| e), todo)
}

fn pip() -> Check {
    let found = answers(&["-m", "pip", "--version"]);
    let short = |text: String| {
        text.split_whitespace()
            .take(2)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let todo = "install pip for python3 (Debian: apt install python3-pip)";
    Check::new(
        "pip",
        found.is_ok(),
        found.map(short).unwrap_or_else(|e| e),
        todo,
    )
}

fn model_file() -> Check {
    let missing: Vec<&str> = catalogue::list()
        .iter()
        .filter(|e| !matches!(catalogue::locate(e.name), Ok(Some(_))))
        .map(|e| e.name)
        .collect();
    let found = if missing.is_empty() {
        "in the cache".to_owned()
    } else {
        format!("not fetched: {}", missing.join(", "))
    };
    let todo = "nothing, the first run fetches it; or `promptimal models fetch NAME` now";
    // Not having fetched it yet is no fault.
    Check {
        todo: (!missing.is_empty()).then(|| todo.to_owned()),
        ..Check::new("local model", true, found, todo)
    }
}

fn writable(dir: &Path) -> Check {
    let tried = std::fs::create_dir_all(dir).and_then(|()| {
        let probe = dir.join(".doctor");
        std::fs::write(&probe, b"")?;
        std::fs::remove_file(probe)
    });
    let found = tried
        .as_ref()
        .map_or_else(ToString::to_string, |()| dir.display().to_string());
    Check::new(
        "data folder",
        tried.is_ok(),
        found,
        "choose another --data-dir",
    )
}

fn disk(dir: &Path) -> Check {
    let existing: Option<PathBuf> = dir
        .ancestors()
        .chain([Path::new(".")])
        .find(|p| p.exists())
        .map(Path::to_owned);
    let free = existing.and_then(|p| free_bytes(&p));
    let found = free.map_or("unknown".to_owned(), |b| {
        format!("{:.1} GiB free", b as f64 / (1u64 << 30) as f64)
    });
    Check::new(
        "disk",
        free.is_none_or(|b| b >= SPACE),
        found,
        "free some space: a run wants at least 1 GiB",
    )
}

/// Free bytes, from `df`: std has no call for it, and this needs no dependency.
fn free_bytes(path: &Path) -> Option<u64> {
    let run = Command::new("df").args(["-Pk"]).arg(path).output().ok()?;
    let text = String::from_utf8(run.stdout).ok()?;
    let kilobytes: u64 = text
        .lines()
        .nth(1)?
        .split_whitespace()
        .nth(3)?
        .parse()
        .ok()?;
    Some(kilobytes * 1024)
}

fn cores() -> Check {
    let n = std::thread::available_parallelism().map_or(1, usize::from);
    Check::new("cores", true, n.to_string(), "")
}

/// Only programs of models need it: a machine without it does everything else.
fn contained() -> Check {
    let options = Options {
        slots: 1,
        ..Options::default()
    };
    match Sandbox::open(options) {
        Ok(sandbox) => Check::new("sandbox", true, sandbox.level().to_string(), ""),
        Err(why) => Check {
            todo: Some(why.to_string()),
            ..Check::new("sandbox", true, "none: programs are not graded here", "")
        },
    }
}

fn of_spec(path: &Path) -> Check {
    let what = format!("spec {}", path.display());
    match spec::load(path, &[], Purpose::Run) {
        Err(e) => Check::new(
            &what,
            false,
            e.to_string(),
            "mend the spec, or set what it names",
        ),
        Ok(_) => Check::new(&what, true, "valid; its files and keys are there", ""),
    }
}
