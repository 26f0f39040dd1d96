//! Where a rewriter's files are, and in which words it wants to be asked.

use super::{
    of_run,
    training::{self, Base},
};
use crate::{cli::RewriterArgs, models, site::Site};
use anyhow::bail;
use coordinator::intake::StoredSpec;
use model::lora::REPORT;
use std::path::PathBuf;
use train::{pairs::Template, peft};

/// A folder with an adapter, or with a whole model.
#[derive(Debug)]
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// The spec of the run that trained it, where a run was named.
    pub run: Option<StoredSpec>,
}

impl Folder {
    /// What a flag names: a folder that is here, or else the adapter that a run trained.
    ///
    /// # Errors
    /// When there is neither, the run trained none, or it cannot be fetched.
    pub async fn named(site: &Site, (flag, name): (&str, &str)) -> anyhow::Result<Self> {
        let path = PathBuf::from(name);
        match path.exists() {
            true => Ok(Self { path, run: None }),
            false => of_run::folder(site, (flag, name)).await,
        }
    }
}

/// A rewriter's files.
#[derive(Debug)]
pub struct Found {
    /// The base; the whole model, where it has no adapter.
    pub model: PathBuf,
    /// The adapter's folder.
    pub adapter: Option<Folder>,
    /// The words to ask in.
    pub template: Template,
    /// What the base must be, where the training says.
    pub base: Option<Base>,
}

/// Finds a rewriter: an adapter with its base, or a merged model.
///
/// # Errors
/// When what is named is neither, or its base is not found.
pub async fn find(site: &Site, args: &RewriterArgs) -> anyhow::Result<Found> {
    let folder = Folder::named(site, ("--rewriter", args.rewriter.as_str())).await?;
    let shown = &args.rewriter;
    if !folder.path.join(peft::CONFIG).is_file() {
        if !folder.path.join("config.json").is_file() {
            bail!(
                "--rewriter {shown} is no rewriter: it is a folder with {} (what `promptimal train` wrote) or with \
                 config.json (what `promptimal merge` wrote), or a run that trained one",
                peft::CONFIG
            );
        }
        return Ok(Found {
            model: folder.path,
            adapter: None,
            template: args.template.unwrap_or_default(),
            base: None,
        });
    }
    let trained = training::read(&folder.path)?;
    let model = match (&args.base, &folder.run, &trained) {
        (Some(base), _, _) => models::named("--base", base).await?,
        (None, Some(run), _) => of_run::base(run).await?,
        (None, None, Some(trained)) => trained.base_path(shown).await?,
        (None, None, None) => bail!(
            "--rewriter {shown} does not say which model it was trained on ({REPORT} is missing): give --base MODEL"
        ),
    };
    Ok(Found {
        model,
        adapter: Some(folder),
        template: training::template(args.template, trained.as_ref()),
        base: trained.map(Base::from),
    })
}
