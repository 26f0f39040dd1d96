//! `promptimal reward train`: a small reward model from preference pairs.

use super::score::{by_pair, cut};
use crate::{
    accuracy::{Accuracy, by_source, clusters},
    cli::{RewardCommand, Show, TrainArgs},
    interrupt::Interrupt,
    out,
    pairs::{self, Preference},
    progress, render,
    scoring::{self, Pair},
};
use anyhow::{Context, bail};
use dataset::{Ratios, assign};
use domain::{example::Split, stats::Estimate};
use model::deberta::{RewardDescription, RewardModel, train};
use std::sync::atomic::Ordering;

/// Fewer held-out pairs show nothing.
const FEWEST: usize = 30;

/// `promptimal reward`
pub async fn reward(command: RewardCommand) -> anyhow::Result<()> {
    match command {
        RewardCommand::Train(args) => train_model(args).await,
    }
}

/// Pairs by split: near-duplicate conversations are on one side.
struct Sides {
    train: Vec<Preference>,
    validation: Vec<Preference>,
    test: Vec<Preference>,
}

fn divide(pairs: Vec<Preference>, args: &TrainArgs) -> anyhow::Result<Sides> {
    let (held, validated) = (args.held_out, args.validation);
    let ratios = Ratios::new(1.0 - held - validated, validated, held);
    let ratios = ratios
        .map_err(|e| anyhow::anyhow!("--held-out {held} and --validation {validated}: {e}"))?;
    let mut sides = Sides {
        train: Vec::new(),
        validation: Vec::new(),
        test: Vec::new(),
    };
    let clusters = clusters(&pairs);
    for (pair, cluster) in pairs.into_iter().zip(clusters) {
        match assign(cluster, args.seed, &ratios) {
            Split::Train => sides.train.push(pair),
            Split::Validation => sides.validation.push(pair),
            Split::Test => sides.test.push(pair),
        }
    }
    if sides.test.len() < FEWEST {
        bail!(
            "{} held-out pairs show nothing: give more pairs or a larger --held-out",
            sides.test.len()
        );
    }
    Ok(sides)
}

async fn train_model(args: TrainArgs) -> anyhow::Result<()> {
    if args.out.join("model.safetensors").exists() && !args.replace {
        bail!(
            "{} holds a model: give another --out, or --replace",
            args.out.display()
        );
    }
    let sides = divide(pairs::preferences(&args.pairs)?, &args)?;
    let how = args.show.how();
    if !how.quiet {
        let Sides {
            train,
            validation,
            test,
        } = &sides;
        out::note(format!(
            "{} pairs to train on, {} to choose the epoch, {} held out",
            train.len(),
            validation.len(),
            test.len()
        ));
    }
    let plan = args.plan();
    let (learn, choose) = (preferences(&sides.train), preferences(&sides.validation));
    let interrupt = Interrupt::listen();
    let stopped = interrupt.flag();
    let dir = args.out.clone();
    let trained = tokio::task::spawn_blocking(move || {
        let mut bar = progress::training(how.quiet);
        train::train((&learn, &choose), &plan, &dir, &mut |p| {
            let said = p.validation.map(|(loss, right)| {
                format!(
                    "after step {}: loss {:.4}, on validation pairs {loss:.4}, {right:.3} of them right",
                    p.step, p.loss
                )
            });
            bar.show((p.step, p.steps), Some(p.loss), said);
            !stopped.load(Ordering::Relaxed)
        })
    });
    trained.await.context("training broke off")??;
    drop(interrupt);
    report(&args, &sides.test, how).await
}

/// What the model is worth on pairs that it has never seen.
async fn report(args: &TrainArgs, test: &[Preference], how: Show) -> anyhow::Result<()> {
    let model = RewardModel::load(&args.out)?;
    let texts = test.iter().flat_map(Pair::both).collect();
    let (model, scored) = scoring::all(model, texts, how.quiet).await?;
    if !how.json {
        out::line(format!(
            "{}: on {} held-out pairs",
            args.out.display(),
            test.len()
        ));
    }
    let accuracies = by_source(test, &by_pair(&scored));
    print_accuracies(model.description(), &accuracies, cut(&scored), how.json)
}

fn preferences(pairs: &[Preference]) -> Vec<train::Preference> {
    let one = |p: &Preference| train::Preference {
        prompt: p.prompt.clone(),
        chosen: p.chosen.clone(),
        rejected: p.rejected.clone(),
    };
    pairs.iter().map(one).collect()
}

/// Prints how often rewards agree with preferences.
pub fn print_accuracies(
    model: &RewardDescription,
    accuracies: &[Accuracy],
    cut: usize,
    json: bool,
) -> anyhow::Result<()> {
    let verdict = accuracies.last().map(Accuracy::verdict).unwrap_or_default();
    if json {
        return out::json(
            &serde_json::json!({ "model": model.name, "sha256": model.sha256, "cut": cut, "sources": accuracies, "verdict": verdict }),
        );
    }
    let mut table = render::table([
        "source",
        "pairs",
        "model",
        "pick the longer",
        "model − longer",
        "shorter is preferred",
    ]);
    for a in accuracies {
        table.add_row([
            a.source.clone(),
            a.pairs.to_string(),
            cell(a.model),
            cell(a.longer),
            cell(a.difference),
            cell(a.shorter_preferred),
        ]);
    }
    out::line(table.to_string());
    out::line("Shares of pairs ordered as people did, with 95% intervals over conversations.");
    if cut > 0 {
        out::line(format!(
            "{cut} texts were longer than the model reads and were cut."
        ));
    }
    verdict
        .iter()
        .for_each(|sentence| out::line(format!("- {sentence}")));
    Ok(())
}

fn cell(estimate: Option<Estimate>) -> String {
    estimate.map_or("–".to_owned(), |e| {
        format!("{:.3} [{:.3}, {:.3}]", e.mean, e.ci95.0, e.ci95.1)
    })
}
