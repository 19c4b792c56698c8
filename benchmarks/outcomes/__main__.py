"""`python -m benchmarks.outcomes`: the corpus served over loopback to HiveTrace and to other libraries, and the tables.

With `--write DOC.md` the tables go between the marks of that document, and what was seen beside it as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .._environments import NotInstalledError, default_folder
from .._measure import Figure
from .asking import LIBRARIES, ask_library, ask_ours
from .corpus import corpus
from .server import ReplyServer
from .table import OURS, Cell, cell, markdown, right

BEGIN, END = "<!-- scoreboard -->", "<!-- end of the scoreboard -->"


def main(arguments: list[str]) -> int:
    """Ask everybody, or those named by `--only`; 1 where HiveTrace's own models miss a case."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outcomes", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--envs", type=Path, default=default_folder(), help="folder of the libraries' environments")
    parser.add_argument("--only", action="append", help="a library, by its name; can be given several times")
    parser.add_argument("--write", type=Path, metavar="DOC.md", help="put the tables there, and the JSON beside it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figure with a bound there")
    parser.add_argument("--quick", action="store_true", help="only HiveTrace's own models")
    told = parser.parse_args(arguments)
    found = _seen(told.envs, () if told.quick else told.only)
    cases = corpus()
    cells = {
        name: {case.id: cell(name, case, one["seen"].get(case.id)) for case in cases} for name, one in found.items()
    }
    versions = "; ".join(f"{name}: {_versions(one['versions'])}" for name, one in found.items())
    text = f"Looked at: {versions}.\n\n{markdown(cases, cells)}"
    print(text)
    if told.write:
        _put(told.write, text)
        told.write.with_suffix(".json").write_text(_raw(found, cells), encoding="utf-8")
    asked = [(case, one) for case in cases if (one := cells[OURS][case.id]).asked]
    read_right = 100 * sum(right(case, one.close, kind=True) for case, one in asked) / len(asked)
    figure = Figure("documented replies that HiveTrace's models read right", read_right, " %", 100.0, at_least=True)
    if told.json:
        told.json.write_text(json.dumps([asdict(figure)]))
    return 0 if figure.verdict == "pass" else 1


def _seen(environments: Path, only: list[str] | tuple[str, ...] | None) -> dict[str, dict[str, Any]]:
    cases = corpus()
    with ReplyServer(cases) as server:
        found = {OURS: ask_ours(cases, server)}
        for library in LIBRARIES:
            if only is None or library.name in only:
                try:
                    found[library.name] = ask_library(library, cases, server, environments)
                except NotInstalledError as exc:
                    print(f"{library.name} is left out: {exc}", file=sys.stderr)
    return found


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _put(path: Path, text: str) -> None:
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{path} has no lines {BEGIN} and {END}; the tables would stand between them.")
    path.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def _raw(found: dict[str, dict[str, Any]], cells: dict[str, dict[str, Cell]]) -> str:
    """What each library showed of each case, what was read from it, and whether that is right; one case on a line."""
    lines = []
    for case in corpus():
        by_library = {}
        for name, one in found.items():
            judged = cells[name][case.id]
            if judged.asked:
                by_library[name] = {
                    "right": right(case, judged.close, kind=True),
                    "read": judged.close,
                    "plainly": judged.plain,
                    "shown": one["seen"][case.id],
                }
        expect = {"outcome": case.expect.outcome, "also": case.expect.also, "kind": case.expect.kind}
        lines.append(json.dumps({"id": case.id, "expect": expect, "libraries": by_library}, ensure_ascii=False))
    versions = json.dumps({name: one["versions"] for name, one in found.items()})
    return f'{{"versions": {versions},\n"cases": [\n' + ",\n".join(lines) + "\n]}\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
