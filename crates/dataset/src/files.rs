//! Which files a source means, in the order of their names.

use crate::error::{DatasetError, list};
use crate::source::{Format, Source};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// MMLU's parts, which are folders (`test/`) or endings of file names (`_test.csv`).
const PARTS: [&str; 3] = ["test", "dev", "val"];

/// The files to read: the path itself, or the folder's files that the format reads.
///
/// # Errors
/// [`DatasetError::Path`] says what is there instead.
pub(crate) fn resolve(source: &Source) -> Result<Vec<PathBuf>, DatasetError> {
    let wrong = |problem| DatasetError::Path {
        name: source.name.clone(),
        path: source.path.clone(),
        problem,
    };
    let kind = fs::metadata(&source.path).map_err(|e| wrong(missing(&source.path, &e)))?;
    if kind.is_file() {
        return Ok(vec![source.path.clone()]);
    }
    let found = match source.format {
        Format::Mmlu => mmlu(&source.path, source.part.as_deref()),
        format => Ok(matching(
            &names(&source.path).map_err(|e| wrong(e.to_string()))?,
            format,
        )),
    };
    let found = found.map_err(wrong)?;
    if found.is_empty() {
        return Err(wrong(nothing(&source.path, source.format)));
    }
    Ok(found
        .into_iter()
        .map(|name| source.path.join(name))
        .collect())
}

/// Names in a folder, sorted, hidden ones left out.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn matching(names: &[String], format: Format) -> Vec<String> {
    let fits = |name: &&String| {
        let name = name.strip_suffix(".gz").unwrap_or(name);
        format.endings().iter().any(|ending| name.ends_with(ending))
    };
    names.iter().filter(fits).cloned().collect()
}

/// MMLU's files, relative to the folder: `test/*.csv`, else `*_test.csv`, else every `*.csv`.
fn mmlu(folder: &Path, part: Option<&str>) -> Result<Vec<String>, String> {
    let listed = |folder: &Path| names(folder).map_err(|e| e.to_string());
    let here = listed(folder)?;
    let wanted = part.unwrap_or(PARTS[0]);
    if folder.join(wanted).is_dir() {
        let inside = matching(&listed(&folder.join(wanted))?, Format::Mmlu);
        return Ok(inside
            .into_iter()
            .map(|name| format!("{wanted}/{name}"))
            .collect());
    }
    let flat = matching(&here, Format::Mmlu);
    let of = |part: &str| -> Vec<String> {
        let ends = |name: &&String| subject_and_part(name).1 == Some(part);
        flat.iter().filter(ends).cloned().collect()
    };
    let chosen = of(wanted);
    if !chosen.is_empty() {
        return Ok(chosen);
    }
    let others: Vec<&str> = PARTS
        .into_iter()
        .filter(|p| folder.join(p).is_dir() || !of(p).is_empty())
        .collect();
    let named = part.is_some() || others.iter().any(|p| folder.join(p).is_dir());
    if named && !others.is_empty() {
        let has = list(&others, 3);
        return Err(format!(
            "has no part `{wanted}`, only {has}: set `part` to one of these"
        ));
    }
    if part.is_some() {
        return Err(format!(
            "has no part `{wanted}`: leave `part` out to read every *.csv in it"
        ));
    }
    Ok(flat)
}

/// `anatomy_test.csv.gz` is subject `anatomy`, part `test`.
pub(crate) fn subject_and_part(file_name: &str) -> (&str, Option<&str>) {
    let stem = file_name.strip_suffix(".gz").unwrap_or(file_name);
    let stem = stem.rsplit_once('.').map_or(stem, |(stem, _)| stem);
    match stem.rsplit_once('_') {
        Some((subject, part)) if PARTS.contains(&part) => (subject, Some(part)),
        _ => (stem, None),
    }
}

fn missing(path: &Path, error: &io::Error) -> String {
    if error.kind() != io::ErrorKind::NotFound {
        return error.to_string();
    }
    let parent = path.ancestors().skip(1).find(|p| p.is_dir());
    match parent.map(|p| (p, names(p))) {
        Some((parent, Ok(names))) if !names.is_empty() => {
            let (parent, has) = (parent.display(), list(&names, 5));
            match parent.to_string().as_str() {
                "" => format!("no such file or folder; here are {has}"),
                parent => format!("no such file or folder; {parent} has {has}"),
            }
        }
        _ => "no such file or folder".to_owned(),
    }
}

fn nothing(folder: &Path, format: Format) -> String {
    let endings: Vec<String> = format.endings().iter().map(|e| format!("*{e}")).collect();
    let (endings, format) = (endings.join(" or "), format.name());
    let has = match names(folder) {
        Ok(names) if !names.is_empty() => format!("only {}", list(&names, 5)),
        _ => "nothing".to_owned(),
    };
    format!("the folder has no {endings} (or .gz of it), which format {format} reads; it has {has}")
}
