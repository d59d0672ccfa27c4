"""The API's description (OpenAPI 3.1), made from what answers: the operations, their parameters and classes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from importlib.metadata import version
from inspect import getdoc
from typing import Any

import attrs
import msgspec

from projections.web import problems
from projections.web.mount import url
from projections.web.parameters import Parameter

JSON = "application/json"
_COMPONENTS = "#/components/"


@attrs.frozen
class Operation:
    """One thing that can be asked for; what ``answer`` says of itself is its description.

    ``is_of_now``: what is stored already is waited for, shortly, if it is not judged yet.
    """

    path: str
    answer: Callable[..., Any]
    body: type
    parameters: tuple[Parameter, ...] = ()
    media_type: str = JSON
    is_of_now: bool = False

    @property
    def name(self) -> str:
        return self.answer.__name__


def document(operations: Iterable[Operation], *, token: bool) -> dict[str, Any]:
    """The description of these operations; with ``token``, of a server that asks for one."""
    operations = tuple(operations)
    template = f"{_COMPONENTS}schemas/{{name}}"
    bodies = (*(one.body for one in operations), problems.Problem)
    _, schemas = msgspec.json.schema_components(bodies, ref_template=template)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "meeting-tracker",
            "version": version("meeting-tracker"),
            "license": {"name": "Apache-2.0"},
        },
        "servers": [{"url": url()}],
        "paths": {_path(one): {"get": _operation(one)} for one in operations},
        "components": {
            "schemas": schemas,
            "responses": dict(_problems()),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}] if token else [],
    }


def _path(operation: Operation) -> str:
    return re.sub(r":\w+}", "}", operation.path)


def _operation(operation: Operation) -> dict[str, Any]:
    summary, _, description = (getdoc(operation.answer) or "").partition("\n")
    refused = {
        str(status.value): {"$ref": f"{_COMPONENTS}responses/{status.name}"} for status in problems.STATUSES
    }
    schema: dict[str, Any] = {"$ref": f"{_COMPONENTS}schemas/{operation.body.__name__}"}
    if operation.media_type != JSON:
        schema = {"type": "string", "contentMediaType": JSON, "contentSchema": schema}  # of each event
    return {
        "operationId": operation.name,
        "summary": summary,
        "description": description.strip(),
        "parameters": [_parameter(one) for one in operation.parameters],
        "responses": {
            "200": {
                "description": getdoc(operation.body),
                "content": {operation.media_type: {"schema": schema}},
            },
            **refused,
        },
    }


def _parameter(one: Parameter) -> dict[str, Any]:
    schema = {"type": "array", "items": one.schema} if one.many else one.schema
    return {
        "name": one.name,
        "in": one.place,
        "description": one.about,
        "required": one.place == "path",
        "schema": schema,
    }


def _problems() -> Iterator[tuple[str, dict[str, Any]]]:
    content = {problems.MEDIA_TYPE: {"schema": {"$ref": f"{_COMPONENTS}schemas/{problems.Problem.__name__}"}}}
    for status in problems.STATUSES:
        yield status.name, {"description": HTTPStatus(status).phrase, "content": content}
