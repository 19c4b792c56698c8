"""How much memory is free. A guess that prevents the worst: the system kills a process that takes more."""

from __future__ import annotations

import os
from pathlib import Path

from hivetrace_core import ConfigError

_CGROUP = Path("/sys/fs/cgroup")


def available(meminfo: Path = Path("/proc/meminfo"), cgroup: Path = _CGROUP) -> int | None:
    """Bytes that this process can still take, within its container; None where the system does not say."""
    known = [size for size in (_free(meminfo), _free_in_group(cgroup)) if size is not None]
    return min(known) if known else None


def check_file(path: Path, size: int) -> None:
    """Refuse to read a file into memory that does not hold it.

    Raises:
        ConfigError: it is larger than what is free.
    """
    free = available()
    if free is not None and size > free:
        raise ConfigError(
            f"{path} has {size / 1e6:,.1f} MB, and {free / 1e6:,.1f} MB of memory are free. With use_mmap=true (the "
            "default) it need not fit at once; a model with smaller weights would."
        )


def _free(meminfo: Path) -> int | None:
    try:
        for line in meminfo.read_text("ascii", "replace").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _free_in_group(folder: Path) -> int | None:
    """What the control group of a container leaves; None where there is no limit."""
    try:
        limit = int((folder / "memory.max").read_text("ascii"))
        used = int((folder / "memory.current").read_text("ascii"))
    except (OSError, ValueError):
        return None
    return max(limit - used + _reclaimable(folder), 0)


def _reclaimable(folder: Path) -> int:
    """Bytes of files that were read and that the kernel drops first; they count as used."""
    try:
        for line in (folder / "memory.stat").read_text("ascii").splitlines():
            if line.startswith("inactive_file "):
                return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return 0
