//! The worker on a queue with the tiny base: what it keeps, what it tells, what it leaves and goes on with.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure here is a failed test"
)]

use artefacts::{Artefacts, Place};
use domain::{ids::RunId, tuning::Tuning};
use futures::TryStreamExt;
use model::base::Base;
use queue::{Headers, Lane, Message, TaskQueue, memory::MemoryQueue};
use runtime::{heart::Heart, shutdown::Shutdown};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use wire::{
    Action, Loss, Losses, Order, Report, Task, TrainBody, TrainItem, TrainPair, Trained, Training,
    VERSION, Word, Work,
};
use worker_train::{Config, Deps, bases, bases::Bases};

fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/model/tests/fixtures/tiny-plain")
}

const THINGS: [&str; 12] = [
    "rain", "kettles", "windows", "rivers", "stones", "lamps", "paper", "gardens", "bridges",
    "candles", "ladders", "spoons",
];

/// Pairs that the tiny base can read: it has a token for each byte, and reads 128.
fn pairs(count: usize) -> Vec<TrainPair> {
    let one = |i: usize| {
        let (a, b) = (THINGS[i % 12], THINGS[(i / 12 + 5) % 12]);
        TrainPair {
            original: format!("{a} {i} {b}?"),
            improved: format!("Explain {a} {i} {b}."),
            grades: (0.25, 0.75),
        }
    };
    (0..count).map(one).collect()
}

/// So many epochs over thirty pairs.
fn tuning(epochs: usize) -> Tuning {
    Tuning {
        base: "tiny".into(),
        rank: 4,
        rate: 1e-2,
        accumulate: 1,
        epochs,
        ..Tuning::default()
    }
}

async fn training(tuning: Tuning, pairs: Vec<TrainPair>) -> TrainBody {
    let mut body = TrainBody {
        work: Work::Train,
        run: RunId::new(),
        model: "tiny".into(),
        identity: bases::describe(tiny()).await.unwrap(),
        tuning,
        seed: 7,
        pairs,
        items: Vec::new(),
    };
    let key = body.key_of();
    body.items = vec![TrainItem { key }];
    body
}

fn message(body: &TrainBody, epoch: u32) -> Message {
    let task = Task {
        v: VERSION,
        task: body.run.task("train"),
        epoch,
        open: vec![0],
        known: Default::default(),
        terms: None,
        body: serde_json::value::to_raw_value(body).unwrap(),
    };
    Message {
        id: format!("{}:{epoch}", task.task),
        headers: Headers::new(),
        body: task.encode().into(),
    }
}

/// A place for artefacts that workers share.
struct Scene {
    artefacts: Artefacts,
    _dir: Option<TempDir>,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::Folder(dir.path().to_owned());
        Self {
            artefacts: Artefacts::open(&place).unwrap(),
            _dir: Some(dir),
        }
    }

    /// A worker with the tiny base, or none.
    async fn worker(&self, bases: &[PathBuf]) -> Worker {
        let (queue, shutdown) = (Arc::new(MemoryQueue::new()), Shutdown::new());
        let config = Config {
            worker: "test".into(),
            save_every: Duration::ZERO,
            place: train::Place::default(),
            scratch: None,
        };
        let heart = Heart::default();
        let deps = Deps {
            queue: queue.clone(),
            artefacts: self.artefacts.clone(),
            bases: Bases::of(bases.to_vec()).await.unwrap(),
            heart: heart.clone(),
        };
        let working = tokio::spawn(worker_train::run(config, deps, shutdown.clone()));
        Worker {
            queue,
            shutdown,
            heart,
            working,
        }
    }

    /// The names of the files of a training, without its run and task.
    async fn files(&self, body: &TrainBody) -> Vec<String> {
        let folder = format!("trainings/{}/{}", body.run, body.run.task("train"));
        let listed: Vec<_> = self
            .artefacts
            .list(&folder)
            .unwrap()
            .try_collect()
            .await
            .unwrap();
        let name = |l: &artefacts::Listed| l.name[folder.len() + 1..].to_owned();
        let mut names: Vec<String> = listed.iter().map(name).collect();
        names.sort();
        names
    }

    /// Until there is a file of this name.
    async fn until(&self, body: &TrainBody, name: &str) {
        let waiting = async {
            while !self.files(body).await.iter().any(|n| n == name) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting)
            .await
            .expect("it never comes");
    }
}

struct Worker {
    queue: Arc<MemoryQueue>,
    shutdown: Shutdown,
    heart: Heart,
    working: JoinHandle<Result<(), queue::QueueError>>,
}

impl Worker {
    async fn give(&self, body: &TrainBody, epoch: u32) {
        let messages = vec![message(body, epoch)];
        self.queue.publish(Lane::Train, messages).await.unwrap();
    }

    async fn report(&self) -> Report {
        let mut consumer = self.queue.consume(Lane::Results, 1).await.unwrap();
        let next = tokio::time::timeout(Duration::from_secs(120), consumer.next());
        let delivery = next.await.expect("no report comes").unwrap();
        let report = Report::decode(&delivery.message.body).unwrap();
        delivery.receipt.ack().await.unwrap();
        report
    }

    /// What was told of losses so far.
    async fn losses(&self) -> Vec<Loss> {
        let mut consumer = self.queue.consume(Lane::Events, 1000).await.unwrap();
        let mut told = Vec::new();
        while let Ok(Some(delivery)) =
            tokio::time::timeout(Duration::from_millis(50), consumer.next()).await
        {
            told.extend(Losses::decode(&delivery.message.body).unwrap().losses);
        }
        told
    }
}

fn answered(report: &Report) -> Training {
    let item = &report.items[0];
    assert_eq!(item.error, None);
    // Nobody was asked for it.
    assert_eq!(report.counted.requests, Some(0));
    Training::of(&item.answer.as_ref().expect("an answer").reply).expect("a training")
}

fn adapter(report: &Report) -> Trained {
    match answered(report) {
        Training::Trained(trained) => *trained,
        Training::Nothing(why) => panic!("{why}"),
    }
}

fn failed(report: &Report) -> (Action, String) {
    let error = report.items[0].error.clone().expect("an error");
    assert_eq!(report.items[0].answer, None);
    (error.action, error.message)
}

/// Trains undisturbed.
async fn undisturbed(body: &TrainBody) -> Trained {
    let worker = Scene::new().worker(&[tiny()]).await;
    worker.give(body, 1).await;
    adapter(&worker.report().await)
}

/// From a task to an adapter among these artefacts.
async fn trains(scene: &Scene) {
    let worker = scene.worker(&[tiny()]).await;
    let body = training(tuning(3), pairs(30)).await;
    worker.give(&body, 4).await;
    let report = worker.report().await;
    assert_eq!((report.task, report.epoch), (body.run.task("train"), 4));
    assert_eq!(report.items[0].key, body.key().unwrap());
    let trained = adapter(&report);
    assert_eq!(trained.place, scene.artefacts.place().to_string());
    assert!(trained.folder.ends_with("/4"), "{}", trained.folder);
    assert!(trained.train > 0 && trained.validation > 0);
    assert_eq!(trained.train + trained.validation + trained.left_out, 30);
    assert!(trained.losses.last() < trained.losses.first());
    // No checkpoint is left.
    let files = [
        "adapter_config.json",
        "adapter_model.safetensors",
        "trained_on.json",
        "training.json",
    ];
    assert_eq!(scene.files(&body).await, files.map(|f| format!("4/{f}")));
    let mut told = worker.losses().await;
    told.sort_by_key(|loss| loss.step);
    assert_eq!(told, trained.rows());
    assert_eq!(worker.heart.in_hand(), []);
    loads(scene, &trained).await;
}

/// The adapter is one for the base, and of the options asked for.
async fn loads(scene: &Scene, trained: &Trained) {
    let dir = tempfile::tempdir().unwrap();
    for name in [train::peft::CONFIG, train::peft::WEIGHTS] {
        let bytes = scene
            .artefacts
            .get(&format!("{}/{name}", trained.folder), 64 << 20)
            .await
            .unwrap();
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    let base = Base::open(&tiny()).unwrap();
    let adapter = train::peft::read(dir.path(), base.config()).unwrap();
    assert_eq!(adapter.lora().rank, 4);
    assert_eq!(adapter.parameters() as u64, trained.parameters);
}

#[tokio::test]
async fn a_task_ends_with_an_adapter_in_a_folder_of_its_epoch() {
    trains(&Scene::new()).await;
}

#[tokio::test]
async fn and_in_a_bucket() {
    let Ok(endpoint) = std::env::var("PROMPTIMAL_TEST_S3_ENDPOINT") else {
        skip("training: PROMPTIMAL_TEST_S3_ENDPOINT is not set (scripts/test starts a server)");
        return;
    };
    let bucket = format!("train-{}", RunId::new());
    let variables = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ("AWS_REGION", "us-east-1"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let place: Place = format!("s3://{bucket}/some/prefix").parse().unwrap();
    let artefacts = Artefacts::open_with(&place, variables.to_vec()).unwrap();
    let made = reqwest::Client::new().put(format!("{endpoint}/{bucket}"));
    assert!(made.send().await.unwrap().status().is_success());
    trains(&Scene {
        artefacts,
        _dir: None,
    })
    .await;
}

fn skip(why: &str) {
    use std::io::Write;
    println!("skipped: {why}");
    if let Some(log) = std::env::var_os("PROMPTIMAL_SKIP_LOG") {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log);
        writeln!(log.unwrap(), "skipped: {why}").unwrap();
    }
}

/// A worker that is told to end gives the task back with a checkpoint; another goes on from there, to the same end.
#[tokio::test]
async fn what_one_worker_leaves_another_ends() {
    let scene = Scene::new();
    let body = training(tuning(60), pairs(30)).await;
    let first = scene.worker(&[tiny()]).await;
    first.give(&body, 1).await;
    scene.until(&body, "1/checkpoint.safetensors").await;
    first.shutdown.request_drain();
    first.working.await.unwrap().unwrap();
    assert_eq!(first.heart.in_hand(), []);
    let mut left = first.queue.consume(Lane::Train, 1).await.unwrap();
    assert!(left.next().await.unwrap().redelivered, "it was given back");
    let told = first.queue.depth(Lane::Results).await.unwrap();
    assert_eq!(told, 0, "nothing is reported of what was left");

    let second = scene.worker(&[tiny()]).await;
    second.give(&body, 2).await;
    let trained = adapter(&second.report().await);
    let again = second.losses().await;
    let steps = trained.losses.len();
    let begun = again.iter().filter(|l| l.loss.is_some()).count();
    assert!((1..steps).contains(&begun), "{begun} of {steps} steps");
    assert!(trained.folder.ends_with("/2"), "{}", trained.folder);
    assert!(
        scene
            .files(&body)
            .await
            .iter()
            .all(|f| !f.contains("checkpoint"))
    );

    let whole = undisturbed(&body).await;
    let ends = [&whole, &trained].map(|t| *t.losses.last().unwrap());
    assert!((ends[0] - ends[1]).abs() < 1e-4, "{ends:?}");
    // It is more than that: every number is the same.
    let anywhere = |t: Trained| Training::Trained(Box::new(t)).anywhere();
    assert_eq!(anywhere(whole), anywhere(trained));
}

/// A report that was lost costs nothing: whoever gets the task again finds what came of it, even without the base.
#[tokio::test]
async fn what_is_done_is_not_done_again() {
    let scene = Scene::new();
    let body = training(tuning(2), pairs(30)).await;
    let worker = scene.worker(&[tiny()]).await;
    worker.give(&body, 1).await;
    let once = worker.report().await;
    let other = scene.worker(&[]).await;
    other.give(&body, 2).await;
    let twice = other.report().await;
    assert_eq!((once.epoch, twice.epoch), (1, 2));
    assert_eq!(answered(&once), answered(&twice));
    assert_eq!(other.losses().await, []);
}

/// A checkpoint that is of no use must not keep a training from ever being done.
#[tokio::test]
async fn a_damaged_checkpoint_is_left_alone() {
    let scene = Scene::new();
    let body = training(tuning(2), pairs(30)).await;
    let folder = format!("trainings/{}/{}/1", body.run, body.run.task("train"));
    let name = format!("{folder}/checkpoint.safetensors");
    scene.artefacts.put(&name, "half".into()).await.unwrap();
    let worker = scene.worker(&[tiny()]).await;
    worker.give(&body, 2).await;
    let trained = adapter(&worker.report().await);
    assert_eq!(trained.losses, undisturbed(&body).await.losses);
}

#[tokio::test]
async fn what_cannot_be_trained_says_what_to_change() {
    let scene = Scene::new();
    let worker = scene.worker(&[tiny()]).await;

    // Another worker may have the base.
    let mut unknown = training(tuning(2), pairs(30)).await;
    unknown.identity = "another".into();
    worker.give(&unknown, 1).await;
    let (action, why) = failed(&worker.report().await);
    assert_eq!(action, Action::Retry { after_ms: 0 });
    for words in ["\"tiny\" (another)", "--base"] {
        assert!(why.contains(words), "{why}");
    }

    // What the options decide fails everywhere.
    let wild = Tuning {
        rate: 1e30,
        warmup: 0.0,
        ..tuning(20)
    };
    worker.give(&training(wild, pairs(30)).await, 1).await;
    let (action, why) = failed(&worker.report().await);
    assert_eq!(action, Action::StopRun);
    assert!(why.contains("lower rate"), "{why}");

    // That there is nothing to learn is no failure, and a run ends with it.
    let mut same = pairs(9);
    same.iter_mut()
        .for_each(|p| p.improved = p.original.clone());
    let short = Tuning {
        max_tokens: 5,
        ..tuning(2)
    };
    for (tuning, pairs, words) in [
        (tuning(2), Vec::new(), "of 0 rows"),
        (tuning(2), same, "9 are unchanged"),
        (short, pairs(9), "longer than 5 tokens"),
    ] {
        let body = training(tuning, pairs).await;
        worker.give(&body, 1).await;
        match answered(&worker.report().await) {
            Training::Nothing(why) => assert!(why.contains(words), "{why}"),
            Training::Trained(_) => panic!("{words}: it was trained"),
        }
    }
}

/// What nobody wants is let go, and its checkpoints with it; the next training begins.
#[tokio::test]
async fn a_training_that_was_given_up_is_let_go() {
    let scene = Scene::new();
    let worker = scene.worker(&[tiny()]).await;
    let gone = training(tuning(2_000), pairs(30)).await;
    worker.give(&gone, 1).await;
    scene.until(&gone, "1/checkpoint.safetensors").await;
    let next = training(tuning(1), pairs(24)).await;
    worker.give(&next, 1).await;
    let word = Word {
        v: VERSION,
        word: Order::Cancel,
        run: gone.run,
    };
    worker.queue.broadcast(word.encode().into()).await.unwrap();
    let report = worker.report().await;
    assert_eq!(report.items[0].key, next.key().unwrap());
    assert_eq!(scene.files(&gone).await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_no_training_is_rejected() {
    let scene = Scene::new();
    let worker = scene.worker(&[]).await;
    let mut body = training(tuning(1), pairs(3)).await;
    body.items.clear();
    worker.give(&body, 1).await;
    let mut dead = worker.queue.consume(Lane::Dead, 1).await.unwrap();
    let letter = dead.next().await.unwrap();
    let reason = queue::DeadLetter::of(&letter.message).reason;
    assert!(reason.contains("without an item"), "{reason}");
}
