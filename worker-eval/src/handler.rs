//! One task: decode, ask, grade, report.

use crate::{
    Models,
    grade::{GradeError, GraderRuntime},
    report,
};
use async_trait::async_trait;
use bytes::Bytes;
use domain::{
    call::{Answer, Reply},
    grade::{Grade, Grader},
    run::Attempt,
};
use llm::{Allowance, ErrorKind, LanguageModel, ModelError, Request, Terms};
use queue::{Message, Unfit};
use runtime::{
    given_up::GivenUp,
    heart::Heart,
    work::{Handled, Handler},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};
use wire::{Body, Counted, Hold, Report, ReportItem, Task};

/// Graders are compiled once: they are found by name and version.
type Graders = Mutex<HashMap<(&'static str, String), Arc<GraderRuntime>>>;

/// A server that asks for a longer wait is not waited for here: who gives out the work hears of it, and has everybody
/// leave the model alone.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Handles `propose` and `answer` tasks: to a worker they are the same thing.
pub struct EvalHandler {
    worker: String,
    /// By what they are, not by what a spec calls them.
    models: HashMap<String, Arc<dyn LanguageModel>>,
    graders: Graders,
    heart: Heart,
    given_up: Arc<GivenUp>,
}

/// What the model said to one item, or why it did not.
enum Said {
    Now(Answer),
    Before(Reply),
    Nothing(ModelError),
}

impl EvalHandler {
    pub fn new(worker: String, models: Models, heart: Heart, given_up: Arc<GivenUp>) -> Self {
        let by_identity = |model: Arc<dyn LanguageModel>| (model.identity().key.clone(), model);
        Self {
            worker,
            models: models.into_values().map(by_identity).collect(),
            graders: Mutex::default(),
            heart,
            given_up,
        }
    }

    async fn work(&self, task: &Task, body: &Body) -> (Vec<ReportItem>, Counted) {
        let terms = terms(task);
        let mut pause = None;
        let items = match self.parts(body) {
            Err(error) => report::all(task, body, error),
            Ok((model, grader)) => {
                let said = ask(model, task, body, &terms).await;
                pause = said.iter().filter_map(|(_, said)| said.pause()).max();
                let items = said
                    .into_iter()
                    .map(|(place, said)| one(body, place, said, grader.as_deref()));
                futures::future::join_all(items).await
            }
        };
        let counted = Counted {
            declined: false,
            requests: terms.allowance.map(|allowance| allowance.taken()),
            pause_ms: pause.map(report::millis),
        };
        (items, counted)
    }

    /// What a block is asked of and graded by.
    fn parts(
        &self,
        body: &Body,
    ) -> Result<(&dyn LanguageModel, Option<Arc<GraderRuntime>>), ModelError> {
        let model = self.models.get(&body.identity);
        let model = model.ok_or_else(|| self.unknown(body))?;
        let grader = body.grader.as_ref().map(|g| self.grader(g)).transpose();
        let grader = grader.map_err(|e| ModelError::new(ErrorKind::Model, e.to_string()))?;
        Ok((model.as_ref(), grader))
    }

    /// A model whose server asked to be left alone is, where this worker has it.
    pub fn hold(&self, hold: &Hold) {
        if let Some(model) = self.models.get(&hold.hold) {
            tracing::debug!(model = hold.hold, ms = hold.for_ms, "held");
            model.hold(Duration::from_millis(hold.for_ms));
        }
    }

    /// Another worker may have the model: the task is tried again, and its run pauses when nobody has.
    fn unknown(&self, body: &Body) -> ModelError {
        let message = format!(
            "worker {} does not have model {:?} ({}): give it the run's [models.{}]",
            self.worker, body.model, body.identity, body.model
        );
        ModelError::new(ErrorKind::Retry { after: None }, message)
    }

    fn grader(&self, grader: &Grader) -> Result<Arc<GraderRuntime>, GradeError> {
        let mut graders = self.graders.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (grader.name(), grader.version());
        if let Some(found) = graders.get(&key) {
            return Ok(found.clone());
        }
        let made = Arc::new(GraderRuntime::new(grader)?);
        graders.insert(key, made.clone());
        Ok(made)
    }
}

impl Said {
    fn pause(&self) -> Option<Duration> {
        match self {
            Said::Nothing(error) => report::asked_pause(error),
            Said::Now(_) | Said::Before(_) => None,
        }
    }
}

/// What the model is asked under. Where nobody counts, it may do as it likes.
fn terms(task: &Task) -> Terms {
    let grant = task.terms.and_then(|terms| terms.grant);
    let allowance = grant.map(|grant| {
        let before = Duration::from_micros(grant.before.unsigned_abs());
        Arc::new(Allowance::new(
            grant.requests,
            SystemTime::UNIX_EPOCH + before,
        ))
    });
    Terms {
        billed_again: task.terms.is_none(),
        allowance,
        patience: LONGEST_WAIT,
    }
}

/// Whoever had it before may have made all its calls, and nobody reserved for more.
fn declined(task: &Task, body: &Body) -> Vec<ReportItem> {
    let message = "given out again after a worker had it, whose calls are not to be made twice";
    let error = ModelError::new(ErrorKind::Retry { after: None }, message);
    report::all(task, body, error)
}

/// What is graded by a judge's words is stored before they are asked for: the worker that is sent such an item without it
/// asks nobody.
fn unstored() -> ModelError {
    let message = "the answer that a judge's words are about is not stored any more";
    ModelError::new(ErrorKind::Call, message)
}

/// Asks the open items that have no stored reply, as one block.
async fn ask(
    model: &dyn LanguageModel,
    task: &Task,
    body: &Body,
    terms: &Terms,
) -> Vec<(u32, Said)> {
    let mut said = Vec::with_capacity(task.open.len());
    let (mut places, mut block) = (Vec::new(), Vec::new());
    for &place in &task.open {
        let Some(item) = body.items.get(place as usize) else {
            continue;
        };
        if let Some(reply) = task.known.get(&place) {
            said.push((place, Said::Before(reply.clone())));
        } else if item.judged.is_some() {
            said.push((place, Said::Nothing(unstored())));
        } else {
            places.push(place);
            block.push(Request {
                key: item.key,
                call: item.call.clone(),
            });
        }
    }
    if !block.is_empty() {
        let answers = model.call_under(block, terms).await;
        said.extend(
            places
                .into_iter()
                .zip(answers)
                .map(|(place, answer)| match answer {
                    Ok(answer) => (place, Said::Now(answer)),
                    Err(e) => (place, Said::Nothing(e)),
                }),
        );
    }
    said
}

async fn one(body: &Body, place: u32, said: Said, grader: Option<&GraderRuntime>) -> ReportItem {
    let item = &body.items[place as usize];
    let (reply, answer) = match said {
        Said::Nothing(e) => return report::failed(place, item.key, e),
        Said::Now(answer) => (answer.reply.clone(), Some(answer)),
        Said::Before(reply) => (reply, None),
    };
    let graded: Option<Result<Grade, GradeError>> = match (&item.judged, grader, &item.grade) {
        (Some(judgement), ..) => Some(Ok(judgement.grade())),
        (None, Some(grader), Some(input)) => Some(grader.grade(input, &item.call, &reply).await),
        _ => None,
    };
    report::answered(place, item.key, answer, graded)
}

#[async_trait]
impl Handler for EvalHandler {
    async fn handle(&self, message: Bytes, redelivered: bool) -> Handled {
        let (task, body) = match Task::decode(&message) {
            Ok(decoded) => decoded,
            Err(e) => return Handled::Reject(e.to_string()),
        };
        if redelivered && task.terms.is_some() && !sabotage::breaks("decline") {
            let counted = Counted {
                declined: true,
                ..Counted::default()
            };
            let items = declined(&task, &body);
            return Handled::Report(report::message(&task, self.worker.clone(), items, counted));
        }
        if sabotage::breaks("poison") && task.body.get().contains("POISON") {
            std::process::abort();
        }
        let _held = self.heart.hold(Attempt {
            task: task.task,
            epoch: task.epoch,
        });
        tokio::select! {
            biased;
            () = self.given_up.wait(body.run) => Handled::Unwanted,
            (items, counted) = self.work(&task, &body) => {
                Handled::Report(report::message(&task, self.worker.clone(), items, counted))
            }
        }
    }

    fn poisoned(&self, message: Bytes) -> Handled {
        let (task, body) = match Task::decode(&message) {
            Ok(decoded) => decoded,
            Err(e) => return Handled::Reject(e.to_string()),
        };
        let error = ModelError::new(
            ErrorKind::Call,
            "the worker failed again and again on this block: see its log",
        );
        let items = report::all(&task, &body, error);
        let counted = Counted {
            // How many requests it made before it panicked is not known.
            declined: task.terms.is_some(),
            ..Counted::default()
        };
        Handled::Report(report::message(&task, self.worker.clone(), items, counted))
    }

    fn shortened(&self, message: Message, why: &Unfit) -> Message {
        match Report::decode(&message.body) {
            Ok(report) => {
                tracing::warn!(report = message.id, %why, "report is too large");
                let body = report::shortened(report, why).encode().into();
                Message { body, ..message }
            }
            Err(_) => message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{
        call::{Call, Message as Chat, Sampling, Usage},
        example::Reference,
        grade::GradeInput,
        hash::Hash,
        ids::RunId,
        judge::{Judgement, Verdict},
    };
    use llm::{Identity, scripted::ScriptedModel};
    use wire::{Action, BodyItem, VERSION};

    fn call() -> Call {
        Call::Generate {
            messages: vec![Chat::user("2+2?")],
            sampling: Sampling::default(),
        }
    }

    fn task(known: Option<&str>) -> Bytes {
        Bytes::from(planned(known).encode())
    }

    fn planned(known: Option<&str>) -> Task {
        let run = RunId::new();
        let grade = GradeInput {
            input: "2+2?".into(),
            choices: vec![],
            reference: Reference::Text { text: "4".into() },
        };
        let item = |name: &str| BodyItem {
            key: Hash::of([name]),
            call: call(),
            grade: Some(grade.clone()),
            judged: None,
        };
        let body = Body {
            run,
            model: "target".into(),
            identity: "s".into(),
            grader: Some(Grader::Exact),
            items: vec![item("a"), item("b"), item("c")],
        };
        Task {
            v: VERSION,
            task: run.task("t"),
            epoch: 3,
            open: vec![0, 2],
            known: known
                .map(|k| (2, Reply::Text { text: k.into() }))
                .into_iter()
                .collect(),
            terms: None,
            body: serde_json::value::to_raw_value(&body).unwrap(),
        }
    }

    fn models(say: fn(&Request) -> Result<Answer, ModelError>) -> Models {
        let identity = Identity {
            key: "s".into(),
            name: "s".into(),
            scores: false,
        };
        let model: Arc<dyn LanguageModel> = Arc::new(ScriptedModel::new(identity, say));
        [("target".to_owned(), model)].into()
    }

    fn four(_: &Request) -> Result<Answer, ModelError> {
        let reply = Reply::Text { text: "4".into() };
        Ok(Answer {
            reply,
            usage: Usage::default(),
            cost_micros: 7,
        })
    }

    fn down(_: &Request) -> Result<Answer, ModelError> {
        Err(ModelError::new(
            ErrorKind::Retry { after: None },
            "server is down",
        ))
    }

    async fn handled(models: Models, message: Bytes) -> Report {
        delivered(models, message, false).await
    }

    async fn delivered(models: Models, message: Bytes, redelivered: bool) -> Report {
        let heart = Heart::default();
        let handler = EvalHandler::new("w".into(), models, heart.clone(), Arc::default());
        let Handled::Report(message) = handler.handle(message, redelivered).await else {
            panic!("rejected");
        };
        assert_eq!(heart.in_hand(), []);
        Report::decode(&message.body).unwrap()
    }

    #[tokio::test]
    async fn open_items_are_asked_and_graded() {
        let report = handled(models(four), task(None)).await;
        assert_eq!((report.epoch, report.items.len()), (3, 2));
        assert!(
            report
                .items
                .iter()
                .all(|i| i.grade.as_ref().is_some_and(|g| g.value == 1.0))
        );
        assert!(report.items.iter().all(|i| i.answer.is_some()));
    }

    #[tokio::test]
    async fn a_known_reply_is_graded_and_not_bought_again() {
        let report = handled(models(four), task(Some("5"))).await;
        let known = report.items.iter().find(|i| i.place == 2).unwrap();
        assert_eq!(
            (known.answer.is_none(), known.grade.as_ref().unwrap().value),
            (true, 0.0)
        );
    }

    fn unasked(_: &Request) -> Result<Answer, ModelError> {
        panic!("asked")
    }

    #[tokio::test]
    async fn what_a_judge_said_of_a_stored_answer_is_its_grade_and_nothing_is_asked() {
        let verdicts = [Some(Verdict::A), Some(Verdict::Tie)];
        let judged = |name: &str| BodyItem::judged(Hash::of([name]), Judgement::Said { verdicts });
        let body = Body {
            run: RunId::new(),
            model: "target".into(),
            identity: "s".into(),
            grader: None,
            items: vec![judged("a"), judged("b"), judged("c")],
        };
        let task = Task {
            body: serde_json::value::to_raw_value(&body).unwrap(),
            ..planned(Some("whatever"))
        };
        let report = handled(models(unasked), task.encode().into()).await;
        let item = |place| report.items.iter().find(|i| i.place == place).unwrap();
        assert_eq!(item(2).grade.as_ref().unwrap().value, 0.75);
        assert!(item(2).answer.is_none() && item(2).error.is_none());
        // One whose answer is gone has no grade, and is not bought.
        let error = item(0).error.as_ref().unwrap();
        assert_eq!(error.action, Action::GiveUp);
        assert!(item(0).grade.is_none(), "{:?}", item(0));
    }

    /// One short answer and one that no queue takes.
    fn long(request: &Request) -> Result<Answer, ModelError> {
        let length = match request.key == Hash::of(["a"]) {
            true => 1,
            false => 5_000,
        };
        let reply = Reply::Text {
            text: "4".repeat(length),
        };
        Ok(Answer {
            reply,
            usage: Usage::default(),
            cost_micros: 7,
        })
    }

    #[tokio::test]
    async fn an_answer_that_is_too_large_is_left_out_and_charged() {
        let report = handled(models(long), task(None)).await;
        let message = Message {
            body: report.encode().into(),
            ..Message::default()
        };
        let why = Unfit::check(message.clone(), Some(3_000)).unwrap_err();
        let handler = EvalHandler::new("w".into(), models(long), Heart::default(), Arc::default());
        let away = Unfit {
            unkept: Some("the bucket is away".into()),
            ..why.clone()
        };
        let cases = [
            (why, Action::GiveUp, "the queue takes 3000"),
            (away, Action::Retry { after_ms: 0 }, "the bucket is away"),
        ];
        for (why, action, words) in cases {
            let short = handler.shortened(message.clone(), &why);
            assert!(short.body.len() <= 3_000, "{}", short.body.len());
            let short = Report::decode(&short.body).unwrap();
            assert_eq!(short.items[0], report.items[0], "a neighbour");
            let item = &short.items[1];
            assert!(item.answer.is_none() && item.grade.is_none());
            assert_eq!(item.paid.unwrap().cost_micros, 7);
            let error = item.error.as_ref().unwrap();
            assert_eq!(error.action, action);
            assert!(error.message.contains(words), "{}", error.message);
            assert!(error.message.contains("--artefacts"), "{}", error.message);
        }
    }

    #[tokio::test]
    async fn an_outage_is_no_grade() {
        let report = handled(models(down), task(None)).await;
        for item in &report.items {
            assert!(item.grade.is_none() && item.answer.is_none());
            assert_eq!(
                item.error.as_ref().unwrap().action,
                Action::Retry { after_ms: 0 }
            );
        }
    }

    fn busy(_: &Request) -> Result<Answer, ModelError> {
        let after = Some(Duration::from_millis(7_000));
        Err(ModelError::new(ErrorKind::Retry { after }, "429"))
    }

    #[tokio::test]
    async fn a_server_that_says_when_is_believed_and_everybody_is_told() {
        let report = handled(models(busy), task(None)).await;
        assert_eq!(report.counted.pause_ms, Some(7_000));
        for item in &report.items {
            let action = item.error.as_ref().unwrap().action;
            assert_eq!(action, Action::Again { after_ms: 7_000 });
        }
    }

    /// Where nobody counts, whoever gets a task again works on it; where calls are counted, nobody does.
    #[tokio::test]
    async fn calls_that_are_counted_are_not_made_for_a_task_that_comes_again() {
        let mut task = planned(None);
        let report = delivered(models(four), task.encode().into(), true).await;
        assert!(report.items.iter().all(|i| i.answer.is_some()));
        assert_eq!(report.counted, Counted::default());
        task.terms = Some(wire::Terms { grant: None });
        let report = delivered(models(four), task.encode().into(), true).await;
        assert!(report.counted.declined);
        for item in &report.items {
            assert!(item.answer.is_none());
            let action = item.error.as_ref().unwrap().action;
            assert_eq!(action, Action::Retry { after_ms: 0 });
        }
        let report = delivered(models(four), task.encode().into(), false).await;
        assert!(report.items.iter().all(|i| i.answer.is_some()));
    }

    #[tokio::test]
    async fn a_model_that_only_others_have_is_left_to_them() {
        let report = handled(Models::new(), task(None)).await;
        let error = report.items[0].error.as_ref().unwrap();
        assert_eq!(error.action, Action::Retry { after_ms: 0 });
        assert!(
            error.message.contains("\"target\" (s)"),
            "{}",
            error.message
        );
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_rejected_with_the_reason() {
        let handler = EvalHandler::new("w".into(), models(four), Heart::default(), Arc::default());
        let newer = String::from_utf8(task(None).to_vec()).unwrap();
        let newer = newer.replacen("\"v\":1", "\"v\":9", 1);
        let Handled::Reject(reason) = handler.handle(newer.into(), false).await else {
            panic!("worked on");
        };
        assert!(reason.contains("version 9"), "{reason}");
    }
}
