//! A reward model by name: a folder, or a repository of the Hugging Face hub, which is fetched into the cache once.

use crate::{
    catalogue::{Progress, cache_dir},
    error::{Error, Result},
    fetch::{Remote, client, endpoint},
    safetensors::read_json,
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// No weight file is longer; beyond it somebody sends rubbish.
const MOST: u64 = 64 << 30;
/// Small files: taken where they are there.
const SIDE: [&str; 3] = ["tokenizer_config.json", "tokenizer.json", "spm.model"];
/// Weights, the first that is there.
const WEIGHTS: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];

/// The folder of the model `name`: a path is itself, `owner/repository` is fetched unless the cache has it. Blocks.
///
/// # Errors
/// [`Error::Fetch`] says what was tried, and how to do without.
pub fn folder(name: &str, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
    folder_from(&endpoint(), name, &cache_dir, progress)
}

fn folder_from(
    endpoint: &str,
    name: &str,
    cache: &dyn Fn() -> Result<PathBuf>,
    progress: &mut dyn FnMut(Progress),
) -> Result<PathBuf> {
    if Path::new(name).exists() {
        return Ok(PathBuf::from(name));
    }
    if !is_repository(name) {
        return Err(Error::Fetch(format!(
            "{name:?} is neither a folder that is here nor a repository of the hub (owner/name)"
        )));
    }
    let cache = cache()?;
    let goal = cache.join("reward").join(name.replace('/', "--"));
    if goal.is_dir() {
        return Ok(goal);
    }
    let fetched = fetch((endpoint, name), &goal, progress);
    fetched.map_err(|e| {
        Error::Fetch(format!(
            "the reward model {name} could not be got from {endpoint}: {e}\n\
             Put its files (config.json, weights, tokenizer.json or spm.model) into a folder and give its path, or into {}",
            goal.display()
        ))
    })?;
    Ok(goal)
}

/// `owner/name` of letters, digits and a few marks.
fn is_repository(name: &str) -> bool {
    let plain = |part: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !part.is_empty() && !part.starts_with('.') && part.chars().all(known)
    };
    name.split_once('/')
        .is_some_and(|(owner, name)| plain(owner) && plain(name))
}

/// Fetches into a folder beside the goal, which gets its name when it is whole.
fn fetch(
    (endpoint, repository): (&str, &str),
    goal: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), String> {
    let parent = goal.parent().unwrap_or(goal);
    let fail = |e: std::io::Error| format!("{}: {e}", parent.display());
    std::fs::create_dir_all(parent).map_err(fail)?;
    let place = tempfile::Builder::new()
        .prefix(".fetch-")
        .tempdir_in(parent)
        .map_err(fail)?;
    let client = client()?;
    let mut get = |file: &str| {
        let remote = Remote {
            endpoint,
            repository,
            file,
            most: MOST,
        };
        remote.get(&client, &place.path().join(file), progress)
    };
    if !get("config.json")? {
        return Err("it has no config.json, or there is no such repository".into());
    }
    for file in SIDE {
        get(file)?;
    }
    let mut found = false;
    for whole in WEIGHTS {
        let index = format!("{whole}.index.json");
        found = get(whole)?;
        if !found && get(&index)? {
            for shard in shards(&place.path().join(&index))? {
                if !get(&shard)? {
                    return Err(format!("{index} names {shard}, which is not there"));
                }
            }
            found = true;
        }
        if found {
            break;
        }
    }
    if !found {
        return Err("it has neither model.safetensors nor pytorch_model.bin".into());
    }
    let made = place.keep();
    match std::fs::rename(&made, goal) {
        // Another process was quicker.
        Err(_) if goal.is_dir() => std::fs::remove_dir_all(&made).map_err(fail),
        renamed => renamed.map_err(|e| format!("{}: {e}", goal.display())),
    }
}

/// The files that an index names; a name with a folder in it is none.
fn shards(index: &Path) -> Result<BTreeSet<String>, String> {
    let index = read_json(index).map_err(|e| e.to_string())?;
    let names = index["weight_map"]
        .as_object()
        .into_iter()
        .flat_map(|m| m.values());
    let names: BTreeSet<String> = names.filter_map(Value::as_str).map(str::to_owned).collect();
    match names
        .iter()
        .find(|n| Path::new(n).file_name() != Some(n.as_ref()))
    {
        Some(odd) => Err(format!(
            "the index names the shard {odd:?}, which is no plain file name"
        )),
        None => Ok(names),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deberta::RewardModel;
    use std::{
        io::{BufRead, BufReader, Write},
        net::TcpListener,
    };

    /// A hub on this machine that has the files of `dir` under `owner/model`, for as long as the test runs.
    fn hub(dir: PathBuf) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let first = lines.next().unwrap().unwrap();
                lines
                    .take_while(|line| !line.as_ref().unwrap().is_empty())
                    .for_each(drop);
                let path = first.split(' ').nth(1).unwrap();
                let file = path
                    .strip_prefix("/owner/model/resolve/main/")
                    .map(|name| dir.join(name));
                let body = file.and_then(|file| std::fs::read(file).ok());
                let status = if body.is_some() {
                    "200 OK"
                } else {
                    "404 Not Found"
                };
                let body = body.unwrap_or_default();
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                stream
                    .write_all(&[head.as_bytes(), &body].concat())
                    .unwrap();
            }
        });
        address
    }

    #[test]
    fn a_repository_is_fetched_once_and_what_is_missing_is_told() {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/deberta-v2");
        let address = hub(fixture.clone());
        let dir = tempfile::tempdir().unwrap();
        let cache = || Ok(dir.path().to_owned());
        let got = folder_from(&address, "owner/model", &cache, &mut |_| {}).unwrap();
        RewardModel::load(&got).unwrap();
        let again = folder_from("http://127.0.0.1:1", "owner/model", &cache, &mut |_| {}).unwrap();
        assert_eq!(got, again);
        let say = folder_from(&address, "owner/other", &cache, &mut |_| {})
            .unwrap_err()
            .to_string();
        assert!(
            say.contains("no config.json") && say.contains("give its path"),
            "{say}"
        );
        let say = folder_from("http://127.0.0.1:1", "owner/other", &cache, &mut |_| {})
            .unwrap_err()
            .to_string();
        assert!(
            say.contains("owner/other") && say.contains("127.0.0.1:1"),
            "{say}"
        );
        let here = fixture.display().to_string();
        assert_eq!(
            folder_from(&address, &here, &cache, &mut |_| {}).unwrap(),
            fixture
        );
        for odd in ["nothing", "../x", "a/b/c", "a/.."] {
            let say = folder_from(&address, odd, &cache, &mut |_| {})
                .unwrap_err()
                .to_string();
            assert!(say.contains("neither a folder"), "{say}");
        }
        let left = std::fs::read_dir(dir.path().join("reward"))
            .unwrap()
            .count();
        assert_eq!(left, 1, "nothing half fetched is left");
    }
}
