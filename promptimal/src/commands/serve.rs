//! `promptimal serve`: a local model for clients of OpenAI's API.

use crate::{
    cli::ServeArgs,
    models, out,
    rewriting::{
        Folder,
        training::{self, Base, Training},
    },
    site::Site,
    token,
};
use anyhow::{Context, bail};
use model::{Engine, Options};
use runtime::{service, shutdown::Shutdown};
use secrecy::ExposeSecret;
use serve::{Limits, Names, Service, Token, Words, guarded};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};
use train::pairs::Template;

/// The name that the adapter is asked by.
const REWRITER: &str = "rewriter";
/// So much of a long prompt is read while the others wait for their next token.
const READ_TOKENS: usize = 256;

/// What is served.
struct Chosen {
    model: PathBuf,
    names: Names,
    adapter: Option<Folder>,
    /// What the adapter's training says.
    trained: Option<Training>,
}

/// `promptimal serve`
pub async fn serve(site: &Site, args: ServeArgs) -> anyhow::Result<ExitCode> {
    // Everything that can be wrong without a model is told before one is loaded.
    let key = key(&args)?;
    let chosen = choose(site, &args).await?;
    // Before anything that takes long: Ctrl-C works from the first moment.
    let shutdown = Shutdown::install_signals().context("cannot listen for signals")?;
    let metrics = service::metrics()?;
    let (path, options) = (chosen.model.clone(), options(&args, &chosen));
    let loading = tokio::task::spawn_blocking(move || Engine::load(&path, options));
    let engine = tokio::select! {
        loaded = loading => loaded.context("loading broke off")??,
        () = shutdown.drain_requested() => return Ok(ExitCode::SUCCESS),
    };
    if let Some(trained) = chosen.trained {
        Base::from(trained).check(engine.description(), "--model")?;
    }
    let names = chosen.names;
    let served = Service::start(engine, names.clone(), limits(&args));
    let served = served.context("no thread for the model")?;
    let routes = served.routes();
    let routes = routes.merge(service::vitals(ready(served), metrics));
    let server = service::serve(args.listen, guarded(routes, key), shutdown.clone()).await?;
    let rewriter = names.rewriter.map(|(name, _)| format!(" and {name}"));
    out::note(format!(
        "serving {}{} at http://{}/v1; Ctrl-C ends it",
        names.base,
        rewriter.unwrap_or_default(),
        server.at
    ));
    shutdown.drain_requested().await;
    tokio::select! {
        () = server.ended() => {}
        () = shutdown.stop_requested() => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Finds what is to be served, and what to call it.
async fn choose(site: &Site, args: &ServeArgs) -> anyhow::Result<Chosen> {
    let adapter = match &args.adapter {
        Some(name) => Some(Folder::named(site, ("--adapter", name.as_str())).await?),
        None => None,
    };
    let trained = adapter.as_ref().map(|folder| training::read(&folder.path));
    let trained = trained.transpose()?.flatten();
    let words = words(training::template(args.template, trained.as_ref()));
    let model = models::named("--model", &args.model).await?;
    let names = Names {
        base: name(&args.model, &model),
        rewriter: adapter.is_some().then(|| (REWRITER.to_owned(), words)),
    };
    if names.rewriter.is_some() && names.base == REWRITER {
        bail!(
            "--model {} would be called {REWRITER}, as the adapter is: give the model's file or folder another name",
            args.model
        );
    }
    Ok(Chosen {
        model,
        names,
        adapter,
        trained,
    })
}

fn options(args: &ServeArgs, chosen: &Chosen) -> Options {
    Options {
        precision: args.precision,
        max_rows: args.rows.get(),
        read_tokens: READ_TOKENS,
        adapter: chosen.adapter.as_ref().map(|folder| folder.path.clone()),
        ..Options::default()
    }
}

fn limits(args: &ServeArgs) -> Limits {
    Limits {
        rows: args.rows.get(),
        queue: args.queue,
        remembered: (args.prefix_memory as usize) << 20,
        max_tokens: args.max_tokens.get(),
        body: args.max_body.get(),
    }
}

/// The key that callers show.
fn key(args: &ServeArgs) -> anyhow::Result<Option<Token>> {
    let at = args.listen;
    match token::secret(("--key-file", args.key_file.as_deref()), &args.key_env)? {
        Some(secret) => {
            token::check(&secret)?;
            Ok(Some(Token::new(secret.expose_secret())))
        }
        None if !at.ip().is_loopback() => bail!(
            "--listen {at} lets other machines in, and there is no key: give --key-file FILE, set {}, or listen on \
             127.0.0.1",
            args.key_env
        ),
        None => Ok(None),
    }
}

/// The words in which an adapter wants to be asked.
fn words(template: Template) -> Words {
    match template {
        Template::Inst => Words::Inst,
        Template::Chat => Words::Chat,
    }
}

/// What callers call the model: its name in the catalogue, else that of its file or folder.
fn name(asked: &str, path: &Path) -> String {
    if !Path::new(asked).exists() {
        return asked.to_owned();
    }
    // What stands behind a point in a folder's name is no ending.
    let name = match path.is_dir() {
        true => path.file_name(),
        false => path.file_stem(),
    };
    name.map_or_else(
        || "model".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

fn ready(served: Service) -> service::Ready {
    Arc::new(move || {
        let ready = served.ready();
        Box::pin(async move { ready })
    })
}
