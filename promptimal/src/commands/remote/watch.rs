//! `promptimal watch`: the bars and tables of `run`, of a run somewhere else.

use crate::{
    cli::{Show, WatchArgs},
    client::{AskError, Client, Events},
    commands::{run, show},
    out, progress,
};
use coordinator::{
    Event, Observer,
    api::shapes::{RunState, Told},
    summary::Shown,
};
use domain::{
    ids::RunId,
    run::{RunStatus, StepKey},
};
use std::{process::ExitCode, time::Duration};

/// The first wait for a coordinator that is away, then ever twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// What a program that Ctrl-C ended exits with.
const INTERRUPTED: u8 = 130;

/// Watches a run.
pub async fn watch(args: &WatchArgs) -> anyhow::Result<ExitCode> {
    let client = args.remote.required()?;
    follow(&client, &args.run, args.show.how()).await
}

/// Watches until the run stops or Ctrl-C, then prints what came of it.
///
/// # Errors
/// When the coordinator knows no such run, or refuses.
pub async fn follow(client: &Client, wanted: &str, how: Show) -> anyhow::Result<ExitCode> {
    let state: RunState = client.get(&["runs", wanted]).await?;
    let run = state.run.run;
    let followed = tokio::select! {
        ended = to_the_end(client, run, how) => ended?,
        _ = tokio::signal::ctrl_c() => {
            out::note(format!(
                "run {run} goes on without being watched; watch it again with: promptimal watch {run} {}",
                client.arguments()
            ));
            return Ok(ExitCode::from(INTERRUPTED));
        }
    };
    let id = run.to_string();
    let shown: Shown = client.get(&["runs", &id, "result"]).await?;
    show::print(&shown, how.json)?;
    match followed {
        (RunStatus::Finished, _) => Ok(run::exit_code(&shown)),
        (status, reason) => {
            let why = reason.unwrap_or_else(|| status.to_string());
            out::note(format!("stopped: {why}"));
            if status != RunStatus::Cancelled {
                out::note(format!(
                    "go on with: promptimal resume {run} {}",
                    client.arguments()
                ));
            }
            Ok(ExitCode::from(run::STOPPED))
        }
    }
}

type Ended = (RunStatus, Option<String>);

/// Over however many connections.
async fn to_the_end(client: &Client, run: RunId, how: Show) -> anyhow::Result<Ended> {
    let observer = progress::observer(how.quiet);
    let mut wait = FIRST_WAIT;
    loop {
        match once(client, run, &observer, &mut wait).await {
            Ok(Some(ended)) => return Ok(ended),
            // A coordinator that ends closes its streams: another may answer.
            Ok(None) => {}
            Err(AskError::Away(message)) => observer(Event::Trouble {
                run,
                message: format!("{message}, trying again"),
            }),
            Err(refused) => return Err(refused.into()),
        }
        tokio::time::sleep(wait).await;
        wait = LONGEST_WAIT.min(wait * 2);
    }
}

/// Over one connection; `None` when it ends before the run does.
async fn once(
    client: &Client,
    run: RunId,
    observer: &Observer,
    wait: &mut Duration,
) -> Result<Option<Ended>, AskError> {
    let id = run.to_string();
    let mut events = Events::new(client.open(&["runs", &id, "events"], &[]).await?);
    while let Some((name, data)) = events.next().await? {
        *wait = FIRST_WAIT;
        // An event of a later version may be something else.
        let Ok(told) = serde_json::from_str::<Told>(&data) else {
            continue;
        };
        match (name.as_str(), told) {
            ("ended", Told::Status { status, reason }) => return Ok(Some((status, reason))),
            (_, told) => tell(run, told, observer),
        }
    }
    Ok(None)
}

fn tell(run: RunId, told: Told, observer: &Observer) {
    match told {
        Told::Step { step, spend } => observer(Event::Progress {
            key: StepKey {
                run,
                round: step.round,
                step: step.step,
            },
            kind: step.kind,
            items: step.items,
            done: step.done,
            spend,
        }),
        Told::Trouble { message }
        | Told::Status {
            status: RunStatus::Paused,
            reason: Some(message),
        } => observer(Event::Trouble { run, message }),
        Told::Status { .. } => {}
    }
}
