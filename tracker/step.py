"""A step of a lifecycle: one webhook type, the state that it reports, and what is found when it is not as it should be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import msgspec
from msgspec.structs import force_setattr

from tracker.findings import NoFinding
from tracker.roles import OF_A_STEP, Role

BEGINS_A_RUN = NoFinding("it begins a run, and the steps that are missing before it are what is found")
"""In place of an ``orphan``."""
IN_GOOD_ORDER = NoFinding("this is how a run should end")
"""In place of an ``outcome``."""


class Step(msgspec.Struct, frozen=True):
    """One webhook type of a lifecycle.

    A field with a role (``OF_A_STEP`` says which) holds a code of the catalogue, or says by ``NoFinding`` that there is
    nothing to find. One that applies must be given, so that nothing is left out by forgetting it.
    """

    name: str
    """The suffix of the webhook type: ``starting`` in ``recording-starting``."""
    state: str = ""
    """The state it reports; by default the step's own name."""
    type: str = ""
    """The whole webhook type, where it is not made of the names of the lifecycle and of the step."""
    closes: bool = False
    """Whether a run is over after it."""
    moves: bool = True
    """Whether a run goes on by it. What does not stands in no row of the table: it may come whenever it likes."""
    excludes: tuple[str, ...] = ()
    """Steps that no run has beside it: a call that was missed was never answered (else S209)."""
    awaited: bool = True
    """Of an end: whether one waits for it. It is no sign of anything that one for which nobody waits did not come."""
    skipped: str = ""
    missed: str = ""
    orphan: str = ""
    conflict: str = OF_A_STEP["conflict"].usual
    restarted: str = ""
    outcome: str = ""
    limit: str = ""
    """The rule (a field of ``Rules``) that limits the stay in its state; empty: no limit."""
    overdue: str = ""
    awaits: str = ""
    """The step that should have come by then, where not each that may come next would do."""
    stalls: bool = True
    """Whether a run that stays beyond the limit hangs, so that its end is not to be expected."""
    unasked: bool = False
    """Whether it is left out by a run that ends by itself."""
    brings: tuple[str, ...] = ()
    """Payload fields of which at least one must have a value (else C507)."""

    ROLES: ClassVar[Mapping[str, Role]] = OF_A_STEP

    def __post_init__(self) -> None:
        if not self.state:
            force_setattr(self, "state", self.name)
