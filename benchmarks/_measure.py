"""What the benchmarks share: settings, interleaved rounds, figures with bounds, and a line about the machine."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ._environments import default_folder


@dataclass(frozen=True)
class Settings:
    """How a benchmark was asked for.

    Attributes:
        quick: Fewer rounds: to see that it runs, not what it costs.
        environments: Folder of the competitors' environments.
    """

    quick: bool
    environments: Path


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes:
        name: What was measured.
        value: The measurement; None where there is none (a competitor that could not be installed).
        unit: Of the value and of its bound.
        bound: What it must not exceed, or, where `at_least`, must reach; None for a number that is only informative.
    """

    name: str
    value: float | None
    unit: str = ""
    bound: float | None = None
    at_least: bool = False

    @property
    def verdict(self) -> str:
        if self.bound is None:
            return ""
        if self.value is None:
            return "FAIL"
        kept = self.value >= self.bound if self.at_least else self.value <= self.bound
        return "pass" if kept else "FAIL"

    def under(self, benchmark: str) -> Figure:
        """The same, with the benchmark's name in front."""
        return replace(self, name=f"{benchmark}: {self.name.strip()}")

    def row(self) -> tuple[str, str, str, str]:
        bound = "" if self.bound is None else f"{'>=' if self.at_least else '<='} {number(self.bound)}{self.unit}"
        value = "not measured" if self.value is None else f"{number(self.value)}{self.unit}"
        return self.name, value, bound, self.verdict


class Rounds:
    """Measures all subjects once per round, each round beginning with another one.

    One unmeasured round goes first. What slows the machine for a while slows a whole round, so that the ratios within
    it hold; their median is what is reported.
    """

    def __init__(self, subjects: Mapping[str, Callable[[], float]], *, rounds: int) -> None:
        self._taken: dict[str, list[float]] = {name: [] for name in subjects}
        names = list(subjects)
        for number in range(-1, rounds):
            shift = number % len(names)
            for name in names[shift:] + names[:shift]:
                value = subjects[name]()
                if number >= 0:
                    self._taken[name].append(value)

    def median(self, name: str) -> float:
        """Of one subject."""
        return statistics.median(self._taken[name])

    def ratio(self, name: str, base: str, *, above: str | None = None) -> float:
        """Median of the ratio to another subject; both less what `above` took in that round."""
        zero = self._taken[above] if above is not None else [0.0] * len(self._taken[name])
        return statistics.median(
            (value - nothing) / (other - nothing)
            for value, other, nothing in zip(self._taken[name], self._taken[base], zero, strict=True)
        )


def report(title: str, measure: Callable[[Settings], list[Figure]]) -> None:
    """Run a benchmark as a script: measure, print a table, exit with 1 if a bound is missed."""
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: to see that it runs, not what it costs")
    parser.add_argument("--envs", type=Path, default=default_folder(), help="where the competitors' environments are")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    args = parser.parse_args()
    print(f"{title}\n{machine()}", flush=True)
    began, busy = time.perf_counter(), _foreign_seconds()
    figures = measure(Settings(args.quick, args.envs.resolve()))
    elapsed = time.perf_counter() - began
    if busy is not None and (now := _foreign_seconds()) is not None:
        print(f"{elapsed:.0f} s; other processes used {max(0.0, now - busy) / elapsed:.2f} cores meanwhile")
    print_table(figures)
    if args.json:
        args.json.write_text(json.dumps([asdict(figure) for figure in figures]))
    if any(figure.verdict == "FAIL" for figure in figures):
        raise SystemExit(1)


def print_table(figures: list[Figure]) -> None:
    print_columns([("figure", "measured", "bound", ""), *(figure.row() for figure in figures)])


def print_columns(rows: Iterable[Sequence[str]]) -> None:
    """Rows of cells under one another; the first row is the header, the first column is set to the left."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = (f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True))
        print("  ".join(["", f"{first:<{widths[0]}}", *cells]).rstrip())
    print(flush=True)


def number(value: float) -> str:
    """In three digits, or whole."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def machine() -> str:
    """Python and processors, in one line."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{python}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores"


def _foreign_seconds() -> float | None:
    """CPU seconds used so far by everything but this process and its ended children; None where the system hides it."""
    try:
        ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    except OSError:
        return None
    user, nice, system, _idle, _iowait, irq, softirq = ticks[:7]
    busy = (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
    return busy - sum(os.times()[:4])
