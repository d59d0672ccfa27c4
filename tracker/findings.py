"""What a finding is, and what its code says.

A code's letter says where the fault lies: **D** in the delivery, **S** in the sequence of steps, **T** in
time, **X** between two things that contradict each other, **C** in the content, **L** in the log as a
whole, **R** between the log and VideoSDK's own records. A code keeps its meaning for ever and is never given to something else. The lifecycle is a
field of the finding and never part of its code.

The entry of each code stands beside the function that raises it, in ``tracker.judging.findings``;
``catalogue`` there gathers them all. Where it depends on the lifecycle whether something is worth
a finding, a field of the declaration holds the code: it has a *role*, which is described in ``tracker.roles``. The
entries of those codes, and of all that a hypothesis may assume, are in ``tracker.codes``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, Self, get_args

import msgspec
from msgspec.structs import force_setattr

Severity = Literal["info", "warning", "error"]
Verdict = Literal["provisional", "settled", "undecided", "accepted"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)


NO_PRICE: tuple[str, ...] = ()
"""Of a code that no hypothesis assumes: it follows from what is held, or from the bytes that came."""


_ITS_OWN = ("",)


class Code(msgspec.Struct, frozen=True):
    """The entry of a code in the catalogue.

    Attributes:
        code, slug: Its two names; neither ever changes.
        severity: How grave it is, unless the case or the user's rules say otherwise.
        when: The rule. A word in backticks is a setting of ``[rules]``.
        message: What happened, with the words of the case in braces.
        example: Deliveries that raise it.
        advice: What to do about it.
        roles: The fields of a declaration in which a lifecycle may choose it.
        price: What a hypothesis pays that assumes it, where there is a price of its own.
        assumed, more: What happened then, in words, and when it costs more or less.
        prices: The names of all prices that a hypothesis may pay which finds it, or ``NO_PRICE``.
    """

    code: str
    slug: str
    severity: Severity
    when: str
    message: str
    example: str
    advice: str
    roles: tuple[str, ...] = ()
    price: float | None = None
    assumed: str = ""
    more: str = ""
    prices: tuple[str, ...] = _ITS_OWN

    def __post_init__(self) -> None:
        if self.prices is _ITS_OWN:
            if self.price is None:
                raise TypeError(
                    f"{self.code} has no price of its own: say by prices which are paid for it, or NO_PRICE"
                )
            force_setattr(self, "prices", (self.code,))


def codes_in(names: Mapping[str, Any]) -> dict[str, Code]:
    """The entries among the names of a module, by their code."""
    return {value.code: value for value in names.values() if isinstance(value, Code)}


class Alternative(msgspec.Struct, frozen=True):
    """What may have happened instead.

    Attributes:
        message: That, in words.
        codes: What would be found then; none where nothing would.
        positions: The delivery that would raise each of them.
        confidence: How probable it is, from 0 to 1.
    """

    message: str
    codes: tuple[str, ...] = ()
    positions: tuple[int, ...] = ()
    confidence: float = 0.0


class Finding(msgspec.Struct, eq=False):
    """Something that is wrong, or worth knowing, with all that one needs to act on it.

    Attributes:
        number: Its place among the findings of its session or log.
        code, slug, severity: Of its entry; the severity may be another one, by the user's rules or by the case.
        verdict: ``settled``; ``provisional``, while a window is open, or it is in doubt and copies may come; ``undecided``,
            where the log ended before a window closed, began after what is missing may have come, or has no receive times;
            ``accepted``, where the user has said that it is known.
        session_id, meeting_id: The session that it is about; ``None`` where it is about the log.
        lifecycle, key, run: What in that session it is about.
        position: The delivery that raised it; ``evidence``: every delivery that it rests on.
        at: When it became true: the receive time, or the deadline that passed.
        state_before, state_after: The states of the run.
        expected: The webhook types that might have come instead.
        message, advice: What happened, and what to do.
        confidence: How probable it is, by the prices, from 0 to 1.
        alternatives: What else may have happened, the likeliest first.
        cause: What explains that something is missing: a finding about the whole log.
        deadline: When a provisional one settles.
        missing: The webhook types that should have come after ``since`` (or at any time, where that is not known);
            if they come after all, it may be withdrawn.
        type: The webhook type of the delivery at ``position``, where that is known.
        accepted: Why the user accepts it.
        account: The account of VideoSDK that it is of, where several are received.
    """

    number: int
    code: str
    slug: str
    severity: Severity
    verdict: Verdict
    session_id: str | None
    meeting_id: str | None
    lifecycle: str | None
    key: dict[str, str]
    run: int | None
    position: int | None
    evidence: tuple[int, ...]
    at: datetime | None
    state_before: str | None
    state_after: str | None
    expected: tuple[str, ...]
    message: str
    confidence: float = 1.0
    advice: str = ""
    alternatives: tuple[Alternative, ...] = ()
    cause: str | None = None
    deadline: datetime | None = None
    missing: tuple[str, ...] = ()
    since: datetime | None = None
    type: str | None = None
    accepted: str | None = None
    account: str | None = None


class NoFinding(str):
    """In place of a code: nothing is found, and why not. It is an empty text, so it counts as no code.

    Attributes:
        because: The reason, for whoever reads the declaration.
    """

    __slots__ = ("because",)
    because: str

    def __new__(cls, because: str) -> Self:
        word = super().__new__(cls)
        word.because = because
        return word

    def __repr__(self) -> str:
        return f"NoFinding({self.because!r})"
