//! `promptimal sandbox`: one program, contained.

use crate::{cli::SandboxArgs, out};
use anyhow::Context;
use sandbox::{Ended, Limit, Limits, Options, Program, Sandbox, Verdict, Written};
use serde_json::json;
use std::{fs, io::Read, process::ExitCode, time::Duration};

/// `promptimal sandbox`
pub fn sandbox(args: &SandboxArgs) -> anyhow::Result<ExitCode> {
    let code = read(args)?;
    let limits = Limits {
        wall: Duration::from_secs(args.seconds),
        cpu: Duration::from_secs(args.seconds),
        memory: args.memory << 20,
        ..Limits::default()
    };
    let options = Options {
        slots: 1,
        limits,
        ..Options::default()
    };
    let sandbox =
        Sandbox::open(options).map_err(|why| anyhow::anyhow!(worker_eval::refused(&why)))?;
    let verdict = sandbox.run(&Program::new(code))?;
    match args.json {
        true => out::json(&shown(&verdict))?,
        false => tell(&verdict, &sandbox),
    }
    Ok(match verdict.ended {
        Ended::Exited(0) => ExitCode::SUCCESS,
        _ => ExitCode::from(1),
    })
}

fn read(args: &SandboxArgs) -> anyhow::Result<String> {
    if args.file.as_os_str() != "-" {
        let shown = args.file.display();
        return fs::read_to_string(&args.file).with_context(|| format!("cannot read {shown}"));
    }
    let mut code = String::new();
    std::io::stdin()
        .read_to_string(&mut code)
        .context("standard input")?;
    Ok(code)
}

fn tell(verdict: &Verdict, sandbox: &Sandbox) {
    for (name, written) in [("output", &verdict.stdout), ("errors", &verdict.stderr)] {
        if !written.text.is_empty() {
            let cut = if written.cut { " (cut)" } else { "" };
            // What a program wrote is no place for a terminal's commands.
            let clean: String = written
                .text
                .chars()
                .filter(|c| *c == '\n' || !c.is_control())
                .collect();
            out::line(format!("--- {name}{cut}\n{}", clean.trim_end()));
        }
    }
    out::line(format!(
        "--- {} · {:.0} ms, {:.0} ms of a processor · {:.0} MiB at most",
        word(verdict.ended),
        verdict.times.wall.as_secs_f64() * 1e3,
        verdict.times.cpu.as_secs_f64() * 1e3,
        verdict.peak as f64 / f64::from(1 << 20)
    ));
    out::note(format!("contained: {}", sandbox.level()));
}

fn word(ended: Ended) -> String {
    match ended {
        Ended::Exited(0) => "ended well".to_owned(),
        Ended::Exited(status) => format!("ended with status {status}"),
        Ended::Crashed(signal) => format!("crashed (signal {signal})"),
        Ended::Killed(limit) => format!("ended by the limit on {}", of(limit)),
    }
}

fn of(limit: Limit) -> &'static str {
    match limit {
        Limit::Wall => "time",
        Limit::Cpu => "processor time",
        Limit::Memory => "memory",
        Limit::Scratch => "files",
    }
}

fn shown(verdict: &Verdict) -> serde_json::Value {
    let written = |w: &Written| json!({ "text": w.text, "cut": w.cut });
    let (status, signal, limit) = match verdict.ended {
        Ended::Exited(status) => (Some(status), None, None),
        Ended::Crashed(signal) => (None, Some(signal), None),
        Ended::Killed(limit) => (None, None, Some(of(limit))),
    };
    json!({
        "status": status, "signal": signal, "limit": limit,
        "stdout": written(&verdict.stdout), "stderr": written(&verdict.stderr),
        "seconds": verdict.times.wall.as_secs_f64(), "processor_seconds": verdict.times.cpu.as_secs_f64(),
        "peak_bytes": verdict.peak,
    })
}
