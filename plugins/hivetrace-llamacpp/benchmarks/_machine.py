"""What the machine did meanwhile: figures of a busy machine mean nothing."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

QUIET = 0.1
"""CPUs that others may use before a run; more is said in the output."""


def busy_s() -> float:
    """CPU seconds of the whole machine so far; 0 where the system does not say."""
    try:
        fields = Path("/proc/stat").read_text("ascii").splitlines()[0].split()[1:]
    except OSError:
        return 0.0
    return sum(int(fields[number]) for number in (0, 1, 2, 5, 6)) / os.sysconf("SC_CLK_TCK")


def own_s() -> float:
    """CPU seconds of this process and of those of its children that have ended."""
    return sum(os.times()[:4])


def cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load() -> float:
    """CPUs in use by others at this moment."""
    begin, busy, own = time.perf_counter(), busy_s(), own_s()
    time.sleep(1)
    return max(busy_s() - busy - (own_s() - own), 0) / (time.perf_counter() - begin)


def describe() -> str:
    """The CPU, in a line."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return f"{platform.machine()}, {cpus()} CPUs"
    name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "?")
    flags = next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags")), [])
    vector = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8") if flag in flags]
    return f"{name}, {cpus()} CPUs, {' '.join(vector) or 'no AVX2'}; {platform.system()} {platform.release()}"
