//! A span for each request, exported by OTLP.
//!
//! What the proxy says of a request once it is over has all that a span needs. So nothing is done while it passes,
//! and where nobody asks for spans, nothing at all. The client's `traceparent` says what the span is a part of, and
//! goes on to the service as it came: it may be signed.

use std::{
    collections::HashMap,
    env, fmt,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use countersign::providers::{HttpLimits, Ports};
use http::{Request, Response};
use opentelemetry::{
    KeyValue, Value,
    propagation::TextMapPropagator,
    trace::{Span, SpanBuilder, SpanKind, Status, TracerProvider},
};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{SdkTracer, SdkTracerProvider},
};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::{Context, Layer},
    registry::LookupSpan,
};

use crate::{http_client, printed::tell};

/// What makes spans of requests, if `OTEL_EXPORTER_OTLP_ENDPOINT` (or the one for traces) says where they go.
pub(super) fn begin<S: Subscriber + for<'l> LookupSpan<'l>>() -> Option<(impl Layer<S>, Exporting)>
{
    let is_set = |name| env::var_os(name).is_some_and(|it| !it.is_empty());
    if !ENDPOINTS.into_iter().any(is_set) {
        return None;
    }
    let exporter = SpanExporter::builder().with_http().with_http_client(Client::new()).build();
    let exporter = match exporter {
        Ok(exporter) => exporter,
        Err(error) => {
            tell(format_args!("warning: no spans are exported: {error}"));
            return None;
        }
    };
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource())
        .build();
    let tracer = provider.tracer("countersign-proxy");
    let requests = Targets::new().with_target("countersign_proxy", LevelFilter::INFO);
    Some((Spans { tracer }.with_filter(requests), Exporting(provider)))
}

/// Who exports. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say otherwise.
fn resource() -> Resource {
    let is_named = env::var_os("OTEL_SERVICE_NAME").is_some()
        || env::var("OTEL_RESOURCE_ATTRIBUTES").is_ok_and(|it| it.contains("service.name="));
    let builder = Resource::builder();
    match is_named {
        true => builder.build(),
        false => builder.with_service_name("countersign-proxy").build(),
    }
}

/// Makes spans of what is said of requests.
struct Spans {
    tracer: SdkTracer,
}

impl<S: Subscriber> Layer<S> for Spans {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut said = Said::default();
        event.record(&mut said);
        if said.message != "request" {
            return;
        }
        let end = SystemTime::now();
        let begin = end.checked_sub(Duration::from_millis(said.milliseconds)).unwrap_or(end);
        let parent = TraceContextPropagator::new().extract(&said.trace);
        let mut span = SpanBuilder::from_name(said.method)
            .with_kind(SpanKind::Server)
            .with_start_time(begin)
            .with_attributes(said.attributes)
            .start_with_context(&self.tracer, &parent);
        if said.status >= 500 {
            span.set_status(Status::error(""));
        }
        span.end_with_timestamp(end);
    }
}

/// Exports until it is dropped, and then what has not been yet.
pub(super) struct Exporting(SdkTracerProvider);

impl Drop for Exporting {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            tell(format_args!("warning: the last spans are not exported: {error}"));
        }
    }
}

/// What is said of a request, under the names that OpenTelemetry has for it.
#[derive(Default)]
struct Said {
    message: String,
    method: String,
    milliseconds: u64,
    status: u64,
    trace: HashMap<String, String>,
    attributes: Vec<KeyValue>,
}

impl Said {
    fn add(&mut self, name: &'static str, value: impl Into<Value>) {
        self.attributes.push(KeyValue::new(name, value));
    }
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        let value = value.to_owned();
        match field.name() {
            "route" => self.add("http.route", value),
            "name" => self.add("user.id", value),
            "method" => {
                self.method.clone_from(&value);
                self.add("http.request.method", value);
            }
            "host" => self.add("server.address", value),
            "path" => self.add("url.path", value),
            "refusal" => self.add("error.type", value),
            "traceparent" | "tracestate" => {
                self.trace.insert(field.name().to_owned(), value);
            }
            _ => {}
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        // An attribute holds no more.
        let number = i64::try_from(value).unwrap_or(i64::MAX);
        match field.name() {
            "status" => {
                self.status = value;
                self.add("http.response.status_code", number);
            }
            "sent" => self.add("http.request.body.size", number),
            "received" => self.add("http.response.body.size", number),
            "milliseconds" => self.milliseconds = value,
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "id" => self.add("countersign.request_id", format!("{value:?}")),
            "message" => self.message = format!("{value:?}"),
            "client" => self.add("client.address", format!("{value:?}")),
            _ => {}
        }
    }
}

/// The HTTP client of this program, with the TLS that it has.
struct Client(Ports);

impl Client {
    fn new() -> Client {
        Client(http_client::ports(None))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        Ok(self.0.http().send(request, HttpLimits::new(PATIENCE)).await?)
    }
}

/// What OpenTelemetry has for it.
const PATIENCE: Duration = Duration::from_secs(10);
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
