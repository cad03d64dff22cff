//! What is the same for every operation of the `OpenAPI` description: how errors look, who may ask, unique names.

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        self, Components, ContentBuilder, KnownFormat, ObjectBuilder, OpenApi, PathItem, Ref, RefOr,
        Required, ResponseBuilder, Schema, SchemaFormat,
        path::{Operation, ParameterBuilder, ParameterIn},
        schema::{AnyOfBuilder, Type},
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};
use wire::problem::{FieldProblem, Problem};

use super::view::ClientItem;

const TOKEN: &str = "token";
const FILE: &str = "application/octet-stream";

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
                    .parameter_in(ParameterIn::Header)
                    .required(Required::False)
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
            describe_body(operation);
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name()))).build();
            let response = ResponseBuilder::new()
                .description("What went wrong, and what to do.")
                .content("application/problem+json", content)
                .build();
            operation.responses.responses.insert("default".to_owned(), RefOr::T(response));
        }
    }
    let components = api.components.get_or_insert_default();
    open_parts(components);
    overlap(components);
    components.schemas.insert(Problem::name().into_owned(), Problem::schema());
    components.schemas.insert(FieldProblem::name().into_owned(), FieldProblem::schema());
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API token: `lotse token create`, or POST /api/v1/login with a login link."))
        .build();
    components.add_security_scheme(TOKEN, SecurityScheme::Http(scheme));
}

/// No body counts as an empty object (see [`super::super::extract`]), or as an empty file. A file is bytes; utoipa would describe it as a
/// list of numbers.
fn describe_body(operation: &mut Operation) {
    let Some(RefOr::T(body)) = &mut operation.request_body else { return };
    if let Some(file) = body.content.get_mut(FILE) {
        let bytes = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));
        *file = RefOr::T(ContentBuilder::new().schema(Some(bytes)).build());
    }
    if ["application/json", FILE].iter().any(|kind| body.content.contains_key(*kind)) {
        body.required = Some(Required::False);
    }
}

/// What is part of another type (`allOf`) may have the other's fields beside its own, though alone it may not.
fn open_parts(components: &mut Components) {
    let references = |schema: &RefOr<Schema>| match schema {
        RefOr::T(Schema::AllOf(all)) => all
            .items
            .iter()
            .filter_map(|item| match item {
                RefOr::Ref(reference) => reference.ref_location.rsplit('/').next().map(str::to_owned),
                RefOr::T(_) => None,
            })
            .collect(),
        _ => Vec::new(),
    };
    let parts: Vec<_> = components.schemas.values().flat_map(references).collect();
    for part in parts {
        if let Some(RefOr::T(Schema::Object(part))) = components.schemas.get_mut(&part) {
            part.additional_properties = None;
        }
    }
}

/// A client with all its fields is also one with those that were asked for, which `oneOf` would forbid.
fn overlap(components: &mut Components) {
    if let Some(RefOr::T(schema)) = components.schemas.get_mut(ClientItem::name().as_ref())
        && let Schema::OneOf(one) = schema
    {
        let any = AnyOfBuilder::new().description(one.description.take());
        let items = std::mem::take(&mut one.items);
        *schema = Schema::AnyOf(items.into_iter().fold(any, AnyOfBuilder::item).build());
    }
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
