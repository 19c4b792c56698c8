"""Chat templates: programs in Jinja that come with a model, so they run in a sandbox and a bounded number of turns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Final

from jinja2 import Template, TemplateRuntimeError, TemplateSyntaxError, nodes, pass_context
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from hivetrace_core import ConfigError

MOST_TURNS: Final = 200_000
"""Turns of all loops of one rendering, and calls of macros; a conversation needs a few for each message."""

LONGEST: Final = 50_000_000
"""Characters that a repeated text may have."""

_turns: ContextVar[list[int]] = ContextVar("turns")


class ChatTemplate:
    """A template, ready to be rendered from any thread.

    Args:
        source: The Jinja text.
        begin: The text of the model's begin token.
        end: That of its end token.

    Raises:
        ConfigError: it is not Jinja; with the line.
    """

    def __init__(self, source: str, begin: str = "", end: str = "") -> None:
        environment = _Environment(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
        environment.filters["tojson"] = _to_json
        environment.filters[_COUNTED] = _counted
        try:
            tree = environment.parse(source)
            for loop in list(tree.find_all(nodes.For)):
                loop.iter = nodes.Filter(loop.iter, _COUNTED, [], [], None, None, lineno=loop.lineno)
            code = environment.compile(tree, filename="<chat template>")
        except Exception as exc:  # noqa: BLE001  # the compiler runs Python's own, and computes what is constant
            where = _where(exc)
            raise ConfigError(f"The chat template is not valid Jinja: {where}.") from None
        self._template = Template.from_code(environment, code, environment.make_globals(None))
        # The names that templates are written for, as Hugging Face's libraries and llama-cpp-python have them.
        self._always: dict[str, Any] = {
            "bos_token": begin,
            "eos_token": end,
            "add_generation_prompt": True,
            "raise_exception": _refuse,
            "strftime_now": lambda form: datetime.now().astimezone().strftime(form),
            **dict.fromkeys(("functions", "function_call", "tools", "tool_choice")),
        }

    def render(self, messages: list[dict[str, Any]], variables: Mapping[str, Any]) -> str:
        """The text of the prompt.

        Raises:
            Exception: anything; the template is a program.
        """
        reset = _turns.set([MOST_TURNS])
        try:
            return self._template.render({**self._always, **variables, "messages": messages})
        finally:
            _turns.reset(reset)


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"*", "**", "+"})

    def call(self, context: Context, called: Any, /, *args: Any, **options: Any) -> Any:
        """Count what macros and recursive loops do, too."""
        _spend()
        return super().call(context, called, *args, **options)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Refuse products and sums that would fill the memory."""
        texts = [one for one in (left, right) if isinstance(one, str | list | tuple)]
        times = [one for one in (left, right) if isinstance(one, int)]
        if operator == "**":
            too_large = len(times) == 2 and abs(left).bit_length() * right > 10_000
        elif operator == "+":
            too_large = len(texts) == 2 and len(left) + len(right) > LONGEST
        else:
            too_large = bool(texts and times) and len(texts[0]) * times[0] > LONGEST
        if too_large:
            raise TemplateRuntimeError("it computes something far too large")
        return super().call_binop(context, operator, left, right)


class _Generation(Extension):
    """Lets `{% generation %}`, which marks the assistant's words for training, stand for what is in it."""

    tags = {"generation"}  # noqa: RUF012  # as Jinja declares it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """The statements up to the end of the block."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


_COUNTED: Final = "counted turns"  # no template can name it


@pass_context
def _counted(_context: Context, values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        _spend()
        yield value


def _where(error: Exception) -> str:
    if isinstance(error, TemplateSyntaxError):
        return f"line {error.lineno}: {error.message}"
    return "it nests too deep" if isinstance(error, RecursionError) else f"{type(error).__name__}: {error}"


def _spend() -> None:
    turns = _turns.get()
    turns[0] -= 1
    if turns[0] < 0:
        raise TemplateRuntimeError(f"its loops and calls take more than {MOST_TURNS} turns")


def _refuse(message: str) -> None:
    raise TemplateRuntimeError(message)


def _to_json(value: Any, **options: Any) -> str:
    return json.dumps(value, **{"ensure_ascii": False, **options})
