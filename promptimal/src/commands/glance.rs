//! After a run that trained a rewriter: a few prompts that no search saw, before and after.

use crate::{
    cli::RewriterArgs,
    render,
    rewriting::{self, GREEDY, Kept, Rewriter, Sample},
    site::Site,
};
use anyhow::Context;
use coordinator::summary::Shown;
use domain::{example::Split, ids::RunId};
use model::Precision;
use store::{MemberPage, Store};

/// So many prompts of each data set.
const EACH: u32 = 2;

/// Lines that show it; none where the run trained no rewriter or has no prompt that was kept from the search.
///
/// # Errors
/// When the rewriter is not here, or fails.
pub async fn lines(site: &Site, store: &dyn Store, shown: &Shown) -> anyhow::Result<Vec<String>> {
    let Shown::Search(summary) = shown else {
        return Ok(Vec::new());
    };
    let adapter = summary.training.as_ref().and_then(|t| t.adapter.as_ref());
    let datasets = summary.datasets.iter().map(|d| d.dataset.as_str());
    let prompts = match adapter {
        Some(_) => prompts(store, summary.run, datasets).await?,
        None => Vec::new(),
    };
    if prompts.is_empty() {
        return Ok(Vec::new());
    }
    let found = rewriting::find(site, &of(summary.run)).await?;
    let work = move || Rewriter::load(&found, Precision::Auto, GREEDY)?.sample(&prompts);
    let samples = tokio::task::spawn_blocking(work).await;
    let samples = samples.context("rewriting broke off")??;
    let head =
        "\nThe rewriter, on prompts that neither the search nor the training saw:".to_owned();
    let each = samples
        .iter()
        .enumerate()
        .map(|(i, sample)| line(i + 1, sample));
    Ok(std::iter::once(head).chain(each).collect())
}

fn of(run: RunId) -> RewriterArgs {
    RewriterArgs {
        rewriter: run.to_string(),
        base: None,
        template: None,
        precision: Precision::Auto,
    }
}

async fn prompts(
    store: &dyn Store,
    run: RunId,
    datasets: impl Iterator<Item = &str>,
) -> anyhow::Result<Vec<String>> {
    let mut prompts = Vec::new();
    for dataset in datasets {
        let page = MemberPage {
            run,
            dataset: Some(dataset.to_owned()),
            split: Some(Split::Test),
            after: 0,
            limit: EACH,
        };
        let members = store.members(&page).await?;
        prompts.extend(members.into_iter().map(|(_, _, example)| example.input));
    }
    Ok(prompts)
}

fn line(n: usize, sample: &Sample) -> String {
    let after = match &sample.rewritten {
        Kept::Rewrite(text) => render::shorten(text),
        Kept::Same => "(left as it is)".to_owned(),
        Kept::Original(why) => format!("(left as it is: {})", why.detail),
    };
    format!(
        "\n{n}. prompt:          {}\n   before training: {}\n   after training:  {after}",
        render::shorten(&sample.original),
        render::shorten(&sample.untrained),
    )
}
