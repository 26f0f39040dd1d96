//! The bench of prompt optimisers (`benches/quality`) reads the replies of all peers with its own copy of the grader `label`.
//! Both must read the same cases alike.

#![allow(clippy::unwrap_used, reason = "a test helper may panic")]

use domain::{
    call::{Call, Reply, Sampling},
    example::Reference,
    grade::{GradeInput, Grader},
};
use serde::Deserialize;
use worker_eval::grade::GraderRuntime;

#[derive(Deserialize)]
struct Case {
    labels: Vec<String>,
    reply: String,
    names: Option<String>,
}

#[tokio::test]
async fn the_bench_reads_replies_as_the_grader_does() {
    let cases: Vec<Case> =
        serde_json::from_str(include_str!("../../benches/quality/tests/replies.json")).unwrap();
    assert!(cases.iter().filter(|case| case.names.is_some()).count() > 50);
    for case in &cases {
        let grader = GraderRuntime::new(&Grader::Label {
            labels: case.labels.clone(),
        })
        .unwrap();
        for label in &case.labels {
            let right = Some(label) == case.names.as_ref();
            let value = value(&grader, label, &case.reply).await;
            assert_eq!(
                value,
                f64::from(u8::from(right)),
                "{:?} for {label}",
                case.reply
            );
        }
    }
}

async fn value(grader: &GraderRuntime, label: &str, reply: &str) -> f64 {
    let input = GradeInput {
        input: "Say it.".into(),
        choices: vec![],
        reference: Reference::Text { text: label.into() },
    };
    let call = Call::Generate {
        messages: vec![],
        sampling: Sampling::default(),
    };
    let reply = Reply::Text { text: reply.into() };
    grader.grade(&input, &call, &reply).await.unwrap().value
}
