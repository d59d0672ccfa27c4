"""How well the judging tells a redelivery, a late delivery and a real fault apart.

    python tests/benchmarks/judging.py [--meetings 20000] [--seeds 1 2 3]
    python tests/benchmarks/judging.py --examples swapped
    python tests/benchmarks/judging.py --into README.md

Simulates meetings of which the truth is known, audits the log, and compares. Two peers stand beside:
a plain state machine, to which every step that its table does not have is an alarm, and the same one
behind a filter that removes every body that came before. Exit code 0 if all goals are met, else 1.
A legal oddity has a row as well, of the meetings without a fault that have it. *Accused* are those
with a finding that is no answer to their fault.
``--into`` writes the table between the marks that a Markdown file has for it.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter, defaultdict
from hashlib import blake2b
from pathlib import Path
from time import perf_counter

import attrs

from projections.audit import audit
from projections.status import status
from tracker.envelope import encode
from tracker.rules import Rules
from tracker.simulate import simulate
from tracker.simulate.faults import FAULTS
from tracker.webhook import parse

CLEAN = "(none)"
ALARMING = ("warning", "error")


@attrs.define
class Peer:
    """A plain state machine an aggregate; after an alarm it goes on from what came."""

    without_copies: bool = False
    states: dict = attrs.field(factory=dict)
    bodies: set = attrs.field(factory=set)

    def alarmed(self, delivery):
        if self.without_copies:
            digest = blake2b(delivery.body, digest_size=8).digest()
            if digest in self.bodies:
                return False
            self.bodies.add(digest)
        if delivery.lifecycle is None:
            return True
        aggregate = (delivery.stream, delivery.lifecycle.name, delivery.key)
        expected = delivery.lifecycle.table[self.states.get(aggregate, "")]
        self.states[aggregate] = delivery.step.state
        return delivery.step.name not in expected


@attrs.define
class Verdict:
    """How one meeting was judged: the alarming codes that its legal outcomes do not account for, and the states."""

    truth: object
    codes: tuple
    states_right: bool
    states: tuple
    plain: bool
    deduplicated: bool

    @property
    def fault(self):
        return self.truth.fault or CLEAN

    @property
    def found(self):
        return any(code in self.truth.expected for code in self.codes)

    @property
    def accused(self):
        """Of something that its fault does not answer for."""
        return any(code not in self.truth.expected for code in self.codes)

    @property
    def right(self):
        rightly = self.found if self.truth.kind == "real" else not self.codes
        return rightly and len(self.codes) <= 1 and (self.states_right or not self.truth.knowable)


@attrs.define
class Judged:
    """One audited log: a verdict a meeting, and what was found outside all meetings."""

    verdicts: list
    outside: Counter
    deliveries: int
    seconds: float


def judged(meetings, seed, **options):
    """Simulates and audits one log; the options are those of ``simulate``."""
    truths, owner = {}, [None]
    plain, filtered = Peer(), Peer(without_copies=True)
    alarms, filtered_alarms = set(), set()

    def deliveries():
        for line in simulate(meetings, seed, **options):
            truth = line.truth
            whose = truth.session_id if truth else None
            owner.append(whose)
            if truth:
                truths[whose] = truth
            delivery = parse(line.received, line.position)
            if plain.alarmed(delivery):
                alarms.add(whose)
            if filtered.alarmed(delivery):
                filtered_alarms.add(whose)
            yield delivery

    began = perf_counter()
    sessions = {}

    def see(session):
        if session.session_id in truths:
            sessions[session.session_id] = _states(session)

    result = audit(deliveries(), Rules(), see=see)
    seconds = perf_counter() - began
    codes, outside = _codes(result.findings, truths, owner)
    verdicts = []
    for name, truth in truths.items():
        seen = sessions.get(name, ("", (), ()))
        left = Counter(codes[name]) - Counter(truth.told)
        verdicts.append(
            Verdict(
                truth,
                tuple(sorted(left.elements())),
                seen == _true_states(truth),
                seen,
                name in alarms,
                name in filtered_alarms,
            )
        )
    return Judged(verdicts, outside, result.deliveries, seconds)


def _codes(findings, truths, owner):
    """Alarming codes by session; a finding of no session belongs to the meeting that its line came from."""
    codes, outside = defaultdict(list), Counter()
    for found in findings:
        if found.severity not in ALARMING:
            continue
        whose = found.session_id if found.session_id in truths else None
        if whose is None and found.position:
            whose = owner[found.position]
        if whose is None:
            outside[found.code] += 1
        else:
            codes[whose].append(found.code)
    return codes, outside


def _states(session):
    """(state, who is inside, aggregates) as the judge has them."""
    values = status(session)
    inside = tuple(sorted(one["participant_id"] for one in values["participants"] if one["state"] == "in"))
    aggregates = sorted(
        (one["lifecycle"], tuple(sorted(one["key"].items())), len(one["runs"]), one["state"])
        for one in values["aggregates"]
        if one["lifecycle"] not in ("session", "participant")
    )
    return values["state"], inside, tuple(aggregates)


def _true_states(truth):
    aggregates = sorted(
        (one.lifecycle, tuple(sorted(one.key)), one.runs, one.state) for one in truth.aggregates
    )
    return truth.state, truth.inside, tuple(aggregates)


# -- the table -------------------------------------------------------------------------------------


@attrs.define
class Row:
    """The verdicts on the meetings with one fault, counted."""

    verdicts: list

    def share(self, is_so, among=None):
        chosen = self.verdicts if among is None else [one for one in self.verdicts if among(one)]
        return sum(map(is_so, chosen)) / len(chosen) if chosen else None

    @property
    def found(self):
        return self.share(lambda one: one.found, lambda one: one.truth.kind == "real")

    @property
    def accused(self):
        return self.share(lambda one: one.accused)

    @property
    def findings(self):
        return sum(len(one.codes) for one in self.verdicts) / len(self.verdicts) if self.verdicts else 0.0

    @property
    def states_right(self):
        return self.share(lambda one: one.states_right, lambda one: one.truth.knowable)


def rows(verdicts):
    """By fault; first the meetings without one, then the faults in the order of their table."""
    by_fault = defaultdict(list)
    for verdict in verdicts:
        by_fault[verdict.fault].append(verdict)
    return {name: Row(by_fault[name]) for name in (CLEAN, *FAULTS) if name in by_fault}


def odd_rows(verdicts):
    """The meetings without a fault by what is odd about them; one may be in several rows."""
    by_oddity = defaultdict(list)
    for verdict in verdicts:
        for odd in verdict.truth.oddities if verdict.fault == CLEAN else ():
            by_oddity[odd].append(verdict)
    return {name: Row(by_oddity[name]) for name in sorted(by_oddity)}


def percent(share):
    return "-" if share is None else f"{100 * share:.1f} %" if share < 1 else "100 %"


HEAD = ("fault", "kind", "meetings", "found", "accused", "findings", "states right", "plain", "deduplicated")


def table(verdicts):
    """The confusion table: Markdown, a line a fault, and one for each legal oddity."""
    lines = [HEAD, ("---",) * 2 + ("---:",) * 7]
    by_fault = rows(verdicts)
    if CLEAN in by_fault:
        lines.append((CLEAN, "clean", *_cells(by_fault.pop(CLEAN))))
    lines += ((name, "odd", *_cells(row)) for name, row in odd_rows(verdicts).items())
    lines += ((name, row.verdicts[0].truth.kind, *_cells(row)) for name, row in by_fault.items())
    width = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    return "\n".join(
        "| "
        + " | ".join(cell.ljust(width[n]) if n < 2 else cell.rjust(width[n]) for n, cell in enumerate(line))
        + " |"
        for line in lines
    )


def _cells(row):
    return (
        f"{len(row.verdicts):,}",
        percent(row.found),
        percent(row.accused),
        f"{row.findings:.2f}",
        percent(row.states_right),
        percent(row.share(lambda one: one.plain)),
        percent(row.share(lambda one: one.deduplicated)),
    )


def goals(verdicts, outside):
    """(what is wanted, what there is, whether it is met), a line a goal."""
    kinds = defaultdict(list)
    for verdict in verdicts:
        kinds[verdict.truth.kind].append(verdict)
    accused = sum(one.accused for one in kinds[None]) + sum(outside.values())
    found, blamed = Row(kinds["real"]).found, Row(kinds["delivery"]).accused
    each = Row(kinds["real"] + kinds["delivery"]).findings
    known = [one for one in verdicts if one.truth.knowable]
    wrong = sum(not one.states_right for one in known)
    yield "clean meetings accused: 0", f"{accused:,} of {len(kinds[None]):,}", not accused
    yield "real faults found: >= 97 %", percent(found), found is None or found >= 0.97
    yield "delivery faults accused: <= 1 %", percent(blamed), not blamed or blamed <= 0.01
    yield "findings a faulty meeting: <= 1.1", f"{each:.2f}", each <= 1.1
    yield "wrong final states: 0", f"{wrong:,} of {len(known):,}", not wrong


def reasons(verdicts):
    """What the wrongly judged got instead, the most frequent first."""
    for name, row in rows(verdicts).items():
        wrong = Counter(_answer(one) for one in row.verdicts if not one.right)
        if wrong:
            yield f"{name}: " + ", ".join(f"{count} x {answer}" for answer, count in wrong.most_common(6))


def _answer(one):
    said = "+".join(one.codes) or "nothing"
    return said if one.states_right or not one.truth.knowable else f"{said} (wrong states)"


def oddities(verdicts):
    """Which oddities the wrongly judged meetings without a fault have."""
    wrong = [one for one in verdicts if one.fault == CLEAN and not one.right]
    return Counter((odd, _answer(one)) for one in wrong for odd in one.truth.oddities or ("nothing odd",))


def examples(fault, meetings, seed, **options):
    """The log lines, the findings and the states of up to three meetings that were judged wrongly."""
    wrong = [one for one in judged(meetings, seed, **options).verdicts if one.fault == fault and not one.right][
        :3
    ]
    lines = defaultdict(list)
    names = {one.truth.session_id for one in wrong}
    for line in simulate(meetings, seed, **options):
        if line.truth and line.truth.session_id in names:
            lines[line.truth.session_id].append(f"{line.position:>7}  {encode(line.received).decode()}")
    for one in wrong:
        truth = one.truth
        yield f"{fault}: session {truth.session_id}, touched {truth.positions}, {', '.join(truth.oddities)}"
        yield from lines[truth.session_id]
        yield f"  expected {' or '.join(truth.expected) or 'nothing'}, got {_answer(one)}"
        if truth.knowable and not one.states_right:
            yield f"  states   {one.states}\n  truth    {_true_states(truth)}"
        yield ""


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--meetings", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--examples", metavar="FAULT", choices=[CLEAN, *FAULTS], help=f"a fault, or {CLEAN}")
    parser.add_argument("--into", metavar="FILE", type=Path, help="write the table there too")
    parser.add_argument("--subscribed", action="store_true", help="every type is subscribed to")
    parser.add_argument("--stable-urls", action="store_true", help="all hls of a room is at one url")
    parser.add_argument("--cut", type=float, default=0, help="seconds that are missing at the beginning")
    options = parser.parse_args(arguments)
    log_of = {
        "unheard": () if options.subscribed else None,
        "stable_urls": options.stable_urls,
        "cut": options.cut,
    }
    if options.examples:
        print("\n".join(examples(options.examples, options.meetings, options.seeds[0], **log_of)))
        return 0
    verdicts, outside = [], Counter()
    for seed in options.seeds:
        log = judged(options.meetings, seed, **log_of)
        verdicts += log.verdicts
        outside += log.outside
        print(f"seed {seed}: {log.deliveries:,} deliveries in {log.seconds:.0f} s", file=sys.stderr)
    print(table(verdicts))
    if options.into:
        write(options.into, table(verdicts))
    return 0 if _told(verdicts, outside) else 1


MARKS = re.compile(r"(<!-- judging: .*? -->\n).*?(<!-- /judging -->)", re.DOTALL)


def write(path, written):
    """Puts the table between its marks."""
    text = path.read_text(encoding="utf-8")
    path.write_text(MARKS.sub(lambda found: f"{found[1]}{written}\n{found[2]}", text), encoding="utf-8")


def _told(verdicts, outside):
    print("\nJudged wrongly, and what was said instead:")
    print("\n".join(reasons(verdicts)) or "none")
    odd = oddities(verdicts)
    if odd or outside:
        print(
            "\nClean meetings by what is odd about them:",
            *(f"{count} x {what[0]}: {what[1]}" for what, count in odd.most_common(20)),
            sep="\n",
        )
        print("Outside all meetings:", dict(outside))
    print()
    verdict = list(goals(verdicts, outside))
    for wanted, there, met in verdict:
        print(f"{'met   ' if met else 'MISSED'}  {wanted}  ({there})")
    return all(met for _, _, met in verdict)


if __name__ == "__main__":
    sys.exit(main())
