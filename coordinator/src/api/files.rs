//! The world around a spec that came over HTTP: files below the data root, and nothing else.

use spec::{Environment, Found, Machine, SpecError};
use std::path::{Component, Path, PathBuf};

/// The folder that files of specs are found below.
#[derive(Clone, Debug)]
pub struct DataRoot(PathBuf);

impl DataRoot {
    /// A folder.
    ///
    /// # Errors
    /// A sentence, when it is none.
    pub fn new(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let real = path.canonicalize();
        let real =
            real.map_err(|e| format!("--data-root {shown}: {e}: name a folder that is there"))?;
        match real.is_dir() {
            true => Ok(Self(real)),
            false => Err(format!("--data-root {shown} is no folder: name one")),
        }
    }
}

/// What a spec that came over HTTP may see.
pub struct Outside<'a>(pub Option<&'a DataRoot>);

impl Environment for Outside<'_> {
    /// Keys are the workers': nothing is read here, and what looks like a variable counts as set there. What does not
    /// might be the secret itself, and is refused.
    fn is_set(&self, variable: &str) -> bool {
        let word = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        variable.chars().all(word) && !variable.starts_with(|c: char| c.is_ascii_digit())
    }

    fn find(&self, path: &Path) -> Found {
        let inside = self.0.and_then(|root| inside(&root.0, path));
        inside.map_or(Found::Missing, |real| Machine.find(&real))
    }

    /// A stranger's spec must not fill a disk.
    fn hub(&self) -> bool {
        false
    }

    fn current_dir(&self) -> PathBuf {
        self.0.map_or_else(|| "/".into(), |root| root.0.clone())
    }
}

impl Outside<'_> {
    /// The same error, for people who are elsewhere: where files would be found.
    pub fn explain(&self, mut error: SpecError) -> SpecError {
        let message = match self.0 {
            Some(DataRoot(root)) => format!(
                "no such file or folder below the coordinator's data root {}: put it there, and name it by its path \
                 from there, here or with --set",
                root.display()
            ),
            None => "this coordinator takes no files: start it with --data-root DIR, and put the file below that \
                     folder"
                .to_owned(),
        };
        for problem in error.problems.iter_mut().filter(|p| p.absent) {
            problem.message.clone_from(&message);
        }
        error
    }
}

/// Where a path really leads, if that is below the root with all that is in it.
fn inside(root: &Path, path: &Path) -> Option<PathBuf> {
    let climbs = path.components().any(|c| c == Component::ParentDir);
    if climbs || !path.starts_with(root) {
        return None;
    }
    let real = path.canonicalize().ok()?;
    (real.starts_with(root) && !leads_out(root, &real)).then_some(real)
}

/// Whether something in a folder is a link to a place outside the root, or to a folder: what that holds may be a link
/// again.
fn leads_out(root: &Path, folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.flatten().any(|entry| {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_symlink() => {
                let real = path.canonicalize();
                real.map_or(true, |real| !real.starts_with(root) || real.is_dir())
            }
            Ok(kind) if kind.is_dir() => leads_out(root, &path),
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

    use super::*;
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn nothing_leads_out_of_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        for folder in ["root/good", "root/bad/deep", "root-too"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        for file in ["root/a.csv", "root/good/b.csv", "root-too/c.csv", "d.csv"] {
            fs::write(dir.path().join(file), "x").unwrap();
        }
        symlink(dir.path().join("d.csv"), root.join("out.csv")).unwrap();
        symlink(root.join("a.csv"), root.join("good/in.csv")).unwrap();
        symlink("/etc/hostname", root.join("bad/deep/e.csv")).unwrap();
        symlink(dir.path(), root.join("up")).unwrap();
        let data_root = DataRoot::new(&root).unwrap();
        let outside = Outside(Some(&data_root));
        let here = outside.current_dir();
        for good in ["a.csv", "good", "good/b.csv", "good/in.csv", "./a.csv"] {
            assert_ne!(outside.find(&here.join(good)), Found::Missing, "{good}");
        }
        let absolute = here.join("a.csv");
        assert_ne!(outside.find(&here.join(absolute)), Found::Missing);
        for bad in [
            "../d.csv",
            "good/../a.csv",
            "out.csv",
            "up/d.csv",
            "bad",
            "up",
            "../root-too/c.csv",
            "/etc/hostname",
            "none.csv",
        ] {
            assert_eq!(outside.find(&here.join(bad)), Found::Missing, "{bad}");
        }
        let too = dir.path().join("root-too/c.csv");
        assert_eq!(outside.find(&too), Found::Missing);
        assert_eq!(Outside(None).find(&here.join("a.csv")), Found::Missing);
    }

    #[test]
    fn what_may_be_a_secret_is_no_variable() {
        let outside = Outside(None);
        assert!(outside.is_set("OPENAI_API_KEY"));
        assert!(!outside.is_set("sk-abcdefgh"));
    }
}
