"""Options: what a user may write in `params`, and what the errors say."""

from __future__ import annotations

import json
import re
from typing import Any, Final, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from ..option_docs import describe_options
from .constructors import disagreements, parameters_of
from .declarations import Declared

_SECRET: Final = re.compile(
    r"(.*_)?(api_key|access_key|secret_key|auth_key|iam_token|access_token|auth_token|token|password|secret|credentials?)"
)


class OptionTests(Declared):
    """Of every plugin with options."""

    def test_options_have_a_json_schema(self) -> None:
        """Editors complete and check configs with it."""
        for options in self.options_classes().values():
            schema = options.model_json_schema()

            assert json.loads(json.dumps(schema)) == schema
            assert schema["additionalProperties"] is False

    def test_every_option_has_a_description(self) -> None:
        """Units, range and meaning; it is what the tables of options are made of."""
        missing = {
            name: silent
            for name, options in self.options_classes().items()
            if (silent := [doc.name for doc in describe_options(options) if not doc.meaning.strip()])
        }

        assert missing == {}

    def test_credentials_are_secret_strings(self) -> None:
        """A `SecretStr` shows itself in no repr, no dump and no error."""
        for options in self.options_classes().values():
            exposed = [name for name, field in options.model_fields.items() if _SECRET.fullmatch(name) and _open(field)]

            assert exposed == []

    def test_the_constructor_is_typed_as_the_options_are(self) -> None:
        """Editors and type checkers read the signature: every option but the model's id, with types that fit."""
        for one, model_class in self.model_classes():
            if one.options_class() is not None:
                parameters = parameters_of(model_class, but=one.spec.id_option)
                fields = {
                    name: field
                    for name, field in model_class.options_class.model_fields.items()
                    if name != one.spec.id_option
                }

                assert disagreements(parameters, fields) == []


def _open(field: FieldInfo) -> bool:
    kinds: tuple[Any, ...] = get_args(field.annotation) or (field.annotation,)
    return str in kinds and SecretStr not in kinds
