//! A cluster of processes on a real PostgreSQL and a real RabbitMQ, steered from the command line.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure here is a failed test"
)]

mod support;

use serde_json::Value;
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};
use support::{Done, Scene, Watched, block_on, done, promptimal};

/// The services and the worker's program, or why the test cannot run.
struct Site {
    database: String,
    broker: String,
    worker: PathBuf,
}

fn site() -> Option<Site> {
    let [database, broker] = ["PROMPTIMAL_TEST_DATABASE_URL", "PROMPTIMAL_TEST_AMQP_URL"]
        .map(|name| std::env::var(name).map_err(|_| name));
    let (database, broker) = match (database, broker) {
        (Ok(database), Ok(broker)) => (database, broker),
        (Err(name), _) | (_, Err(name)) => {
            skip(&format!(
                "processes: {name} is not set (scripts/test starts it)"
            ));
            return None;
        }
    };
    // Programs of other packages: built where the whole workspace is tested.
    let worker = Path::new(env!("CARGO_BIN_EXE_coordinator")).with_file_name("worker-eval");
    for name in ["worker-eval", "worker-train"] {
        if !worker.with_file_name(name).exists() {
            skip(&format!(
                "processes: {name} is not built (cargo build -p {name})"
            ));
            return None;
        }
    }
    Some(Site {
        database,
        broker,
        worker,
    })
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

/// The broker for this test alone: meanwhile nobody kills it, and no other cluster works on the same database. The
/// file is that of `crates/queue/tests/support`.
fn turn() -> Option<File> {
    let dir = std::env::var_os("PROMPTIMAL_TEST_RABBITMQ_DIR")?;
    let file = File::create(Path::new(&dir).join("turns")).unwrap();
    file.lock().unwrap();
    Some(file)
}

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// The cluster around a scene: its processes are killed at the end.
struct Cluster {
    site: Site,
    scene: Scene,
    prefix: String,
    processes: Vec<Watched>,
    url: String,
}

/// A program with nothing of ours in its environment but this.
fn program(path: &Path, cluster: &Cluster) -> Command {
    let mut command = Command::new(path);
    for (name, _) in std::env::vars_os() {
        let ours = name.to_string_lossy().starts_with("PROMPTIMAL_");
        if ours && name != "PROMPTIMAL_CACHE" {
            command.env_remove(name);
        }
    }
    command
        .current_dir(cluster.scene.dir.path())
        .env("PROMPTIMAL_AMQP_URL", &cluster.site.broker)
        .env("PROMPTIMAL_QUEUE_PREFIX", &cluster.prefix)
        .env("PROMPTIMAL_ARTEFACTS", cluster.artefacts())
        .env("PROMPTIMAL_LOG_FORMAT", "json")
        .env("PROMPTIMAL_LOG", LOG);
    command
}

/// What a cluster logs: each task by itself, too.
const LOG: &str = "info,lapin=error,sqlx=warn,runtime=debug,coordinator=debug";

/// A log line that is an object.
fn said(line: &str) -> Option<Value> {
    serde_json::from_str(line).ok()
}

/// More than the broker takes in one message. It is easy, so it is only measured.
fn add_large_question(scene: &Scene) {
    let path = scene.path("letters.csv");
    let mut questions = std::fs::read_to_string(&path).unwrap();
    let filling = "and so on ".repeat(30_000);
    questions.push_str(&format!(
        "\"item 17 of the long list, {filling}, which letter?\",alpha 17,beta 17,gamma 17,delta 17,B\n"
    ));
    std::fs::write(path, questions).unwrap();
}

impl Cluster {
    fn start(site: Site) -> Self {
        let scene = Scene::new(16);
        scene.spec();
        add_large_question(&scene);
        Self::around(site, scene)
    }

    fn around(site: Site, scene: Scene) -> Self {
        let mut cluster = Self::empty(site, scene);
        cluster.coordinator("127.0.0.1:0", "");
        cluster.worker();
        cluster
    }

    fn empty(site: Site, scene: Scene) -> Self {
        Self {
            prefix: format!("processes-{}", domain::ids::RunId::new()),
            site,
            scene,
            processes: Vec::new(),
            url: String::new(),
        }
    }

    /// Starts a worker; the last of the processes is it.
    fn worker(&mut self) {
        let mut worker = program(&self.site.worker, self);
        worker.args(["--models", "spec.toml"]);
        let worker = Watched::start(&mut worker);
        worker.wait_for("ready for tasks");
        self.processes.push(worker);
    }

    /// Starts a worker that trains; the last of the processes is it.
    fn trainer(&mut self) {
        let mut worker = program(&self.site.worker.with_file_name("worker-train"), self);
        // A checkpoint after every step.
        worker.args(["--base", "tiny", "--save-seconds", "0"]);
        let worker = Watched::start(&mut worker);
        worker.wait_for("ready for tasks");
        self.processes.push(worker);
    }

    /// kill -9 of the oldest worker, and another one in its place.
    fn replace_worker(&mut self) {
        self.processes.remove(1).kill();
        self.worker();
    }

    /// Starts a coordinator, which dies where `sabotage` says; the first of the processes is it.
    fn coordinator(&mut self, listen: &str, sabotage: &str) {
        let mut command = program(Path::new(env!("CARGO_BIN_EXE_coordinator")), self);
        command
            .env("PROMPTIMAL_DATABASE_URL", &self.site.database)
            .env("PROMPTIMAL_TOKEN", TOKEN)
            .env("PROMPTIMAL_SABOTAGE", sabotage)
            .args(["--listen", listen, "--data-root", "."]);
        let process = Watched::start(&mut command);
        let mut told = process.lines.iter().filter_map(|line| said(&line));
        let told = told.find(|line| line["message"] == "listening");
        let told = told.unwrap_or_else(|| panic!("the coordinator did not start"));
        self.url = format!("http://{}", told["at"].as_str().unwrap());
        self.processes.insert(0, process);
    }

    /// kill -9 of the coordinator, and another one in its place.
    fn replace_coordinator(&mut self) {
        self.processes.remove(0).kill();
        let at = self.url.strip_prefix("http://").unwrap().to_owned();
        self.coordinator(&at, "");
    }

    fn artefacts(&self) -> String {
        format!("file://{}", self.scene.path("artefacts").display())
    }

    /// What a process has logged since somebody looked last, up to a line.
    fn logged(&self, process: usize, mut last: impl FnMut(&Value) -> bool) -> Vec<Value> {
        let mut logged = Vec::new();
        for line in self.processes[process]
            .lines
            .iter()
            .filter_map(|line| said(&line))
        {
            logged.push(line);
            if logged.last().is_some_and(&mut last) {
                break;
            }
        }
        logged
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = promptimal();
        command
            .current_dir(self.scene.dir.path())
            .env("PROMPTIMAL_TOKEN", TOKEN)
            .env("PROMPTIMAL_COORDINATOR", &self.url)
            .args(args);
        command
    }

    fn run(&self, args: &[&str]) -> Done {
        done(&mut self.command(args))
    }

    /// The status of a run.
    fn status(&self, run: &str) -> String {
        let runs = self.run(&["runs", "--json"]).exits(0).json();
        let runs = runs.as_array().unwrap();
        let found = runs.iter().find(|r| r["run"] == run);
        found.unwrap()["status"].as_str().unwrap().to_owned()
    }

    fn wait(&self, run: &str, status: &str) {
        let begin = Instant::now();
        while self.status(run) != status {
            // What a killed coordinator had claimed is waited for: a minute.
            assert!(begin.elapsed() < Duration::from_secs(180), "never {status}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for process in self.processes.drain(..) {
            process.kill();
        }
    }
}

#[test]
fn a_run_on_a_cluster_is_submitted_watched_and_steered() {
    let Some(site) = site() else {
        return;
    };
    let _turn = turn();
    let mut cluster = Cluster::start(site);
    let here = cluster.scene.run(&["run", "spec.toml", "--json"]);
    let here = here.exits(0).json();
    let there = cluster.run(&["submit", "spec.toml", "--watch", "--json"]);
    let there = there.exits(0).json();
    same(&here, &there);
    counted(&cluster);
    let id = there["run"].as_str().unwrap();
    traced(&cluster, id);
    swept(&cluster);
    let again = cluster.run(&["submit", "spec.toml", "--json"]).exits(0);
    assert_eq!(
        (&again.json()["run"], &again.json()["created"]),
        (&there["run"], &Value::Bool(false))
    );
    let shown = cluster.run(&["show", id, "--json"]).exits(0).json();
    same(&here, &shown);
    for what in ["pairs", "candidates", "answers"] {
        let exported = cluster.run(&["export", id, what]).exits(0).stdout;
        let lines = cluster.scene.run(&["export", "last", what]).exits(0).stdout;
        assert_eq!(exported.lines().count(), lines.lines().count(), "{what}");
    }
    steered(&mut cluster);
    refused(&cluster);
}

/// A run is one trace, which the lines of both sides name: each task is a span of the coordinator's and one below it of
/// the worker's. Whoever asked for the run finds it by a link.
fn traced(cluster: &Cluster, id: &str) {
    linked(cluster);
    let coordinator = cluster.logged(0, |line| line["linked_trace_id"] == ASKED);
    let trace = id.replace('-', "");
    let of = |lines: &[Value], message: &str| -> Vec<Value> {
        let found = lines.iter().filter(|l| l["message"] == message);
        found
            .filter(|l| l["trace_id"] == trace.as_str())
            .cloned()
            .collect()
    };
    for message in ["submitted", "planned", "finished"] {
        assert!(!of(&coordinator, message).is_empty(), "{message}");
    }
    let (sent, came) = (of(&coordinator, "sending"), of(&coordinator, "report came"));
    let tasks = came.len();
    let mut left = tasks;
    let worker = cluster.logged(1, |line| {
        left -= usize::from(line["message"] == "task handled");
        left == 0
    });
    let handled = of(&worker, "task handled");
    assert!(tasks > 0 && handled.len() == tasks);
    for line in &handled {
        let task = &line["task"];
        let by = |lines: &[Value], name: &str| {
            let found = lines.iter().find(|l| l["task"] == *task);
            found.map(|l| l[name].clone()).unwrap_or_default()
        };
        assert_eq!(by(&sent, "span_id"), line["parent_span_id"], "{line}");
        assert_eq!(by(&came, "span_id"), line["span_id"], "{line}");
    }
    let asked = coordinator.iter().find(|l| l["linked_trace_id"] == ASKED);
    assert_eq!(asked.unwrap()["trace_id"], trace.as_str());
    assert!(coordinator.iter().any(|l| l["message"] == "body kept"));
}

/// The trace of whoever asks.
const ASKED: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Asks for the same run once more, as part of another trace.
fn linked(cluster: &Cluster) {
    llm::use_ring();
    let spec = std::fs::read_to_string(cluster.scene.path("spec.toml")).unwrap();
    let asked = reqwest::Client::new()
        .post(format!("{}/v1/runs", cluster.url))
        .header("traceparent", format!("00-{ASKED}-00f067aa0ba902b7-01"))
        .bearer_auth(TOKEN)
        .json(&serde_json::json!({ "spec": spec, "kind": "optimise" }));
    let status = block_on(async { asked.send().await.unwrap().status() });
    assert_eq!(status, 200);
}

/// Nothing large is left behind.
fn swept(cluster: &Cluster) {
    let bodies = cluster.scene.path("artefacts/bodies");
    let left = || std::fs::read_dir(&bodies).unwrap().count();
    for _ in 0..1_000 {
        if left() == 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{} bodies are left behind", left());
}

/// kill -9 of workers and of the coordinator in the middle of their calls: the server is never called once more than the
/// cap.
#[test]
fn no_call_goes_beyond_the_cap_whatever_is_killed() {
    const CAP: usize = 60;
    let Some(site) = site() else {
        return;
    };
    let _turn = turn();
    let mut cluster = Cluster::start(site);
    cluster.worker();
    cluster.scene.server.set_latency(150);
    let cap = format!("budget.calls={CAP}");
    let submitted = cluster
        .run(&["submit", "spec.toml", "--set", &cap])
        .exits(0);
    let id = submitted.stdout.trim().to_owned();
    for n in 0..5 {
        let begun = cluster.scene.server.requests();
        let begin = Instant::now();
        while cluster.scene.server.requests() < begun + 4 && cluster.status(&id) == "running" {
            assert!(
                begin.elapsed() < Duration::from_secs(180),
                "nothing is asked"
            );
        }
        match n {
            2 => cluster.replace_coordinator(),
            _ => cluster.replace_worker(),
        }
    }
    cluster.wait(&id, "paused");
    let watched = cluster.run(&["watch", &id]).exits(3);
    watched.says(&["budget reached"]);
    for process in cluster.processes.drain(..) {
        process.kill();
    }
    let made = cluster.scene.server.requests();
    assert!((8..=CAP).contains(&made), "{made} calls");
}

/// kill -9 of a worker in the middle of a training: another one goes on, to the end of a training that nobody disturbed.
#[test]
fn a_training_outlives_its_worker() {
    let Some(site) = site() else {
        return;
    };
    let _turn = turn();
    let scene = Scene::new(32);
    scene.training("epochs = 100");
    let here = scene.run(&["run", "spec.toml", "--json"]).exits(0).json();
    let mut cluster = Cluster::around(site, scene);
    cluster.trainer();
    let submitted = cluster.run(&["submit", "spec.toml"]).exits(0);
    let id = submitted.stdout.trim().to_owned();
    let trainings = cluster.scene.path("artefacts/trainings");
    let begin = Instant::now();
    while named(&trainings, "checkpoint.safetensors").is_empty() {
        assert!(begin.elapsed() < Duration::from_secs(180), "no checkpoint");
        std::thread::sleep(Duration::from_millis(5));
    }
    let dead = cluster.processes.pop().unwrap();
    dead.kill();
    assert!(
        named(&trainings, "training.json").is_empty(),
        "the training was over before its worker was killed"
    );
    cluster.trainer();
    let second = cluster.processes.last().unwrap();
    second.wait_for("going on from a checkpoint");
    cluster.wait(&id, "finished");
    let there = cluster.run(&["show", &id, "--json"]).exits(0).json();
    let [here, there] = [&here, &there].map(|run| &run["training"]);
    let end = |of: &Value| of["loss"][1].as_f64().unwrap();
    assert!((end(here) - end(there)).abs() < 1e-4, "{here} {there}");
    // It is more than that: every bit of the adapter is the same, and no checkpoint is left.
    let weights = |of: &Value| {
        let folder = PathBuf::from(of["adapter"].as_str().unwrap());
        std::fs::read(folder.join("adapter_model.safetensors")).unwrap()
    };
    assert_eq!(weights(here), weights(there));
    assert_eq!(
        named(&trainings, "checkpoint.safetensors"),
        Vec::<PathBuf>::new()
    );
}

/// The files of this name below a folder.
fn named(folder: &Path, name: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let of = |path: PathBuf| match path.is_dir() {
        true => named(&path, name),
        false => path.ends_with(name).then_some(path).into_iter().collect(),
    };
    entries.flatten().flat_map(|e| of(e.path())).collect()
}

/// A leader that dies while it reads a run's data: another one reads them.
#[test]
fn another_coordinator_reads_what_a_dead_one_was_reading() {
    let Some(site) = site() else {
        return;
    };
    let _turn = turn();
    let scene = Scene::new(16);
    scene.spec();
    let here = scene.run(&["run", "spec.toml", "--json"]).exits(0).json();
    let mut cluster = Cluster::empty(site, scene);
    cluster.coordinator("127.0.0.1:0", "coordinator.read@1");
    cluster.processes[0].wait_for("leading");
    cluster.coordinator("127.0.0.1:0", "");
    cluster.worker();
    let there = cluster.run(&["submit", "spec.toml", "--watch", "--json"]);
    let there = there.exits(0).json();
    same(&here, &there);
    cluster.processes[0].wait_for("its data are read");
    let dead = cluster.processes[1].child.try_wait().unwrap();
    assert!(dead.is_some_and(|how| !how.success()), "{dead:?}");
}

/// Open answers: one worker asks, another scores, and a killed scorer is replaced.
#[test]
fn a_cluster_scores_open_answers() {
    let Some(site) = site() else {
        return;
    };
    let scorer = site.worker.with_file_name("worker-score");
    if !scorer.exists() {
        skip("processes: worker-score is not built (cargo build -p worker-score)");
        return;
    }
    let _turn = turn();
    let scene = Scene::new(4);
    scene.spec();
    scene.open(16);
    let here = scene.run(&["run", "open.toml", "--json"]).exits(0).json();
    let mut cluster = Cluster::around(site, scene);
    let start = |cluster: &Cluster| {
        let mut worker = program(&scorer, cluster);
        let worker = Watched::start(worker.args(["--models", "open.toml"]));
        worker.wait_for("ready for tasks");
        worker
    };
    let first = start(&cluster);
    let submitted = cluster.run(&["submit", "open.toml"]).exits(0);
    let id = submitted.stdout.trim().to_owned();
    let watched = Watched::start(&mut cluster.command(&["watch", &id]));
    watched.wait_for("scoring");
    first.kill();
    let second = start(&cluster);
    cluster.processes.push(second);
    watched.finish().exits(0);
    let there = cluster.run(&["show", &id, "--json"]).exits(0).json();
    for key in [
        "name", "status", "best", "gain", "datasets", "pairs", "rejected",
    ] {
        assert_eq!(here[key], there[key], "{key}");
    }
}

/// One flag more at a time: the same command, the same result. Killed on the way, it goes on.
#[test]
fn a_run_climbs_from_one_process_flag_by_flag() {
    let Some(site) = site() else {
        return;
    };
    let _turn = turn();
    let prefix = format!("climb-{}", domain::ids::RunId::new());
    let database = [
        "run",
        "spec.toml",
        "--json",
        "--database-url",
        &site.database,
    ];
    let broker = ["--amqp-url", &site.broker, "--queue-prefix", &prefix];
    for more in [&[] as &[&str], &broker] {
        // Another server, so another model: nothing that is stored answers.
        let scene = Scene::new(16);
        scene.spec();
        let here = scene.run(&["run", "spec.toml", "--json"]).exits(0).json();
        let args = [&database, more].concat();
        scene.server.set_latency(20);
        let asked = scene.server.requests();
        let killed = Watched::start(&mut scene.command(&args));
        let begin = Instant::now();
        while scene.server.requests() < asked + 12 {
            assert!(
                begin.elapsed() < Duration::from_secs(60),
                "nothing is asked"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        killed.kill();
        let there = scene.run(&args).exits(0).json();
        same(&here, &there);
        let runs = scene.run(&["runs", "--json", "--database-url", &site.database]);
        let runs = runs.exits(0).json();
        let found = runs.as_array().unwrap().iter();
        let found: Vec<_> = found.filter(|r| r["run"] == there["run"]).collect();
        assert_eq!(found.len(), 1, "{runs}");
    }
}

/// What does not depend on ids and times.
fn same(here: &Value, there: &Value) {
    for key in [
        "name", "status", "baseline", "best", "gain", "pairs", "rejected",
    ] {
        assert_eq!(here[key], there[key], "{key}");
    }
    assert!(here["pairs"].as_u64().unwrap() > 0);
}

/// Makes every question another one: nothing that is stored answers it.
const OTHER: &str = "models.target.sampling.max_tokens=31";

/// The coordinator counts what went through it.
fn counted(cluster: &Cluster) {
    llm::use_ring();
    let told = block_on(async {
        let asked = reqwest::Client::new().get(format!("{}/metrics", cluster.url));
        let answer = asked.bearer_auth(TOKEN).send().await.unwrap();
        answer.text().await.unwrap()
    });
    let value = |name: &str| -> f64 {
        let line = told.lines().find(|l| l.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("no {name} in {told}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert!(value("promptimal_tasks_dispatched_total") > 0.0);
    assert!(value("promptimal_reports_total{outcome=\"accepted\"}") > 0.0);
    assert_eq!(value("promptimal_leader"), 1.0);
}

fn steered(cluster: &mut Cluster) {
    cluster.scene.server.set_latency(400);
    let submitted = cluster.run(&["submit", "spec.toml", "--set", OTHER, "--priority", "1"]);
    let submitted = submitted.exits(0);
    submitted.says(&["submitted", "promptimal watch"]);
    let id = submitted.stdout.trim().to_owned();
    let watched = Watched::start(&mut cluster.command(&["watch", &id]));
    watched.wait_for(" tokens");
    let paused = cluster.run(&["pause", &id]).exits(0).stdout;
    assert!(paused.contains("is paused (paused by request)"), "{paused}");
    let ended = watched.finish().exits(3);
    ended.says(&[
        "stopped: paused by request",
        "go on with: promptimal resume",
    ]);
    cluster.run(&["pause", &id]).exits(2).says(&["is paused"]);

    cluster.run(&["resume", &id]).exits(0);
    let watched = Watched::start(&mut cluster.command(&["watch", &id]));
    watched.wait_for(" tokens");
    // The watcher outlives the coordinator.
    cluster.replace_coordinator();
    watched.wait_for("trying again");
    cluster.wait(&id, "running");
    watched.interrupt();
    watched
        .finish()
        .exits(130)
        .says(&["goes on without being watched"]);
    assert_eq!(cluster.status(&id), "running");

    cluster.run(&["cancel", &id]).exits(0);
    assert_eq!(cluster.status(&id), "cancelled");
    cluster.processes[1].wait_for("run cancelled, letting go of its tasks");
    cluster
        .run(&["resume", &id])
        .exits(2)
        .says(&["is cancelled"]);
    cluster
        .run(&["watch", &id])
        .exits(3)
        .says(&["cancelled by request"]);
}

fn refused(cluster: &Cluster) {
    let mut without = cluster.command(&["runs"]);
    let without = done(without.env("PROMPTIMAL_TOKEN", "wrong"));
    without.exits(2).complains(&["PROMPTIMAL_TOKEN"]);
    let set = [
        "submit",
        "spec.toml",
        "--set",
        "datasets.letters.path=../x.csv",
    ];
    let outside = cluster.run(&set).exits(2);
    outside.complains(&["datasets", "../x.csv", "data root"]);
    let form = cluster.run(&["submit", "spec.toml", "--set", "search.hardest=x"]);
    form.exits(2).complains(&["search.hardest"]);
}
