"""`${ENV_VAR}` in the params of models: replaced by the variable's value when a run begins, never stored."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..redaction import is_secret_name, secret_values
from .problems import KeyPath

REFERENCE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

_OPENING = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)\})?")


@dataclass(frozen=True)
class Expanded:
    """Params ready for a constructor.

    Attributes:
        params: A copy in which every reference is replaced. A value that is one reference stays text.
        secrets: The values that are secret: under a secret name at any depth, as a whole and each variable in them,
            and the userinfo of URLs.
    """

    params: dict[str, Any]
    secrets: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Expanded({sorted(self.params)})"


def expand(
    params: Mapping[str, Any],
    *,
    report: Callable[[KeyPath, str], None],
    environ: Mapping[str, str] | None = None,
) -> Expanded:
    """Replace `${NAME}` in strings at any depth of the values; `$${` is a literal `${`.

    Args:
        params: As written in the config; not changed.
        report: Called with the path inside the params and a sentence for each reference that cannot be replaced: the
            variable is unset or empty, or it is not a variable's name.
        environ: Variables; by default those of the process, now.
    """
    walk = _Walk(report, os.environ if environ is None else environ)
    values = {key: walk.value(value, (key,), secret=is_secret_name(str(key))) for key, value in params.items()}
    return Expanded(values, tuple(walk.secrets))


class _Walk:
    def __init__(self, report: Callable[[KeyPath, str], None], environ: Mapping[str, str]) -> None:
        self._report = report
        self._environ = environ
        self.secrets: dict[str, None] = {}

    def value(self, value: Any, path: KeyPath, *, secret: bool) -> Any:
        if isinstance(value, Mapping):
            return {
                key: self.value(item, (*path, str(key)), secret=secret or is_secret_name(str(key)))
                for key, item in value.items()
            }
        if isinstance(value, (list, tuple)):
            return type(value)([self.value(item, (*path, index), secret=secret) for index, item in enumerate(value)])
        if not isinstance(value, str):
            if secret and isinstance(value, (int, float)) and not isinstance(value, bool):
                self.secrets[str(value)] = None
            else:
                self.secrets.update(dict.fromkeys(secret_values(value)))
            return value
        text = self._text(value, path, secret=secret)
        # The redactor's own rules find what else is secret: the whole text under a secret name, the userinfo of URLs.
        self.secrets.update(dict.fromkeys(secret_values({"secret": text} if secret else text)))
        return text

    def _text(self, text: str, path: KeyPath, *, secret: bool) -> str:
        if "${" not in text:
            return text

        def replaced(match: re.Match[str]) -> str:
            if match[0] == "$${":
                return "${"
            name = match[1]
            if name is None:
                self._report(path, "`${` begins a variable, as in ${NAME}; write `$${` for the text itself")
                return ""
            value = self._environ.get(name, "")
            if not value:
                self._report(path, f"the environment variable {name} is not set; set it, or put the value here")
            elif secret:
                self.secrets[value] = None
            return value

        return _OPENING.sub(replaced, text)
