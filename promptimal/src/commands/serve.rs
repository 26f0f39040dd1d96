//! `promptimal serve`: a local model for clients of OpenAI's API.

use crate::{cli::ServeArgs, models, out, rewriter, token};
use anyhow::{Context, bail};
use model::{Engine, Options};
use runtime::{service, shutdown::Shutdown};
use secrecy::ExposeSecret;
use serve::{Key, Limits, Names, Service, Words, guarded};
use std::{path::Path, process::ExitCode, sync::Arc};
use train::pairs::Template;

/// The name that the adapter is asked by.
const REWRITER: &str = "rewriter";

/// `promptimal serve`
pub async fn serve(args: ServeArgs) -> anyhow::Result<ExitCode> {
    // Everything that can be wrong without a model is told before one is loaded.
    let key = key(&args)?;
    let trained = args.adapter.as_deref();
    let trained = trained.map(|dir| rewriter::trained(dir, args.template));
    let (words, base) = match trained.transpose()? {
        Some((template, base)) => (Some(words(template)), base),
        None => (None, None),
    };
    let path = models::named("--model", &args.model).await?;
    let names = Names {
        base: name(&args.model, &path),
        rewriter: words.map(|words| (REWRITER.to_owned(), words)),
    };
    // Before anything that takes long: Ctrl-C works from the first moment.
    let shutdown = Shutdown::install_signals().context("cannot listen for signals")?;
    let metrics = service::metrics()?;
    let options = Options {
        precision: args.precision,
        max_rows: args.rows.get(),
        // So much of a long prompt is read while the others wait for their next token.
        read_tokens: 256,
        adapter: args.adapter.clone(),
        ..Options::default()
    };
    let loading = tokio::task::spawn_blocking(move || Engine::load(&path, options));
    let engine = tokio::select! {
        loaded = loading => loaded.context("loading broke off")??,
        () = shutdown.drain_requested() => return Ok(ExitCode::SUCCESS),
    };
    if let Some(base) = base {
        base.check(engine.description(), "--model")?;
    }
    let limits = Limits {
        rows: args.rows.get(),
        queue: args.queue,
        max_tokens: args.max_tokens.get(),
        body: args.max_body.get(),
    };
    let served =
        Service::start(engine, names.clone(), limits).context("no thread for the model")?;
    let ready = ready(served.clone());
    let routes = guarded(served.routes().merge(service::vitals(ready, metrics)), key);
    let server = service::serve(args.listen, routes, shutdown.clone()).await?;
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

/// The key that callers show.
fn key(args: &ServeArgs) -> anyhow::Result<Option<Key>> {
    let at = args.listen;
    match token::secret(("--key-file", args.key_file.as_deref()), &args.key_env)? {
        Some(secret) => {
            token::check(&secret)?;
            Ok(Some(Key::new(secret.expose_secret())))
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
    match Path::new(asked).exists() {
        true => path.file_stem().map_or_else(
            || "model".to_owned(),
            |stem| stem.to_string_lossy().into_owned(),
        ),
        false => asked.to_owned(),
    }
}

fn ready(served: Service) -> service::Ready {
    Arc::new(move || {
        let ready = served.ready();
        Box::pin(async move { ready })
    })
}
