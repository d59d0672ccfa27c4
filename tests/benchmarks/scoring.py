"""Compares what was said of a simulated log with what is true of it.

It reads what the command line prints (findings, states) and what ``tracker simulate --truth`` wrote, both as
plain values; nothing of the judging is imported. A finding counts if it is a warning or an error and stands:
it is neither undecided nor retracted nor accepted. It is an answer to a fault if its code is one of the
fault's and it is about the right thing: the same run of the same aggregate, or a line that the fault touched.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime

import attrs

ALARMING = ("warning", "error")
NO_MORE = ("undecided", "retracted", "accepted")
OF_THE_SESSION = {
    "X401",
    "X406",
    "X407",
    "T304",
    "T305",
    "T306",
    "T307",
    "C501",
    "C503",
    "C509",
    "C515",
    "C517",
}
"""Codes about a session as a whole, whatever aggregate or line they name."""
OF_ANOTHER_SESSION = {"X406"}
"""Codes that may be said of the next session of the same meeting."""
OF_A_PERSON = {"X405"}
"""Codes that name the person a fault is about, and the recording of that person."""
OF_COPIES = {"D101", "D105", "S208"}
"""Codes that say of their line that it is a copy; as an info they are right if it is one."""
SAME_OUTCOME = {"T311": "S204"}
"""Codes that report the same legal outcome in other words."""


ALIKE = 10
"""Seconds: two lefts of one person that are nearer to each other cannot be distinguished."""


@attrs.define
class Meeting:
    """What is true of one session, and what was said of it.

    ``states_right``, ``visits`` and ``times`` are known when it is ``settled``: then only little of the truth is
    kept, as there are many meetings.
    """

    truth: dict
    state: dict | None = None
    found: set = attrs.field(factory=set)
    """The numbers of the real faults that were answered."""
    answers: int = 0
    """How many findings were answers to a real fault."""
    wrong: list = attrs.field(factory=list)
    """The codes of the findings that are right about nothing."""
    outcomes: Counter = attrs.field(factory=Counter)
    """The codes of legal outcomes that may still be reported."""
    known: bool = False
    """Whether its states can be known and were asked for."""
    states_right: bool = True
    visits: tuple = (0, 0)
    """(wrong, all) of the people: one is right if the visits are as many, at the right times."""
    times: tuple = (0, 0)
    """(wrong, all) of the runs: one is right if each step that came has the time at which it came."""

    def __attrs_post_init__(self):
        self.outcomes.update(self.truth["told"])

    @property
    def real(self):
        return [fault for fault in self.truth["faults"] if fault["kind"] == "real"]

    @property
    def kind(self):
        """``real``, ``harmless`` or ``clean``; what is not subscribed to makes nothing less clean."""
        if self.real:
            return "real"
        return "harmless" if any(one["name"] != "not-subscribed" for one in self.truth["faults"]) else "clean"

    @property
    def findings(self):
        return self.answers + len(self.wrong)

    def settled(self):
        """Compares the states and forgets what is no longer needed."""
        self.known = self.truth["knowable"] and self.state is not None
        if self.known:
            self.states_right = _said_states(self.state) == _true_states(self.truth)
            self.visits = _visits(self.truth, self.state)
            self.times = _run_times(self.truth, self.state)
        first = {
            (fault["name"], fault["kind"]): fault for fault in self.truth["faults"] if fault["kind"] != "real"
        }
        kept = {
            name: self.truth[name] for name in ("session_id", "meeting_id", "fault", "oddities", "knowable")
        }
        kept["faults"] = [
            {"name": fault["name"], "kind": fault["kind"]} for fault in (*self.real, *first.values())
        ]
        self.truth, self.state = kept, None
        return self

    def is_found_by(self, found):
        """Takes one finding that counts; says whether it is right."""
        number = next((n for n, fault in enumerate(self.real) if self.answered(fault, found)), None)
        if number is not None:
            self.found.add(number)
            self.answers += 1
            return True
        if any(self.answered(fault, found, "also") for fault in self.real):
            self.answers += 1
            return True
        if any(
            found["code"] in fault["codes"] for fault in self.truth["faults"] if fault["kind"] == "harmless"
        ):
            # What may be said of a harmless fault is no false alarm, and nothing that must be found.
            return True
        code = SAME_OUTCOME.get(found["code"], found["code"])
        if self.outcomes[code]:
            self.outcomes[code] -= 1
            return True
        self.wrong.append(found["code"])
        return False

    def answered(self, fault, found, names="codes"):
        """Whether a finding is the right code at the right thing."""
        if found["code"] not in fault[names]:
            return False
        if found["code"] in OF_THE_SESSION or names == "also":
            return True
        lines = {found["position"], *found["evidence"]} - {None}
        if fault["lifecycle"] is None:
            return bool(lines & set(fault["positions"]))
        key, named = fault["key"], found["key"] or {}
        if found["code"] in OF_A_PERSON:
            return named.get("participant_id") == key.get("participant_id")
        if (found["lifecycle"], named) != (fault["lifecycle"], key):
            return False
        return found["run"] == fault["run"] or bool(lines & (set(fault["positions"]) | self._lines(fault)))

    def _lines(self, fault):
        """The lines of the run that a fault is about."""
        for one in self.truth["aggregates"]:
            if (one["lifecycle"], one["key"]) == (fault["lifecycle"], fault["key"]):
                run = one["runs"][fault["run"] - 1]
                return {step["position"] for step in run["steps"]} - {None}
        return set()


# -- states and times ------------------------------------------------------------------------------


def _visits(truth, state):
    said = {one["participant_id"]: one["visits"] for one in state["participants"]}
    people = truth["participants"]
    right = sum(_same(_times(one["visits"]), _times(said.get(one["participant_id"], ()))) for one in people)
    return len(people) - right, len(people)


def _run_times(truth, state):
    said = {
        (one["lifecycle"], _key(one["key"])): [_steps(run) for run in one["runs"]]
        for one in state["aggregates"]
    }
    wrong = runs = 0
    for one in truth["aggregates"]:
        there = said.get((one["lifecycle"], _key(one["key"])), [])
        for number, run in enumerate(one["runs"]):
            runs += 1
            wrong += number >= len(there) or there[number] != _steps(run)
    return wrong, runs


def _key(key):
    return tuple(sorted(key.items()))


def _time(text):
    return datetime.fromisoformat(text) if text else None


def _times(visits):
    return [(_time(one["joined_at"]), _time(one["left_at"])) for one in visits]


def _same(true, said):
    """Whether the visits are the same. Lefts say nothing but who left, so that two of one time may change places."""
    if true == said:
        return True
    lefts = [[left for _, left in visits if left] for visits in (true, said)]
    return (
        [joined for joined, _ in true] == [joined for joined, _ in said]
        and sorted(lefts[0]) == sorted(lefts[1])
        and all(abs((one - other).total_seconds()) < ALIKE for one, other in zip(*lefts, strict=True))
    )


def _steps(run):
    return {step["step"]: _time(step["at"]) for step in run["steps"] if step["at"] and not step.get("inferred")}


def _said_states(values):
    """(state, who is inside, aggregates) as the status has them."""
    inside = sorted(one["participant_id"] for one in values["participants"] if one["state"] == "in")
    aggregates = sorted(
        (one["lifecycle"], _key(one["key"]), len(one["runs"]), one["state"])
        for one in values["aggregates"]
        if one["lifecycle"] not in ("session", "participant")
    )
    return values["state"], inside, aggregates


def _true_states(truth):
    aggregates = sorted(
        (one["lifecycle"], _key(one["key"]), len(one["runs"]), one["state"]) for one in truth["aggregates"]
    )
    is_over = truth["state"] == "presumed-ended"  # then nobody is taken to be inside, whoever truly is
    return truth["state"], [] if is_over else truth["inside"], aggregates


# -- a log -----------------------------------------------------------------------------------------


@attrs.define
class Score:
    """One or more logs, compared: the meetings, what was said outside of all, and how sure it was."""

    meetings: list = attrs.field(factory=list)
    outside: Counter = attrs.field(factory=Counter)
    """Codes of findings that belong to no meeting and are no right answer about the log."""
    sure: list = attrs.field(factory=list)
    """(confidence or ``None``, whether it was right) of each finding of which that can be said."""
    deliveries: int = 0
    seconds: float = 0.0

    def add(self, other):
        self.meetings += other.meetings
        self.outside += other.outside
        self.sure += other.sure
        self.deliveries += other.deliveries
        self.seconds += other.seconds

    # -- counts, each (how many, of how many) ------------------------------------------------------

    def false_alarms(self, kind):
        chosen = [one for one in self.meetings if one.kind == kind]
        return sum(bool(one.wrong) for one in chosen), len(chosen)

    @property
    def found(self):
        return sum(len(one.found) for one in self.meetings), sum(len(one.real) for one in self.meetings)

    @property
    def each(self):
        """(findings, meetings) of the meetings with exactly one fault."""
        chosen = [one for one in self.meetings if len(one.real) == 1]
        return sum(one.findings for one in chosen), len(chosen)

    @property
    def known(self):
        """The meetings of which every webhook came and whose state was asked for."""
        return [one for one in self.meetings if one.known]

    @property
    def wrong_states(self):
        return sum(not one.states_right for one in self.known), len(self.known)

    @property
    def wrong_visits(self):
        return _sum(one.visits for one in self.known)

    @property
    def wrong_times(self):
        return _sum(one.times for one in self.known)


def _sum(pairs):
    wrong = total = 0
    for one, of in pairs:
        wrong, total = wrong + one, total + of
    return wrong, total


def score(truths, findings, states, right_codes=()):
    """Compares one log. ``states`` are the statuses by session id, ``right_codes`` the right findings about it."""
    result = compared(truths, findings, states, right_codes)
    for one in result.meetings:
        one.settled()
    return result


def compared(truths, findings, states, right_codes=()):
    """The same before it is settled, while all of the truth is there."""
    result = Score([Meeting(truth, states.get(truth["session_id"])) for truth in truths])
    by_session = {one.truth["session_id"]: one for one in result.meetings}
    by_meeting = defaultdict(list)
    by_line = {}
    for one in result.meetings:
        by_meeting[one.truth["meeting_id"]].append(one)
        by_line.update((line, one) for fault in one.truth["faults"] for line in fault["positions"])
    copies = {line for truth in truths for line in truth["copies"]}
    for found in findings:
        if found["verdict"] in NO_MORE:
            continue
        whose = by_session.get(found["session_id"]) or by_line.get(found["position"])
        if found["severity"] in ALARMING:
            right = _hear(result, found, whose, by_meeting, right_codes)
        elif found["code"] in OF_COPIES and found["session_id"] in by_session:  # the truth says no more
            right = found["position"] in copies
        else:
            continue
        result.sure.append((found.get("confidence"), right))
    return result


def _hear(result, found, whose, by_meeting, right_codes):
    if whose is None:
        right = found["code"] in right_codes
        result.outside[found["code"]] += not right
        return right
    if found["code"] in OF_ANOTHER_SESSION:
        for other in by_meeting[whose.truth["meeting_id"]]:
            if any(other.answered(fault, found) for fault in other.real):
                return other.is_found_by(found)
    return whose.is_found_by(found)


EDGES = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


def reliability(sure):
    """(from, to, how many, mean confidence, share right) of each bin that is not empty; exactly 1 is one of its own.

    What has no confidence is left out.
    """
    bins = defaultdict(list)
    for said, right in sure:
        if said is not None:
            bins[max(edge for edge in EDGES if edge <= said)].append((said, right))
    for edge in sorted(bins):
        chosen = bins[edge]
        above = next((other for other in EDGES if other > edge), edge)
        mean, share = (sum(one[n] for one in chosen) / len(chosen) for n in (0, 1))
        yield edge, above, len(chosen), mean, share
