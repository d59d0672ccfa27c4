"""A lifecycle as a state machine that other programs read: Petri net (PNML), XState and SCXML.

All are read off the table of the declaration: a state is a place, a webhook type the transition that reports the next
state, and what has ended may begin anew where the table says so. What comes twice, late or not at all is no part of it;
that is what judging is for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from projections.explain.diagrams import edges, ends
from tracker.lifecycle import ABSENT, Lifecycle

BEGIN, END = "begin", "end"
"""The places at which a run begins and is over, beside those of its states."""
_PNML = """<?xml version="1.0" encoding="UTF-8"?>
<pnml xmlns="http://www.pnml.org/version-2009/grammar/pnml">
  <net id={name} type="http://www.pnml.org/version-2009/grammar/pnmlcoremodel">
    <name><text>{text}</text></name>
    <page id="page">
{parts}
    </page>
    <finalmarkings><marking><place idref={end}><text>1</text></place></marking></finalmarkings>
  </net>
</pnml>
"""


def pnml(lifecycle: Lifecycle) -> str:
    """A workflow net: one token goes from the place ``begin`` to the place ``end``.

    The transitions into ``end`` are silent: they stand for no webhook.
    """
    places = {ABSENT: BEGIN, **{state: f"state-{state}" for state in lifecycle.states}}
    parts = [_place(name, state or BEGIN, marked=state == ABSENT) for state, name in places.items()]
    parts.append(_place(END, END))
    for number, (origin, webhook_type, target) in enumerate(edges(lifecycle), 1):
        parts += _transition(f"t{number}", webhook_type, places[origin], places[target])
    for state in ends(lifecycle):
        parts += _transition(f"over-{state}", None, places[state], END)
    return _PNML.format(
        name=quoteattr(lifecycle.name), text=escape(lifecycle.name), parts="\n".join(parts), end=quoteattr(END)
    )


def xstate(lifecycle: Lifecycle) -> str:
    """The configuration of an XState machine, as JSON."""
    on: dict[str, dict[str, str]] = {state or BEGIN: {} for state in (ABSENT, *lifecycle.states)}
    for origin, webhook_type, target in edges(lifecycle):
        on[origin or BEGIN][webhook_type] = target
    states = {state: {"on": moves} if moves else {"type": "final"} for state, moves in on.items()}
    return json.dumps({"id": lifecycle.name, "initial": BEGIN, "states": states}, indent=2) + "\n"


def scxml(lifecycle: Lifecycle) -> str:
    """A state chart of the W3C. ``.`` would end the name of an event, and no webhook type has one."""
    head = f"version={quoteattr('1.0')} name={quoteattr(lifecycle.name)} initial={quoteattr(BEGIN)}"
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<scxml xmlns="http://www.w3.org/2005/07/scxml" {head}>',
    ]
    for state in (ABSENT, *lifecycle.states):
        lines += _chart_state(lifecycle, state)
    return "\n".join([*lines, "</scxml>"]) + "\n"


def _chart_state(lifecycle: Lifecycle, state: str) -> Iterator[str]:
    name = quoteattr(state or BEGIN)
    if not lifecycle.table[state]:
        yield f"  <final id={name}/>"
        return
    yield f"  <state id={name}>"
    for origin, webhook_type, target in edges(lifecycle):
        if origin == state:
            yield f"    <transition event={quoteattr(webhook_type)} target={quoteattr(target)}/>"
    yield "  </state>"


def _place(name: str, text: str, *, marked: bool = False) -> str:
    token = "<initialMarking><text>1</text></initialMarking>" if marked else ""
    return f"      <place id={quoteattr(name)}><name><text>{escape(text)}</text></name>{token}</place>"


def _transition(name: str, label: str | None, origin: str, target: str) -> Iterator[str]:
    words = f"<name><text>{escape(label or name)}</text></name>"
    if label is None:
        words += '<toolspecific tool="ProM" version="6.4" activity="$invisible$"/>'
    yield f"      <transition id={quoteattr(name)}>{words}</transition>"
    for number, (source, goal) in enumerate(((origin, name), (name, target)), 1):
        yield f'      <arc id="{name}-{number}" source={quoteattr(source)} target={quoteattr(goal)}/>'
