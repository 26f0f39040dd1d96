//! `promptimal cancel`, `pause`, `retry`, and `resume` of a run somewhere else.

use crate::{
    cli::{ActArgs, ResumeArgs},
    client::Client,
    out,
};
use coordinator::api::shapes::{Caps, Nothing, Steered};
use std::process::ExitCode;

/// What is done to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Give it up.
    Cancel,
    /// Stop it for now.
    Pause,
    /// Try again what was given up.
    Retry,
}

impl Act {
    fn word(self) -> &'static str {
        match self {
            Act::Cancel => "cancel",
            Act::Pause => "pause",
            Act::Retry => "retry",
        }
    }
}

/// Does it.
pub async fn act(what: Act, args: &ActArgs) -> anyhow::Result<ExitCode> {
    let client = args.remote.required()?;
    let path = ["runs", &args.run, what.word()];
    let steered: Steered = client.post(&path, &Nothing {}).await?;
    tell(&steered, &client, args.json)
}

/// Has a run go on.
pub async fn resume(client: &Client, args: &ResumeArgs) -> anyhow::Result<ExitCode> {
    let caps = Caps {
        max_calls: args.max_calls,
        max_tokens: args.max_tokens,
        max_usd: args.max_usd,
    };
    let path = ["runs", &args.run, "resume"];
    let steered: Steered = client.post(&path, &caps).await?;
    tell(&steered, client, args.show.json)
}

fn tell(steered: &Steered, client: &Client, json: bool) -> anyhow::Result<ExitCode> {
    if json {
        out::json(steered)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (id, status) = (steered.run, steered.status);
    let why = steered.reason.as_ref();
    let why = why.map_or(String::new(), |why| format!(" ({why})"));
    out::line(format!("run {id} is {status}{why}"));
    if steered.revived > 0 {
        out::line(format!(
            "{} tasks that were given up are tried again",
            steered.revived
        ));
    }
    if status == domain::run::RunStatus::Running {
        let at = client.arguments();
        out::note(format!("watch it with: promptimal watch {id} {at}"));
    }
    Ok(ExitCode::SUCCESS)
}
