"""A step of a lifecycle: one webhook type, the state that it reports, and what is found when it is not as it should be.

A field with a *role* holds a code of the catalogue. Its role says when that code is found and to which
steps the field applies; ``tracker.lifecycle`` refuses a declaration that leaves it out there, or gives it elsewhere.
"""

from __future__ import annotations

import attrs

from tracker.findings import NoFinding, code_field

BEGINS_A_RUN = NoFinding("it begins a run, and the steps that are missing before it are what is found")
"""In place of an ``orphan``."""
IN_GOOD_ORDER = NoFinding("this is how a run should end")
"""In place of an ``outcome``."""


@attrs.frozen
class Step:
    """One webhook type of a lifecycle.

    A field with a role holds a code of the catalogue, or says by ``NoFinding`` that there is nothing to find.
    One that applies must be given, so that nothing is left out by forgetting it.
    """

    name: str
    """The suffix of the webhook type: ``starting`` in ``recording-starting``."""
    state: str = attrs.field()
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
    skipped: str = code_field(
        when="a later step came and this one had not",
        where="steps that a run may turn out to lack before a later step",
        applies=lambda lifecycle, step: step.moves and step.name in lifecycle.may_be_skipped,
    )
    missed: str = code_field(
        when="a run ended in good order without this step",
        where="steps that the table lets a run leave out on its way to a good end",
        applies=lambda lifecycle, step: step.moves and lifecycle.may_do_without(step),
    )
    orphan: str = code_field(
        when="it came and there was no run that it could belong to",
        where="steps with which no run may begin",
        applies=lambda lifecycle, step: step.moves and step.name not in lifecycle.starts,
    )
    conflict: str = code_field(
        when="it came again with other data",
        where="steps that move something",
        applies=lambda _, step: step.moves,
        usual="C504",
        may_be_silent=False,
    )
    restarted: str = code_field(
        when="it began a run while one was open",
        where="steps with which a run may begin anew",
        applies=lambda lifecycle, step: step.name in lifecycle.starts and lifecycle.begins_anew,
    )
    outcome: str = code_field(
        when="a run ended with it, as it may, and that is still bad news",
        where="steps that close a run",
        applies=lambda _, step: step.closes,
    )
    limit: str = ""
    """The rule (a field of ``Rules``) that limits the stay in its state; empty: no limit."""
    overdue: str = code_field(
        when="a run stayed in its state for longer than the limit",
        where="steps that have a limit",
        applies=lambda _, step: bool(step.limit),
        may_be_silent=False,
    )
    awaits: str = ""
    """The step that should have come by then, where not each that may come next would do."""
    stalls: bool = True
    """Whether a run that stays beyond the limit hangs, so that its end is not to be expected."""
    unasked: bool = False
    """Whether it is left out by a run that ends by itself."""
    brings: tuple[str, ...] = ()
    """Payload fields of which at least one must have a value (else C507)."""

    @state.default
    def _state(self) -> str:
        return self.name
