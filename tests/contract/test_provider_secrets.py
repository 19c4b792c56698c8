"""A key that a server, an SDK or an author repeats is nowhere to be read."""

import base64
import copy
import json
import logging
import pickle
import traceback
from typing import Any
from urllib.parse import quote

import pytest

from hivetrace_core import ConfigError, Messages, ModelError, ModelOptions, ProviderModel, Reply, SecretStr
from hivetrace_core.engine.events import Observers

CANARY = 'canary-sk/"0123"+é'
SPELLINGS = [
    CANARY,
    quote(CANARY, safe=""),
    base64.b64encode(f"user:{CANARY}".encode()).decode(),
    json.dumps({"key": CANARY}),
    f"http://user:{quote(CANARY)}@host/",
]


class HooliOptions(ModelOptions):
    api_key: SecretStr
    base_url: str = "https://hooli.example"
    headers: dict[str, str] = {}  # noqa: RUF012


class Hooli(ProviderModel[HooliOptions]):
    """Fails as it is told to, the key on its lips."""

    raises: Any = None
    replies: Any = None

    async def complete(self, client: Any, messages: Messages) -> Any:
        if self.raises is not None:
            try:
                raise RuntimeError(f"SDK: {self.spelt}")
            except RuntimeError as exc:
                raise self.raises(self.spelt) from exc
        return self.replies

    spelt = ""


def hooli(spelt: str = "", **attributes: Any) -> Hooli:
    model = Hooli(
        "m",
        api_key=CANARY,
        base_url=f"https://user:{quote(CANARY, safe='')}@host/v1",
        headers={"Authorization": f"Bearer {CANARY}", "X-Note": CANARY},
        max_attempts=1,
    )
    vars(model).update(attributes, spelt=spelt)
    return model


def check_clean(*texts: str) -> None:
    tail = base64.b64encode(b"\0\0" + CANARY.encode()).decode()[3:-4]
    for text in texts:
        for part in ("canary-sk", "canary%2Dsk", '"0123"+', "%220123%22", tail, quote(CANARY, safe="")[:-9]):
            assert part not in text, text


def test_a_model_shows_no_secret() -> None:
    model = hooli()

    check_clean(repr(model), str(model), repr(model.options), str(model.options), json.dumps(model.get_params()))
    check_clean(repr(model.executor), str(vars(model.executor)), repr(model.options.public()))
    assert model.get_params()["headers"] == {"Authorization": "***", "X-Note": "***"}
    assert model.get_params()["base_url"] == "https://***@host/v1"


@pytest.mark.parametrize("spelt", SPELLINGS)
@pytest.mark.parametrize("kind", ["authentication", "unexpected"])
def test_an_error_repeats_no_secret(spelt: str, kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    events: list[Any] = []

    def raised(text: str) -> Exception:
        if kind == "unexpected":
            return ValueError(f"Incorrect API key provided: {text}")
        return ModelError(f"Incorrect API key provided: {text}", kind=kind, status=401, code=text, request_id=text)

    model = hooli(spelt, raises=raised)
    model.observers = Observers(finished=(events.append,))
    with caplog.at_level(logging.DEBUG), pytest.raises(ModelError) as caught:
        model.invoke("a")
    with caplog.at_level(logging.DEBUG):
        responses = model.batch(["a", "b"])

    error = caught.value
    assert "Incorrect API key provided: " in error.message
    assert "***" in error.message
    check_clean(str(error), repr(error), error.message, repr(error.args), caplog.text)
    check_clean(str(vars(error)), str(vars(pickle.loads(pickle.dumps(error)))), repr(copy.copy(error)))
    check_clean(pickle.dumps(error).decode("latin-1"))
    check_clean(json.dumps(responses, ensure_ascii=False), str(events))


def test_a_traceback_of_an_error_shows_no_secret() -> None:
    def raised(text: str) -> Exception:
        return ModelError(f"Incorrect API key provided: {text}", kind="authentication", status=401)

    with pytest.raises(ModelError) as caught:
        hooli(CANARY, raises=raised).invoke("a")

    check_clean("".join(traceback.format_exception(caught.value)))


def test_a_broken_plugin_logs_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Hooli):
        def classify_error(self, exc: Exception) -> ModelError:
            raise RuntimeError(f"while reading {self.spelt}")

        def is_answer_blocked(self, response: Any) -> bool:
            raise RuntimeError(f"while judging {self.spelt}")

    model = Broken("m", api_key=CANARY, max_attempts=1)
    vars(model).update(spelt=CANARY, raises=ValueError)
    model.batch(["a"])
    vars(model).update(raises=None, replies={"content": "x"})
    model.batch(["a"])

    assert "classify_error of Broken failed" in caplog.text
    assert "is_answer_blocked of m failed" in caplog.text
    check_clean(caplog.text)


def test_a_wrong_option_shows_no_secret() -> None:
    with pytest.raises(ConfigError) as caught:
        Hooli("m", api_key=CANARY, headers=CANARY, base_url=[CANARY], aip_key=CANARY)

    check_clean(str(caught.value), "".join(traceback.format_exception(caught.value)))


def test_a_raw_reply_is_kept_as_it_came_for_whoever_writes_it_down() -> None:
    model = hooli(replies=Reply({"text": CANARY}))

    error = model.batch(["a"])[0]["error"]

    check_clean(json.dumps(error))
