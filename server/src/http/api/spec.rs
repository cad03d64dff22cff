//! What is the same for every operation of the `OpenAPI` description: how errors look, who may ask, unique names.

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        self, ContentBuilder, ObjectBuilder, OpenApi, PathItem, Ref, RefOr, Required, ResponseBuilder,
        path::{Operation, ParameterBuilder, ParameterIn},
        schema::Type,
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};
use wire::problem::{FieldProblem, Problem};

const TOKEN: &str = "token";

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    [
        ("get", &mut item.get),
        ("put", &mut item.put),
        ("post", &mut item.post),
        ("patch", &mut item.patch),
        ("delete", &mut item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| operation.as_mut().map(|operation| (method, operation)))
}

/// Says of every operation that it needs a token.
pub(super) fn guard(api: &mut OpenApi) {
    for (path, item) in &mut api.paths.paths {
        for (method, operation) in operations(item) {
            operation.security = Some(vec![SecurityRequirement::new(TOKEN, Vec::<String>::new())]);
            // A file is named by its content, so sending it again changes nothing anyway.
            if method == "post" && path != "/api/v1/blobs" {
                let parameter = ParameterBuilder::new()
                    .name("Idempotency-Key")
                    .required(Required::False)
                    .parameter_in(ParameterIn::Header)
                    .description(Some("Random; the same request with the same key is carried out once, and gets the same answer for a day."))
                    .schema(Some(ObjectBuilder::new().schema_type(Type::String).max_length(Some(128)).build()));
                operation.parameters.get_or_insert_default().push(RefOr::T(parameter.build()));
            }
        }
    }
}

/// Adds errors, unique names and the way of authentication.
pub(super) fn complete(api: &mut OpenApi) {
    api.info = openapi::Info::new("Lotse", env!("CARGO_PKG_VERSION"));
    for (path, item) in &mut api.paths.paths {
        for (method, operation) in operations(item) {
            operation.operation_id = Some(name(method, path));
            operation.tags = None;
            add_path_parameters(operation, path);
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name()))).build();
            let response = ResponseBuilder::new()
                .description("What went wrong, and what to do.")
                .content("application/problem+json", content)
                .build();
            operation.responses.responses.insert("default".to_owned(), RefOr::T(response));
        }
    }
    let components = api.components.get_or_insert_default();
    components.schemas.insert(Problem::name().into_owned(), Problem::schema());
    components.schemas.insert(FieldProblem::name().into_owned(), FieldProblem::schema());
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API token: `lotse token create`, or POST /api/v1/login with a login link."))
        .build();
    components.add_security_scheme(TOKEN, SecurityScheme::Http(scheme));
}

/// Handlers take these by position, so their names stand in the path alone.
fn add_path_parameters(operation: &mut Operation, path: &str) {
    let parameters = operation.parameters.get_or_insert_default();
    for name in path.split('/').filter_map(|word| word.strip_prefix('{')?.strip_suffix('}')) {
        // Where a handler takes a single text, utoipa has put it there already; twice is not valid OpenAPI.
        let there =
            |known: &RefOr<openapi::path::Parameter>| matches!(known, RefOr::T(known) if known.name == name);
        if parameters.iter().any(there) {
            continue;
        }
        let kind = if name == "id" { Type::Integer } else { Type::String };
        let schema = ObjectBuilder::new().schema_type(kind).build();
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(Some(schema));
        parameters.push(RefOr::T(parameter.build()));
    }
}

/// `post_clients_by_name_jobs` for `POST /api/v1/clients/{name}/jobs`.
fn name(method: &str, path: &str) -> String {
    let words = path.trim_start_matches("/api/v1/").split('/').map(|word| {
        let word = match word.strip_prefix('{').and_then(|word| word.strip_suffix('}')) {
            Some(parameter) => format!("by_{parameter}"),
            None => word.to_owned(),
        };
        word.replace('-', "_")
    });
    std::iter::once(method.to_owned()).chain(words).collect::<Vec<_>>().join("_")
}
