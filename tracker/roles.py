"""The fields of a declaration that hold a code of the catalogue: when that code is found, and where the field applies.

Such a field has a *role*. Where it applies it must be given: a code, or ``NoFinding("why not")``; ``tracker.lifecycle``
refuses a declaration that leaves it out there, or gives it elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

__all__ = ["OF_A_LIFECYCLE", "OF_A_STEP", "Role", "roles_in"]


class Role(msgspec.Struct, frozen=True):
    """What a field of a declaration that holds a code is for.

    Attributes:
        when: When the code is found, in words.
        where: To which steps, or lifecycles, the field applies, in words.
        applies: Whether it applies to this step of this lifecycle, or to this lifecycle.
        usual: The code that stands there if none is given; empty: one must be given.
        may_be_silent: Whether ``NoFinding`` may stand there.
    """

    when: str
    where: str
    applies: Callable[[Any, Any], bool]
    usual: str = ""
    may_be_silent: bool = True


OF_A_STEP = {
    "skipped": Role(
        when="a later step came and this one had not",
        where="steps that a run may turn out to lack before a later step",
        applies=lambda lifecycle, step: step.moves and step.name in lifecycle.may_be_skipped,
    ),
    "missed": Role(
        when="a run ended in good order without this step",
        where="steps that the table lets a run leave out on its way to a good end",
        applies=lambda lifecycle, step: step.moves and lifecycle.may_do_without(step),
    ),
    "orphan": Role(
        when="it came and there was no run that it could belong to",
        where="steps with which no run may begin",
        applies=lambda lifecycle, step: step.moves and step.name not in lifecycle.starts,
    ),
    "conflict": Role(
        when="it came again with other data",
        where="steps that move something",
        applies=lambda _, step: step.moves,
        usual="C504",
        may_be_silent=False,
    ),
    "restarted": Role(
        when="it began a run while one was open",
        where="steps with which a run may begin anew",
        applies=lambda lifecycle, step: step.name in lifecycle.starts and lifecycle.begins_anew,
    ),
    "outcome": Role(
        when="a run ended with it, as it may, and that is still bad news",
        where="steps that close a run",
        applies=lambda _, step: step.closes,
    ),
    "overdue": Role(
        when="a run stayed in its state for longer than the limit",
        where="steps that have a limit",
        applies=lambda _, step: bool(step.limit),
        may_be_silent=False,
    ),
}
"""The fields of a step."""

OF_A_LIFECYCLE = {
    "contradicted": Role(
        when="two steps of one run brought different values for one artefact",
        where="lifecycles with artefacts",
        applies=lambda lifecycle, _: bool(lifecycle.artefacts),
    ),
    "shared": Role(
        when="two runs brought the same artefact",
        where="lifecycles with artefacts",
        applies=lambda lifecycle, _: bool(lifecycle.artefacts),
    ),
    "retimed": Role(
        when="two steps of one run brought different clock times for one field",
        where="lifecycles with times",
        applies=lambda lifecycle, _: bool(lifecycle.times),
    ),
    "subject_absent": Role(
        when="a run began while its subject was not inside",
        where="lifecycles with a subject",
        applies=lambda lifecycle, _: bool(lifecycle.subject),
    ),
    "empty": Role(
        when="it ended and nobody had ever been inside",
        where="the lifecycle of the session",
        applies=lambda lifecycle, _: lifecycle.is_session,
    ),
    "after_end": Role(
        when="a run began after the session had ended",
        where="what takes place in a session",
        applies=lambda lifecycle, _: lifecycle.in_a_session,
    ),
    "settled_after_end": Role(
        when="a run ended after the session had",
        where="what takes place in a session",
        applies=lambda lifecycle, _: lifecycle.in_a_session,
    ),
    "open_at_end": Role(
        when="a run was still open some time after the session had ended",
        where="what takes place in a session",
        applies=lambda lifecycle, _: lifecycle.in_a_session,
    ),
}
"""The fields of a lifecycle."""


def roles_in(*declarations: Any) -> Iterator[tuple[Any, str, Role]]:
    """The fields that hold a code of several declarations, each with the one that it is of."""
    for declared in declarations:
        yield from ((declared, name, role) for name, role in declared.ROLES.items())
