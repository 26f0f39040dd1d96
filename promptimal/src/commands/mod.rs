//! One file for each command.

mod best;
mod compare;
mod doctor;
mod evaluate;
mod export;
mod fetch;
mod glance;
mod init;
mod merge;
mod prune;
mod remote;
mod reward;
mod rewrite;
mod run;
mod runs;
mod sandbox;
mod score;
mod serve;
mod show;
mod sql;
mod train;

use crate::{
    cli::{Cli, Command},
    out,
};
use clap::CommandFactory;
use remote::Act;
use std::process::ExitCode;

/// Runs a command.
///
/// # Errors
/// Whatever stopped it, in one sentence with its causes.
pub async fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    let site = &cli.site;
    match cli.command {
        Command::Init(args) => init::init(&args)?,
        Command::Run(args) => return run::optimise(site, &args).await,
        Command::Eval(args) => return run::evaluate(site, &args).await,
        Command::Evaluate(args) => return evaluate::evaluate(site, *args).await,
        Command::Resume(args) => {
            return match args.remote.client()? {
                Some(client) => remote::resume(&client, &args).await,
                None => run::resume(site, &args).await,
            };
        }
        Command::Submit(args) => return remote::submit(&args).await,
        Command::Watch(args) => return remote::watch(&args).await,
        Command::Cancel(args) => return remote::act(Act::Cancel, &args).await,
        Command::Pause(args) => return remote::act(Act::Pause, &args).await,
        Command::Retry(args) => return remote::act(Act::Retry, &args).await,
        Command::Runs(args) => match args.remote.client()? {
            Some(client) => remote::runs(&client, &args).await?,
            None => runs::list(site, &args).await?,
        },
        Command::Show(args) => match args.remote.client()? {
            Some(client) => remote::show(&client, &args.run, args.json).await?,
            None => show::show(site, &args).await?,
        },
        Command::Compare(args) => compare::compare(site, &args).await?,
        Command::Best(args) => best::best(site, &args).await?,
        Command::Export(args) => match args.remote.client()? {
            Some(client) => remote::export(&client, &args).await?,
            None => export::export(site, &args).await?,
        },
        Command::Sql(args) => sql::sql(site, &args).await?,
        Command::Prune(args) => prune::prune(site, &args).await?,
        Command::Models(args) => fetch::models(args.command).await?,
        Command::Data(args) => fetch::data(args.command).await?,
        Command::Score(args) => score::score(&args).await?,
        Command::Reward(args) => reward::reward(args.command).await?,
        Command::Train(args) => return train::train(site, *args).await,
        Command::Rewrite(args) => return rewrite::rewrite(site, args).await,
        Command::Serve(args) => return serve::serve(site, args).await,
        Command::Merge(args) => merge::merge(args).await?,
        Command::Sandbox(args) => return sandbox::sandbox(&args),
        Command::Spec => out::line(spec::FULL_EXAMPLE.trim_end()),
        Command::Doctor(args) => return doctor::doctor(&site.data_dir, &args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "promptimal", &mut script);
            out::line(String::from_utf8_lossy(&script).trim_end());
        }
    }
    Ok(ExitCode::SUCCESS)
}
