//! Every key of a spec, once: its type and range, its default, when it exists, and what it means. The
//! structural check, the suggestions for misspelt keys and `docs/spec.md` all read this table; tests
//! compare it with the types and with the full example.

use domain::tuning;

/// What a key may hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Text that is not empty.
    Text,
    /// One of some words.
    Word(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
    /// A whole number within bounds, both included.
    Count(i64, i64),
    /// A number within bounds, both included.
    Number(f64, f64),
    /// A number above 0, up to a bound.
    Positive(f64),
    /// A list of texts, none of them empty.
    Texts,
    /// One text or a list of texts.
    TextOrTexts,
}

/// What stands where a key is left out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Absent {
    /// Nothing can: the key must be given.
    Required,
    /// Nothing.
    Nothing,
    /// This value, as TOML.
    Is(&'static str),
    /// It depends; in words.
    Says(&'static str),
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// `datasets[].fields.input`, `models.*.base_url`: `[]` is any element, `*` any name.
    pub path: &'static str,
    /// The values of the neighbouring `kind` with which the key exists; empty: always.
    pub only: &'static [&'static str],
    /// What it may hold.
    pub kind: Kind,
    /// What stands where it is left out.
    pub default: Absent,
    /// What it means, in one line.
    pub doc: &'static str,
}

/// The kinds of `[models]`.
pub const MODEL_KINDS: &[&str] = &["local", "http", "reward"];

/// The kinds of graders: those of [`domain::grade::Grader`].
pub const GRADER_KINDS: &[&str] = &[
    "choice_letter",
    "choice_loglik",
    "numeric",
    "exact",
    "normalised",
    "label",
    "contains",
    "json",
    "regex",
    "reference_loglik",
    "program",
    "http",
    "code",
    "reward",
    "judge",
];

const FORMATS: &[&str] = &[
    "mmlu",
    "alpaca",
    "humaneval",
    "gsm8k",
    "bbh",
    "classification",
    "jsonl",
    "csv",
];
const MANY: i64 = i64::MAX;
const BILLION: i64 = 1_000_000_000;
const ALWAYS: &[&str] = &[];
const LOCAL: &[&str] = &["local"];
const HTTP: &[&str] = &["http"];
const REWARD: &[&str] = &["reward"];
const JUDGE: &[&str] = &["judge"];
const COMPARES: &[&str] = &["reward", "judge"];
const SPEAKS: &[&str] = &["local", "http"];

const fn key(path: &'static str, kind: Kind, default: Absent, doc: &'static str) -> Key {
    Key {
        path,
        only: ALWAYS,
        kind,
        default,
        doc,
    }
}

const fn of(
    only: &'static [&'static str],
    path: &'static str,
    kind: Kind,
    default: Absent,
    doc: &'static str,
) -> Key {
    Key {
        path,
        only,
        kind,
        default,
        doc,
    }
}

use Absent::{Is, Nothing, Required, Says};
use Kind::{Count, Flag, Number, Positive, Text, TextOrTexts, Texts, Word};

/// Every key, in the order of the documentation.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("run.name", Text, Required, "what people call the run"),
    key("run.tags", Texts, Is("[]"), "words to find it by"),
    key("run.seed", Count(0, MANY), Is("0"), "every random choice derives from it"),
    key("run.mode", Word(&["rewrite", "instruct"]), Is("\"rewrite\""), "`rewrite`: every selected hard example is its own target; `instruct`: the whole data set is one target with one instruction, see `[instruct]`"),

    key("datasets[].name", Text, Required, "its name in the run; each name once"),
    key("datasets[].format", Word(FORMATS), Required, "the layout of its files"),
    key("datasets[].path", Text, Required, "a file or folder; looked for beside the spec file first, then in the current directory"),
    key("datasets[].part", Word(&["test", "dev", "val"]), Says("`test`"), "MMLU only: which part of the folder is read"),
    key("datasets[].limit", Count(1, BILLION), Nothing, "only the first so many good rows"),
    key("datasets[].sample", Count(1, BILLION), Nothing, "so many good rows drawn from all of them by `run.seed`; `limit` or this, not both"),
    key("datasets[].on_bad_row", Word(&["fail", "skip"]), Is("\"fail\""), "`fail`: the first bad row ends the run before any call; `skip`: it is counted and left out"),
    key("datasets[].labels", Texts, Is("[]"), "classification: the labels' names, in order; an answer must name exactly one"),
    key("datasets[].hardest", Count(0, BILLION), Says("an equal share of what quotas leave of `search.hardest`"), "how many of its hardest examples become targets"),
    key("datasets[].fields.input", Text, Required, "JSONL and CSV: the field with the question or instruction; dots reach into nested JSON"),
    key("datasets[].fields.reference", Text, Nothing, "the field with the right answer"),
    key("datasets[].fields.choices", TextOrTexts, Is("[]"), "one field that holds a JSON array, or one field a choice"),
    key("datasets[].fields.context", Text, Nothing, "a field the input speaks of; never rewritten"),
    key("datasets[].fields.group", Text, Nothing, "a field to group by in reports"),
    key("datasets[].fields.answer_is", Word(&["index", "letter", "text"]), Is("\"text\""), "how the reference names the right choice: position from 0, letter from A, or its text"),
    key("datasets[].grader.kind", Word(GRADER_KINDS), Says("by format, see below"), "how answers are graded"),
    of(&["numeric"], "datasets[].grader.tolerance", Number(0.0, 1e300), Is("0.0"), "the largest difference that counts as equal"),
    of(&["label"], "datasets[].grader.labels", Texts, Says("the data set's `labels`"), "all labels"),
    of(&["json"], "datasets[].grader.fields", Texts, Is("[]"), "the fields that count; without any, all that the reference has"),
    of(&["json"], "datasets[].grader.only", Flag, Is("false"), "the reply must be the JSON object and nothing else"),
    of(&["regex"], "datasets[].grader.pattern", Text, Required, "a regular expression; `{reference}` stands for the escaped reference"),
    of(&["program"], "datasets[].grader.command", Texts, Required, "program and arguments: one JSON line in, one JSON line `{score, feedback}` out"),
    of(&["http"], "datasets[].grader.url", Text, Required, "where to post; `{score, feedback}` comes back"),
    of(&["program", "http"], "datasets[].grader.timeout_seconds", Count(1, 86_400), Is("30"), "time limit for one answer"),
    of(&["http"], "datasets[].grader.token_env", Text, Nothing, "the environment variable that holds a bearer token"),
    of(COMPARES, "datasets[].grader.model", Text, Says("the kind's own name"), "`reward`: a model under `[models]` with `kind = \"reward\"`; `judge`: one that writes, best another than the target"),
    of(JUDGE, "datasets[].grader.rubric", Text, Says("right first, then clear; length is no merit"), "what the judge is to prefer, in a sentence or some"),

    key("splits.train", Positive(1.0), Is("0.8"), "mining, baseline and search read it"),
    key("splits.validation", Number(0.0, 1.0), Is("0.1"), "kept from every choice; `instruct` mode estimates the chosen prompt on it"),
    key("splits.test", Number(0.0, 1.0), Is("0.1"), "sealed until the one last evaluation; the three sum to 1"),

    key("models.*.kind", Word(MODEL_KINDS), Required, "`local`: in this process; `http`: any OpenAI-compatible server; `reward`: a reward model, which grades open answers. `[models.proposer]` may leave it out: it is then the target with its own sampling"),
    key("models.*.model", Text, Required, "`local`: a name of `promptimal models list`, or a path; `http`: the name the server knows; `reward`: the path of a folder with config.json, weights and tokeniser, or a repository of the Hugging Face hub (`owner/name`)"),
    of(LOCAL, "models.*.adapter", Text, Nothing, "the folder of an adapter of `promptimal train`: `model` is its base, and the two are a rewriter, which reads a prompt and writes a better one"),
    of(LOCAL, "models.*.precision", Word(&["auto", "f32", "q8_0", "native"]), Is("\"auto\""), "what the weights are computed in"),
    of(REWARD, "models.*.device", Word(&["cpu", "cuda"]), Is("\"cpu\""), "what computes it; `cuda` needs a program built with the feature `cuda`"),
    of(REWARD, "models.*.dtype", Word(&["f32", "bf16", "f16"]), Is("\"f32\""), "what it is computed in; half precision needs `device = \"cuda\"`"),
    of(HTTP, "models.*.base_url", Text, Required, "up to and including the version: `https://api.openai.com/v1`"),
    of(HTTP, "models.*.api_key_env", Text, Nothing, "the environment variable that holds the key; never the key itself"),
    of(HTTP, "models.*.api_key_file", Text, Nothing, "the file that holds the key; `api_key_env` or this, not both"),
    of(HTTP, "models.*.connect_timeout_seconds", Positive(86_400.0), Is("10.0"), "time limit for a connection"),
    of(HTTP, "models.*.call_timeout_seconds", Positive(86_400.0), Is("120.0"), "time limit for a whole call"),
    of(HTTP, "models.*.retries", Count(0, 100), Is("5"), "how often a failed call is tried again, with full jitter"),
    of(HTTP, "models.*.concurrency", Count(1, 100_000), Is("16"), "calls under way at once"),
    of(HTTP, "models.*.requests_per_minute", Count(1, BILLION), Nothing, "at most so many requests in any minute, over all runs and workers"),
    of(HTTP, "models.*.tokens_per_minute", Count(1, MANY), Nothing, "at most so many tokens in any minute, over all runs and workers"),
    of(HTTP, "models.*.price_in_usd_per_million", Number(0.0, 1e6), Is("0.0"), "US dollars for a million tokens read"),
    of(HTTP, "models.*.price_out_usd_per_million", Number(0.0, 1e6), Is("0.0"), "US dollars for a million tokens written"),
    of(HTTP, "models.*.send_seed", Flag, Is("true"), "send a seed with every call (some servers refuse it)"),
    of(HTTP, "models.*.score_endpoint", Flag, Is("false"), "the server's `/completions` gives log-probabilities of a given text"),
    of(SPEAKS, "models.*.sampling.max_tokens", Count(1, 1_000_000), Says("256; proposer 160, judge 300"), "the longest reply"),
    of(SPEAKS, "models.*.sampling.temperature", Number(0.0, 2.0), Says("0.0 (greedy); proposer 0.8"), "how freely it is sampled"),
    of(SPEAKS, "models.*.sampling.top_p", Positive(1.0), Is("1.0"), "nucleus: the smallest set of tokens with this much probability; 1 is off"),
    of(SPEAKS, "models.*.sampling.stop", Texts, Is("[]"), "the reply ends before any of these texts"),

    key("search.hardest", Count(1, BILLION), Is("24"), "how many of the hardest examples become targets, shared between the data sets"),
    key("search.rewrites", Count(1, 64), Is("2"), "rewrites asked for in each round, per target"),
    key("search.operators", Texts, Is("[\"proposer\"]"), "who writes the rewrites, in turn: `proposer`, and `rewriter`, the trained model of `[models.rewriter]`; or operators that are drawn by what they achieve ([operators.md](operators.md)): `improve`, `trajectory`, `first_order`, `ga`, `reflect` and others"),
    key("search.weights", Texts, Is("[]"), "`[\"reflect=2\", \"ga=1\"]` fixes how often the operators that are named are drawn; without it that is learnt from what their rewrites achieve, over all targets"),
    key("search.rounds", Count(1, 100), Is("4"), "rounds in all: the first, and those that read the scores of the earlier ones"),
    key("search.repeats", Count(1, 1000), Is("1"), "how often each question is asked during the search"),
    key("search.block", Count(1, 4096), Is("8"), "how many items one task holds"),
    key("search.max_chars", Count(16, 1_000_000), Is("1200"), "the longest rewrite, in characters; a long original may grow by half whatever this says"),
    key("search.feedback", Word(&["outcome", "reference"]), Is("\"outcome\""), "what the proposer is told of earlier answers: how they were graded, or the reference too, which marks the run"),

    key("instruct.description", Text, Says("the first start prompt"), "what the task is, in a sentence or two, for those who write prompts"),
    key("instruct.system", Text, Nothing, "standing instructions of every prompt; may hold `{instruction}`"),
    key("instruct.user", Text, Is("\"{instruction}\\n\\n{input}\""), "what the user says; slots `{instruction}`, `{input}`, `{context}`, `{choices}`"),
    key("instruct.calls", Count(1, MANY), Is("600"), "calls of the target in the search; the last evaluation, on validation and test, comes on top"),
    key("instruct.rounds", Count(1, 1000), Says("one for each 50 calls, from 4 to 40"), "rounds after the first look at the start prompts; calls are shared out evenly, and the last fifth of the rounds makes no new prompts"),
    key("instruct.candidates", Count(1, 64), Says("ten for each 100 calls"), "new prompts in each round"),
    key("instruct.population", Count(2, 10_000), Nothing, "so many prompts are alive, as in Promptbreeder: of two drawn at random the better one has the next new prompt, which takes the other's place; unless said, only those that cannot win go, and the better ones have more new prompts"),
    key("instruct.shots", Count(0, 64), Is("4"), "the most demonstrations in one prompt; 0: none are shown"),
    key("instruct.block", Count(1, 1000), Is("6"), "examples in one block of the race: what a new prompt is tried on first"),
    key("instruct.alpha", Number(0.0001, 0.5), Is("0.05"), "how probable it may be that the race drops the best prompt"),
    key("instruct.operators", Texts, Is("[]"), "operators that make prompts ([operators.md](operators.md)); none named: those that pay"),
    key("instruct.weights", Texts, Is("[]"), "`[\"shots=2\", \"reflect=1\"]` fixes how often operators are drawn; without it that is learnt from what their prompts achieve"),
    key("instruct.must_keep", Texts, Is("[]"), "texts that every instruction has to contain"),
    key("instruct.must_not_contain", Texts, Is("[]"), "texts that no instruction may contain, case aside"),
    key("instruct.length_price", Number(0.0, 100.0), Is("0.0"), "points of accuracy that a hundred tokens of prompt must bring to be worth it"),
    key("instruct.test_repeats", Count(1, 1000), Is("2"), "how often each test question is asked at the end; repeats show the noise floor"),
    key("instruct.start[].instruction", Text, Required, "a prompt to start from; gains are measured against the first"),

    key("leak.probe", Flag, Is("true"), "test whether the added words raise the probability of the reference (needs log-likelihoods)"),

    key("confirm.repeats", Count(2, 10_000), Is("8"), "fresh draws of original and winner each; fewer than 8 support no claim and mark the run"),
    key("confirm.placebo", Flag, Is("true"), "let as many unscored paraphrases compete, chosen the same way; without it the run is marked"),
    key("confirm.fdr", Number(0.001, 0.5), Is("0.1"), "the share of false discoveries allowed among the pairs"),
    key("confirm.temperature", Positive(2.0), Is("0.7"), "used where the target is greedy and there are no choices to permute"),
    key("confirm.controls", Count(1, 1000), Is("15"), "mismatched references, the controls of `reference_loglik`"),

    key("budget.calls", Count(1, MANY), Nothing, "model calls at most"),
    key("budget.tokens", Count(1, MANY), Nothing, "tokens at most, read and written"),
    key("budget.usd", Positive(1e9), Nothing, "US dollars at most"),

    key("train.base", Text, Required, "the model that learns: a name of `promptimal models list`, or the path of a `.gguf` file or of a folder with safetensors"),
    key("train.pairs", Word(tuning::PAIRS), Is("\"confirmed\""), "what is learnt from: pairs whose gain passes `confirm.fdr`, or all whose rewrite did better on the fresh draws, also where that may be chance"),
    key("train.min_pairs", Count(1, BILLION), Is("8"), "with fewer pairs nothing is trained"),
    key("train.template", Word(tuning::TEMPLATES), Is("\"inst\""), "the words around a pair: `<s>[INST] original [/INST] improved </s>`, or the model's own chat template"),
    key("train.validation", Number(0.0, 1.0), Is("0.15"), "share of the originals that the learning is measured on; near-duplicates are on one side"),
    key("train.unchanged", Number(0.0, 0.99), Is("0.1"), "at most this share of the pairs are unchanged ones"),
    key("train.max_tokens", Count(1, 1_000_000), Is("1024"), "longer pairs are left out"),
    key("train.rank", Count(1, 4096), Is("80"), "rank of the adapter"),
    key("train.alpha", Positive(1e6), Is("16.0"), "the adapter counts alpha / rank"),
    key("train.dropout", Number(0.0, 0.99), Is("0.1"), "share of the adapter's inputs dropped while training"),
    key("train.rslora", Flag, Is("false"), "the adapter counts alpha / sqrt(rank) instead"),
    key("train.targets", Texts, Is("[\"q\", \"k\", \"v\", \"o\"]"), "the matrices with an adapter: any of q, k, v, o, gate, up, down"),
    key("train.weights", Word(tuning::WEIGHTS), Is("\"f32\""), "how the base is kept in memory: 4, 2, 1.06 or 0.52 bytes a number"),
    key("train.checkpointing", Flag, Is("false"), "compute layers twice instead of keeping what they computed: less than half the memory, a third more time"),
    key("train.epochs", Count(1, 1000), Is("2"), "how often all pairs are read"),
    key("train.batch", Count(1, 4096), Is("4"), "pairs side by side"),
    key("train.accumulate", Count(1, 4096), Is("4"), "batches whose gradients make one step"),
    key("train.rate", Positive(1.0), Is("2e-4"), "the highest learning rate"),
    key("train.warmup", Number(0.0, 1.0), Is("0.1"), "share of the steps over which the rate rises; then it falls along a half cosine"),
    key("train.decay", Number(0.0, 0.99), Is("0.0"), "weight decay"),
    key("train.clip", Positive(1e6), Is("1.0"), "the largest norm of a step's gradient"),

    key("eval.models", Texts, Is("[\"target\"]"), "names of the models that answer"),
    key("eval.rewriters", Texts, Is("[]"), "names of models that rewrite prompts: where there are some, they are compared, on `target`, instead of `eval.prompts`"),
    key("eval.split", Word(&["all", "train", "validation", "test"]), Is("\"all\""), "which part of the data sets is asked"),
    key("eval.repeats", Count(1, 1000), Is("1"), "how often each question is asked"),
    key("eval.prompts[].name", Text, Required, "its name in the table; each name once"),
    key("eval.prompts[].system", Text, Nothing, "standing instructions, sent as they are"),
    key("eval.prompts[].user", Text, Is("\"{input}\""), "what the user says; slots `{input}`, `{context}`, `{choices}`; what no slot asks for follows after a blank line. No prompts at all: the unchanged example"),
    key("eval.thresholds[].prompt", Text, Says("all"), "only this prompt"),
    key("eval.thresholds[].model", Text, Says("all"), "only this model"),
    key("eval.thresholds[].dataset", Text, Says("all"), "only this data set"),
    key("eval.thresholds[].min_mean", Number(0.0, 1.0), Nothing, "the mean grade is at least this"),
    key("eval.thresholds[].min_ci_low", Number(0.0, 1.0), Nothing, "the lower end of the mean's 95% interval is at least this"),
    key("eval.thresholds[].max_failed", Number(0.0, 1.0), Nothing, "at most this share of the questions got no grade"),
];

/// What stands at a place of the spec.
#[derive(Clone, Copy, Debug)]
pub enum Slot {
    /// A value.
    Leaf(&'static Key),
    /// A table with further keys.
    Table,
    /// A list of tables.
    Tables,
    /// Nothing known.
    Unknown,
}

impl Slot {
    /// Whether anything may stand there.
    pub fn is_known(&self) -> bool {
        !matches!(self, Slot::Unknown)
    }
}

/// What stands at a pattern such as `datasets[].fields`.
pub fn slot(pattern: &str) -> Slot {
    let below = |key: &Key, joint: &str| {
        let rest = key.path.strip_prefix(pattern);
        rest.is_some_and(|rest| rest.starts_with(joint))
    };
    if let Some(key) = KEYS.iter().find(|key| key.path == pattern) {
        Slot::Leaf(key)
    } else if KEYS.iter().any(|key| below(key, "[].")) {
        Slot::Tables
    } else if KEYS.iter().any(|key| below(key, ".")) {
        Slot::Table
    } else {
        Slot::Unknown
    }
}

/// The names that may stand directly under a pattern, each once, with the `kind`s they need.
pub fn children(pattern: &str) -> Vec<(&'static str, &'static [&'static str])> {
    let mut names: Vec<(&str, &[&str])> = Vec::new();
    for key in KEYS {
        let under = match pattern {
            "" => Some(key.path),
            _ => key
                .path
                .strip_prefix(pattern)
                .and_then(|rest| rest.strip_prefix('.')),
        };
        let Some(rest) = under else { continue };
        let name = rest.split(['.', '[']).next().unwrap_or(rest);
        if !names.iter().any(|(known, _)| *known == name) {
            names.push((name, key.only));
        }
    }
    names
}

/// The required keys directly under a pattern, for a table of this `kind`.
pub fn required(pattern: &str, kind: Option<&str>) -> Vec<(&'static str, &'static Key)> {
    let direct = |key: &'static Key| {
        let name = key.path.strip_prefix(pattern)?.strip_prefix('.')?;
        (!name.contains(['.', '['])).then_some((name, key))
    };
    let applies = |key: &Key| key.only.is_empty() || kind.is_some_and(|k| key.only.contains(&k));
    KEYS.iter()
        .filter(|key| key.default == Required && applies(key))
        .filter_map(direct)
        .collect()
}
