//! Messages as they are on the bus: a program of last year must read what one of today writes.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use domain::{
    call::Reply,
    judge::{Judgement, Verdict},
};
use wire::{
    Action, Beats, BodyItem, Counted, Grant, Hold, Loss, Losses, Order, Reference, Report,
    ScoreBody, ScoreItem, Task, Terms, TrainBody, TrainItem, TrainPair, Trained, Training, VERSION,
    WireError, Word, Work,
};

const CANCEL: &str = r#"{"v":1,"word":"cancel","run":"01936f1c-0000-7000-8000-000000000001"}"#;
const PAUSE: &str = r#"{"v":1,"word":"pause","run":"01936f1c-0000-7000-8000-000000000001"}"#;

#[test]
fn words() {
    let run = "01936f1c-0000-7000-8000-000000000001".parse().unwrap();
    for (golden, order) in [(CANCEL, Order::Cancel), (PAUSE, Order::Pause)] {
        let word = Word {
            v: VERSION,
            word: order,
            run,
        };
        assert_eq!(String::from_utf8(word.encode()).unwrap(), golden);
        assert_eq!(Word::decode(golden.as_bytes()).unwrap(), word);
    }
}

#[test]
fn words_that_are_not_understood_are_no_words() {
    let other = CANCEL.replace("\"v\":1", "\"v\":2");
    let error = Word::decode(other.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("word message has version 2"), "{error}");
    let unknown = CANCEL.replace("cancel", "dance");
    let error = Word::decode(unknown.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("dance"), "{error}");
}

const REFERENCE: &str = concat!(
    r#"{"reference":1,"task":"01936f1c-0000-5000-8000-000000000002","epoch":3,"#,
    r#""items":[[0,"00112233445566778899aabbccddeeff"]],"name":"bodies/x","bytes":300000,"#,
    r#""hash":"ffeeddccbbaa99887766554433221100"}"#
);

#[test]
fn references() {
    let reference = Reference {
        reference: VERSION,
        task: "01936f1c-0000-5000-8000-000000000002".parse().unwrap(),
        epoch: 3,
        items: vec![(0, "00112233445566778899aabbccddeeff".parse().unwrap())],
        name: "bodies/x".into(),
        bytes: 300_000,
        hash: "ffeeddccbbaa99887766554433221100".parse().unwrap(),
    };
    assert_eq!(String::from_utf8(reference.encode()).unwrap(), REFERENCE);
    assert_eq!(Reference::decode(REFERENCE.as_bytes()).unwrap(), reference);
    let action = Action::Retry { after_ms: 0 };
    let report = reference.failed("w", action, "it is gone");
    assert_eq!((report.task, report.epoch), (reference.task, 3));
    assert_eq!(
        (report.items[0].place, report.items[0].key),
        reference.items[0]
    );
    assert_eq!(
        report.items[0].error.as_ref().unwrap().message,
        "it is gone"
    );
    // It is no body, and a body is no reference.
    assert!(!Reference::is(&report.encode()));
    let later = REFERENCE.replace("{\"reference\":1", "{\"reference\":2");
    assert!(Reference::is(later.as_bytes()));
    let error = Reference::decode(later.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("reference message has version 2"), "{error}");
}

#[test]
fn who_reads_no_artefacts_says_so() {
    let task = Task::decode(REFERENCE.as_bytes()).unwrap_err();
    let report = Report::decode(REFERENCE.as_bytes()).unwrap_err();
    for error in [task, report] {
        assert!(matches!(error, WireError::ByReference { .. }), "{error}");
        assert!(error.to_string().contains("--artefacts"), "{error}");
    }
}

const HOLD: &str = r#"{"v":1,"hold":"http://h/v1 m","for_ms":7000}"#;

#[test]
fn a_word_about_a_model_is_none_about_a_run() {
    let hold = Hold {
        v: VERSION,
        hold: "http://h/v1 m".into(),
        for_ms: 7000,
    };
    assert_eq!(String::from_utf8(hold.encode()).unwrap(), HOLD);
    assert_eq!(Hold::decode(HOLD.as_bytes()).unwrap(), hold);
    assert!(Word::decode(HOLD.as_bytes()).is_err());
    assert!(Hold::decode(CANCEL.as_bytes()).is_err());
}

const TASK: &str = r#"{"v":1,"task":"01936f1c-0000-5000-8000-000000000002","epoch":2,"open":[],"body":{"run":"01936f1c-0000-7000-8000-000000000001","model":"m","identity":"i","items":[]}}"#;
const REPORT: &str =
    r#"{"v":1,"task":"01936f1c-0000-5000-8000-000000000002","epoch":2,"worker":"w","items":[]}"#;

/// What nobody counts says nothing of it: such messages are as they always were.
#[test]
fn terms_stand_only_where_calls_are_counted() {
    let (mut task, _) = Task::decode(TASK.as_bytes()).unwrap();
    assert_eq!(
        (task.terms, String::from_utf8(task.encode()).unwrap()),
        (None, TASK.to_owned())
    );
    let grant = Some(Grant {
        requests: 3,
        before: 1_000,
    });
    task.terms = Some(Terms { grant });
    let granted = TASK.replace(
        r#""body""#,
        r#""terms":{"grant":{"requests":3,"before":1000}},"body""#,
    );
    assert_eq!(String::from_utf8(task.encode()).unwrap(), granted);
    assert_eq!(
        Task::decode(granted.as_bytes()).unwrap().0.terms,
        task.terms
    );

    let mut report = Report::decode(REPORT.as_bytes()).unwrap();
    assert_eq!(String::from_utf8(report.encode()).unwrap(), REPORT);
    report.counted = Counted {
        declined: true,
        requests: Some(0),
        pause_ms: Some(9),
    };
    let counted = REPORT.replace(
        "}",
        r#","counted":{"declined":true,"requests":0,"pause_ms":9}}"#,
    );
    assert_eq!(String::from_utf8(report.encode()).unwrap(), counted);
    assert_eq!(Report::decode(counted.as_bytes()).unwrap(), report);
}

const SCORE: &str = concat!(
    r#"{"v":1,"task":"01936f1c-0000-7000-8000-000000000002","epoch":3,"open":[0],"#,
    r#""known":{"0":{"kind":"text","text":"Paris."}},"#,
    r#""body":{"work":"score","run":"01936f1c-0000-7000-8000-000000000001","model":"reward","identity":"r","#,
    r#""items":[{"key":"00112233445566778899aabbccddeeff","question":"The capital of France?"}]}}"#
);

#[test]
fn answers_to_score() {
    let key = "00112233445566778899aabbccddeeff".parse().unwrap();
    let body = ScoreBody {
        work: Work::Score,
        run: "01936f1c-0000-7000-8000-000000000001".parse().unwrap(),
        model: "reward".into(),
        identity: "r".into(),
        items: vec![ScoreItem {
            key,
            question: "The capital of France?".into(),
        }],
    };
    let said = Reply::Text {
        text: "Paris.".into(),
    };
    let task = Task {
        v: VERSION,
        task: "01936f1c-0000-7000-8000-000000000002".parse().unwrap(),
        epoch: 3,
        open: vec![0],
        known: [(0, said)].into(),
        terms: None,
        body: serde_json::value::to_raw_value(&body).unwrap(),
    };
    assert_eq!(String::from_utf8(task.encode()).unwrap(), SCORE);
    let (read, found) = Task::decode_score(SCORE.as_bytes()).unwrap();
    assert_eq!((found, read.known), (body, task.known));
    assert_eq!(Task::decode_keys(SCORE.as_bytes()).unwrap().1, [key]);
    assert_eq!(Work::of(read.body.get()), Work::Score);
}

const JUDGED: &str = concat!(
    r#"{"v":1,"task":"01936f1c-0000-7000-8000-000000000002","epoch":3,"open":[0,1],"#,
    r#""known":{"0":{"kind":"text","text":"Paris."},"1":{"kind":"text","text":"Rome."}},"#,
    r#""body":{"run":"01936f1c-0000-7000-8000-000000000001","model":"judge","identity":"j","items":["#,
    r#"{"key":"00112233445566778899aabbccddeeff","call":{"kind":"generate","messages":[],"sampling":"#,
    r#"{"max_tokens":256,"temperature":0.0,"top_p":1.0,"stop":[]}},"#,
    r#""judged":{"kind":"said","verdicts":["a",null]}},"#,
    r#"{"key":"00112233445566778899aabbccddeeff","call":{"kind":"generate","messages":[],"sampling":"#,
    r#"{"max_tokens":256,"temperature":0.0,"top_p":1.0,"stop":[]}},"judged":{"kind":"same"}}]}}"#
);

#[test]
fn answers_that_were_judged() {
    let (task, body) = Task::decode(JUDGED.as_bytes()).unwrap();
    assert_eq!(String::from_utf8(task.encode()).unwrap(), JUDGED);
    let key = "00112233445566778899aabbccddeeff".parse().unwrap();
    let said = Judgement::Said {
        verdicts: [Some(Verdict::A), None],
    };
    let items = [said, Judgement::Same].map(|judgement| BodyItem::judged(key, judgement));
    assert_eq!(body.items, items);
    assert_eq!(serde_json::to_string(&body).unwrap(), task.body.get());
    assert_eq!(Work::of(task.body.get()), Work::Ask);
}

/// A worker that asks models does not take it for its own, nor the other way round.
#[test]
fn the_two_kinds_of_tasks_are_told_apart() {
    assert!(Task::decode(SCORE.as_bytes()).is_err());
    let ask = SCORE
        .replace("\"work\":\"score\",", "")
        .replace("\"question\"", "\"call\"");
    assert!(Task::decode_score(ask.as_bytes()).is_err());
    assert_eq!(Work::of(r#"{"run":"x","items":[]}"#), Work::Ask);
    assert_eq!(Work::of("not json"), Work::Ask);
    let other = SCORE.replace("\"v\":1", "\"v\":2");
    for error in [
        Task::decode_score(other.as_bytes()).err(),
        Task::decode_keys(other.as_bytes()).err(),
    ] {
        assert!(error.unwrap().to_string().contains("version 2"));
    }
}

const TRAIN: &str = concat!(
    r#"{"work":"train","run":"01936f1c-0000-7000-8000-000000000001","model":"small","identity":"i","#,
    r#""tuning":{"base":"small","min_pairs":8,"template":"inst","validation":0.15,"unchanged":0.1,"max_tokens":1024,"#,
    r#""rank":80,"alpha":16.0,"dropout":0.1,"rslora":false,"targets":["q","k","v","o"],"weights":"f32","#,
    r#""checkpointing":false,"epochs":2,"batch":4,"accumulate":4,"rate":0.0002,"warmup":0.1,"decay":0.0,"clip":1.0},"#,
    r#""seed":7,"pairs":[{"original":"a","improved":"b","grades":[0.25,0.75]}],"#,
    r#""items":[{"key":"00112233445566778899aabbccddeeff"}]}"#
);

fn training() -> TrainBody {
    TrainBody {
        work: Work::Train,
        run: "01936f1c-0000-7000-8000-000000000001".parse().unwrap(),
        model: "small".into(),
        identity: "i".into(),
        tuning: domain::tuning::Tuning {
            base: "small".into(),
            ..Default::default()
        },
        seed: 7,
        pairs: vec![TrainPair {
            original: "a".into(),
            improved: "b".into(),
            grades: (0.25, 0.75),
        }],
        items: vec![TrainItem {
            key: "00112233445566778899aabbccddeeff".parse().unwrap(),
        }],
    }
}

#[test]
fn a_training() {
    let body = training();
    assert_eq!(serde_json::to_string(&body).unwrap(), TRAIN);
    assert_eq!(Work::of(TRAIN), Work::Train);
    let task = TASK.replace(
        r#"{"run":"01936f1c-0000-7000-8000-000000000001","model":"m","identity":"i","items":[]}"#,
        TRAIN,
    );
    let (_, found) = Task::decode_train(task.as_bytes()).unwrap();
    assert_eq!(found, body);
    assert_eq!(
        Task::decode_keys(task.as_bytes()).unwrap().1,
        [body.key().unwrap()]
    );
    let asked = Task::decode(task.as_bytes());
    assert!(
        asked.is_err(),
        "a worker that asks models takes no training"
    );
}

/// The same training by another name, for another run, is the same training.
#[test]
fn a_training_is_known_by_what_changes_it() {
    let (one, mut other) = (training(), training());
    other.run = domain::ids::RunId::new();
    other.model = "another name".into();
    other.tuning.base = "another name".into();
    assert_eq!(one.key_of(), other.key_of());
    for change in [
        (|b| b.seed = 8) as fn(&mut TrainBody),
        |b| b.identity = "j".into(),
        |b| b.tuning.rate = 1e-4,
        |b| b.pairs[0].improved = "c".into(),
    ] {
        let mut changed = training();
        change(&mut changed);
        assert_ne!(one.key_of(), changed.key_of());
    }
}

const LOSSES: &str = concat!(
    r#"{"v":1,"training":"00112233445566778899aabbccddeeff","run":"01936f1c-0000-7000-8000-000000000001","steps":9,"#,
    r#""losses":[{"step":0,"validation":3.5},{"step":1,"loss":3.25}]}"#
);

#[test]
fn losses_on_their_way_and_in_the_answer() {
    let rows = [(0, None, Some(3.5)), (1, Some(3.25), None)];
    let rows = rows.map(|(step, loss, validation)| Loss {
        step,
        loss,
        validation,
    });
    let losses = Losses {
        v: VERSION,
        training: "00112233445566778899aabbccddeeff".parse().unwrap(),
        run: training().run,
        steps: 9,
        losses: rows.to_vec(),
    };
    assert_eq!(String::from_utf8(losses.encode()).unwrap(), LOSSES);
    assert_eq!(Losses::decode(LOSSES.as_bytes()).unwrap(), losses);
    assert!(Beats::decode(LOSSES.as_bytes()).is_err());
    let trained = Trained {
        place: "file:///a".into(),
        folder: "trainings/x/1".into(),
        base: "small".into(),
        base_sha256: "0".into(),
        template: "inst".into(),
        train: 1,
        validation: 0,
        left_out: 0,
        parameters: 4,
        losses: vec![3.25],
        validation_losses: vec![(0, 3.5)],
    };
    assert_eq!(trained.rows(), rows);
    let whole = Training::Trained(Box::new(trained));
    assert_eq!(Training::of(&whole.reply()), Some(whole.clone()));
    let Training::Trained(anywhere) = whole.anywhere() else {
        panic!("it has an adapter");
    };
    assert_eq!((anywhere.place, anywhere.folder), Default::default());
    assert_eq!(Training::of(&Reply::Text { text: "{}".into() }), None);
}
