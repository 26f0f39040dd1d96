//! The folder that an adapter is written to.

use crate::plot::LOSS;
use anyhow::{Context, bail};
use model::lora::REPORT;
use std::{fs, io, path::Path};
use train::peft;

/// What a training leaves in its folder.
const OURS: [&str; 6] = [
    LOSS,
    peft::CONFIG,
    peft::WEIGHTS,
    train::CHECKPOINT,
    train::SEEN,
    REPORT,
];

/// Refuses a folder that holds something else, or an adapter that is not to be replaced.
pub fn check(dir: &Path, replace: bool) -> anyhow::Result<()> {
    let shown = dir.display();
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e).context(format!("--out {shown}")),
    };
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !OURS.contains(&name.trim_end_matches(".part")) {
            bail!("--out {shown} holds {name}, which is of no training: give a folder of its own");
        }
    }
    if !replace && !train::unfinished(dir) && dir.join(peft::WEIGHTS).exists() {
        bail!("--out {shown} holds an adapter: give another folder, or --replace");
    }
    Ok(())
}

/// Empties a folder of ours.
pub fn clear(dir: &Path) -> anyhow::Result<()> {
    let parts = OURS.map(|name| format!("{name}.part"));
    for name in OURS.into_iter().chain(parts.iter().map(String::as_str)) {
        match fs::remove_file(dir.join(name)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(e).with_context(|| dir.join(name).display().to_string());
            }
            _ => {}
        }
    }
    Ok(())
}
