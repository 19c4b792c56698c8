"""What a spec refuses, and which ids it claims."""

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivetrace_core import ModelSpec


def spec(**fields: Any) -> ModelSpec:
    return ModelSpec(**{"name": "acme", "model": "acme.model:AcmeModel", **fields})


def test_a_spec_needs_only_a_name_and_a_class() -> None:
    made = spec()

    assert (made.options, made.claims, made.api, made.default_id, made.id_option) == (None, (), 1, None, "model")
    assert made.class_name == "AcmeModel"
    assert pickle.loads(pickle.dumps(made)) == made


def test_a_spec_cannot_be_changed_or_made_by_position() -> None:
    with pytest.raises(AttributeError):
        spec().name = "other"  # type: ignore[misc]  # that it is refused is the subject
    with pytest.raises(TypeError):
        ModelSpec("acme", "acme.model:AcmeModel")  # type: ignore[call-arg]  # the same


@pytest.mark.parametrize("name", ["", "Acme", "ac_me", "ac/me", "a:b", "-a", "a-", "a--b", "a.b", "а", "a b"])
def test_names_are_lower_case_letters_digits_and_single_hyphens(name: str) -> None:
    with pytest.raises(ValueError, match="must be lower-case letters, digits and single hyphens"):
        spec(name=name)


@pytest.mark.parametrize("field", ["model", "options", "classify", "dialect", "check"])
@pytest.mark.parametrize(
    "value", ["", "acme", "acme.model", "acme:", ":Acme", "acme:A:B", "acme.:A", "ac-me:A", "a:1", 5]
)
def test_import_strings_are_checked(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{field} .* must be an import string"):
        spec(**{field: value})


def test_the_class_itself_is_no_import_string() -> None:
    with pytest.raises(ValueError, match="must be an import string"):
        spec(model=object)
    with pytest.raises(ValueError, match="must be an import string"):
        spec(model=None)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": 5}, "name must be text"),
        ({"summary": None}, "summary must be text"),
        ({"id_option": None}, "id_option must be text"),
        ({"id_option": "model path"}, "must be the name of an option"),
        ({"default_id": ""}, "default_id must be an id or None"),
        ({"default_id": 4.1}, "default_id must be an id or None"),
        ({"api": "1"}, "api must be a number"),
        ({"api": True}, "api must be a number"),
        ({"claims": "acme-*"}, "claims must be a tuple"),
        ({"claims": ("*",)}, "at least one letter or digit"),
        ({"claims": ("acme-*", "!")}, "at least one letter or digit"),
        ({"claims": (5,)}, "at least one letter or digit"),
        ({"claims": ("acme/*",)}, "can never match"),
        ({"claims": ("!acme-*",)}, "only exclude"),
    ],
)
def test_malformed_fields_say_what_they_must_be(fields: dict[str, Any], words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        spec(**fields)


def test_a_spec_for_another_plugin_api_is_not_judged_by_this_one() -> None:
    made = spec(api=2, name="Un/heard", model="of", claims=5)

    assert made.api == 2


def test_a_list_of_claims_becomes_a_tuple() -> None:
    assert spec(claims=["a-*"]).claims == ("a-*",)


@pytest.mark.parametrize(
    ("model_id", "claim"),
    [
        ("acme-1", "acme-*"),
        ("acme-", "acme-*"),
        ("o1", "o[0-9]"),
        ("o10", None),
        ("acme-oss", None),
        ("acme-oss-20b", None),
        ("Acme-1", None),
        ("my-acme-1", None),
        ("acme-1/x", None),
        ("acme-1:free", "acme-*"),
    ],
)
def test_claims_are_shell_patterns_with_exclusions(model_id: str, claim: str | None) -> None:
    assert spec(claims=("!acme-oss*", "acme-*", "o[0-9]")).claim(model_id) == claim


@given(st.text())
def test_an_id_with_a_slash_is_never_claimed_and_an_exclusion_always_holds(text: str) -> None:
    made = spec(claims=("a*", "!ab*"))

    assert made.claim(f"a{text}/x") is None
    assert made.claim(f"ab{text}") is None
    assert (made.claim(f"ac{text}") is None) == ("/" in text)
