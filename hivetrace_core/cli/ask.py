"""`hivetrace ask`: one prompt to one model, the answer as it comes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import click

from ..errors import ConfigError
from .environment import env_file_option
from .terminal import SafeStream, complain, one_line


@click.command
@click.argument("prompt")
@click.option("-m", "--model", required=True, metavar="NAME", help="As in a config: plugin, plugin/id, or an id alone.")
@click.option("-s", "--system", metavar="TEXT", help="System prompt.")
@click.option(
    "-p", "--param", "params", multiple=True, metavar="KEY=VALUE", help="Option of the model; JSON, or else text."
)
@env_file_option
def command(prompt: str, model: str, system: str | None, params: tuple[str, ...]) -> int:
    """Send PROMPT (`-` reads it from standard input) to one model and show the answer as it comes.

    Characters that could steer the terminal are spelt out. What became of the prompt, where it is more than an answer,
    is said on standard error.
    """
    from ..contract import executor_of, model_name_of
    from ..messages import with_system
    from ..provider import ProviderModel
    from ..registry import create_model

    text = _from_stdin() if prompt == "-" else prompt
    asked = with_system(text, system)
    chosen = create_model(model, **_parsed(params))
    if isinstance(chosen, ProviderModel):
        with chosen:
            metadata = _show(iter(chosen.stream(asked)))
    else:
        from ..engine.portal import run_blocking

        executor = executor_of(chosen, provider="custom", model_name=model_name_of(chosen))
        metadata = _show(iter([run_blocking(executor.call(asked))]))
    if remark := _remark(metadata):
        complain(remark)
    return 0


def _show(chunks: Iterator[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Write the pieces as they come; returns the metadata of the whole, and ends with a line break."""
    shown, last = SafeStream(), "\n"
    metadata: Mapping[str, Any] = {}
    try:
        for chunk in chunks:
            piece = shown.feed(str(chunk["content"]))
            last = (last + piece)[-1]
            sys.stdout.write(piece)
            sys.stdout.flush()
            metadata = chunk.get("response_metadata", metadata)
    finally:
        sys.stdout.write(shown.rest() + ("" if last == "\n" else "\n"))
        sys.stdout.flush()
    return metadata


def _remark(metadata: Mapping[str, Any]) -> str:
    """What became of the prompt; nothing where it was simply answered."""
    outcome = str(metadata.get("outcome", "unknown"))
    if outcome == "answered":
        return ""
    block = metadata.get("block") or {}
    details = [f"at the {block['stage']}"] if block.get("stage") in ("prompt", "response") else []
    details += [f"rule {block['rule']}"] if block.get("rule") else []
    names = [str(category.get("name")) for category in block.get("categories") or []]
    details += [f"categories {', '.join(names)}"] if names else []
    native = metadata.get("native_finish_reason")
    details += [f"the provider says {native!r}"] if native and not block else []
    return one_line(f"[{outcome}{': ' if details else ''}{'; '.join(details)}]", limit=300)


def _parsed(params: tuple[str, ...]) -> dict[str, Any]:
    parsed: dict[str, Any] = {}
    for param in params:
        key, equals, value = param.partition("=")
        if not equals or not key:
            raise ConfigError(f"-p takes KEY=VALUE, for example -p temperature=0; {key!r} has no `=` or no key.")
        try:
            parsed[key] = json.loads(value)
        except ValueError:
            parsed[key] = value
    return parsed


def _from_stdin() -> str:
    try:
        text = sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise ConfigError(f"Standard input is not UTF-8 text (byte {exc.start}).") from None
    return text.removesuffix("\n").removesuffix("\r")
