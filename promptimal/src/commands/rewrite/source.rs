//! Where prompts come from: an argument, a file, or standard input, one a line.

use crate::rewriting::{Asked, Next};
use anyhow::{Context, bail};
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, TryRecvError},
    },
    thread,
    time::Duration,
};

/// Lines that are read ahead.
const AHEAD: usize = 64;
/// How soon Ctrl-C is heard while nothing comes in.
const LISTEN: Duration = Duration::from_millis(100);

/// Where prompts come from.
pub enum Source {
    /// One, from the command line.
    Text(String),
    /// A file of so many lines.
    File(PathBuf, u64),
    /// Standard input.
    Stdin,
}

impl Source {
    /// Looks what there is to read.
    ///
    /// # Errors
    /// When there is no prompt, or the file cannot be read.
    pub fn open(text: Option<String>, file: Option<&Path>) -> anyhow::Result<Self> {
        match (text, file) {
            (Some(text), _) if text.trim().is_empty() => {
                bail!("the prompt is empty: give its words, or --file FILE")
            }
            (Some(text), _) => Ok(Self::Text(text)),
            (None, Some(path)) => {
                let lines = count(path).with_context(|| format!("--file {}", path.display()))?;
                Ok(Self::File(path.to_owned(), lines))
            }
            (None, None) => Ok(Self::Stdin),
        }
    }

    /// Whether it is one prompt from the command line.
    pub fn is_text(&self) -> bool {
        matches!(self, Self::Text(_))
    }

    /// How many lines there are, where that is known.
    pub fn lines(&self) -> Option<u64> {
        match self {
            Self::File(_, lines) => Some(*lines),
            Self::Text(_) | Self::Stdin => None,
        }
    }

    /// Begins to read.
    ///
    /// # Errors
    /// When the file is gone, or no thread can be had.
    pub fn prompts(self, stop: Arc<AtomicBool>) -> anyhow::Result<Prompts> {
        let from: Box<dyn Read + Send> = match self {
            Self::Text(text) => {
                let (send, lines) = mpsc::sync_channel(1);
                send.send(Ok(text))?;
                return Ok(Prompts {
                    lines,
                    stop,
                    line: 0,
                });
            }
            Self::File(path, _) => {
                let file = File::open(&path);
                Box::new(file.with_context(|| format!("--file {}", path.display()))?)
            }
            Self::Stdin => Box::new(io::stdin()),
        };
        let (send, lines) = mpsc::sync_channel(AHEAD);
        // On a thread of its own: the model goes on while nothing comes in.
        let reader = thread::Builder::new().name("prompts".to_owned());
        reader.spawn(move || {
            for line in BufReader::new(from).lines() {
                let over = line.is_err();
                if send.send(line).is_err() || over {
                    return;
                }
            }
        })?;
        Ok(Prompts {
            lines,
            stop,
            line: 0,
        })
    }
}

fn count(path: &Path) -> io::Result<u64> {
    let (mut file, mut count, mut last) = (BufReader::new(File::open(path)?), 0, b'\n');
    loop {
        let read = file.fill_buf()?;
        let Some(end) = read.last() else {
            return Ok(count + u64::from(last != b'\n'));
        };
        last = *end;
        count += read.iter().filter(|byte| **byte == b'\n').count() as u64;
        let length = read.len();
        file.consume(length);
    }
}

/// Prompts as they come.
pub struct Prompts {
    lines: Receiver<io::Result<String>>,
    stop: Arc<AtomicBool>,
    line: usize,
}

impl Prompts {
    /// The next one; where it may wait, until there is one, an end, or somebody says stop.
    ///
    /// # Errors
    /// When a line cannot be read or is no UTF-8.
    pub fn next(&mut self, wait: bool) -> anyhow::Result<Next> {
        loop {
            let line = match self.lines.try_recv() {
                Ok(line) => line,
                Err(TryRecvError::Disconnected) => return Ok(Next::End),
                Err(TryRecvError::Empty) if !wait => return Ok(Next::Nothing),
                Err(TryRecvError::Empty) => match self.lines.recv_timeout(LISTEN) {
                    Ok(line) => line,
                    Err(RecvTimeoutError::Disconnected) => return Ok(Next::End),
                    Err(RecvTimeoutError::Timeout) if self.stop.load(Ordering::Relaxed) => {
                        return Ok(Next::Nothing);
                    }
                    Err(RecvTimeoutError::Timeout) => continue,
                },
            };
            self.line += 1;
            let line = line.with_context(|| format!("line {} can not be read", self.line))?;
            let text = line.strip_suffix('\r').unwrap_or(&line).to_owned();
            return Ok(Next::Prompt(Asked {
                line: self.line,
                text,
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_with_and_without_an_end() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("prompts");
        for (text, lines) in [("", 0), ("a", 1), ("a\n", 1), ("a\n\nb", 3)] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(count(&file).unwrap(), lines, "{text:?}");
        }
    }
}
