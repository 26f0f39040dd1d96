//! One test a mistake: what people are told, to the letter.

#![allow(clippy::unwrap_used)]

mod common;

use common::{HTTP, SMALL, World, load, load_as, said};
use domain::grade::Grader;
use insta::assert_snapshot;
use spec::Purpose;

fn small(from: &str, to: &str) -> String {
    assert!(SMALL.contains(from), "{from}");
    said(&SMALL.replacen(from, to, 1), &World::small())
}

fn small_and(more: &str) -> String {
    said(&format!("{SMALL}{more}"), &World::small())
}

fn http_and(more: &str) -> String {
    said(&format!("{HTTP}{more}"), &World::small())
}

fn warned(text: &str, world: &World) -> String {
    load(text, world).unwrap().warnings.join("\n")
}

#[test]
fn not_toml() {
    assert_snapshot!(small("name = \"small\"", "name = small"), @r#"specs/s.toml:2: not TOML: text stands in quotes: name = "…""#);
}

#[test]
fn a_misspelt_format() {
    assert_snapshot!(small("mmlu", "mmul"), @r#"specs/s.toml:6: datasets[0].format = "mmul": unknown format, did you mean "mmlu"? (one of mmlu, alpaca, humaneval, gsm8k, bbh, classification, jsonl, csv)"#);
}

#[test]
fn a_format_nobody_knows() {
    assert_snapshot!(small("mmlu", "parquet"), @r#"specs/s.toml:6: datasets[0].format = "parquet": unknown format (one of mmlu, alpaca, humaneval, gsm8k, bbh, classification, jsonl, csv)"#);
}

#[test]
fn a_misspelt_key() {
    assert_snapshot!(small("format =", "fromat ="), @"specs/s.toml:6: datasets[0].fromat: unknown key, did you mean format? (known here: name, format, path, part, limit, sample, on_bad_row, labels, hardest, fields, grader)");
}

#[test]
fn a_key_of_another_section() {
    assert_snapshot!(small("name = \"small\"", "name = \"small\"\nrounds = 2"), @"specs/s.toml:3: run.rounds: unknown key, did you mean search.rounds? (known here: name, tags, seed, mode)");
}

#[test]
fn a_misspelt_section() {
    assert_snapshot!(small_and("[serach]\nrounds = 2\n"), @"specs/s.toml:12: serach: unknown key, did you mean search? (known here: run, datasets, splits, models, search, instruct, leak, confirm, budget, train, eval)");
}

#[test]
fn text_for_a_number() {
    assert_snapshot!(small_and("[search]\nrounds = \"four\"\n"), @r#"specs/s.toml:13: search.rounds = "four": is text, and a whole number is wanted"#);
}

#[test]
fn a_fraction_for_a_count() {
    assert_snapshot!(small_and("[search]\nrounds = 2.5\n"), @"specs/s.toml:13: search.rounds = 2.5: is a number, and a whole number is wanted");
}

#[test]
fn a_table_for_a_list_of_tables() {
    assert_snapshot!(said(&SMALL.replace("[[datasets]]", "[datasets]"), &World::small()), @"specs/s.toml:4: datasets: is a table: write [[datasets]], once for each");
}

#[test]
fn a_value_for_a_section() {
    assert_snapshot!(said(&format!("search = 3\n{SMALL}"), &World::small()), @"specs/s.toml:1: search = 3: is a whole number, and this is a section with keys of its own: write [search] on a line, its keys below");
}

#[test]
fn no_rounds() {
    assert_snapshot!(small_and("[search]\nrounds = 0\n"), @"specs/s.toml:13: search.rounds = 0: is too small: at least 1");
}

#[test]
fn a_negative_count() {
    assert_snapshot!(small_and("[search]\nhardest = -5\n"), @"specs/s.toml:13: search.hardest = -5: is too small: at least 1");
}

#[test]
fn a_number_beyond_counting() {
    assert_snapshot!(small_and("[run.x]\n[search]\nhardest = 99999999999999999999\n"), @"
    specs/s.toml:12: run.x: unknown key (known here: name, tags, seed, mode)
    specs/s.toml:14: search.hardest = 99999999999999999999: is a number too large to count with, and a whole number is wanted
    ");
}

#[test]
fn not_a_number() {
    assert_snapshot!(small_and("[confirm]\nfdr = nan\n"), @"specs/s.toml:13: confirm.fdr = NaN: is out of range: 0.001 to 0.5");
}

#[test]
fn one_confirming_repeat() {
    assert_snapshot!(small_and("[confirm]\nrepeats = 1\n"), @"specs/s.toml:13: confirm.repeats = 1: is too small: at least 2");
}

#[test]
fn shares_that_do_not_sum_to_one() {
    assert_snapshot!(small_and("[splits]\ntrain = 0.8\nvalidation = 0.3\n"), @"specs/s.toml:12: splits: train 0.8 + validation 0.3 + test 0.1 is 1.2, and shares sum to 1");
}

#[test]
fn no_train_share() {
    assert_snapshot!(small_and("[splits]\ntrain = 0\nvalidation = 0.5\ntest = 0.5\n"), @"specs/s.toml:13: splits.train = 0: is out of range: above 0, at most 1");
}

#[test]
fn nothing_at_all() {
    assert_snapshot!(said("", &World::small()), @"
    specs/s.toml: run.name: missing: give the run a name
    specs/s.toml: models.target: missing: say [models.target], whose answers are graded
    specs/s.toml: datasets: missing: say [[datasets]] at least once
    ");
}

#[test]
fn no_name() {
    assert_snapshot!(small("name = \"small\"", ""), @"specs/s.toml:1: run.name: missing: what people call the run");
}

#[test]
fn no_data_sets() {
    assert_snapshot!(said("[run]\nname = \"x\"\n[models.target]\nkind = \"local\"\nmodel = \"smollm2-135m-instruct\"\n", &World::small()), @"specs/s.toml: datasets: missing: say [[datasets]] at least once");
}

#[test]
fn a_missing_file() {
    assert_snapshot!(small("q.csv", "nowhere/q.csv"), @r#"specs/s.toml:7: datasets[0].path = "nowhere/q.csv": no such file or folder (looked for /home/ada/specs/nowhere/q.csv and /home/ada/nowhere/q.csv): say where it is, here or with --set datasets.q.path=PATH"#);
}

#[test]
fn a_file_that_may_not_be_read() {
    assert_snapshot!(said(SMALL, &World { locked: vec!["/home/ada/specs/q.csv"], ..World::default() }), @r#"specs/s.toml:7: datasets[0].path = "q.csv": /home/ada/specs/q.csv may not be read by this user"#);
}

#[test]
fn two_data_sets_of_one_name() {
    assert_snapshot!(small_and("[[datasets]]\nname = \"q\"\nformat = \"mmlu\"\npath = \"q.csv\"\n"), @r#"specs/s.toml:13: datasets[1].name = "q": is the name of an earlier data set too: each name once"#);
}

#[test]
fn fields_that_are_not_mapped() {
    assert_snapshot!(small("mmlu", "jsonl"), @"specs/s.toml:4: datasets[0].fields: missing: say at least `input`, and `reference` where there is one (format jsonl)");
}

#[test]
fn fields_where_none_are_wanted() {
    assert_snapshot!(small("path = \"q.csv\"", "path = \"q.csv\"\nfields = { input = \"x\" }"), @"specs/s.toml:8: datasets[0].fields: is not for format mmlu, which names its own fields: leave `fields` out, or use format jsonl or csv");
}

#[test]
fn a_part_of_something_else() {
    assert_snapshot!(small("format = \"mmlu\"", "format = \"gsm8k\"\npart = \"dev\""), @r#"specs/s.toml:7: datasets[0].part = "dev": is only for format mmlu, not gsm8k: leave it out"#);
}

#[test]
fn a_limit_and_a_sample() {
    assert_snapshot!(small("path = \"q.csv\"", "path = \"q.csv\"\nlimit = 5\nsample = 5"), @"specs/s.toml:9: datasets[0].sample = 5: is given beside `limit`: keep one of the two (`limit` takes the first rows, `sample` draws from all)");
}

#[test]
fn an_empty_sample() {
    assert_snapshot!(small("path = \"q.csv\"", "path = \"q.csv\"\nsample = 0"), @"specs/s.toml:8: datasets[0].sample = 0: is too small: at least 1");
}

#[test]
fn labels_that_are_missing() {
    assert_snapshot!(small("mmlu", "classification"), @r#"specs/s.toml:4: datasets[0].grader: missing: say labels = ["…", "…"] for the label grader"#);
}

#[test]
fn a_grader_without_choices() {
    assert_snapshot!(small("format = \"mmlu\"", "format = \"gsm8k\"\ngrader = { kind = \"choice_letter\" }"), @r#"specs/s.toml:7: datasets[0].grader.kind = "choice_letter": needs choices, which this gsm8k data set lacks: use one of numeric, exact, normalised, label, contains, json, reference_loglik, regex, program, http, reward, judge"#);
}

#[test]
fn a_misspelt_grader() {
    assert_snapshot!(small("format = \"mmlu\"", "format = \"mmlu\"\ngrader = { kind = \"choice_leter\" }"), @r#"specs/s.toml:7: datasets[0].grader.kind = "choice_leter": unknown kind, did you mean "choice_letter"? (one of choice_letter, choice_loglik, numeric, exact, normalised, label, contains, json, regex, reference_loglik, program, http, code, reward, judge)"#);
}

#[test]
fn a_setting_of_another_grader() {
    assert_snapshot!(small("format = \"mmlu\"", "format = \"mmlu\"\ngrader = { kind = \"exact\", tolerance = 0.1 }"), @r#"specs/s.toml:7: datasets[0].grader.tolerance: is for kind = "numeric", and this one is "exact""#);
}

#[test]
fn a_broken_regular_expression() {
    assert_snapshot!(small("format = \"mmlu\"", "format = \"mmlu\"\ngrader = { kind = \"regex\", pattern = \"({reference}\" }"), @r#"specs/s.toml:7: datasets[0].grader.pattern = "({reference}": is no regular expression: unclosed group"#);
}

#[test]
fn alpaca_without_log_likelihoods() {
    assert_snapshot!(said(&HTTP.replace("mmlu", "alpaca"), &World::small()), @r#"specs/s.toml:4: datasets[0].grader: missing, and reference_loglik needs log-likelihoods, which not all answering models give: say grader = { kind = "…" } with one of numeric, exact, normalised, label, contains, json, regex, program, http, reward, judge"#);
}

#[test]
fn a_loglik_grader_without_log_likelihoods() {
    assert_snapshot!(said(&HTTP.replace("path =", "grader = { kind = \"choice_loglik\" }\npath ="), &World::small()), @r#"specs/s.toml:7: datasets[0].grader.kind = "choice_loglik": needs log-likelihoods, which not all answering models give (local ones do, http ones with score_endpoint = true): use one of choice_letter, numeric, exact, normalised, label, contains, json, regex, program, http"#);
}

#[test]
fn quotas_that_leave_nothing() {
    assert_snapshot!(small_and("[[datasets]]\nname = \"b\"\nformat = \"mmlu\"\npath = \"q.csv\"\nhardest = 24\n"), @"specs/s.toml: search.hardest: is 24, of which the data sets' own quotas take 24: too few are left for the 1 without a quota; raise it, or give each data set its hardest");
}

#[test]
fn no_target() {
    assert_snapshot!(said(&SMALL.replace("models.target", "models.other"), &World::small()), @"specs/s.toml:9: models.target: missing: say [models.target], whose answers are graded");
}

#[test]
fn a_misspelt_model() {
    assert_snapshot!(small("smollm2-135m-instruct", "smollm2-135m-instuct"), @r#"specs/s.toml:11: models.target.model = "smollm2-135m-instuct": no model of this name in the catalogue, did you mean "smollm2-135m-instruct"? (it has smollm2-135m-instruct); a path has a / in it or ends with .gguf or .safetensors, and a model behind a server has kind = "http""#);
}

#[test]
fn a_model_file_that_is_missing() {
    assert_snapshot!(small("smollm2-135m-instruct", "models/a.gguf"), @r#"specs/s.toml:11: models.target.model = "models/a.gguf": no such file or folder (looked for /home/ada/specs/models/a.gguf and /home/ada/models/a.gguf): say where it is, here or with --set models.target.model=PATH"#);
}

#[test]
fn a_key_of_another_kind_of_model() {
    assert_snapshot!(small_and("retries = 3\n"), @r#"specs/s.toml:12: models.target.retries: is for kind = "http", and this one is "local""#);
}

#[test]
fn a_kind_of_model_nobody_knows() {
    assert_snapshot!(small("kind = \"local\"", "kind = \"locl\""), @r#"specs/s.toml:10: models.target.kind = "locl": unknown kind, did you mean "local"? (one of local, http, reward)"#);
}

#[test]
fn a_model_without_a_kind() {
    assert_snapshot!(small("kind = \"local\"\n", ""), @"specs/s.toml:9: models.target.kind: missing: one of local, http, reward");
}

#[test]
fn a_proposer_without_a_kind() {
    assert_snapshot!(small_and("[models.proposer]\nmodel = \"x\"\n"), @"specs/s.toml:12: models.proposer.kind: missing: without it, only sampling may be given, and all else is the target's");
}

#[test]
fn an_absent_api_key() {
    assert_snapshot!(http_and("api_key_env = \"OPENAI_API_KEY\"\n"), @"specs/s.toml:13: models.target.api_key_env: environment variable OPENAI_API_KEY, named by models.target.api_key_env, is not set: export it or use api_key_file");
}

#[test]
fn a_key_file_that_is_missing() {
    assert_snapshot!(http_and("api_key_file = \"secrets/key\"\n"), @"specs/s.toml:13: models.target.api_key_file: no such file or folder (looked for /home/ada/specs/secrets/key and /home/ada/secrets/key): say where it is, here or with --set models.target.api_key_file=PATH");
}

#[test]
fn two_sources_of_a_key() {
    assert_snapshot!(said(&format!("{HTTP}api_key_env = \"K\"\napi_key_file = \"q.csv\"\n"), &World { variables: vec!["K"], ..World::small() }), @"specs/s.toml:14: models.target.api_key_file: api_key_env is given too: keep one of the two");
}

#[test]
fn a_url_without_a_scheme() {
    assert_snapshot!(said(&HTTP.replace("https://", ""), &World::small()), @r#"specs/s.toml:11: models.target.base_url = "api.example.org/v1": is no URL: it starts with http:// or https://"#);
}

#[test]
fn a_url_that_goes_too_far() {
    assert_snapshot!(said(&HTTP.replace("/v1", "/v1/chat/completions"), &World::small()), @r#"specs/s.toml:11: models.target.base_url = "https://api.example.org/v1/chat/completions": goes up to the version only, /chat/completions is added: end it with /v1"#);
}

#[test]
fn limits_the_wrong_way_round() {
    assert_snapshot!(http_and("connect_timeout_seconds = 60\ncall_timeout_seconds = 30\n"), @"specs/s.toml:13: models.target.connect_timeout_seconds = 60: is longer than the whole call's limit of 30 seconds");
}

/// The small spec with one instruction to be found, and more.
fn instruct(more: &str) -> String {
    let searched = SMALL.replacen(
        "name = \"small\"",
        "name = \"small\"\nmode = \"instruct\"",
        1,
    );
    format!("{searched}{more}")
}

const START: &str = "[[instruct.start]]\ninstruction = \"Pick one.\"\n";

#[test]
fn a_search_for_an_instruction_starts_from_one() {
    let world = World::small();
    assert_snapshot!(said(&instruct(""), &world), @"specs/s.toml: instruct: missing: a search for one instruction starts from one; say [[instruct.start]] with an instruction");
    assert_snapshot!(said(&instruct("[instruct]\ncalls = 100\n"), &world), @"specs/s.toml:13: instruct.start: missing: say [[instruct.start]] at least once");
    assert_snapshot!(said(&instruct(&format!("{START}{START}")), &world), @r#"specs/s.toml:16: instruct.start[1].instruction = "Pick one.": is an earlier start prompt too: each once"#);
    assert!(load(&instruct(START), &world).is_ok());
}

#[test]
fn a_start_prompt_is_what_every_prompt_has_to_be() {
    let world = World::small();
    let with = |keys: &str| said(&instruct(&format!("[instruct]\n{keys}\n{START}")), &world);
    assert_snapshot!(with("must_keep = [\"JSON\"]"), @r#"specs/s.toml:16: instruct.start[0].instruction = "Pick one.": lacks "JSON", which instruct.must_keep asks of every prompt"#);
    assert_snapshot!(with("must_not_contain = [\"pick\"]"), @r#"specs/s.toml:16: instruct.start[0].instruction = "Pick one.": contains "pick", which instruct.must_not_contain forbids"#);
}

#[test]
fn weights_and_operators_have_names_and_numbers() {
    let world = World::small();
    let with = |keys: &str| said(&instruct(&format!("[instruct]\n{keys}\n{START}")), &world);
    assert_snapshot!(with("weights = [\"shots\"]"), @r#"specs/s.toml:14: instruct.weights = ["shots"]: "shots" is no weight: write "name=2", with a number that is at least 0"#);
    assert_snapshot!(with("weights = [\"shots=0\"]"), @r#"specs/s.toml:14: instruct.weights = ["shots=0"]: are all 0: no operator would make a prompt"#);
    assert_snapshot!(with("calls = 11"), @"specs/s.toml:14: instruct.calls = 11: is less than two blocks of 6: not even two prompts could be compared");
}

#[test]
fn a_population_has_room_for_the_newcomers_of_a_round() {
    let world = World::small();
    let with = |keys: &str| said(&instruct(&format!("[instruct]\n{keys}\n{START}")), &world);
    assert_snapshot!(with("calls = 100\nrounds = 4\npopulation = 3"), @"specs/s.toml:16: instruct.population = 3: has to be more than the 3 new prompts of a round, each of which takes another's place: raise it, or lower candidates");
    assert!(
        load(
            &instruct(&format!("[instruct]\npopulation = 9\n{START}")),
            &World::small()
        )
        .is_ok()
    );
}

#[test]
fn rewrites_are_written_in_turn_or_by_operators_that_are_drawn() {
    let with = |keys: &str| small_and(&format!("[search]\n{keys}\n"));
    assert_snapshot!(with("operators = [\"reflct\"]"), @r#"specs/s.toml:13: search.operators = ["reflct"]: "reflct" is no operator, did you mean "reflect"? (there are improve, trajectory, zero_order, first_order, eda, eda_rank, lineage, hyper_zero, hyper_first, lamarckian, crossover, ga, de, reflect, paraphrase, shorten, rewriter)"#);
    assert_snapshot!(with("operators = [\"shots\"]"), @r#"specs/s.toml:13: search.operators = ["shots"]: "shots" makes instructions and rewrites no question (there are improve, trajectory, zero_order, first_order, eda, eda_rank, lineage, hyper_zero, hyper_first, lamarckian, crossover, ga, de, reflect, paraphrase, shorten, rewriter)"#);
    assert_snapshot!(with("operators = [\"proposer\", \"ga\"]"), @r#"specs/s.toml:13: search.operators = ["proposer", "ga"]: "proposer" is no operator beside others: it stands for "improve" in round 1 and "trajectory" in later ones; name these"#);
    assert_snapshot!(with("operators = [\"ga\", \"ga\"]"), @r#"specs/s.toml:13: search.operators = ["ga", "ga"]: "ga" is there twice: say how often it is drawn in search.weights"#);
    assert_snapshot!(with("operators = [\"ga\", \"rewriter\"]"), @r#"specs/s.toml:13: search.operators = ["ga", "rewriter"]: names "rewriter", and [models.rewriter] has no adapter: say kind = "local", its base as model, and adapter = "DIR""#);
    assert_snapshot!(with("weights = [\"ga=1\"]"), @r#"specs/s.toml:13: search.weights = ["ga=1"]: weigh operators that are drawn, and "proposer" and "rewriter" write in turn: name operators in search.operators (docs/operators.md)"#);
    assert_snapshot!(with("operators = [\"ga\"]\nweights = [\"ga=-1\"]"), @r#"specs/s.toml:14: search.weights = ["ga=-1"]: "ga=-1" is no weight: write "name=2", with a number that is at least 0"#);
    let keys =
        "[search]\noperators = [\"ga\", \"improve\"]\nweights = [\"ga=1\", \"improve=0.5\"]\n";
    assert!(load(&format!("{SMALL}{keys}"), &World::small()).is_ok());
    let instruct = instruct(&format!("[instruct]\noperators = [\"improve\"]\n{START}"));
    assert_snapshot!(said(&instruct, &World::small()), @r#"specs/s.toml:14: instruct.operators = ["improve"]: "improve" rewrites questions and makes no instruction (there are trajectory, zero_order, first_order, eda, eda_rank, lineage, hyper_zero, hyper_first, lamarckian, crossover, ga, de, reflect, paraphrase, shorten, shots, bootstrapped, corrected, answer_form, frame, rewriter)"#);
}

#[test]
fn one_instruction_is_for_one_data_set_and_no_pairs() {
    let world = World::small();
    let second = "[[datasets]]\nname = \"r\"\nformat = \"mmlu\"\npath = \"q.csv\"\n";
    assert_snapshot!(said(&instruct(&format!("{START}{second}")), &world), @r#"specs/s.toml:16: datasets[1].name = "r": mode = "instruct" finds one instruction for one data set, and there are 2: leave one"#);
    let train = "[train]\nbase = \"smollm2-135m-instruct\"\n";
    assert_snapshot!(said(&instruct(&format!("{START}{train}")), &world), @r#"specs/s.toml:16: train.base = "smollm2-135m-instruct": one instruction is no pairs to learn from: leave [train] out, or say mode = "rewrite""#);
}

#[test]
fn a_reward_model_that_is_none() {
    let open = |grader: &str| {
        small(
            "format = \"mmlu\"",
            &format!("format = \"alpaca\"\ngrader = {grader}"),
        )
    };
    assert_snapshot!(open("{ kind = \"reward\", model = \"target\" }"), @r#"specs/s.toml:7: datasets[0].grader.model = "target": is no reward model (say [models.target] with kind = "reward" and model = "PATH")"#);
    assert_snapshot!(open("{ kind = \"reward\" }"), @r#"specs/s.toml:7: datasets[0].grader.model: missing, and no model has the name that stands for it (say [models.reward] with kind = "reward" and model = "PATH")"#);
}

#[test]
fn a_reward_model_for_choices() {
    assert_snapshot!(small("format = \"mmlu\"", "format = \"mmlu\"\ngrader = { kind = \"reward\" }"), @r#"
    specs/s.toml:7: datasets[0].grader.kind = "reward": reads open answers, and this mmlu data set has choices or tests: use one of choice_letter, choice_loglik, numeric, exact, normalised, label, contains, json, reference_loglik, regex, program, http
    specs/s.toml:7: datasets[0].grader.model: missing, and no model has the name that stands for it (say [models.reward] with kind = "reward" and model = "PATH")
    "#);
}

#[test]
fn a_reward_model_that_is_not_there() {
    let model = "\n[models.reward]\nkind = \"reward\"\nmodel = \"./rewards/large\"\n";
    let open = SMALL.replace(
        "format = \"mmlu\"",
        "format = \"alpaca\"\ngrader = { kind = \"reward\" }",
    );
    let text = format!("{open}{model}");
    assert_snapshot!(said(&text, &World::small()), @r#"specs/s.toml:16: models.reward.model = "./rewards/large": no such file or folder (looked for /home/ada/specs/./rewards/large and /home/ada/./rewards/large): say where it is, here or with --set models.reward.model=PATH"#);
    let folder = World {
        files: vec!["/home/ada/specs/q.csv", "/home/ada/specs/./rewards/large"],
        ..World::default()
    };
    assert_snapshot!(said(&text, &folder), @r#"specs/s.toml:16: models.reward.model = "./rewards/large": has no config.json: a reward model is a folder with config.json, weights (*.safetensors or pytorch_model.bin) and tokenizer.json or spm.model"#);
    let whole = World {
        files: vec![
            "/home/ada/specs/q.csv",
            "/home/ada/specs/./rewards/large",
            "/home/ada/specs/./rewards/large/config.json",
        ],
        ..World::default()
    };
    let loaded = load(&text, &whole).unwrap();
    assert!(loaded.warnings.is_empty(), "{loaded:?}");
    assert_eq!(
        loaded.paths.models["reward"],
        std::path::Path::new("/home/ada/specs/./rewards/large")
    );
    let named = Grader::Reward {
        model: "reward".into(),
        identity: String::new(),
    };
    assert_eq!(loaded.spec.datasets[0].grader(), Some(&named));
    // A repository of the hub is fetched when the run starts.
    let hub = text.replace("./rewards/large", "someone/large");
    assert!(load(&hub, &World::small()).unwrap().paths.models.is_empty());
}

fn judged(grader: &str, models: &str) -> String {
    let open = SMALL.replace(
        "format = \"mmlu\"",
        &format!("format = \"alpaca\"\ngrader = {grader}"),
    );
    format!("{open}\n{models}")
}

const JUDGE: &str =
    "[models.judge]\nkind = \"http\"\nbase_url = \"http://localhost/v1\"\nmodel = \"m\"\n";

#[test]
fn a_judge_that_is_none() {
    let world = World::small();
    let said = |grader: &str, models: &str| said(&judged(grader, models), &world);
    assert_snapshot!(said("{ kind = \"judge\" }", ""), @r#"specs/s.toml:7: datasets[0].grader.model: missing, and no model has the name that stands for it (say [models.judge] with kind = "http" or "local")"#);
    assert_snapshot!(said("{ kind = \"judge\", model = \"jugde\" }", JUDGE), @r#"specs/s.toml:7: datasets[0].grader.model = "jugde": is no model, did you mean "judge"? (say [models.jugde] with kind = "http" or "local")"#);
    assert_snapshot!(said("{ kind = \"judge\", model = \"r\" }", "[models.r]\nkind = \"reward\"\nmodel = \"owner/name\"\n"), @r#"specs/s.toml:7: datasets[0].grader.model = "r": writes no verdicts: a reward model and a rewriter do not (say [models.r] with kind = "http" or "local")"#);
    assert_snapshot!(said("{ kind = \"judge\", model = \"\" }", JUDGE), @r#"specs/s.toml:7: datasets[0].grader.model = "": is empty"#);
    assert_snapshot!(small("format = \"mmlu\"", "format = \"mmlu\"\ngrader = { kind = \"judge\", model = \"target\" }"), @r#"specs/s.toml:7: datasets[0].grader.kind = "judge": reads open answers, and this mmlu data set has choices or tests: use one of choice_letter, choice_loglik, numeric, exact, normalised, label, contains, json, reference_loglik, regex, program, http"#);
}

#[test]
fn a_rubric_without_a_judge() {
    let world = World::small();
    let said = |grader: &str| said(&judged(grader, JUDGE), &world);
    assert_snapshot!(said("{ kind = \"exact\", rubric = \"short ones\" }"), @r#"specs/s.toml:7: datasets[0].grader.rubric: is for kind = "judge", and this one is "exact""#);
    assert_snapshot!(said("{ kind = \"judge\", rubric = \"\" }"), @r#"specs/s.toml:7: datasets[0].grader.rubric = "": is empty"#);
    assert_snapshot!(said("{ kind = \"judge\", rubrik = \"short ones\" }"), @"specs/s.toml:7: datasets[0].grader.rubrik: unknown key, did you mean rubric? (known here: kind, model, rubric)");
}

#[test]
fn a_judge_of_its_own_answers() {
    let warned = |grader: &str, models: &str| {
        let loaded = load(&judged(grader, models), &World::small()).unwrap();
        loaded.warnings.join("\n")
    };
    let own = warned("{ kind = \"judge\", model = \"target\" }", "");
    assert_snapshot!(own, @r#"specs/s.toml:7: datasets[0].grader.model = "target": is the model of [models.target], whose answers it judges, and models prefer their own words: name another one"#);
    let again = "[models.judge]\nkind = \"local\"\nmodel = \"smollm2-135m-instruct\"\n";
    let again = warned("{ kind = \"judge\" }", again);
    assert!(again.contains("[models.target]"), "{again}");
    assert_eq!(warned("{ kind = \"judge\" }", JUDGE), "");
    // Nothing but judging: room for a verdict, unless told.
    let room = |models: &str| {
        let loaded = load(&judged("{ kind = \"judge\" }", models), &World::small()).unwrap();
        let sampling = loaded.spec.models["judge"].sampling().unwrap().clone();
        (sampling.max_tokens, sampling.temperature)
    };
    assert_eq!(room(JUDGE), (300, 0.0));
    let told = format!("{JUDGE}[models.judge.sampling]\nmax_tokens = 9\n");
    assert_eq!(room(&told), (9, 0.0));
}

#[test]
fn a_reward_model_as_target() {
    assert_snapshot!(small("kind = \"local\"", "kind = \"reward\""), @r#"specs/s.toml:10: models.target.kind = "reward": a reward model writes no text: use kind = "local" or "http""#);
}

#[test]
fn a_threshold_on_nothing() {
    assert_snapshot!(small_and("[[eval.thresholds]]\nmodel = \"target\"\n"), @"specs/s.toml:12: eval.thresholds[0]: asks for nothing: say min_mean, min_ci_low or max_failed");
}

#[test]
fn a_threshold_on_an_unknown_prompt() {
    assert_snapshot!(small_and("[[eval.thresholds]]\nprompt = \"unchangd\"\nmin_mean = 0.5\n"), @r#"specs/s.toml:13: eval.thresholds[0].prompt = "unchangd": this evaluation has no prompt of this name, did you mean "unchanged"? (one of unchanged)"#);
}

#[test]
fn an_evaluation_of_an_unknown_model() {
    assert_snapshot!(small_and("[eval]\nmodels = [\"target\", \"tagret\"]\n"), @r#"specs/s.toml:13: eval.models = ["target", "tagret"]: there is no [models.tagret], did you mean "target"? (one of proposer, target)"#);
}

#[test]
fn two_prompts_of_one_name() {
    assert_snapshot!(small_and("[[eval.prompts]]\nname = \"a\"\n[[eval.prompts]]\nname = \"a\"\n"), @r#"specs/s.toml:15: eval.prompts[1].name = "a": is the name of an earlier prompt too: each name once"#);
}

#[test]
fn money_too_small_to_count() {
    assert_snapshot!(small_and("[budget]\nusd = 1e-9\n"), @"specs/s.toml:13: budget.usd = 1e-9: 0.000000001 US dollars is less than a micro-dollar");
}

#[test]
fn several_at_once_come_in_the_order_of_the_file() {
    assert_snapshot!(said(&SMALL.replace("mmlu", "mmul").replace("q.csv", "").replace("[run]", "[run]\nsede = 3"), &World::default()), @r#"
    specs/s.toml:2: run.sede: unknown key, did you mean seed? (known here: name, tags, seed, mode)
    specs/s.toml:7: datasets[0].format = "mmul": unknown format, did you mean "mmlu"? (one of mmlu, alpaca, humaneval, gsm8k, bbh, classification, jsonl, csv)
    specs/s.toml:8: datasets[0].path = "": is empty
    "#);
}

#[test]
fn an_override_that_is_wrong_names_itself() {
    assert_snapshot!(load_as(SMALL, &World::small(), Purpose::Run, &["search.rounds=0"]).unwrap_err(), @"--set search.rounds: search.rounds = 0: is too small: at least 1");
}

#[test]
fn an_override_without_a_value() {
    assert_snapshot!(load_as(SMALL, &World::small(), Purpose::Run, &["search.rounds"]).unwrap_err(), @"--set search.rounds: is not key=value: write, say, search.rounds=2");
}

#[test]
fn an_override_of_no_data_set() {
    assert_snapshot!(load_as(SMALL, &World::small(), Purpose::Run, &["datasets.z.limit=3"]).unwrap_err(), @"--set datasets.z.limit: names none of the entries (q): use a name, or an index from 0");
}

#[test]
fn warns_of_a_key_that_all_may_read() {
    assert_snapshot!(warned(&format!("{HTTP}api_key_file = \"q.csv\"\n"), &World::small()), @"
    specs/s.toml: leak.probe: needs log-likelihoods, which the target does not give: only the text rules look for leaks
    specs/s.toml:13: models.target.api_key_file: every user of this machine may read it: chmod 600 it
    ");
}

#[test]
fn warns_of_too_few_repeats() {
    assert_snapshot!(warned(&format!("{SMALL}[confirm]\nrepeats = 4\nplacebo = false\n"), &World::small()), @"
    specs/s.toml:13: confirm.repeats = 4: fewer than 8 support no claim: the run is marked
    specs/s.toml:14: confirm.placebo = false: without a placebo arm no gain can be claimed: the run is marked
    ");
}

#[test]
fn warns_of_a_model_that_nothing_names() {
    assert_snapshot!(warned(&format!("{SMALL}[models.judge]\nkind = \"local\"\nmodel = \"smollm2-135m-instruct\"\n"), &World::small()), @"specs/s.toml:12: models.judge: is named by nothing and will not be called");
}

#[test]
fn warns_of_a_cap_on_what_is_free() {
    assert_snapshot!(warned(&format!("{SMALL}[budget]\nusd = 1\n"), &World::small()), @"specs/s.toml:13: budget.usd = 1: never binds, for no model that is called has a price: set price_in_usd_per_million and price_out_usd_per_million");
}

#[test]
fn a_misspelt_section_that_is_required() {
    assert_snapshot!(said(&SMALL.replace("[[datasets]]", "[[dataset]]").replace("[models", "[model"), &World::small()), @"
    specs/s.toml:4: dataset: unknown key, did you mean datasets? (known here: run, datasets, splits, models, search, instruct, leak, confirm, budget, train, eval)
    specs/s.toml:9: model: unknown key, did you mean models? (known here: run, datasets, splits, models, search, instruct, leak, confirm, budget, train, eval)
    ");
}

#[test]
fn a_mapping_without_a_reference() {
    assert_snapshot!(small("format = \"mmlu\"", "format = \"csv\"\nfields = { input = \"x\" }"), @r#"specs/s.toml:4: datasets[0].grader: missing, and fields name no reference to compare with: say grader = { kind = "…" } with one of regex, program, http, reward, judge"#);
}

#[test]
fn warns_of_a_slot_in_the_system_prompt() {
    assert_snapshot!(warned(&format!("{SMALL}[[eval.prompts]]\nname = \"a\"\nsystem = \"{{input}}\"\n"), &World::small()), @r#"specs/s.toml:14: eval.prompts[0].system = "{input}": {input} stays as it is here: only user has slots"#);
}

#[test]
fn warns_of_a_misspelt_slot() {
    assert_snapshot!(warned(&format!("{SMALL}[[eval.prompts]]\nname = \"a\"\nuser = \"Q: {{inptu}} {{\\\"json\\\": 1}}\"\n"), &World::small()), @r#"specs/s.toml:14: eval.prompts[0].user = "Q: {inptu} {\"json\": 1}": {inptu} is no slot, did you mean {input}?"#);
}

#[test]
fn quotes_around_a_number() {
    assert_snapshot!(small_and("[search]\nrounds = \"4\"\n[leak]\nprobe = \"true\"\n"), @r#"
    specs/s.toml:13: search.rounds = "4": is text, and a whole number is wanted: leave out the quotes
    specs/s.toml:15: leak.probe = "true": is text, and true or false is wanted: leave out the quotes
    "#);
}

#[test]
fn a_percentage_for_a_share() {
    assert_snapshot!(small_and("[[eval.thresholds]]\nmin_mean = 50\n"), @"specs/s.toml:13: eval.thresholds[0].min_mean = 50: is out of range: 0 to 1 (50% is 0.5)");
}

#[test]
fn a_grader_without_a_table() {
    assert_snapshot!(small("path =", "grader = \"exact\"\npath ="), @r#"specs/s.toml:7: datasets[0].grader = "exact": is text: write grader = { kind = "exact" }"#);
    assert_snapshot!(small("path =", "grader = \"jury\"\npath ="), @r#"specs/s.toml:7: datasets[0].grader = "jury": is text: write grader = { kind = "…" } (one of choice_letter, choice_loglik, numeric, exact, normalised, label, contains, json, regex, reference_loglik, program, http, code, reward, judge)"#);
}

#[test]
fn fields_without_a_table() {
    assert_snapshot!(small("format = \"mmlu\"", "format = \"csv\"\nfields = \"question\""), @r#"specs/s.toml:7: datasets[0].fields = "question": is text: write fields = { input = "…", reference = "…" }"#);
}

#[test]
fn a_model_without_a_section() {
    assert_snapshot!(small("[models.target]", "[models]"), @r#"
    specs/s.toml:10: models.kind: is not for [models] itself: each model has a section, so write [models.target] above it
    specs/s.toml:11: models.model: is not for [models] itself: each model has a section, so write [models.target] above it
    "#);
    let pasted = small("[models.target]", "[models]\napi_key = \"sk-secret\"");
    assert!(!pasted.contains("sk-secret"), "{pasted}");
}

#[test]
fn a_list_of_models() {
    assert_snapshot!(small("[models.target]", "[[models.target]]"), @"specs/s.toml:9: models.target: is a list, and this is a section with keys of its own: write [models.target] on a line, its keys below");
}

#[test]
fn typographic_quotes() {
    assert_snapshot!(small("\"small\"", "“small”"), @r#"specs/s.toml:2: not TOML: the quotes on this line are typographic ones: type straight ones, ""#);
}

#[test]
fn a_text_that_does_not_end() {
    assert_snapshot!(small("\"small\"", "\"small"), @r#"specs/s.toml:2: not TOML: a text in quotes does not end on its line, or holds a \ that is not doubled"#);
}

#[test]
fn a_section_twice() {
    assert_snapshot!(small_and("[run]\nseed = 1\n"), @"specs/s.toml:12: not TOML: the key or section of this line stands further up already: each once");
}

#[test]
fn another_language_than_toml() {
    assert_snapshot!(said("run:\n  name: x\n", &World::small()), @"specs/s.toml:1: not TOML: key with no value, expected `=`: `promptimal spec` prints a spec to start from");
    assert_snapshot!(said("{\"run\": {\"name\": \"x\"}}", &World::small()), @"specs/s.toml:1: not TOML: invalid key-value pair, expected key: `promptimal spec` prints a spec to start from");
}

#[test]
fn a_home_folder_in_short() {
    assert_snapshot!(small("q.csv", "~/q.csv"), @r#"specs/s.toml:7: datasets[0].path = "~/q.csv": no such file or folder (looked for /home/ada/specs/~/q.csv and /home/ada/~/q.csv; a spec takes ~ as it is, so write the home folder out): say where it is, here or with --set datasets.q.path=PATH"#);
}

#[test]
fn a_folder_that_is_no_model() {
    let text = SMALL.replace("smollm2-135m-instruct", "./folder");
    let mut world = World::small();
    world.files.push("/home/ada/specs/./folder");
    assert_snapshot!(said(&text, &world), @r#"specs/s.toml:11: models.target.model = "./folder": has no config.json: a model folder holds config.json, tokenizer.json and *.safetensors; of a GGUF model name the .gguf file"#);
    world.files.push("/home/ada/specs/./folder/config.json");
    assert!(load(&text, &world).is_ok());
}

#[test]
fn warns_of_a_url_that_ends_with_the_host() {
    assert_snapshot!(warned(&HTTP.replace("/v1", ""), &World::small()), @r#"
    specs/s.toml: leak.probe: needs log-likelihoods, which the target does not give: only the text rules look for leaks
    specs/s.toml:11: models.target.base_url = "https://api.example.org": ends with the host: most servers want the version too, such as /v1
    "#);
}

#[test]
fn a_spec_that_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let of = |name: &str| {
        let said = spec::load(&dir.path().join(name), &[], Purpose::Run).unwrap_err();
        said.to_string()
            .replace(&format!("{}", dir.path().display()), "DIR")
    };
    std::fs::create_dir(dir.path().join("folder")).unwrap();
    std::fs::write(dir.path().join("picture.toml"), b"\xff\xd8\xff").unwrap();
    assert_snapshot!(of("folder"), @"DIR/folder: is a folder: name the spec file in it");
    assert_snapshot!(of("picture.toml"), @"DIR/picture.toml: the spec file is no text in UTF-8: save it as such");
    assert_snapshot!(of("absent.toml"), @"DIR/absent.toml: no such spec file: `promptimal spec` prints one to start from");
}

#[test]
fn a_training_that_cannot_be() {
    let train = |more: &str| small_and(&format!("[train]\n{more}\n"));
    for (more, words) in [
        ("rank = 8", &["train.base", "missing"][..]),
        (
            "base = \"smollm2-135m-instuct\"",
            &["did you mean", "smollm2-135m-instruct"],
        ),
        (
            "base = \"./nowhere.gguf\"",
            &["train.base", "--set train.base=PATH"],
        ),
        (
            "base = \"smollm2-135m-instruct\"\ntargets = [\"q\", \"lm_head\"]",
            &["train.targets", "lm_head", "gate"],
        ),
        (
            "base = \"smollm2-135m-instruct\"\nweights = \"int3\"",
            &["train.weights", "nf4"],
        ),
    ] {
        let told = train(more);
        assert!(words.iter().all(|w| told.contains(w)), "{more}: {told}");
    }
    let good = format!("{SMALL}[train]\nbase = \"smollm2-135m-instruct\"\n");
    assert!(load(&good, &World::small()).is_ok());
}
