//! `/v1/models`: who can be asked.

use crate::{Service, fault::Answer};
use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::{Value, json};

/// `GET /v1/models`
pub async fn list(State(service): State<Service>) -> Json<Value> {
    let rewriter = service
        .0
        .names
        .rewriter
        .iter()
        .map(|(name, _)| name.as_str());
    let names = [service.0.names.base.as_str()].into_iter().chain(rewriter);
    let data: Vec<Value> = names.map(|name| described(&service, name)).collect();
    Json(json!({"object": "list", "data": data}))
}

/// `GET /v1/models/{id}`
pub async fn one(State(service): State<Service>, Path(name): Path<String>) -> Answer<Json<Value>> {
    service.voice(&name)?;
    Ok(Json(described(&service, &name)))
}

fn described(service: &Service, name: &str) -> Value {
    let is = service.0.engine.description();
    let tuned = name != service.0.names.base;
    json!({
        "id": name, "object": "model", "created": service.0.since, "owned_by": "promptimal",
        "context_length": is.context, "sha256": is.sha256, "precision": is.precision.to_string(),
        "parent": tuned.then_some(&service.0.names.base),
        "adapter_sha256": is.adapter.as_ref().filter(|_| tuned),
    })
}
