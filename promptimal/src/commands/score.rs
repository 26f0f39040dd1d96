//! `promptimal score`: a reward model on a file of questions with answers.

use super::reward::print_accuracies;
use crate::{
    accuracy::by_source,
    cli::ScoreArgs,
    out,
    pairs::{self, Preference, Row},
    render,
    scoring::{self, Pair, Scored},
};
use model::deberta::{Place, RewardDescription};
use serde::Serialize;

/// The reward of one answer.
#[derive(Debug, Serialize)]
struct Line {
    /// Which row, from 1.
    row: usize,
    reward: f32,
    /// Tokens that did not fit.
    cut: usize,
}

/// Scores a file and prints rewards, or how often they agree with preferences.
pub async fn score(args: &ScoreArgs) -> anyhow::Result<()> {
    let rows = pairs::read(&args.input)?;
    let place = Place {
        processor: args.device,
        numbers: args.dtype,
    };
    let model = scoring::load(&args.model, place).await?;
    let how = args.show.how();
    let (mut asked, mut preferences): (Vec<Pair>, Vec<Preference>) = (Vec::new(), Vec::new());
    for row in rows {
        match row {
            Row::Answer { prompt, answer } => asked.push(Pair { prompt, answer }),
            Row::Preference(preference) => {
                asked.extend(Pair::both(&preference));
                preferences.push(preference);
            }
        }
    }
    let (model, scored) = scoring::all(model, asked, how.quiet).await?;
    match preferences.is_empty() {
        true => print_rewards(model.description(), &scored, how.json),
        false => {
            let accuracies = by_source(&preferences, &by_pair(&scored));
            print_accuracies(model.description(), &accuracies, cut(&scored), how.json)
        }
    }
}

/// Rewards by pair: (chosen, rejected).
pub fn by_pair(scored: &[Scored]) -> Vec<(f32, f32)> {
    let pairs = scored.as_chunks::<2>().0.iter();
    pairs
        .map(|[chosen, rejected]| (chosen.reward, rejected.reward))
        .collect()
}

/// How many texts were too long.
pub fn cut(scored: &[Scored]) -> usize {
    scored.iter().filter(|s| s.cut > 0).count()
}

fn print_rewards(model: &RewardDescription, scored: &[Scored], json: bool) -> anyhow::Result<()> {
    let line = |(i, s): (usize, &Scored)| Line {
        row: i + 1,
        reward: s.reward,
        cut: s.cut,
    };
    let lines: Vec<Line> = scored.iter().enumerate().map(line).collect();
    if json {
        return out::json(&serde_json::json!({
            "model": model.name, "sha256": model.sha256, "rows": lines.len(), "cut": cut(scored), "rewards": lines,
        }));
    }
    let mut table = render::table(["row", "reward", "tokens cut"]);
    for line in &lines {
        table.add_row([
            line.row.to_string(),
            format!("{:.4}", line.reward),
            line.cut.to_string(),
        ]);
    }
    out::line(table.to_string());
    out::line("A reward says something beside other answers to the same question only.");
    Ok(())
}
