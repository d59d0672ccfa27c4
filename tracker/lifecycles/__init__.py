"""The lifecycles, one file each. A file beside these that names a ``LIFECYCLE`` is one more.

``REGISTRY`` holds them by name and knows which webhook type belongs to which step.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module

from tracker.lifecycle import DeclarationError, Lifecycle
from tracker.record import PREFIX, RECORD
from tracker.rules import WINDOWS
from tracker.step import Step


class Registry(Mapping[str, Lifecycle]):
    """Lifecycles by name. Raises ``DeclarationError`` when a name or a webhook type has two owners.

    Attributes:
        routes: Webhook type, or the type of a record -> the lifecycle and the step that it reports.
        untyped: A name at the top of a body -> the lifecycle of which a webhook without a type is known by it.
        streams: How the names of streams begin that are no session's -> a lifecycle that is kept there.
        prefixes: The same with the colon that follows.
    """

    def __init__(self, lifecycles: Iterable[Lifecycle]) -> None:
        self._lifecycles: dict[str, Lifecycle] = {}
        self.routes: dict[str, tuple[Lifecycle, Step]] = {}
        self.untyped: dict[str, Lifecycle] = {}
        self.streams: dict[str, Lifecycle] = {}
        for lifecycle in lifecycles:
            if lifecycle.name in self._lifecycles:
                raise DeclarationError(f"two lifecycles are named {lifecycle.name!r}")
            self._lifecycles[lifecycle.name] = lifecycle
            self._add_routes(lifecycle)
            self._add_stream(lifecycle)
            for step in lifecycle.steps:
                if step.limit and step.limit not in WINDOWS:
                    raise DeclarationError(
                        f"lifecycle {lifecycle.name!r}: no limit {step.limit!r} in the rules"
                    )
        if sum(lifecycle.is_session for lifecycle in self.values()) > 1:
            raise DeclarationError("only one lifecycle can be that of the session")
        self.prefixes = tuple(f"{stream}:" for stream in self.streams)

    def _add_routes(self, lifecycle: Lifecycle) -> None:
        for step in lifecycle.steps:
            for webhook_type in lifecycle.webhook_types(step.name):
                if webhook_type in self.routes:
                    owner = self.routes[webhook_type][0].name
                    raise DeclarationError(f"{webhook_type} belongs to {owner!r} and to {lifecycle.name!r}")
                self.routes[webhook_type] = lifecycle, step
        if lifecycle.records is not None:
            self.routes[f"{PREFIX}{lifecycle.name}"] = lifecycle, RECORD
        if lifecycle.untyped is not None:
            other = self.untyped.setdefault(lifecycle.untyped.by, lifecycle)
            if other is not lifecycle:
                which = f"a webhook without a type that has {lifecycle.untyped.by!r}"
                raise DeclarationError(f"{which} belongs to {other.name!r} and to {lifecycle.name!r}")

    def _add_stream(self, lifecycle: Lifecycle) -> None:
        """Lifecycles of one thing share its stream, so they must tell one from another by the same."""
        stream = lifecycle.stream or lifecycle.stream_without_session
        other = self.streams.setdefault(stream, lifecycle) if stream else lifecycle
        if other.key != lifecycle.key:
            raise DeclarationError(
                f"{other.name!r} and {lifecycle.name!r} share the stream {stream!r}, and their keys differ"
            )

    def __getitem__(self, name: str) -> Lifecycle:
        return self._lifecycles[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._lifecycles)

    def __len__(self) -> int:
        return len(self._lifecycles)

    def adding(self, lifecycle: Lifecycle) -> Registry:
        """A registry with one lifecycle more."""
        return Registry([*self.values(), lifecycle])


def _declared() -> Iterator[Lifecycle]:
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda found: found.name):
        lifecycle = import_module(f"{__name__}.{module.name}").LIFECYCLE
        if not isinstance(lifecycle, Lifecycle):
            raise DeclarationError(f"{module.name}.LIFECYCLE is not a Lifecycle")
        yield lifecycle


REGISTRY = Registry(_declared())
