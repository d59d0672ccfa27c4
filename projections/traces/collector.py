"""The collector: whatever takes OTLP by HTTP, sent to by the exporter of OpenTelemetry.

Headers, as a token, come from ``OTEL_EXPORTER_OTLP_HEADERS``, and the name of the service from ``OTEL_SERVICE_NAME``: these
are the exporter's own variables. It tries again by itself for ten seconds where the collector is busy or out of reach.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from http.client import OK
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags
from opentelemetry.trace.status import Status, StatusCode
from requests import HTTPError, Response, Session

from projections.traces.exported import Rejected
from projections.traces.spans import Span
from tracker.errors import TrackerError, without_secrets

NAME = "meeting-tracker"
PATH = "/v1/traces"
PROTOBUF = "application/x-protobuf"
AT_ONCE = 1000
"""Spans of one request; a longer session takes several."""
_UNNAMED = "unknown_service"
"""How the name of a service begins that nobody has named."""
_SCOPE = InstrumentationScope(NAME)
_UNSET = Status(StatusCode.UNSET)
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_log = logging.getLogger("opentelemetry.exporter.otlp.proto.http.trace_exporter")


class _Complaint(logging.Handler):
    """Keeps what the exporter logged last: it says why nothing was taken, and nothing else does."""

    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()


class Collector:
    """Where spans are exported to.

    ``url`` is the address of the collector; ``/v1/traces`` is added where it does not end so, as the standard has it.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._rejected = Rejected()
        session = Session()
        session.hooks["response"] += [_refuse_redirect, self._note_rejected]
        self._exporter = OTLPSpanExporter(address(url), compression=Compression.Gzip, session=session)
        self._complaint = _Complaint()
        _log.propagate = False
        resource = Resource.create()
        unnamed = str(resource.attributes[SERVICE_NAME]).startswith(_UNNAMED)
        self._resource = resource.merge(Resource({SERVICE_NAME: NAME})) if unnamed else resource

    def export(self, spans: Sequence[Span]) -> Rejected:
        """Returns what the collector rejected of them; raises ``TrackerError`` where it does not take a request."""
        self._rejected = Rejected()
        for begin in range(0, len(spans), AT_ONCE):
            self._export([self._made(span) for span in spans[begin : begin + AT_ONCE]])
        return self._rejected

    def close(self) -> None:
        self._exporter.shutdown()

    def _export(self, spans: Iterable[ReadableSpan]) -> None:
        self._complaint.text = ""
        _log.addHandler(self._complaint)
        try:
            result = self._exporter.export(list(spans))
        finally:
            _log.removeHandler(self._complaint)
        if result is not SpanExportResult.SUCCESS:
            hint = "check the address and the collector; what was not taken is exported the next time"
            problem = self._complaint.text or "no reason is given"
            raise TrackerError(
                f"the collector took nothing: {problem}", place=without_secrets(self.url), hint=hint
            )

    def _note_rejected(self, response: Response, **_: object) -> None:
        """What is taken may be so in part: then the answer says how many spans are rejected, and why."""
        if response.status_code == OK and response.headers.get("content-type", "").startswith(PROTOBUF):
            try:
                said = ExportTraceServiceResponse.FromString(response.content).partial_success
            except Exception:  # noqa: BLE001 - whatever protobuf raises: it was taken all the same
                return
            self._rejected = self._rejected.more(said.rejected_spans, said.error_message)

    def _made(self, span: Span) -> ReadableSpan:
        return ReadableSpan(
            span.name,
            _context(span.trace, span.id),
            None if span.parent is None else _context(span.trace, span.parent),
            self._resource,
            span.attributes,
            [Event(event.name, event.attributes, event.at) for event in span.events],
            status=Status(StatusCode.ERROR, span.error) if span.error else _UNSET,
            start_time=span.begin,
            end_time=span.end,
            instrumentation_scope=_SCOPE,
        )


def _refuse_redirect(response: Response, **_: object) -> None:
    """The exporter takes every status below 400 for a success; who is sent to a login, or elsewhere, has delivered nothing."""
    if 300 <= response.status_code < 400:
        response.close()
        raise HTTPError(f"it redirects, with {response.status_code}")


def address(url: str) -> str:
    """The address at which a collector takes traces."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    return parts._replace(path=path if path.endswith(PATH) else f"{path}{PATH}").geturl()


def _context(trace: int, span: int) -> SpanContext:
    return SpanContext(trace, span, is_remote=False, trace_flags=_SAMPLED)
