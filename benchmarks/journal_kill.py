"""How much of what was recorded is lost when the process is killed (`kill -9`) in the middle of a run.

A child process records intents and outcomes as fast as it can and says aloud what it was told is committed. It is
killed at some moment; then every word of it is looked for in the file.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from hivetrace_core.runs.journal import Journal
from hivetrace_core.runs.reader import JournalReader

from ._measure import Figure, Settings, report
from .journal_rate import MODEL, create, work

PROMPTS = 20_000


async def victim(folder: str, count: int) -> None:
    """Work until killed; print each intent that was committed, and each outcome after a flush that followed it."""
    journal = create(folder, count, [])
    waiting: list[int] = []

    def said(what: str, index: int) -> None:
        if what == "started":
            os.write(1, f"started {index}\n".encode())
        else:
            waiting.append(index)

    async def acknowledge() -> None:
        while True:
            recorded = waiting.copy()
            waiting.clear()
            await journal.flush()
            os.write(1, "".join(f"recorded {index}\n" for index in recorded).encode())
            await asyncio.sleep(0)

    acknowledging = asyncio.create_task(acknowledge())
    await work(journal.log(MODEL), raw=True, said=said)
    acknowledging.cancel()


def kill(count: int, after: int) -> tuple[int, int]:
    """Outcomes and intents that a killed process had been told are recorded, and that are not in the file."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        command = [sys.executable, "-m", "benchmarks.journal_kill", "--victim", folder, str(count)]
        said: dict[str, set[int]] = {"started": set(), "recorded": set()}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                what, number = line.split()
                said[what].add(int(number))
                if len(said["recorded"]) >= after and process.poll() is None:
                    process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        Journal.open(Path(folder, "run.db")).close()  # as a resume does: checks the file
        with JournalReader(Path(folder, "run.db")) as reader:
            found = {recorded.index for recorded in reader.outcomes(MODEL)}
            doubtful = {pending.index for pending in reader.pending(MODEL) if pending.attempts}
        return len(said["recorded"] - found), len(said["started"] - found - doubtful)


def measure(settings: Settings) -> list[Figure]:
    chance = random.Random(7)
    lost, intents, recorded = 0, 0, 0
    for _ in range(2 if settings.quick else 10):
        after = chance.randrange(1, PROMPTS // 3)
        outcomes_lost, intents_lost = kill(PROMPTS, after)
        lost, intents, recorded = lost + outcomes_lost, intents + intents_lost, recorded + after
    return [
        Figure("outcomes known to be recorded when the process was killed", recorded),
        Figure("of them not in the file", lost, "", 0),
        Figure("requests sent without a trace in the file", intents, "", 0),
    ]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--victim"]:
        asyncio.run(victim(sys.argv[2], int(sys.argv[3])))
    else:
        report(__doc__.splitlines()[0], measure)
