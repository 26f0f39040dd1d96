//! `promptimal compare`

use crate::{cli::CompareArgs, out, render, site::Site};
use coordinator::{
    find::find,
    summary::{self, Shown},
};
use domain::stats::Estimate;
use runtime::clock::{Clock, SystemClock};
use serde::Serialize;
use std::collections::BTreeMap;

/// One number of both runs.
#[derive(Debug, Serialize)]
struct Line {
    what: String,
    left: Option<Estimate>,
    right: Option<Estimate>,
    difference: Option<f64>,
}

/// Puts two runs side by side.
pub async fn compare(site: &Site, args: &CompareArgs) -> anyhow::Result<()> {
    let store = site.existing().await?;
    let left = find(store.as_ref(), &args.left).await?;
    let right = find(store.as_ref(), &args.right).await?;
    let now = SystemClock.now_micros();
    let (l, r) = (
        summary::shown(store.as_ref(), &left, now).await?,
        summary::shown(store.as_ref(), &right, now).await?,
    );
    let lines = lines(&named(&l), &named(&r));
    if args.json {
        return out::json(
            &serde_json::json!({ "left": left.id, "right": right.id, "lines": lines }),
        );
    }
    let mut table = render::table(["", "left", "right", "right − left"]);
    table.add_row([
        "run".to_owned(),
        short(&left.id.to_string()),
        short(&right.id.to_string()),
        String::new(),
    ]);
    for line in &lines {
        table.add_row([
            line.what.clone(),
            cell(line.left.as_ref()),
            cell(line.right.as_ref()),
            line.difference
                .map_or(String::new(), |d| format!("{d:+.3}")),
        ]);
    }
    out::line(table.to_string());
    out::line(
        "Intervals are each run's own: whether runs differ, a paired comparison on the same examples tells.",
    );
    Ok(())
}

fn short(id: &str) -> String {
    id.chars().take(13).collect()
}

fn cell(e: Option<&Estimate>) -> String {
    e.map_or("–".to_owned(), |e| {
        format!("{:.3} [{:.3}, {:.3}]", e.mean, e.ci95.0, e.ci95.1)
    })
}

fn lines(left: &BTreeMap<String, Estimate>, right: &BTreeMap<String, Estimate>) -> Vec<Line> {
    let mut names: Vec<&String> = left.keys().chain(right.keys()).collect();
    names.sort();
    names.dedup();
    let line = |name: &String| {
        let (l, r) = (left.get(name).copied(), right.get(name).copied());
        let difference = l.zip(r).map(|(l, r)| r.mean - l.mean);
        Line {
            what: name.clone(),
            left: l,
            right: r,
            difference,
        }
    };
    names.into_iter().map(line).collect()
}

/// The numbers of a run by name.
fn named(shown: &Shown) -> BTreeMap<String, Estimate> {
    let mut out = BTreeMap::new();
    match shown {
        Shown::Search(s) => {
            let gain = s.gain.as_ref().map(|g| g.net);
            for (name, value) in [("baseline", s.baseline), ("best", s.best), ("gain", gain)] {
                out.extend(value.map(|v| (name.to_owned(), v)));
            }
            out.extend(
                s.rounds
                    .iter()
                    .map(|r| (format!("round {}", r.round), r.best)),
            );
        }
        Shown::Instruct(s) => {
            let test = |of: &Option<summary::PromptResult>| of.as_ref().and_then(|r| r.test);
            let values = [
                ("start", test(&s.start)),
                ("chosen", test(&s.chosen)),
                ("gain", s.gain),
            ];
            let known = values
                .into_iter()
                .filter_map(|(what, e)| Some((what.to_owned(), e?)));
            out.extend(known);
        }
        Shown::Evaluation(of) => {
            let key = |c: &summary::Cell| format!("{} / {} / {}", c.prompt, c.model, c.dataset);
            out.extend(
                of.summary
                    .cells
                    .iter()
                    .filter_map(|c| Some((key(c), c.mean?))),
            );
        }
        Shown::Rewriters(of) => {
            for s in &of.rewriters {
                let key = |what: &str| format!("{} / {} / {what}", s.rewriter, s.dataset);
                let values = [("gain", s.gain), ("human level", s.human_level)];
                let known = values
                    .into_iter()
                    .filter_map(|(what, e)| Some((key(what), e?)));
                out.extend(known);
            }
        }
    }
    out
}
