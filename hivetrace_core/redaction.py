"""Secrets: which values are secret, and how they are kept out of everything that is written or shown.

A `Redactor` holds the resolved secret values of a run or of a model. Whatever leaves the process (journal, exports,
logs, error messages, terminal) goes through one.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from functools import lru_cache
from math import isfinite
from typing import Any, Final
from urllib.parse import unquote

MASK: Final = "***"

MIN_SECRET_LENGTH: Final = 8
"""Shorter values would match innocent text; they are masked in configs only, by their key."""

_WORDS = re.compile(r"[a-z]+|[A-Z]+(?![a-z])|[A-Z][a-z]*")
_TELLING = re.compile(r"secret|passw(?:or)?d|passphrase|credential|authorization|cookie")
_HOLDS_KEY = re.compile(r"(?:api|access|auth|private|client|ssh|pass|encryption|signing|master|account)?keys?")
_INNOCENT_KEY = frozenset({"sort", "primary", "foreign", "public", "partition", "cache", "hot", "idempotency"})
_TEXT_TOKEN = re.compile(
    r"max|min|eos|bos|pad|unk|sep|cls|mask|stop|start|end|begin|next|last|first|special|image|new|prompt|per"
)
_LOGIN_TOKENS = frozenset({"access", "api", "auth", "bearer", "id", "iam", "oauth", "refresh", "secret", "session"})
_POINTERS = frozenset({"path", "file", "filename", "dir", "env", "var"})

_URL_USERINFO = re.compile(r"\b([a-z][a-z0-9+.-]{0,30}://)[^/\s?#]+@", re.IGNORECASE)
_SCHEME = re.compile(r"(?:bearer|basic|api-key|token|oauth|bot)\s+(\S+)$", re.IGNORECASE)

_SPOKEN_BY_STR = frozenset(
    {"datetime", "decimal", "ipaddress", "pathlib", "pathlib._local", "pydantic.networks", "uuid"}
)
"""Modules whose objects are values with a text of their own; any other object could show a secret in its text."""


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Whether a parameter of this name holds a secret.

    `api_key`, `X-API-Key`, `iamToken` and `password` do; `max_tokens`, `eos_token`, `monkey`, `cache_key` and the mere
    place of a secret, `api_key_file`, do not.
    """
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words or words[-1] in _POINTERS:
        return False
    before, last = words[-2] if len(words) > 1 else "", words[-1]
    if last == "tokens":
        return before in _LOGIN_TOKENS
    if last.endswith("token"):
        return not _TEXT_TOKEN.fullmatch(last.removesuffix("token") or before)
    return bool(_TELLING.search("".join(words)) or (_HOLDS_KEY.fullmatch(last) and before not in _INNOCENT_KEY))


def secret_values(params: Any, *, _secret: bool = False) -> Iterator[str]:
    """Every secret value inside params: under a secret name at any depth, in `SecretStr`, in the userinfo of URLs.

    Of `Bearer ...` and `Basic ...` also what follows, because servers repeat that alone.
    """
    params, says_so = _opened(params)
    _secret = _secret or says_so
    if isinstance(params, Mapping):
        for key, value in params.items():
            yield from secret_values(value, _secret=_secret or is_secret_name(str(key)))
    elif isinstance(params, (list, tuple, set, frozenset)):
        for value in params:
            yield from secret_values(value, _secret=_secret)
    elif params is not None and not isinstance(params, bool):
        text = _as_text(params)
        if _secret and text:
            yield text
            if scheme := _SCHEME.match(text):
                yield from _after_scheme(scheme[1])
        if "://" in text and "@" in text:
            yield from _userinfo(text)


def _opened(value: Any) -> tuple[Any, bool]:
    """What an enum or a `SecretStr` holds, and whether its type says that it is a secret."""
    if isinstance(value, Enum):
        value = value.value
    return (value.get_secret_value(), True) if hasattr(value, "get_secret_value") else (value, False)


def _after_scheme(credentials: str) -> Iterator[str]:
    yield credentials
    try:
        _, colon, password = base64.b64decode(credentials, validate=True).decode().partition(":")
    except ValueError:
        return
    if colon and password:
        yield password


def _userinfo(text: str) -> Iterator[str]:
    for found in _URL_USERINFO.finditer(text):
        user, colon, password = found[0][len(found[1]) : -1].partition(":")
        part = password if colon else user
        if part:
            yield part
            yield unquote(part)


def _as_text(value: Any) -> str:
    if isinstance(value, (bytes, bytearray)):
        return value.decode("utf-8", "replace")
    if isinstance(value, (str, int, float)) or type(value).__module__ in _SPOKEN_BY_STR:
        return str(value)
    return f"<{type(value).__qualname__}>"


def mask_params(params: Any, *, _secret: bool = False) -> Any:
    """A JSON-ready copy of params in which every secret, however short, is `***`."""
    if type(params) is str:  # nearly everything, and the rest would look at it several times
        return MASK if _secret else _URL_USERINFO.sub(rf"\1{MASK}@", params) if "://" in params else params
    params, says_so = _opened(params)
    _secret = _secret or says_so
    if isinstance(params, Mapping):
        return {
            str(key): mask_params(value, _secret=_secret or is_secret_name(str(key))) for key, value in params.items()
        }
    if isinstance(params, (list, tuple, set, frozenset)):
        return [mask_params(value, _secret=_secret) for value in params]
    if params is None or isinstance(params, bool):
        return params
    if _secret:
        return MASK
    if isinstance(params, int) or (isinstance(params, float) and isfinite(params)):
        return params
    return _URL_USERINFO.sub(rf"\1{MASK}@", _as_text(params))


class Redactor:
    """Replaces known secret values in text and in JSON-ready data.

    They are found also where they are URL-encoded, escaped as in JSON, or inside base64, and where two of these follow
    one another.

    Args:
        secrets: Resolved values; those under `MIN_SECRET_LENGTH` characters, blanks around them aside, are ignored.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        plain = {form for secret in secrets for form in (secret, secret.strip())}
        forms = {form for secret in plain if len(secret.strip()) >= MIN_SECRET_LENGTH for form in _forms(secret)}
        # Longest first: a secret that contains another one is replaced whole.
        ordered = sorted(forms, key=lambda form: (-len(form), form))
        branches = [branch for form in ordered for branch in _spellings(form)]
        self._pattern = re.compile("|".join(branches)) if branches else None

    def __bool__(self) -> bool:
        return self._pattern is not None

    def text(self, text: str) -> str:
        """The text with every secret replaced by `***`."""
        return self._pattern.sub(MASK, text) if self._pattern is not None else text

    def traceback(self, exc: BaseException) -> str:
        """The traceback of an exception, for a log."""
        from traceback import format_exception

        return self.text("".join(format_exception(exc))).rstrip()

    def data(self, value: Any) -> Any:
        """A copy of JSON-ready data with the same done to every string in it, keys included."""
        if self._pattern is None:
            return value
        # Without recursion: servers and models may nest deeper than Python does.
        whole = [value]
        places: list[dict[Any, Any] | list[Any]] = [whole]
        while places:
            place = places.pop()
            for key, item in list(place.items()) if isinstance(place, dict) else enumerate(place):
                if isinstance(item, str):
                    place[key] = self.text(item)
                elif isinstance(item, Mapping):
                    inner = {self.text(name) if isinstance(name, str) else name: item[name] for name in item}
                    place[key] = inner
                    places.append(inner)
                elif isinstance(item, (list, tuple)):
                    place[key] = copied = list(item)
                    places.append(copied)
        return whole[0]


def _forms(secret: str) -> Iterator[str]:
    """The secret itself, and what of its base64 does not depend on neighbours.

    Inside a longer text ("user:secret") the same bytes appear at one of three offsets.
    """
    yield secret
    raws = [secret.encode("utf-8", "surrogatepass")]
    if not secret.isascii() and max(secret) <= "\xff":
        raws.append(secret.encode("latin-1"))  # what HTTP's basic authentication often uses
    for raw in raws:
        for offset in range(3):
            encoded = base64.b64encode(b"\0" * offset + raw).decode("ascii").rstrip("=")
            inner = encoded[(0, 2, 3)[offset] : len(encoded) - (1 if (offset + len(raw)) % 3 else 0)]
            if len(inner) >= MIN_SECRET_LENGTH:
                yield inner
                yield inner.translate(_URL_SAFE)


_URL_SAFE: Final = str.maketrans("+/", "-_")
_SHORT_ESCAPES: Final = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f", '"': '"', "/": "/"}


def _spellings(form: str) -> list[str]:
    """Regular expressions for a text, however much of it is percent-encoded or escaped as in JSON, once or twice.

    Each begins with one certain character, which makes the search fast, and every repetition in it is bounded and has
    one way to match, so that no text makes it slow.
    """
    first, *others = re.findall(r"\\+|[^\\]", form)
    rest, before = "", first
    for run in others:
        ways = _ways(run, escaped=before[0] == "\\")
        rest += ways[0] if len(ways) == 1 else f"(?:{'|'.join(ways)})"
        before = run
    return [way + rest for way in _ways(first)]


def _ways(run: str, *, escaped: bool = False) -> list[str]:
    """Ways to write one character or a run of backslashes; `escaped` if backslashes before it are matched."""
    if run[0] == "\\":
        many = len(run)
        return [rf"\\\\{{{many - 1},{4 * many - 1}}}", _percent(run)]
    if run.isascii() and run.isalnum():
        return [run]
    more = r"\\\\{0,2}"
    backslashes = r"\\{0,3}" if escaped else more
    units = run.encode("utf-16-be", "surrogatepass").hex()
    codes = [_any_case(units[start : start + 4]) for start in range(0, len(units), 4)]
    ways = [re.escape(run), _percent(run), backslashes + "u" + f"{more}u".join(codes)]
    if run in _SHORT_ESCAPES:
        ways.append(backslashes + _SHORT_ESCAPES[run])
    if run == " ":
        ways.append(r"\+")
    return ways


def _percent(char: str) -> str:
    return "".join(f"%(?:25)?{_any_case(f'{byte:02x}')}" for byte in char.encode("utf-8", "surrogatepass"))


def _any_case(digits: str) -> str:
    return "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in digits)
