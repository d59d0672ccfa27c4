"""``/api``: what the API answers, from the description that programs read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from projections.web import api
from projections.web.mount import url
from projections.web.openapi import document
from projections.web.parameters import Values
from projections.web.snapshot import Snapshot

EXAMPLES = {
    "session": "SELECT session_id FROM sessions ORDER BY last_position DESC LIMIT 1",
    "meeting": "SELECT meeting_id FROM sessions WHERE meeting_id IS NOT NULL ORDER BY last_position DESC LIMIT 1",
    "person": "SELECT participant_id FROM participants LIMIT 1",
    "position": "SELECT MAX(last_position) FROM sessions",
}
"""What stands in a path, for an address that can be tried: one that is there."""


def fill(of: Snapshot, _: Values) -> Values:
    described = document((*api.OPERATIONS, api.CHANGES), token=False)
    examples = {
        name: next(iter(of.db.execute(query).fetchall()), (None,))[0] for name, query in EXAMPLES.items()
    }
    return {
        "title": "API",
        "operations": list(_operations(described, examples)),
        "types": list(_types(described["components"]["schemas"])),
        "openapi": url("api", "openapi.json"),
    }


def _operations(described: Values, examples: Values) -> Iterator[Values]:
    for path, methods in described["paths"].items():
        one = methods["get"]
        ((media_type, content),) = one["responses"]["200"]["content"].items()
        schema = content["schema"]
        parameters = [
            {**each, "type": _type(each["schema"]), "choices": _choices(each["schema"])}
            for each in one["parameters"]
        ]
        yield {
            "path": path,
            "id": one["operationId"],
            "summary": one["summary"],
            "description": one["description"],
            "parameters": parameters,
            "answer": _type(schema.get("contentSchema", schema)),
            "media_type": media_type,
            "example": None if media_type != "application/json" else _example(path, examples),
        }


def _example(path: str, examples: Values) -> str | None:
    """An address of this server that can be tried; ``None`` where nothing has come in that could stand in the path."""
    parts = []
    for part in path.strip("/").split("/"):
        name = part[1:-1] if part.startswith("{") else ""
        if name and examples.get(name) is None:
            return None
        parts.append(examples[name] if name else part)
    return url(*parts)


def _types(schemas: Values) -> Iterator[Values]:
    for name, schema in sorted(schemas.items()):
        fields = [
            {"name": field, "type": _type(value), "about": value.get("description", "")}
            for field, value in schema.get("properties", {}).items()
        ]
        if fields:
            yield {"name": name, "about": schema.get("description", ""), "fields": fields}


def _type(schema: Any) -> str:
    """A schema in a few words: ``list of Finding``, ``integer or null``."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema and "type" not in schema:
        return " or ".join(dict.fromkeys(_type(one) for one in schema["anyOf"]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if schema.get("type") == "object" or "additionalProperties" in schema:
        values = schema.get("additionalProperties")
        return f"object of {_type(values)}" if isinstance(values, dict) and values else "object"
    if "enum" in schema and "type" not in schema:
        return "string"
    return str(schema.get("format") or schema.get("type") or "anything")


def _choices(schema: Values) -> str:
    """The words that are accepted, where there are a few."""
    words = schema.get("items", schema).get("enum", [])
    return ", ".join(map(str, words)) if len(words) <= 12 else f"{len(words)} words"
