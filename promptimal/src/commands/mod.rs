//! One file for each command.

mod best;
mod compare;
mod doctor;
mod export;
mod fetch;
mod prune;
mod run;
mod runs;
mod show;
mod sql;

use crate::{
    cli::{Cli, Command},
    out,
};
use clap::CommandFactory;
use std::process::ExitCode;

/// Runs a command.
///
/// # Errors
/// Whatever stopped it, in one sentence with its causes.
pub async fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    let site = &cli.site;
    match cli.command {
        Command::Run(args) => return run::optimise(site, &args).await,
        Command::Eval(args) => return run::evaluate(site, &args).await,
        Command::Resume(args) => return run::resume(site, &args).await,
        Command::Runs(args) => runs::list(site, args.json).await?,
        Command::Show(args) => show::show(site, &args).await?,
        Command::Compare(args) => compare::compare(site, &args).await?,
        Command::Best(args) => best::best(site, &args).await?,
        Command::Export(args) => export::export(site, &args).await?,
        Command::Sql(args) => sql::sql(site, &args).await?,
        Command::Prune(args) => prune::prune(site, &args).await?,
        Command::Models(args) => fetch::models(args.command).await?,
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
