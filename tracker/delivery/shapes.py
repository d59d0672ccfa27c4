"""The shapes in which programs log, export and hand on webhooks: a table.

A line that is neither a webhook nor an envelope of ours (``envelope``) is searched for a webhook
(``unwrap``). That finds it wherever it is, so a row here is not what makes a shape readable: it gives the
shape its name, says which of several times is the receive time, and where the headers are. A field is named
by the way to it, ``data.headers``; ``*`` stands for any name, ``[]`` for the elements of an array.

An export may hold all its lines in one array (``batch``): each element is then a line.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import msgspec

__all__ = ["BATCHES", "SHAPES", "Shape", "shape_of"]


class Shape(msgspec.Struct, frozen=True):
    """How something holds webhooks.

    Attributes:
        name: Of what writes it.
        webhook: The way to the webhook.
        time: The way to the receive time, and its form.
        headers: The way to the headers of the request, where it holds them.
        held: As what the webhook is there.
        marks: Fields that tell it from others with the same webhook and time.
        batch: The way to the array of lines, where an export is one document.
        source: What gives it.
    """

    name: str
    webhook: str
    time: str
    form: str = "iso"
    headers: str = ""
    held: str = "text"
    marks: tuple[str, ...] = ()
    batch: str = ""
    source: str = ""


SHAPES = (
    Shape(
        "CloudWatch Logs",
        "message",
        "timestamp",
        "ms",
        marks=("ingestionTime",),
        batch="events",
        source="`aws logs filter-log-events`, `get-log-events`",
    ),
    Shape(
        "CloudWatch Logs subscription",
        "message",
        "timestamp",
        "ms",
        marks=("id",),
        batch="logEvents",
        source="a subscription filter, unpacked",
    ),
    Shape("CloudWatch Logs Insights", "@message", "@timestamp", "spaced", source="the export of a query"),
    Shape("Loki", "line", "timestamp", marks=("labels",), source="`logcli query -o jsonl`"),
    Shape("Loki API", "[1]", "[0]", "ns", batch="data.result.values", source="`/loki/api/v1/query_range`"),
    Shape("Loki API", "[1]", "[0]", "ns", batch="streams.values", source="`/loki/api/v1/push`"),
    Shape(
        "Datadog",
        "attributes.message",
        "attributes.timestamp",
        batch="data",
        source="`/api/v2/logs/events/search`",
    ),
    Shape("Datadog archive", "message", "date", marks=("_id",), source="an archive, unpacked"),
    Shape("nginx", "request_body", "time_iso8601", source="`log_format escape=json` with `$request_body`"),
    Shape("nginx", "body", "time", "clf", source="`log_format escape=json` with `$time_local`"),
    Shape(
        "API Gateway REST",
        "body",
        "requestContext.requestTimeEpoch",
        "ms",
        "headers",
        source="the event of a Lambda function, payload 1.0",
    ),
    Shape(
        "API Gateway HTTP",
        "body",
        "requestContext.timeEpoch",
        "ms",
        "headers",
        "base64",
        source="the event of a Lambda function, payload 2.0; a function URL",
    ),
    Shape(
        "Amazon SQS",
        "body",
        "attributes.SentTimestamp",
        "ms",
        batch="Records",
        source="the event of a Lambda function",
    ),
    Shape(
        "Amazon SQS",
        "Body",
        "Attributes.SentTimestamp",
        "ms",
        batch="Messages",
        source="`aws sqs receive-message`",
    ),
    Shape(
        "Amazon SNS", "Sns.Message", "Sns.Timestamp", batch="Records", source="the event of a Lambda function"
    ),
    Shape("Amazon SNS", "Message", "Timestamp", marks=("TopicArn",), source="a subscription by HTTP or SQS"),
    Shape(
        "Amazon Kinesis",
        "kinesis.data",
        "kinesis.approximateArrivalTimestamp",
        "s",
        held="base64",
        batch="Records",
        source="the event of a Lambda function",
    ),
    Shape(
        "Amazon Data Firehose",
        "data",
        "approximateArrivalTimestamp",
        "ms",
        held="base64",
        batch="records",
        source="the event of a transformation",
    ),
    Shape(
        "Amazon EventBridge",
        "detail",
        "time",
        held="object",
        marks=("detail-type",),
        source="a rule, an archive",
    ),
    Shape(
        "Google Cloud Logging",
        "textPayload",
        "timestamp",
        marks=("insertId",),
        source="`gcloud logging read`, a sink",
    ),
    Shape(
        "Google Cloud Logging",
        "jsonPayload",
        "timestamp",
        held="object",
        marks=("insertId",),
        source="`gcloud logging read`, a sink",
    ),
    Shape("Google Pub/Sub", "message.data", "message.publishTime", held="base64", source="a push subscription"),
    Shape(
        "Google Pub/Sub",
        "message.data",
        "message.publishTime",
        held="base64",
        marks=("ackId",),
        batch="receivedMessages",
        source="`gcloud pubsub subscriptions pull`",
    ),
    Shape(
        "Azure Event Grid", "data", "eventTime", held="object", marks=("eventType",), source="a subscription"
    ),
    Shape("CloudEvents", "data", "time", held="object", marks=("specversion",), source="the structured mode"),
    Shape(
        "CloudEvents",
        "data_base64",
        "time",
        held="base64",
        marks=("specversion",),
        source="the structured mode",
    ),
    Shape(
        "OpenTelemetry",
        "body.stringValue",
        "timeUnixNano",
        "ns",
        batch="resourceLogs.scopeLogs.logRecords",
        source="OTLP in JSON, the file exporter",
    ),
    Shape(
        "Elasticsearch", "_source.*", "_source.@timestamp", batch="hits.hits", source="`_search`, `elasticdump`"
    ),
    Shape("Logstash, Filebeat", "message", "@timestamp", source="the file output, ECS"),
    Shape("Splunk", "result._raw", "result._time", source="the export of a search"),
    Shape(
        "Splunk HEC",
        "event",
        "time",
        "s",
        held="object",
        marks=("sourcetype",),
        source="what is sent to the collector",
    ),
    Shape("Fluent Bit", "log", "date", "s", source="the file output in JSON"),
    Shape("Docker", "log", "time", "nano", marks=("stream",), source="the driver `json-file`"),
    Shape("journald", "MESSAGE", "__REALTIME_TIMESTAMP", "us", source="`journalctl -o json`"),
    Shape("Vector", "message", "timestamp", marks=("source_type",), source="a file sink in JSON"),
    Shape("winston", "message", "timestamp", marks=("level",), source="the JSON format"),
    Shape(
        "pino", "body", "time", "ms", held="object", marks=("pid",), source="`logger.info({ body: req.body })`"
    ),
    Shape(
        "Laravel",
        "context.*",
        "datetime",
        held="object",
        marks=("level_name",),
        source="Monolog's JSON formatter",
    ),
    Shape(
        "Rails",
        "params",
        "@timestamp",
        held="object",
        marks=("controller",),
        source="lograge, the Logstash formatter",
    ),
    Shape("Kafka", "payload", "ts", "ms", marks=("offset",), source="`kcat -J`"),
    Shape("Kafka", "value", "timestamp", "ms", marks=("offset",), source="an export, a sink of Kafka Connect"),
    Shape(
        "Debezium",
        "payload.after.*",
        "payload.source.ts_ms",
        "ms",
        marks=("payload.op",),
        source="a change event, with its schema or without",
    ),
    Shape(
        "Debezium",
        "after.*",
        "source.ts_ms",
        "ms",
        marks=("op",),
        source="a change event, with its schema or without",
    ),
    Shape(
        "Supabase",
        "record.*",
        "record.created_at",
        held="object",
        marks=("table",),
        source="a database webhook",
    ),
    Shape("MongoDB", "body", "receivedAt", "$date", held="object", marks=("_id",), source="`mongoexport`"),
    Shape(
        "Hookdeck",
        "data.body",
        "created_at",
        headers="data.headers",
        held="object",
        batch="models",
        source="the API, an export",
    ),
    Shape(
        "Svix",
        "payload",
        "timestamp",
        held="object",
        marks=("eventType",),
        batch="data",
        source="the API, an export",
    ),
    Shape("Convoy", "raw", "created_at", headers="headers", marks=("uid",), source="the API, an export"),
    Shape(
        "ngrok",
        "request.raw",
        "start",
        held="raw HTTP in base64",
        batch="requests",
        source="`/api/requests/http`",
    ),
    Shape(
        "webhook.site", "content", "created_at", "spaced", "headers", batch="data", source="the API, an export"
    ),
    Shape(
        "HAR",
        "request.postData.text",
        "startedDateTime",
        headers="request.headers",
        batch="log.entries",
        source="browsers, proxies",
    ),
    Shape(
        "a request", "request.body", "receivedAt", headers="request.headers", held="object", source="a handler"
    ),
)
"""The more special ones first."""

BATCHES: tuple[tuple[str, ...], ...] = tuple(
    dict.fromkeys(tuple(shape.batch.split(".")) for shape in SHAPES if shape.batch)
)
"""The ways to the arrays that hold the lines of a document; on the way there may be arrays too."""


def shape_of(webhook: str, has: Callable[[str], bool]) -> Shape | None:
    """The first shape with a webhook there, all of whose other fields a line has."""
    return next((shape for shape in _there(webhook) if all(map(has, (shape.time, *shape.marks)))), None)


@lru_cache(maxsize=256)  # all lines of a log have their webhooks in a few places
def _there(webhook: str) -> tuple[Shape, ...]:
    """The shapes with a webhook there."""
    return tuple(shape for shape in SHAPES if _leads(shape.webhook, webhook))


def _leads(way: str, path: str) -> bool:
    if "*" not in way:
        return way == path
    names, others = way.split("."), path.split(".")
    return len(names) == len(others) and all(
        one in ("*", other) for one, other in zip(names, others, strict=True)
    )
