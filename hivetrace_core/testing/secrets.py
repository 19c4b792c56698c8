"""Secrets: the credential goes to the provider and nowhere else."""

from __future__ import annotations

import base64
import json
import logging
import traceback
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest

from ..errors import ModelError
from .bench import Bench
from .runs import run_with
from .standard import needs

FAILING: Final = ("authentication", "permission", "rate_limit", "bad_request", "not_found", "server")


def spellings(secret: str) -> list[str]:
    """The forms in which a secret may turn up: plain, URL-encoded, base64."""
    plain = secret.encode()
    forms = [secret, quote(secret, safe=""), base64.b64encode(plain).decode(), base64.urlsafe_b64encode(plain).decode()]
    return list(dict.fromkeys(form.rstrip("=") for form in forms))


class SecretTests(Bench):
    """Any model."""

    def test_params_are_plain_json_without_secrets(self) -> None:
        """`get_params` identifies and configures a model in reports and journals."""
        with self.stage() as stage:
            model = stage.model()
            params = model.get_params()

            assert params == model.get_params()
        assert json.loads(json.dumps(params)) == params
        assert params["model_name"]
        assert params["provider"]
        self._clean(json.dumps(params, ensure_ascii=False))

    def test_a_model_shows_no_secret_of_its_own(self) -> None:
        """In a notebook, the last line of a cell is printed."""
        with self.stage() as stage:
            model = stage.model()
            for thing in (model, model.options):
                for text in (repr(thing), str(thing), f"{thing}"):
                    self._clean(text)

    def test_a_wrong_option_is_reported_without_secrets(self) -> None:
        """The error names the option, and shows no value."""
        with self.stage() as stage:
            arguments = stage.arguments(no_such_option=self.secret)
            with pytest.raises(Exception, match="no_such_option") as caught:
                self.model_class(**arguments)

        self._clean(_everything_of(caught.value))

    def _clean(self, text: str) -> None:
        for form in spellings(self.secret):
            assert form not in text, "the credential is shown"


@needs("wire")
class SentSecretTests(SecretTests):
    """Models that send their credential to somebody."""

    def test_no_error_has_a_secret_even_if_the_provider_repeats_it(self) -> None:
        """Neither message nor code nor traceback, nor the exception behind it."""
        rules = [{"match": f"^{kind}$", "error": kind} for kind in FAILING]
        rules += [{"match": f"^{fault}$", "fault": fault} for fault in ("reset", "html", "redirect", "garbage")]
        with self.stage(*rules, echo=self.secret) as stage:
            for rule in rules:
                prompt = rule["match"].strip("^$")
                with pytest.raises(ModelError) as caught:
                    stage.model().invoke(prompt)
                failed = stage.model().batch([prompt])[0]

                self._clean(_everything_of(caught.value))
                self._clean(json.dumps(failed, ensure_ascii=False))

    def test_no_log_has_a_secret(self, caplog: pytest.LogCaptureFixture) -> None:
        """Also at level DEBUG, and when things go wrong."""
        rules = [{"match": f"^{kind}$", "error": kind} for kind in FAILING]
        everything = caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, logger="hivetrace_core")
        with everything[0], everything[1], self.stage(*rules, echo=self.secret) as stage:
            for prompt in ("Hello", *FAILING):
                stage.model().batch([prompt])
            logging.getLogger(__name__).debug("a line of the test's own")

        assert "a line of the test's own" in caplog.text
        self._clean(caplog.text)
        for record in caplog.records:
            self._clean(repr(record.__dict__))

    def test_no_file_of_a_run_has_a_secret(self, tmp_path: Path) -> None:
        """Journal, exports and config, after a run in which prompts have failed."""
        rules = [{"match": f"^{kind}$", "error": kind} for kind in FAILING if kind != "authentication"]
        with self.stage(*rules, echo=self.secret) as stage:
            result = run_with(self, stage, [*FAILING[1:], "Hello"], tmp_path, max_failure_rate=1.0)

        files = [path for path in result.folder.rglob("*") if path.is_file()]
        assert {"run.db", "config.yaml", "responses.jsonl"} <= {path.name for path in files}
        for path in files:
            content = path.read_bytes()
            for form in spellings(self.secret):
                assert form.encode() not in content, f"the credential is in {path.name}"


def _everything_of(error: BaseException) -> str:
    """All that a caller could print of an exception."""
    seen: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(seen) < 40:
        seen += [str(cause), repr(cause), repr(cause.args), repr(_plain_attributes(cause))]
        # As tracebacks do: what was raised `from None` has nothing behind it.
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return "\n".join([*seen, *traceback.format_exception(error)])


def _plain_attributes(error: BaseException) -> dict[str, Any]:
    return {key: value for key, value in vars(error).items() if not isinstance(value, BaseException)}
