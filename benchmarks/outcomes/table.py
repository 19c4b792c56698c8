"""From what was seen to points, and from points to tables in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .corpus import Case
from .reading import Verdict, read

OURS = "HiveTrace"


@dataclass(frozen=True)
class Cell:
    """What a library made of one case.

    Attributes:
        asked: Whether it can be asked for it at all.
        close: What a careful user reads; None where nothing came back.
        plain: What the library's own words say.
    """

    asked: bool
    close: Verdict | None = None
    plain: Verdict | None = None


def cell(library: str, case: Case, seen: Mapping[str, Any] | None) -> Cell:
    """The verdicts about one case; `seen` is None where the library does not know the vendor."""
    if seen is None or seen.get("unsupported"):
        return Cell(asked=False)
    if library == OURS:
        verdict = Verdict(seen["outcome"], seen.get("kind"))
        return Cell(asked=True, close=verdict, plain=verdict)
    # By the vendors' own tables a 504 is a timeout, but with OpenAI and the servers that follow it a server's error.
    rule = {"stream": case.stream is not None, "timeout_504": case.vendor not in ("openai", "sbercloud")}
    return Cell(asked=True, close=read(seen, closely=True, **rule), plain=read(seen, closely=False, **rule))


def right(case: Case, verdict: Verdict | None, *, kind: bool) -> bool:
    """Whether a verdict is the documented one; with `kind`, that of the error too."""
    if verdict is None or verdict.outcome not in (case.expect.outcome, *case.expect.also):
        return False
    return not kind or verdict.outcome != "failed" or case.expect.kind in (None, verdict.kind)


def markdown(cases: Sequence[Case], cells: Mapping[str, Mapping[str, Cell]]) -> str:
    """All tables: by vendor with both measures, the plain reading, and what is missed."""
    return "\n\n".join(
        [
            "### Read closely: outcome right / outcome and kind of error right / cases",
            _by_vendor(cases, cells, closely=True),
            "### By the library's own words alone",
            _by_vendor(cases, cells, closely=False),
            "### By how the prompt ended, read closely: outcome right / cases",
            _by_outcome(cases, cells),
            "### What is missed, read closely",
            *(_misses(cases, name, found) for name, found in cells.items()),
        ]
    )


def _by_vendor(cases: Sequence[Case], cells: Mapping[str, Mapping[str, Cell]], *, closely: bool) -> str:
    def points(found: Mapping[str, Cell], chosen: Sequence[Case]) -> str:
        asked = [(case, found[case.id]) for case in chosen if found[case.id].asked]
        if not asked:
            return "-"
        verdicts = [(case, cell.close if closely else cell.plain) for case, cell in asked]
        counts = [sum(right(case, verdict, kind=kind) for case, verdict in verdicts) for kind in (False, True)]
        return f"{counts[0]} / {counts[1]} / {len(asked)}"

    vendors = list(dict.fromkeys(case.vendor for case in cases))
    rows = [
        [vendor, *(points(found, [case for case in cases if case.vendor == vendor]) for found in cells.values())]
        for vendor in vendors
    ]
    shares = []
    for found in cells.values():
        asked = [(case, found[case.id]) for case in cases if found[case.id].asked]
        counts = [
            sum(right(case, one.close if closely else one.plain, kind=kind) for case, one in asked)
            for kind in (False, True)
        ]
        shares.append(" / ".join(f"{100 * count / len(asked):.0f} %" for count in counts) if asked else "-")
    rows.append(["all that was asked", *(points(found, cases) for found in cells.values())])
    return _table(["vendor", *cells], [*rows, ["share", *shares]])


def _by_outcome(cases: Sequence[Case], cells: Mapping[str, Mapping[str, Cell]]) -> str:
    rows = []
    for outcome in dict.fromkeys(case.expect.outcome for case in cases):
        row: list[str] = [outcome]
        for found in cells.values():
            asked = [case for case in cases if case.expect.outcome == outcome and found[case.id].asked]
            row.append(f"{sum(right(case, found[case.id].close, kind=False) for case in asked)} / {len(asked)}")
        rows.append(row)
    return _table(["the prompt was", *cells], rows)


def _misses(cases: Sequence[Case], name: str, found: Mapping[str, Cell]) -> str:
    rows = []
    for case in cases:
        one = found[case.id]
        if one.asked and not right(case, one.close, kind=True):
            rows.append(
                [f"`{case.id}`", _words(case.expect.outcome, case.expect.kind), _words(*(one.close or ("nothing",)))]
            )
    if not rows:
        return f"**{name}**: nothing."
    table = _table(["case", "what the vendor documents", "what the library shows"], rows)
    return f"<details><summary>{name}: {len(rows)}</summary>\n\n{table}\n\n</details>"


def _words(outcome: str, kind: str | None = None) -> str:
    return f"{outcome} ({kind})" if kind else outcome


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
