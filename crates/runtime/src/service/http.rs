//! The HTTP side of a service.

use super::ServiceError;
use crate::shutdown::Shutdown;
use axum::{Router, extract::State, http::StatusCode, routing::get};
use futures::future::BoxFuture;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, task::JoinHandle};

/// Whether the service can do its work; else what it lacks, in a sentence.
pub type Ready = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// How long the service may take to find out whether it is ready.
const READY_LIMIT: Duration = Duration::from_secs(3);
/// How long requests under way may take once the service ends.
const LAST_REQUESTS: Duration = Duration::from_secs(5);

/// What was counted so far. Clones share it.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

/// Bounds of the buckets of durations, seconds: from a quick call to a slow block.
const SECONDS: [f64; 12] = [
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0,
];
/// How often what was measured is folded into the buckets: until then each value is held.
const UPKEEP: Duration = Duration::from_secs(5);

/// Makes this process count: from now on `metrics::counter!` and its like are kept. Needs a tokio runtime.
///
/// # Errors
/// When somebody else counts in this process already.
pub fn metrics() -> Result<Metrics, ServiceError> {
    let wrong = |e: metrics_exporter_prometheus::BuildError| ServiceError(format!("metrics: {e}"));
    let builder = PrometheusBuilder::new();
    let builder = builder.set_buckets(&SECONDS).map_err(wrong)?;
    let handle = builder.install_recorder().map_err(wrong)?;
    let kept = handle.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            kept.run_upkeep();
        }
    });
    Ok(Metrics(handle))
}

/// The routes that every service has.
pub fn vitals(ready: Ready, metrics: Metrics) -> Router {
    let told = move || async move {
        metrics.0.run_upkeep();
        metrics.0.render()
    };
    Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(readiness))
        .with_state(ready)
        .route("/metrics", get(told))
}

async fn readiness(State(ready): State<Ready>) -> (StatusCode, String) {
    let lacks = match tokio::time::timeout(READY_LIMIT, ready()).await {
        Ok(Ok(())) => return (StatusCode::OK, "ready\n".to_owned()),
        Ok(Err(lacks)) => lacks,
        Err(_) => format!("no answer within {} s", READY_LIMIT.as_secs()),
    };
    (StatusCode::SERVICE_UNAVAILABLE, lacks + "\n")
}

/// A server that runs until it is told to end.
#[derive(Debug)]
pub struct Server {
    /// Where it listens: the port that the system chose, where 0 was asked for.
    pub at: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Waits for the requests under way, for a while.
    pub async fn ended(self) {
        let abort = self.task.abort_handle();
        if tokio::time::timeout(LAST_REQUESTS, self.task)
            .await
            .is_err()
        {
            abort.abort();
        }
    }
}

/// Serves routes until `shutdown` asks to drain.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn serve(
    listen: SocketAddr,
    routes: Router,
    shutdown: Shutdown,
) -> Result<Server, ServiceError> {
    let cannot = |e| {
        ServiceError(format!(
            "cannot listen on {listen}: {e}: give another --listen"
        ))
    };
    let listener = TcpListener::bind(listen).await.map_err(cannot)?;
    let at = listener.local_addr().map_err(cannot)?;
    tracing::info!(%at, "listening");
    let task = tokio::spawn(async move {
        let served = axum::serve(listener, routes)
            .with_graceful_shutdown(async move { shutdown.drain_requested().await });
        if let Err(error) = served.await {
            tracing::error!(%error, "the HTTP server ended");
        }
    });
    Ok(Server { at, task })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::check::healthy;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[tokio::test]
    async fn a_service_says_what_it_lacks_until_it_has_it() {
        let has = Arc::new(AtomicBool::new(false));
        let asked = has.clone();
        let ready: Ready = Arc::new(move || {
            let has = asked.load(Ordering::Relaxed);
            Box::pin(async move {
                has.then_some(())
                    .ok_or_else(|| "the broker is away".to_owned())
            })
        });
        // Not installed: other tests of this process may count too.
        let handle = PrometheusBuilder::new().build_recorder().handle();
        let shutdown = Shutdown::new();
        let routes = vitals(ready, Metrics(handle));
        let server = serve("127.0.0.1:0".parse().unwrap(), routes, shutdown.clone());
        let server = server.await.unwrap();
        let error = healthy(server.at).await.unwrap_err();
        assert_eq!(error, "not ready: the broker is away");
        has.store(true, Ordering::Relaxed);
        healthy(server.at).await.unwrap();
        let at = server.at;
        shutdown.request_drain();
        server.ended().await;
        let error = healthy(at).await.unwrap_err();
        assert!(error.contains(&at.to_string()), "{error}");
    }
}
