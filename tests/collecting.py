"""Whoever takes traces: a real OTLP/HTTP receiver, which decodes what comes."""

import gzip
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import attrs
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

ERROR = 2
"""The status of a span with an error, in the protocol."""


@attrs.define
class Collector:
    """Answers with ``statuses`` in turn, and takes everything after those, but that it says that some are ``rejected``."""

    url: str = ""
    rejected: int = 0
    statuses: list = attrs.Factory(list)
    requests: list = attrs.Factory(list)
    """Path, headers, and bytes of each request that was taken."""

    def answer(self, path, headers, body):
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            packed = headers.get("content-encoding") == "gzip"
            self.requests.append((path, dict(headers.items()), gzip.decompress(body) if packed else body))
        return status

    @property
    def groups(self):
        """The spans of each resource, as they were decoded."""
        return [
            group
            for _, _, body in self.requests
            for group in ExportTraceServiceRequest.FromString(body).resource_spans
        ]

    @property
    def spans(self):
        return [span for group in self.groups for scope in group.scope_spans for span in scope.spans]

    @property
    def sessions(self):
        """The ids of the sessions, in the order in which they came."""
        return [about(span)["session.id"] for span in self.spans if not span.parent_span_id]


def about(thing):
    """The attributes of a span or an event."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in thing.attributes}


@contextmanager
def collecting(*statuses):
    collector = Collector(statuses=list(statuses))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            answer = ExportTraceServiceResponse()
            if collector.rejected:
                answer.partial_success.rejected_spans = collector.rejected
                answer.partial_success.error_message = "too old"
            answer = answer.SerializeToString()
            self.send_response(collector.answer(self.path, self.headers, body))
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
