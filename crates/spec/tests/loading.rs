//! What a loaded spec is: complete, the same from TOML and JSON, with no secret in it.

#![allow(clippy::unwrap_used)]

mod common;

use common::{HTTP, SMALL, World, load, load_as};
use domain::grade::Grader;
use proptest::prelude::*;
use spec::{Model, Purpose, Spec};
use std::path::Path;

#[test]
fn defaults_are_filled_in() {
    let spec = load(SMALL, &World::small()).unwrap().spec;
    let (Some(Model::Local(target)), Some(Model::Local(proposer))) =
        (spec.target(), spec.proposer())
    else {
        panic!("{spec:?}");
    };
    assert_eq!(target.model, proposer.model);
    assert_eq!(
        (target.sampling.temperature, target.sampling.max_tokens),
        (0.0, 256)
    );
    assert_eq!(
        (proposer.sampling.temperature, proposer.sampling.max_tokens),
        (0.8, 160)
    );
    assert_eq!(spec.datasets[0].grader(), Some(&Grader::ChoiceLoglik));
    assert_eq!(spec.eval.prompts[0].user, "{input}");
}

#[test]
fn the_default_grader_follows_the_models_that_answer() {
    let text = format!("{HTTP}[models.own]\nkind = \"local\"\nmodel = \"smollm2-135m-instruct\"\n");
    let grader = |set: &[&str], purpose| {
        let loaded = load_as(&text, &World::small(), purpose, set).unwrap();
        loaded.spec.datasets[0].grader().cloned()
    };
    assert_eq!(grader(&[], Purpose::Run), Some(Grader::ChoiceLetter));
    let scores = ["models.target.score_endpoint=true"];
    assert_eq!(grader(&scores, Purpose::Run), Some(Grader::ChoiceLoglik));
    let own = ["eval.models=[\"own\"]"];
    assert_eq!(grader(&own, Purpose::Eval), Some(Grader::ChoiceLoglik));
    let both = ["eval.models=[\"own\", \"target\"]"];
    assert_eq!(grader(&both, Purpose::Eval), Some(Grader::ChoiceLetter));
}

#[test]
fn an_evaluation_needs_only_the_models_it_asks() {
    let text = format!(
        "{SMALL}[models.proposer]\nkind = \"http\"\nbase_url = \"http://h/v1\"\nmodel = \"m\"\napi_key_env = \"K\"\n"
    );
    assert!(load_as(&text, &World::small(), Purpose::Eval, &[]).is_ok());
    assert!(load_as(&text, &World::small(), Purpose::Run, &[]).is_err());
}

#[test]
fn files_beside_the_spec_come_before_those_in_the_current_directory() {
    let found = |files| {
        let loaded = load(
            SMALL,
            &World {
                files,
                ..World::default()
            },
        )
        .unwrap();
        loaded.paths.datasets["q"].clone()
    };
    let (beside, here) = ("/home/ada/specs/q.csv", "/home/ada/q.csv");
    assert_eq!(found(vec![here]), Path::new(here));
    assert_eq!(found(vec![here, beside]), Path::new(beside));
}

#[test]
fn overrides_reach_everything() {
    let set = [
        "run.name=2024",
        "run.tags=[\"a\", \"b\"]",
        "search.rounds = 2",
        "datasets.q.limit=7",
        "datasets[0].on_bad_row=skip",
        "budget.usd=0.29",
        "models.proposer.sampling.temperature=1",
        "eval.split=test",
    ];
    let spec = load_as(SMALL, &World::small(), Purpose::Run, &set)
        .unwrap()
        .spec;
    assert_eq!((spec.run.name.as_str(), spec.run.tags.len()), ("2024", 2));
    assert_eq!((spec.search.rounds, spec.datasets[0].limit), (2, Some(7)));
    assert_eq!(spec.datasets[0].on_bad_row, spec::OnBadRow::Skip);
    assert_eq!(spec.budget.limits().cost_micros, Some(290_000));
    let sampling = spec.proposer().unwrap().sampling().unwrap();
    assert_eq!((sampling.temperature, sampling.max_tokens), (1.0, 160));
    assert_eq!(spec.eval.split, spec::EvalSplit::Test);
}

#[test]
fn the_hash_is_that_of_the_work() {
    let hash = |text: &str, set: &[&str]| {
        let world = World::rich();
        load_as(text, &world, Purpose::Run, set)
            .unwrap()
            .spec
            .hash()
    };
    let plain = hash(HTTP, &[]);
    for same in [
        "budget.calls=5",
        "run.tags=[\"x\"]",
        "models.target.retries=9",
        "models.target.api_key_env=K",
        "search.rounds=4",
    ] {
        assert_eq!(hash(HTTP, &[same]), plain, "{same}");
    }
    for other in [
        "search.rounds=3",
        "run.seed=1",
        "models.target.sampling.top_p=0.9",
        "models.target.model=n",
        "datasets.q.path=r.csv",
    ] {
        assert_ne!(hash(HTTP, &[other]), plain, "{other}");
    }
}

#[test]
fn quotas_share_what_is_left() {
    let two = "[[datasets]]\nname = \"b\"\nformat = \"mmlu\"\npath = \"q.csv\"\n[[datasets]]\nname = \"c\"\nformat = \"mmlu\"\npath = \"q.csv\"\n";
    let text = format!("{SMALL}{two}");
    let quotas = |set: &[&str]| {
        let loaded = load_as(&text, &World::small(), Purpose::Run, set).unwrap();
        loaded
            .spec
            .quotas()
            .into_iter()
            .map(|(_, n)| n)
            .collect::<Vec<_>>()
    };
    assert_eq!(quotas(&[]), [8, 8, 8]);
    assert_eq!(quotas(&["search.hardest=11"]), [4, 4, 3]);
    assert_eq!(
        quotas(&["datasets.b.hardest=3", "search.hardest=8"]),
        [3, 3, 2]
    );
}

#[test]
fn what_may_be_a_secret_is_never_said() {
    let secret = "sk-proj-0123456789abcdef0123456789";
    let lines = [
        format!("api_key = \"{secret}\""),
        format!("api_key_env = \"{secret}\""),
        format!("api_key_env = [\"{secret}\"]"),
        format!("api_key_file = \"{secret}\""),
    ];
    for line in lines {
        let error = load(&format!("{HTTP}{line}\n"), &World::small()).unwrap_err();
        assert!(!error.to_string().contains(secret), "{error}");
        assert!(!format!("{error:?}").contains(secret), "{error:?}");
    }
    for url in [
        format!("https://me:{secret}@h/v1"),
        format!("ftp://me:{secret}@h"),
    ] {
        let text = HTTP.replace("https://api.example.org/v1", &url);
        let error = load(&text, &World::small()).unwrap_err();
        assert!(!error.to_string().contains(secret), "{error}");
    }
    for set in [
        format!("models.target.api_key={secret}"),
        format!("={secret}"),
    ] {
        let error = load_as(HTTP, &World::small(), Purpose::Run, &[&set]).unwrap_err();
        assert!(!error.to_string().contains(secret), "{error}");
    }
}

#[test]
#[cfg(unix)]
fn a_real_key_file_must_be_private() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("q.csv"), "q,a,b,c,d,A\n").unwrap();
    std::fs::write(path("key"), "secret").unwrap();
    std::fs::write(path("s.toml"), format!("{HTTP}api_key_file = \"key\"\n")).unwrap();
    let warnings = |mode: u32| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path("key"), PermissionsExt::from_mode(mode)).unwrap();
        let loaded = spec::load(&path("s.toml"), &[], Purpose::Run).unwrap();
        assert_eq!(loaded.paths.key_files["target"], path("key"));
        loaded.warnings.join("\n")
    };
    assert!(warnings(0o644).contains("chmod 600"));
    assert!(!warnings(0o600).contains("chmod 600"));
}

#[test]
fn a_missing_spec_names_the_way_out() {
    let error = spec::load(Path::new("nowhere/s.toml"), &[], Purpose::Run).unwrap_err();
    let wanted = "nowhere/s.toml: no such spec file: `promptimal spec` prints one to start from";
    assert_eq!(error.to_string(), wanted);
}

prop_compose! {
    fn sampling()(max_tokens in 1..5000u32, temperature in 0.0..2.0f64, top_p in 0.01..1.0f64, stop in prop::collection::vec("[a-z\\n\"\\\\]{1,4}", 0..3)) -> domain::call::Sampling {
        domain::call::Sampling { max_tokens, temperature, top_p, stop, as_it_is: false }
    }
}

fn model() -> impl Strategy<Value = Model> {
    let local = sampling().prop_map(|sampling| {
        Model::Local(spec::Local {
            adapter: None,
            model: "smollm2-135m-instruct".to_owned(),
            precision: spec::Precision::Q8,
            sampling,
        })
    });
    let http = (
        sampling(),
        0.0..9.0f64,
        any::<bool>(),
        prop::option::of(1..999u64),
    )
        .prop_map(|(sampling, price, send_seed, rate)| {
            Model::Http(spec::Http {
                base_url: "http://localhost:1/v1".to_owned(),
                model: "m".to_owned(),
                api_key_env: send_seed.then(|| "KEY".to_owned()),
                api_key_file: None,
                connect_timeout_seconds: 1.5,
                call_timeout_seconds: 30.0,
                retries: 3,
                concurrency: 7,
                requests_per_minute: rate,
                tokens_per_minute: None,
                price_in_usd_per_million: price,
                price_out_usd_per_million: price * 3.0,
                send_seed,
                score_endpoint: true,
                sampling,
            })
        });
    prop_oneof![local, http]
}

prop_compose! {
    fn any_spec()(
        name in "[^\\p{C}\\s][^\\p{C}]{0,30}",
        tags in prop::collection::vec("[a-z]{1,8}", 0..3),
        seed in 0..=i64::MAX as u64,
        target in model(),
        proposer in prop::option::of(model()),
        train in 0.1..0.9f64,
        (rounds, repeats, fdr) in (1..9u32, 2..20u32, 0.001..0.5f64),
        (limit, hardest) in (prop::option::of(1..99usize), prop::option::of(0..9usize)),
        grader in prop_oneof![Just(None), Just(Some(Grader::ChoiceLetter)), (0.0..1.0f64).prop_map(|tolerance| Some(Grader::Numeric { tolerance }))],
        usd in prop::option::of(0.01..1e6f64),
        user in "[^\\p{C}\\s][^\\p{C}]{0,30}",
    ) -> Spec {
        let mut spec = load(SMALL, &World::rich()).unwrap().spec;
        spec.run = spec::Run { name, tags, seed, mode: spec::Mode::Rewrite };
        spec.models.insert("target".to_owned(), target);
        match proposer {
            Some(proposer) => spec.models.insert("proposer".to_owned(), proposer),
            None => spec.models.remove("proposer"),
        };
        spec.splits = spec::Splits { train, validation: 1.0 - train, test: 0.0 };
        (spec.search.rounds, spec.confirm.repeats, spec.confirm.fdr) = (rounds, repeats, fdr);
        (spec.datasets[0].limit, spec.budget.usd) = (limit, usd);
        spec.datasets[0].hardest = hardest.map(|n| n + 1);
        spec.datasets[0].grader = grader;
        spec.eval.prompts[0].user = user;
        spec
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn toml_to_spec_to_json_to_spec(written in any_spec()) {
        let text = toml::to_string(&written).unwrap();
        let world = World::rich();
        let loaded = load(&text, &world).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
        let json: Spec = serde_json::from_str(&loaded.spec.canonical_json()).unwrap();
        prop_assert_eq!(&json, &loaded.spec);
        prop_assert_eq!(json.hash(), loaded.spec.hash());
        // A complete spec, written out and loaded again, gains nothing.
        let again = load(&toml::to_string(&loaded.spec).unwrap(), &world).unwrap();
        prop_assert_eq!(&again.spec, &loaded.spec);
        // What was written is kept.
        prop_assert_eq!(&loaded.spec.run, &written.run);
        prop_assert_eq!(loaded.spec.target(), written.target());
        prop_assert_eq!(&loaded.spec.eval, &written.eval);
        if written.proposer().is_some() {
            prop_assert_eq!(loaded.spec.proposer(), written.proposer());
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "[\\[\\]a-z.=\" \n0-9{},-]{0,80}", set in "[a-z.\\[\\]0-9=\"]{0,20}") {
        let _ = load_as(&text, &World::rich(), Purpose::Run, &[]);
        let _ = load_as(SMALL, &World::rich(), Purpose::Eval, &[&set]);
    }
}
