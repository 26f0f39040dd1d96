//! `promptimal submit`

use super::watch::follow;
use crate::{cli::SubmitArgs, client::Client, out};
use anyhow::Context;
use coordinator::api::shapes::{Submit, Submitted};
use domain::run::RunKind;
use spec::{Environment, Found, Purpose};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Files and keys are elsewhere: here only the form of a spec is checked.
struct Anywhere;

impl Environment for Anywhere {
    fn is_set(&self, _: &str) -> bool {
        true
    }

    fn find(&self, _: &Path) -> Found {
        Found::Readable { by_everyone: false }
    }

    fn current_dir(&self) -> PathBuf {
        "/".into()
    }
}

/// Submits a run.
pub async fn submit(args: &SubmitArgs) -> anyhow::Result<ExitCode> {
    let client = args.remote.required()?;
    let text = checked(args)?;
    let asked = Submit {
        spec: text,
        set: args.set.clone(),
        kind: kind(args),
        new: args.new,
        priority: args.priority,
    };
    let submitted: Submitted = client
        .post(&["runs"], &asked)
        .await
        .map_err(|e| e.of_spec(&args.spec))?;
    for warning in &submitted.warnings {
        out::note(format!("warning: {warning}"));
    }
    tell(&submitted, &client, args)?;
    match args.watch {
        true => follow(&client, &submitted.run.to_string(), args.show.how()).await,
        false => Ok(ExitCode::SUCCESS),
    }
}

fn kind(args: &SubmitArgs) -> RunKind {
    match args.eval {
        true => RunKind::Evaluate,
        false => RunKind::Optimise,
    }
}

/// The text of the spec, whose form is right.
fn checked(args: &SubmitArgs) -> anyhow::Result<String> {
    let shown = args.spec.display();
    let text = std::fs::read_to_string(&args.spec);
    let text = text.with_context(|| format!("cannot read the spec {shown}"))?;
    let purpose = match args.eval {
        true => Purpose::Eval,
        false => Purpose::Run,
    };
    spec::load_text(&text, &args.spec, &args.set, purpose, &Anywhere)?;
    Ok(text)
}

fn tell(submitted: &Submitted, client: &Client, args: &SubmitArgs) -> anyhow::Result<()> {
    let id = submitted.run;
    if args.watch {
        if !args.show.how().quiet {
            out::note(format!("run {id}"));
        }
        return Ok(());
    }
    if args.show.json {
        return out::json(submitted);
    }
    out::line(id.to_string());
    let what = match submitted.created {
        true => "submitted",
        false => "is stored already: it goes on, or is finished",
    };
    out::note(format!(
        "run {id} {what}\nwatch it with: promptimal watch {id} {}",
        client.arguments()
    ));
    Ok(())
}
