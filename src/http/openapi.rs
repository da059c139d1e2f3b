//! `GET /openapi.json`: the API described, from the one table of routes.

use std::sync::OnceLock;

use axum::http::StatusCode;
use serde_json::Value;
use utoipa::openapi::path::{OperationBuilder, ParameterBuilder, ParameterIn, PathItemBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, Content, HttpMethod, InfoBuilder, OpenApi, OpenApiBuilder, PathsBuilder, Ref, RefOr, Required,
    Response, ResponseBuilder, Schema,
};
use utoipa::{PartialSchema, ToSchema};

use super::answer::{Answer, with_body};
use super::error::{Error, ErrorBody};
use super::params::Params;
use super::routes::{Accepts, Answers, Does, Param, ROUTES, Route, Schemas, Verbs};
use super::state::App;

const DESCRIPTION: &str = "Records operations metrics as plain Parquet, forecasts them, finds what is odd, and says what runs out, when, and what to do. \
Every JSON answer is {\"status\":\"success\",\"data\":...} or {\"status\":\"error\",\"errorType\":...,\"error\":...}. Instants are RFC 3339 in UTC; \
numbers that are not known are null. Selectors are Prometheus' (up{job=\"node\"}), spans too (90d, 1h30m); start and end \
take RFC 3339, seconds since the epoch, or now-1h.";

const EVENT: &str = "An event: name, match (a selector; left out, every series), kind (step, ramp, one-off, holiday, maintenance, recurring, limit), \
and by kind at or from and to, add, times or value, give_or_take, dates and like, windows; times may be written now+2d";

pub(super) fn answer(_: &App, _: &Params, _: Accepts) -> Answer {
    static TEXT: OnceLock<Result<Vec<u8>, String>> = OnceLock::new();
    match TEXT.get_or_init(|| document().to_pretty_json().map(String::into_bytes).map_err(|error| error.to_string())) {
        Ok(text) => Ok(with_body(StatusCode::OK, "application/json", text.clone())),
        Err(error) => Err(Error::internal(error)),
    }
}

/// The whole description.
pub(super) fn document() -> OpenApi {
    let mut schemas: Schemas = Vec::new();
    let mut paths = PathsBuilder::new();
    for route in ROUTES {
        if let Answers::Data(_, register) = route.answers {
            register(&mut schemas);
        }
        let mut item = PathItemBuilder::new();
        for verb in route.verbs.names() {
            item =
                item.operation(if *verb == "GET" { HttpMethod::Get } else { HttpMethod::Post }, operation(route, verb));
        }
        paths = paths.path(route.path, item.build());
    }
    schemas.push((ErrorBody::name().into_owned(), ErrorBody::schema()));
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("`token` in the server's configuration, when one is set"));
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .security_scheme("token", SecurityScheme::Http(token.build()));
    let info = InfoBuilder::new().title("barograph").version(env!("CARGO_PKG_VERSION")).description(Some(DESCRIPTION));
    OpenApiBuilder::new().info(info.build()).paths(paths.build()).components(Some(components.build())).build()
}

fn operation(route: &Route, verb: &str) -> OperationBuilder {
    let name = route.path.trim_start_matches("/api/v1/").replace(['/', '{', '}', '.'], "_");
    let name = format!("{}_{}", verb.to_lowercase(), name.trim_matches('_'));
    let mut operation = OperationBuilder::new().operation_id(Some(name)).summary(Some(route.summary));
    let is_form = verb == "POST" && matches!(route.verbs, Verbs::GetOrForm | Verbs::GetOrJson);
    for param in route.params {
        let is_in_path = route.path.contains(&format!("{{{}}}", param.name));
        if is_in_path || !is_form {
            operation = operation.parameter(parameter(param, is_in_path));
        }
    }
    if is_form {
        let mut form = ObjectBuilder::new();
        for param in route.params {
            form = form.property(param.name, schema(param));
            if param.is_required {
                form = form.required(param.name);
            }
        }
        let form = Schema::from(form.build());
        let mut body =
            RequestBodyBuilder::new().content("application/x-www-form-urlencoded", Content::new(Some(form.clone())));
        if route.verbs == Verbs::GetOrJson {
            body = body.content("application/json", Content::new(Some(as_object(form))));
        }
        operation = operation.request_body(Some(body.build()));
    }
    if matches!(route.does, Does::Take(_)) {
        operation = operation.request_body(Some(upload(route.path)));
        operation = operation.response("413", failure("the body is over a limit, as sent or after decompression"));
        operation = operation.response("415", failure("the content type or encoding is not one the route reads"));
        operation = operation.response("507", failure("the disk is full; send again when there is room"));
    }
    if matches!(route.does, Does::Act(_)) {
        operation = operation.response("403", failure("a web page of another site asks"));
        operation = operation.response("507", failure("the disk is full; nothing was changed"));
    }
    if !route.params.is_empty() || matches!(route.does, Does::Take(_)) {
        operation = operation.response("400", failure("the request says something that cannot be"));
    }
    if route.is_strict && matches!(route.does, Does::Ask(_)) {
        operation = operation.response("404", failure("no series matches"));
    }
    if !route.is_public {
        operation = operation.response("401", failure("the token is missing or wrong"));
        // A server without a token takes requests without one.
        let nothing = SecurityRequirement::default();
        operation = operation.security(nothing).security(SecurityRequirement::new("token", Vec::<String>::new()));
    }
    operation = operation.response("503", failure("busy, too slow or shutting down; send again"));
    let (status, response) = success(route.answers);
    operation.response(status, response)
}

/// The same parameters as a JSON object, in which events are a list.
fn as_object(form: Schema) -> Schema {
    let Schema::Object(mut object) = form else { return form };
    if let Some(events) = object.properties.get_mut("events") {
        let event = ObjectBuilder::new().description(Some(EVENT)).build();
        *events = RefOr::T(ArrayBuilder::new().items(event).build().into());
    }
    object.into()
}

fn schema(param: &Param) -> Schema {
    let mut text = ObjectBuilder::new().schema_type(Type::String).description(Some(param.what));
    if let Some(default) = param.default.filter(|default| !default.is_empty()) {
        text = text.default(Some(Value::from(default)));
    }
    if param.is_repeated { ArrayBuilder::new().items(text.build()).build().into() } else { text.build().into() }
}

fn parameter(param: &Param, is_in_path: bool) -> ParameterBuilder {
    ParameterBuilder::new()
        .name(param.name)
        .description(Some(param.what))
        .parameter_in(if is_in_path { ParameterIn::Path } else { ParameterIn::Query })
        .required(if param.is_required { Required::True } else { Required::False })
        .schema(Some(schema(param)))
}

fn upload(path: &str) -> utoipa::openapi::request_body::RequestBody {
    let body = RequestBodyBuilder::new().required(Some(Required::True));
    if path.ends_with("write") {
        let bytes = ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("prometheus.WriteRequest, snappy block format"));
        return body.content("application/x-protobuf", Content::new(Some(Schema::from(bytes.build())))).build();
    }
    let number_or_text = "number, or text for NaN, Inf and -Inf";
    let sample = ObjectBuilder::new()
        .property("metric", ObjectBuilder::new().schema_type(Type::String).description(Some("the metric's name")))
        .property("labels", ObjectBuilder::new().description(Some("names and values, both text")))
        .property("timestamp", ObjectBuilder::new().description(Some("milliseconds since the epoch, or RFC 3339")))
        .property("value", ObjectBuilder::new().description(Some(number_or_text)))
        .required("metric")
        .required("timestamp")
        .required("value")
        .build();
    let many = ArrayBuilder::new().items(sample.clone()).build();
    body.description(Some("one sample, a list of samples, or one sample per line; Content-Encoding gzip is understood"))
        .content("application/json", Content::new(Some(Schema::from(many))))
        .content("application/x-ndjson", Content::new(Some(Schema::from(sample))))
        .build()
}

fn failure(what: &str) -> Response {
    let content = Content::new(Some(Ref::from_schema_name(ErrorBody::name())));
    ResponseBuilder::new().description(what).content("application/json", content).build()
}

fn success(answers: Answers) -> (&'static str, Response) {
    let described = |text: &str| ResponseBuilder::new().description(text);
    match answers {
        Answers::Data(name, _) => {
            let text = ObjectBuilder::new().schema_type(Type::String).build();
            let warnings = ArrayBuilder::new()
                .items(text)
                .description(Some("what to know of the answer; absent when there is nothing"));
            let envelope = ObjectBuilder::new()
                .property("status", ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["success"])))
                .property("data", RefOr::<Schema>::Ref(Ref::from_schema_name(name)))
                .property("warnings", warnings)
                .required("status")
                .required("data");
            let content = Content::new(Some(Schema::from(envelope.build())));
            ("200", described("success").content("application/json", content).build())
        }
        Answers::Json(what) => {
            let content = Content::new(Some(Schema::from(ObjectBuilder::new().build())));
            ("200", described(what).content("application/json", content).build())
        }
        Answers::Text(what) => {
            let text = ObjectBuilder::new().schema_type(Type::String).build();
            ("200", described(what).content("text/plain", Content::new(Some(Schema::from(text)))).build())
        }
        Answers::Nothing(what) => ("204", described(what).build()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_resolves_and_every_route_is_there() {
        let document: Value = serde_json::from_str(&document().to_json().unwrap()).unwrap();
        let described: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
        let mut routed: Vec<&str> = ROUTES.iter().map(|route| route.path).collect();
        routed.sort_unstable();
        assert_eq!(described, routed);
        for route in ROUTES {
            let methods: Vec<String> =
                document["paths"][route.path].as_object().unwrap().keys().map(|verb| verb.to_uppercase()).collect();
            assert_eq!(methods, route.verbs.names(), "{}", route.path);
        }
        let text = document.to_string();
        for part in text.split("#/components/schemas/").skip(1) {
            let name = &part[..part.find('"').unwrap()];
            assert!(document["components"]["schemas"][name].is_object(), "{name} is referred to and not defined");
        }
    }
}
