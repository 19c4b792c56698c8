"""The tables of options: what is in them, and that the READMEs have them as they are now."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from hivetrace_core import ModelOptions, SecretStr, from_env
from hivetrace_core.http import HttpOptions
from hivetrace_core.option_docs import OptionDoc, describe_options, markdown_table

ROOT = Path(__file__).parents[1]


class AcmeOptions(HttpOptions):
    """Options of every kind."""

    base_url: str = "https://acme.example/v1"
    api_key: SecretStr = from_env("ACME_KEY", "ACME_TOKEN", description="Bearer key.")
    zone: str = from_env("ACME_ZONE", default="north")
    heat: float | None = Field(default=None, gt=0, lt=2, description="Of the answers.")
    top: int = Field(default=5_000, ge=1, le=10_000, description="Candidates | kept.")
    mode: Literal["fast", "slow"] = "fast"
    stop: str | list[str] | None = Field(default=None, max_length=4)
    tools: list[dict[str, Any]] = Field(default_factory=list)
    stamp: Callable[[], str] | None = None
    folder: Path | None = None
    label: str = Field(min_length=2, description="For the bill.")


def described(name: str) -> OptionDoc:
    (found,) = [doc for doc in describe_options(AcmeOptions) if doc.name == name]
    return found


def test_an_option_is_described_in_the_words_of_its_user() -> None:
    def cells(name: str) -> tuple[str, str, str]:
        doc = described(name)
        return doc.type, doc.range, doc.default

    assert cells("heat") == ("float", "> 0, < 2", "")
    assert cells("top") == ("int", "1 to 10,000", "5000")
    assert cells("mode") == ("fast or slow", "", "fast")
    assert cells("stop") == ("str or list of str", "length ≤ 4", "")
    assert cells("tools") == ("list of dict", "", "")
    assert cells("stamp") == ("callable", "", "")
    assert cells("folder") == ("path", "", "")
    assert cells("label") == ("str", "length ≥ 2", "required")
    assert cells("verify_tls") == ("bool", "", "true")
    assert cells("connect_timeout") == ("float", "> 0", "10.0")


def test_a_secret_is_named_with_its_variables_and_never_shown() -> None:
    assert described("api_key").type == "secret"
    assert described("api_key").default == "required"
    assert described("api_key").meaning == "Bearer key. Environment: ACME_KEY, ACME_TOKEN."
    assert (described("zone").default, described("zone").meaning) == ("north", "Environment: ACME_ZONE.")


def test_a_changed_default_keeps_the_description_of_the_option() -> None:
    (inherited,) = [doc for doc in describe_options(HttpOptions) if doc.name == "base_url"]

    assert described("base_url").meaning == inherited.meaning != ""
    assert described("base_url").default == "https://acme.example/v1"
    assert (described("base_url").owner, described("proxy").owner) == ("AcmeOptions", "HttpOptions")


def test_a_providers_own_options_come_before_those_of_all() -> None:
    docs = describe_options(AcmeOptions)

    assert docs[0].name == "model"
    owners = [doc.owner for doc in docs[1:]]
    assert owners == sorted(owners, key=["AcmeOptions", "HttpOptions", "ModelOptions"].index)
    assert {doc.name for doc in docs} == set(AcmeOptions.model_fields)


def test_every_option_of_core_says_what_it_is() -> None:
    assert [doc.name for doc in describe_options(HttpOptions) if not doc.meaning] == []
    assert {doc.name for doc in describe_options(ModelOptions)} == set(ModelOptions.model_fields)


def test_a_table_survives_the_signs_that_tables_are_made_of() -> None:
    table = markdown_table([described("top"), described("label")])

    assert table.splitlines()[2:] == [
        r"| `top` | int | 1 to 10,000 | `5000` | Candidates \| kept. |",
        "| `label` | str | length ≥ 2 | required | For the bill. |",
    ]


def test_the_tables_of_all_readmes_are_those_of_the_code() -> None:
    script = ROOT / "tools" / "option_tables.py"
    # Outside the checkout there are no READMEs of plugins.
    if script.exists():
        tables = runpy.run_path(str(script))
        stale = [
            path.parent.name
            for path in tables["READMES"]
            if tables["filled_in"](path.read_text("utf-8")) != path.read_text("utf-8")
        ]
        unmarked = [path.parent.name for path in tables["READMES"] if "<!-- options: " not in path.read_text("utf-8")]
        assert (stale, unmarked) == ([], []), "run: python tools/option_tables.py"
