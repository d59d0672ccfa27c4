"""What agents may ask, by the Model Context Protocol: each operation of the API is a tool, and none changes anything.

A tool has the name, the description and the parameters of its operation, and answers the same JSON. So an agent gets
positions as evidence, and ``event`` gives it the delivery at a position, byte for byte.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from importlib.metadata import version
from inspect import getdoc
from typing import Any

from mcp import types
from mcp.server import Server, ServerRequestContext
from mcp.server.stdio import stdio_server

from projections.views.follow import Views
from projections.web import contracts, parameters
from projections.web.api import OPERATIONS
from projections.web.openapi import Operation
from projections.web.snapshot import Snapshot, masked_store
from tracker.errors import NotFoundError, TrackerError, UsageError, did_you_mean
from tracker.store.application import Tracker

INSTRUCTIONS = (
    "The webhooks of VideoSDK meetings: what came, the state of each session as it follows from that, and what is wrong. "
    "A position is the place of a delivery in the store, and is evidence: `event` shows it as it came. A finding has a "
    "code; a `verdict` of settled will not change, provisional may. `explain` says why a session is judged as it is. "
    "Begin with `overview`, `issues` or `search`. Times are in UTC."
)
HINT = "the tool search finds what there is"
TOOLS = {operation.name: operation for operation in OPERATIONS}
_READ_ONLY = types.ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
Now = Callable[[], AbstractContextManager[Snapshot]]
"""Gives the store and the read models as they are now, for one answer."""


def snapshot_of(views: Views, tracker: Tracker, now: datetime, *, masked: bool) -> Snapshot:
    """What is held at a moment; with ``masked``, initials in the place of names."""
    seen = masked_store(tracker, views.connection) if masked else tracker
    return Snapshot(seen, views.rules, views.db, views.checkpoint, views.log, now, masked=masked)


def run(now: Now) -> None:
    """Answers on stdin and stdout until nobody asks any more."""
    asyncio.run(_serve(server(now)))


def server(now: Now) -> Server[Any]:
    """The server; it is asked one thing at a time."""

    async def tools(_: ServerRequestContext[Any], __: object) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_tool(one) for one in TOOLS.values()])

    async def call(_: ServerRequestContext[Any], asked: types.CallToolRequestParams) -> types.CallToolResult:
        try:
            return _result(answer(now, asked.name, asked.arguments or {}))
        except TrackerError as error:
            return _result(f"{error}\nhint: {error.hint or HINT}", is_error=True)

    return Server(
        "meeting-tracker",
        version=version("meeting-tracker"),
        instructions=INSTRUCTIONS,
        on_list_tools=tools,
        on_call_tool=call,
    )


def answer(now: Now, name: str, arguments: Mapping[str, Any]) -> str:
    """The answer of a tool, as JSON. Raises ``TrackerError``."""
    operation = TOOLS.get(name)
    if operation is None:
        hint = did_you_mean(name, TOOLS) or f"the tools are {', '.join(TOOLS)}"
        raise NotFoundError("no such tool", place=name, hint=hint)
    in_path = {one.name: one for one in operation.parameters if one.place == "path"}
    for missing in in_path.keys() - arguments.keys():
        raise UsageError("is not given", place=missing, hint=in_path[missing].about)
    query = [pair for pair in _written(arguments) if pair[0] not in in_path]
    path = {field: str(arguments[field]) for field in in_path}
    asked = parameters.values(operation.parameters, query, path)
    asked.pop("wait", None)
    with now() as of:
        return contracts.encode(operation.answer(of, asked), operation.body).decode()


def _written(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Arguments as a query of the API has them; ``null`` is none."""
    for name, value in arguments.items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                yield name, str(one).lower() if isinstance(one, bool) else str(one)


def _tool(operation: Operation) -> types.Tool:
    asked = [one for one in operation.parameters if one.name != "wait"]
    properties = {
        one.name: {
            **({"type": "array", "items": one.schema} if one.many else one.schema),
            "description": one.about,
        }
        for one in asked
    }
    needed = [one.name for one in asked if one.place == "path"]
    schema = {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}
    about = getdoc(operation.answer)
    return types.Tool(name=operation.name, description=about, input_schema=schema, annotations=_READ_ONLY)


def _result(text: str, *, is_error: bool = False) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=is_error)


async def _serve(server: Server[Any]) -> None:
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())
