//! How texts are drawn: the fields that both endpoints have.

use crate::{
    Limits,
    fault::{Answer, Fault},
    fields::Fields,
};
use model::Draft;
use serde::Deserialize;

/// Stop texts of one request.
const STOPS: usize = 4;

/// What both endpoints are asked.
#[derive(Debug)]
pub struct Sampling {
    pub temperature: f64,
    pub top_p: f64,
    /// Texts for each prompt.
    pub n: usize,
    pub stop: Vec<String>,
    pub seed: u64,
    /// The longest text, where that was said.
    pub max_tokens: Option<usize>,
    /// The longest text where nothing was said and there is room for it.
    pub unless: usize,
    pub stream: bool,
    /// Whether a stream ends with what it cost.
    pub usage: bool,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "it is a text or a list of texts")]
enum Stops {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
    /// Padding of a stream against listeners: nothing of it is here.
    #[serde(default, rename = "include_obfuscation")]
    _obfuscation: bool,
}

impl Sampling {
    /// Takes the fields; the longest text has the first of these names that is there.
    pub fn take(fields: &mut Fields, longest: &[&str], limits: Limits) -> Answer<Self> {
        let mut max_tokens = None;
        for name in longest {
            if let Some(asked) = fields.take::<usize>(name)? {
                if asked > limits.max_tokens {
                    let most = limits.max_tokens;
                    let message =
                        format!("{name} is {asked}: this server writes at most {most} tokens");
                    return Err(Fault::field(name, message));
                }
                max_tokens = max_tokens.or(Some(asked));
            }
        }
        let stop = match fields.take("stop")? {
            None => Vec::new(),
            Some(Stops::One(stop)) => vec![stop],
            Some(Stops::Many(stops)) => stops,
        };
        if stop.len() > STOPS || stop.iter().any(String::is_empty) {
            let message = format!("stop is up to {STOPS} texts, none of them empty");
            return Err(Fault::field("stop", message));
        }
        let seed = fields.take::<i64>("seed")?;
        let options = fields.take::<StreamOptions>("stream_options")?;
        Ok(Self {
            temperature: within(fields, "temperature", 1.0, |t| (0.0..=2.0).contains(&t))?,
            top_p: within(fields, "top_p", 1.0, |p| p > 0.0 && p <= 1.0)?,
            n: match fields.take("n")?.unwrap_or(1) {
                n if (1..=limits.rows).contains(&n) => n,
                n => {
                    let message = format!("n is {n}: give 1 to {}", limits.rows);
                    return Err(Fault::field("n", message));
                }
            },
            stop,
            seed: seed.map_or_else(drawn, |seed| seed as u64),
            max_tokens,
            unless: limits.max_tokens,
            stream: fields.take("stream")?.unwrap_or(false),
            usage: options.is_some_and(|options| options.include_usage),
        })
    }

    /// The drafts of a prompt, the first of which is number `first`, for a model that reads `context` tokens.
    ///
    /// # Errors
    /// When the model can not read so much.
    pub fn drafts(&self, prompt: &Prompt, first: usize, context: usize) -> Answer<Vec<Draft>> {
        let read = prompt.tokens.len();
        let room = context.saturating_sub(read);
        let max_tokens = self.max_tokens.unwrap_or(self.unless.min(room));
        if max_tokens > room || (room == 0 && self.max_tokens != Some(0)) {
            return Err(Fault::too_long(format!(
                "the prompt has {read} tokens, {max_tokens} more were asked for, and the model reads at most {context} \
                 together"
            )));
        }
        let draft = |i: usize| Draft {
            prompt: prompt.tokens.clone(),
            plain: prompt.plain,
            max_tokens,
            temperature: self.temperature,
            top_p: self.top_p,
            stop: self.stop.clone(),
            // Another text for each choice, and the same ones for the same seed.
            seed: self.seed.wrapping_add((first + i) as u64),
            tell: prompt.tell,
            tell_prompt: prompt.tell_prompt,
        };
        Ok((0..self.n).map(draft).collect())
    }
}

/// A prompt in tokens, and what is to be told of it.
#[derive(Debug)]
pub struct Prompt {
    pub tokens: Vec<u32>,
    /// Without the adapter.
    pub plain: bool,
    pub tell: Option<usize>,
    pub tell_prompt: bool,
}

fn within(fields: &mut Fields, name: &str, unless: f64, fits: fn(f64) -> bool) -> Answer<f64> {
    let value = fields.take(name)?.unwrap_or(unless);
    match fits(value) {
        true => Ok(value),
        false => Err(Fault::field(
            name,
            format!("{name} is {value}, which is out of range"),
        )),
    }
}

/// A seed for who gives none: the random part of a UUID.
fn drawn() -> u64 {
    uuid::Uuid::now_v7().as_u64_pair().1
}
