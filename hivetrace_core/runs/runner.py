"""`run` and `resume`: from a config to a folder in which every prompt has its outcome."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from .._version import __version__
from ..config.comparing import comparable
from ..config.loader import load_config
from ..config.masking import masked_yaml
from ..config.models import ConfiguredModel, configure
from ..config.schema import RunConfig
from ..engine.portal import run_blocking
from ..errors import ConfigError
from ..redaction import Redactor
from .driving import ModelDriver
from .events import Listener, ModelFinished, ModelPlan, RunFinished, RunResult, RunStarted, tell
from .export import export
from .folder import DATABASE_NAME, make_run_folder, write_config
from .journal import Journal
from .prompts import PromptRow, read_prompts
from .reader import JournalReader, ModelRow, Wanted
from .resuming import config_of, params_of, rows_of
from .summary import summarize

if TYPE_CHECKING:
    from ..contract import Model
    from ..registry import Registry

DONE: Final = 0
DEGRADED: Final = 2
STOPPED: Final = 3
INTERRUPTED: Final = 130


@dataclass(frozen=True, slots=True)
class _Ready:
    """One model of the run, and what the journal calls it."""

    configured: ConfiguredModel
    row: ModelRow


def run(
    config: str | os.PathLike[str] | Mapping[str, Any] | RunConfig,
    *,
    listener: Listener | None = None,
    registry: Registry | None = None,
) -> RunResult:
    """Send every prompt of a config to every model of it, and record one true outcome for each.

    Everything is checked before anything is sent: the config, each model's options, the first prompt. The prompts are
    then copied into the run's folder, and whatever ends the process, `resume` goes on from there. Blocks until it is
    done; works in notebooks too. Ctrl-C cancels what is in flight, keeps what is recorded and raises
    `KeyboardInterrupt`; the listener then gets a last `RunFinished` with exit code 130.

    Args:
        config: A path, a mapping or a `RunConfig`.
        listener: Told of progress (`runs.events`).
        registry: Where models' names are looked up.

    Raises:
        ConfigError: the config, an option or the prompts are wrong; nothing was sent and no folder is left behind.
        PluginError: a model's plugin cannot be used; the same.
        RunError: the folder cannot be made or the journal not written; what is recorded is safe.
    """
    loaded = load_config(config)
    configured = configure(loaded, registry)
    redactor = _redactor(configured)
    prompts = _begun(read_prompts(loaded.prompts))
    ready = [_Ready(one, _row(number, one)) for number, one in enumerate(configured, 1)]
    models = {one.row.id: one.configured.build() for one in ready}
    folder = make_run_folder(loaded.output.dir, loaded.name)
    try:
        meta = {
            "name": loaded.name,
            "hivetrace_version": __version__,
            "created_at": time.time(),
            "config": comparable(loaded),
            "config_path": str(loaded.source_path) if loaded.source_path else None,
            "config_base": loaded.source.base,
        }
        rows = [one.row for one in ready]
        path = folder / DATABASE_NAME
        write_config(folder, masked_yaml(loaded))
        journal = Journal.create(path, meta=meta, models=rows, prompts=prompts, redactor=redactor)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return _Work(loaded, ready, journal, redactor, listener, Wanted(), resumed=False).result(models)


def resume(
    folder: str | os.PathLike[str],
    *,
    config: str | os.PathLike[str] | Mapping[str, Any] | RunConfig | None = None,
    retry_failed: bool = False,
    in_doubt: Literal["resend", "skip"] = "resend",
    listener: Listener | None = None,
    registry: Registry | None = None,
) -> RunResult:
    """Go on with a run: send what has no outcome yet, and nothing else.

    Args:
        folder: The run's.
        config: Where the secrets and limits come from; by default the file that the run was started with. It may differ
            in limits only.
        retry_failed: Also send again what has failed. The failed outcome is kept in the journal's table `history`.
        in_doubt: What to do with prompts that were under way when a process ended: `resend` (their outcome is marked,
            because the provider may have answered them once already), or `skip` (they stay without an outcome).
        listener: Told of progress (`runs.events`).
        registry: Where models' names are looked up.

    Raises:
        ConfigError: the config differs in more than limits, or is wrong; nothing was sent.
        PluginError: a model's plugin cannot be used; the same.
        RunError: there is no run, another process is at it, or its journal cannot be used.
    """
    if in_doubt not in ("resend", "skip"):
        raise ConfigError(f"in_doubt is 'resend' or 'skip', not {in_doubt!r}.")
    path = Path(folder) / DATABASE_NAME
    with JournalReader(path) as reader:
        meta, known = reader.meta, reader.models
    loaded = config_of(path.parent, meta, config)
    configured = configure(loaded, registry)
    redactor = _redactor(configured)
    rows = rows_of(known, configured, meta, loaded, redactor)
    ready = [_Ready(one, row) for one, row in zip(configured, rows, strict=True)]
    wanted = Wanted(in_doubt=in_doubt == "resend", failed_before=time.time() if retry_failed else 0.0)
    journal = Journal.open(path, redactor=redactor)
    return _Work(loaded, ready, journal, redactor, listener, wanted, resumed=True).result({})


class _Work:
    """A run from its open journal to its result."""

    def __init__(
        self,
        config: RunConfig,
        ready: list[_Ready],
        journal: Journal,
        redactor: Redactor,
        listener: Listener | None,
        wanted: Wanted,
        *,
        resumed: bool,
    ) -> None:
        self._config = config
        self._ready = ready
        self._journal = journal
        self._redactor = redactor
        self._listener = listener
        self._wanted = wanted
        self._resumed = resumed
        self._drivers: dict[str, ModelDriver] = {}

    def result(self, models: dict[int, Model]) -> RunResult:
        """Drive all models to their end; closes the journal."""
        interrupted: KeyboardInterrupt | None = None
        try:
            plans = [self._plan(one) for one in self._ready]
            for one, plan in zip(self._ready, plans, strict=True):
                if plan.to_send:
                    self._drivers[one.row.label] = self._driver(one, models.get(one.row.id) or one.configured.build())
            started = RunStarted(
                self._journal.path.parent, self._config.name, self._journal.reader.prompts, tuple(plans), self._resumed
            )
            tell(self._listener, started)
            for one in self._ready:
                if one.row.label not in self._drivers:
                    tell(self._listener, ModelFinished(summarize(self._journal.reader, one.row)))
            run_blocking(self._drive())
        except KeyboardInterrupt as exc:
            interrupted = exc
        finally:
            self._journal.close()
        result = self._closing(interrupted is not None)
        tell(self._listener, RunFinished(result))
        if interrupted is not None:
            raise interrupted
        return result

    def _plan(self, one: _Ready) -> ModelPlan:
        reader = self._journal.reader
        return ModelPlan(
            label=one.row.label,
            how=one.configured.resolved.how,
            to_send=reader.count_pending(one.row, self._wanted),
            in_doubt=reader.count_in_doubt(one.row),
            counts=reader.tally(one.row).counts,
        )

    def _driver(self, one: _Ready, model: Model) -> ModelDriver:
        return ModelDriver(
            one.configured,
            model,
            one.row,
            self._journal,
            system_prompt=self._config.system_prompt,
            redactor=self._redactor,
            listener=self._listener,
        )

    async def _drive(self) -> None:
        tasks = [asyncio.ensure_future(driver.drive(self._wanted)) for driver in self._drivers.values()]
        try:
            await asyncio.gather(*tasks)
        finally:
            # One that fails ends the run: its reason is the journal or a fault of ours, and the others share it.
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _closing(self, interrupted: bool) -> RunResult:
        folder = self._journal.path.parent
        stopped = {label: driver.stopped for label, driver in self._drivers.items()}
        with JournalReader(self._journal.path) as reader:
            summaries = tuple(summarize(reader, row, stopped=stopped.get(row.label)) for row in reader.models)
        files: list[Path] = []
        if interrupted:
            code = INTERRUPTED
        else:
            files = export(folder, formats=self._config.output.formats)
            allowed = self._config.run.max_failure_rate
            degraded = any(summary.failure_rate > allowed for summary in summaries)
            code = STOPPED if any(stopped.values()) else DEGRADED if degraded else DONE
        return RunResult(folder, code, summaries, tuple(files))


def _begun(prompts: Iterator[PromptRow]) -> Iterator[PromptRow]:
    """The same prompts, the first one read: a missing file or a wrong column shows before a model is built."""
    return chain([next(prompts)], prompts)


def _redactor(configured: list[ConfiguredModel]) -> Redactor:
    return Redactor(secret for one in configured for secret in one.secrets)


def _row(number: int, one: ConfiguredModel) -> ModelRow:
    return ModelRow(number, one.label, one.resolved.qualified, one.resolved.id_for(one.params), params_of(one))
