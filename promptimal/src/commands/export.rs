//! `promptimal export`

use crate::{cli::ExportArgs, out, site::Site};
use anyhow::Context;
use coordinator::{export::Export, find::whole};
use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

/// Writes a run's pairs, candidates or answers.
pub async fn export(site: &Site, args: &ExportArgs) -> anyhow::Result<()> {
    let store = site.existing().await?;
    let run = whole(store.as_ref(), &args.run).await?;
    let mut sink = Sink::open(args.output.as_deref())?;
    let mut export = Export::new(run.id, args.what.into(), args.format.into());
    while let Some(piece) = export.next(store.as_ref()).await? {
        sink.write(&piece)?;
    }
    sink.finish()?;
    if let Some(path) = &args.output {
        out::note(format!(
            "{} rows written to {}",
            export.rows(),
            path.display()
        ));
    }
    Ok(())
}

/// Where an export goes. A file is written beside its name and renamed when whole.
pub struct Sink {
    to: Box<dyn Write>,
    file: Option<(PathBuf, PathBuf)>,
}

impl Sink {
    /// Opens a file, or standard output.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn open(output: Option<&Path>) -> anyhow::Result<Self> {
        let part = |path: &Path| {
            let mut name = path.as_os_str().to_owned();
            name.push(".part");
            PathBuf::from(name)
        };
        let file = output.map(|path| (part(path), path.to_owned()));
        let to: Box<dyn Write> = match &file {
            None => Box::new(io::stdout()),
            Some((part, _)) => {
                let made = File::create(part);
                let made = made.with_context(|| format!("cannot write {}", part.display()))?;
                Box::new(BufWriter::new(made))
            }
        };
        Ok(Self { to, file })
    }

    /// Writes a piece.
    ///
    /// # Errors
    /// When the disk is full, say.
    pub fn write(&mut self, piece: &[u8]) -> anyhow::Result<()> {
        self.to.write_all(piece).context("cannot write the export")
    }

    /// Ends it.
    ///
    /// # Errors
    /// As [`Sink::write`].
    pub fn finish(mut self) -> anyhow::Result<()> {
        self.to.flush().context("cannot write the export")?;
        drop(self.to);
        if let Some((part, path)) = &self.file {
            std::fs::rename(part, path)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}
