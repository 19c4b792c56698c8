"""The command group, and what its exceptions become: one line for the user, and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Final

import click

from ..errors import HiveTraceError
from .secrets import without_secrets
from .terminal import complain, tolerate_any_output

DONE: Final = 0
WRONG: Final = 1
INTERRUPTED: Final = 130

COMMANDS: Final[dict[str, str]] = {
    "run": "Send every prompt of a config to every model of it.",
    "resume": "Go on with a run that was stopped, or retry what failed in it.",
    "check": "Validate a config without sending anything.",
    "ask": "Send one prompt to one model and show the answer as it comes.",
    "models": "List the installed models.",
    "export": "Write the results of a run as files.",
    "mock-server": "Play the installed providers on this machine, by a script.",
}
"""Names and summaries, so that `--help` imports no command."""


class _LazyGroup(click.Group):
    """A group that imports a subcommand's module when the subcommand is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f".{cmd_name.replace('-', '_')}", __package__).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            close = get_close_matches(args[0], COMMANDS, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"commands are {', '.join(COMMANDS)}."
            raise click.UsageError(f"There is no command {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from .._version import __version__

        click.echo(f"hivetrace-core {__version__}")
        ctx.exit()


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done; 1 wrong config or command; 2 more failures than allowed; 3 stopped early (resumable); "
    "130 interrupted (resumable).",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version."
)
@click.option("--debug", is_flag=True, help="Show tracebacks and the log (also: HIVETRACE_DEBUG=1).")
@click.pass_context
def application(ctx: click.Context, debug: bool) -> None:
    """Send prompts to language models and record what truly happened to each."""
    from .logs import show_logs

    ctx.obj = debug or _debug_by_environment()
    show_logs(everything=ctx.obj)


def execute(arguments: Sequence[str] | None) -> int:
    """Run one command line; returns the exit code and shows no traceback unless asked."""
    tolerate_any_output()
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = application.main(given, prog_name="hivetrace", standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        complain("interrupted")
        return INTERRUPTED
    except click.ClickException as problem:
        _explain_usage(problem)
        return WRONG
    except Exception as error:  # noqa: BLE001  # the outermost frame: whatever got here is shown as one line
        _explain(error, debug="--debug" in given or _debug_by_environment())
        return WRONG
    return code if isinstance(code, int) else DONE


def _explain_usage(problem: click.ClickException) -> None:
    ctx = getattr(problem, "ctx", None)
    if isinstance(problem, click.exceptions.NoArgsIsHelpError) and ctx is not None:
        complain(ctx.get_help())
        return
    complain(f"error: {problem.format_message()}")
    if ctx is not None:
        complain(f"Try: {ctx.command_path} --help")


def _explain(error: Exception, *, debug: bool) -> None:
    if debug:
        import traceback

        complain(without_secrets("".join(traceback.format_exception(error))).rstrip())
    if isinstance(error, HiveTraceError):
        text = f"error: {error}"
    else:
        text = (
            f"error: HiveTrace met something it did not expect ({type(error).__name__}: {error}).\n"
            "This is a fault of HiveTrace or of a plugin; `hivetrace --debug ...` (or HIVETRACE_DEBUG=1) shows where."
        )
    # A command may have added to the error (PEP 678) what to do next.
    complain(without_secrets("\n".join([text, *getattr(error, "__notes__", [])])))


def _debug_by_environment() -> bool:
    return os.environ.get("HIVETRACE_DEBUG", "") not in ("", "0")
