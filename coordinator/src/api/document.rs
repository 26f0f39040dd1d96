//! The beginning of the OpenAPI document; the routes bring the rest.

use utoipa::{
    OpenApi as _,
    openapi::{
        OpenApi,
        security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
    },
};

/// The coordinator of Promptimal: submit runs, watch and steer them, read out what came of them.
#[derive(utoipa::OpenApi)]
#[openapi(info(title = "Promptimal coordinator"))]
struct Beginning;

pub fn beginning() -> OpenApi {
    let mut document = Beginning::openapi();
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("token", bearer);
    // Only where the coordinator was started with a token: hence the empty alternative.
    document.security = Some(vec![
        SecurityRequirement::new::<_, [String; 0], String>("token", []),
        SecurityRequirement::default(),
    ]);
    document
}
