//! The result of a search for one instruction, as people read it.

use super::{interval, operators, shorten, table};
use crate::{out, progress::thousands};
use coordinator::summary::{FrontPoint, InstructSummary, PromptResult};
use domain::{
    call::{Call, Message, Role, Sampling},
    example::{Example, Reference},
    grade::Grader,
    prompt::{self, Asking, PromptDoc},
    run::RunStatus,
    stats::Estimate,
};

/// Demonstrations shown in the report.
const SHOTS: usize = 8;

/// Prints the result.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn instruct(summary: &InstructSummary, json: bool) -> anyhow::Result<()> {
    if json {
        return out::json(summary);
    }
    out::line(format!(
        "\n{} · run {} · {}",
        summary.name, summary.run, summary.status
    ));
    out::line(numbers(summary).to_string());
    if !summary.trajectory.is_empty() {
        out::line(rounds(summary).to_string());
    }
    if !summary.operators.is_empty() {
        let header = "better than parent";
        out::line(operators(&summary.operators, header).to_string());
    }
    if summary.front.len() > 1 {
        out::line(front(summary).to_string());
    }
    out::line(costs(summary));
    if !summary.rejected.is_empty() {
        let reasons = summary
            .rejected
            .iter()
            .map(|(reason, n)| format!("{n} {reason}"));
        let reasons: Vec<String> = reasons.collect();
        out::line(format!("rejected prompts: {}", reasons.join(", ")));
    }
    for mark in &summary.marks {
        out::line(format!("note: {mark}"));
    }
    for (name, result) in [("start", &summary.start), ("chosen", &summary.chosen)] {
        if let Some(result) = result {
            out::line(shown(name, result));
        }
    }
    Ok(())
}

/// Which commands look further into a finished search.
pub fn further(summary: &InstructSummary) {
    if summary.status == RunStatus::Finished {
        let id = summary.run.to_string();
        out::line(format!(
            "\nlook further:\n  promptimal best {id}\n  promptimal export {id} candidates --output candidates.jsonl\n  \
             promptimal sql \"SELECT round, operator, verdict, question FROM candidates WHERE run_id = '{id}' LIMIT 20\""
        ));
    }
}

fn numbers(s: &InstructSummary) -> comfy_table::Table {
    let mut out = table(["", "mean", "95% interval", "n"]);
    let mut add = |name: String, e: Option<&Estimate>| {
        if let Some(e) = e {
            let sign = name.starts_with("GAIN");
            let mean = match sign {
                true => format!("{:+.3}", e.mean),
                false => format!("{:.3}", e.mean),
            };
            out.add_row([name, mean, interval(e), e.n.to_string()]);
        }
    };
    for (name, result) in [("start", &s.start), ("chosen", &s.chosen)] {
        let Some(result) = result else { continue };
        add(
            format!("{name} prompt, validation"),
            result.validation.as_ref(),
        );
        add(format!("{name} prompt, test"), result.test.as_ref());
    }
    add(
        "GAIN on sealed test examples, paired".to_owned(),
        s.gain.as_ref(),
    );
    for (name, result) in [("start", &s.start), ("chosen", &s.chosen)] {
        let Some(result) = result else { continue };
        out.add_row([
            format!("{name} prompt, as the search believes*"),
            format!("{:.3}", result.estimate),
            String::new(),
            result.tried.to_string(),
        ]);
    }
    if let Some(noise) = s.noise_floor {
        let row = [
            "two evaluations of one prompt differ by",
            &format!("{noise:.3}"),
            "",
            "",
        ];
        out.add_row(row);
    }
    out.add_row([
        "* on train examples, less the luck of having looked at many",
        "",
        "",
        "",
    ]);
    out
}

fn rounds(s: &InstructSummary) -> comfy_table::Table {
    let mut out = table([
        "round",
        "calls",
        "new",
        "rejected",
        "may win",
        "best so far",
        "believed",
        "is best",
    ]);
    for r in &s.trajectory {
        let shots = r.doc.shots.len();
        let instruction = r.doc.instruction.as_deref().unwrap_or_default();
        let best = match shots {
            0 => brief(instruction),
            n => format!("{} (+{n} shots)", brief(instruction)),
        };
        out.add_row([
            r.round.to_string(),
            thousands(r.calls),
            r.accepted.to_string(),
            r.rejected.to_string(),
            r.alive.to_string(),
            best,
            format!("{:.3}", r.estimate),
            format!("{:.0}%", 100.0 * r.p_best),
        ]);
    }
    out
}

fn front(s: &InstructSummary) -> comfy_table::Table {
    let mut out = table([
        "better, shorter or cheaper than all others",
        "believed",
        "tokens",
        "a call takes",
        "shots",
    ]);
    for p in &s.front {
        let mark = if p.chosen { "* " } else { "" };
        out.add_row([
            format!("{mark}{}", brief(p.doc.words().unwrap_or_default())),
            format!("{:.3}", p.estimate),
            format!("{:.0}", p.tokens),
            call(p),
            p.doc.shots.len().to_string(),
        ]);
    }
    out
}

/// What a call of the target takes.
fn call(p: &FrontPoint) -> String {
    match (p.call_usd, p.call_tokens) {
        (Some(usd), _) => format!("${usd:.6}"),
        (None, Some(tokens)) => format!("{tokens:.0} tokens"),
        (None, None) => "–".to_owned(),
    }
}

fn costs(s: &InstructSummary) -> String {
    let mut line = format!(
        "{} calls · {} tokens · ${:.4} · {:.0} s",
        thousands(s.calls),
        thousands(s.tokens),
        s.cost_usd,
        s.seconds
    );
    if s.unmeasured > 0 {
        line.push_str(&format!(
            " · {} questions unmeasured (not counted as wrong)",
            s.unmeasured
        ));
    }
    line
}

fn shown(name: &str, result: &PromptResult) -> String {
    let mut out = format!(
        "\n{name} prompt ({}, round {}):",
        result.operator, result.round
    );
    let messages = messages(&result.doc);
    let most = 2 * SHOTS + 2;
    for message in messages.iter().take(most) {
        let role = match message.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        out.push_str(&format!("\n  {role}: {}", shorten(&message.content)));
    }
    if messages.len() > most {
        out.push_str(&format!("\n  … and {} more", messages.len() - most));
    }
    out
}

/// A prompt as the messages that a program would send, with `{input}` where the input goes.
pub fn messages(doc: &PromptDoc) -> Vec<Message> {
    let slot = |name: &str| doc.user.contains(name).then(|| name.to_owned());
    let example = Example {
        input: "{input}".to_owned(),
        context: slot("{context}"),
        choices: Vec::new(),
        reference: Reference::None,
        group: None,
    };
    let sampling = Sampling::default();
    let asking = Asking {
        grader: &Grader::Exact,
        sampling: &sampling,
        repeat: 0,
        mismatched: &[],
    };
    match prompt::ask(doc, &example, &asking).call {
        Call::Generate { messages, .. } | Call::Loglik { messages, .. } => messages,
    }
}

/// A few words of an instruction.
fn brief(text: &str) -> String {
    const WORDS: usize = 64;
    let flat = shorten(text);
    match flat.char_indices().nth(WORDS) {
        Some((at, _)) => format!("{}…", flat[..at].trim_end()),
        None => flat,
    }
}
