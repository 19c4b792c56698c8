"""A little plugin, installed by hand into a folder, and what can be wrong with it."""

from pathlib import Path

README = "# hivetrace-acme\n\nRun: pip install hivetrace-acme\n"

FILES = {
    "hivetrace_acme/py.typed": "",
    "hivetrace_acme/__init__.py": """
from hivetrace_core import ModelSpec, hookimpl

@hookimpl
def hivetrace_models():
    yield ModelSpec(name="acme", model="hivetrace_acme.model:AcmeModel", options="hivetrace_acme.options:AcmeOptions",
                    dialect="hivetrace_acme.dialect:AcmeDialect", summary="Acme", api=1)
""",
    "hivetrace_acme/options.py": """
from pydantic import Field
from hivetrace_core import ModelOptions, SecretStr, from_env

class AcmeOptions(ModelOptions):
    api_key: SecretStr = from_env("ACME_API_KEY")
    temperature: float | None = Field(default=None, description="0 to 2.")
""",
    "hivetrace_acme/model.py": """
from typing import Unpack
from hivetrace_core import ModelParams, ProviderModel, SecretStr
from .options import AcmeOptions

class AcmeParams(ModelParams, total=False):
    api_key: SecretStr | str | None
    temperature: float | None

class AcmeModel(ProviderModel[AcmeOptions]):
    def __init__(self, model: str | None = None, **options: Unpack[AcmeParams]) -> None:
        super().__init__(model, **options)

    async def complete(self, client, messages):
        return {"content": "Good day"}
""",
    "hivetrace_acme/dialect.py": """
from hivetrace_core.mockserver import Dialect

class AcmeDialect(Dialect):
    name = "acme"
""",
    "hivetrace_acme-0.1.dist-info/METADATA": f"""
Metadata-Version: 2.4
Name: hivetrace-acme
Version: 0.1
Requires-Dist: hivetrace-core<0.2,>=0.1

{README}""".lstrip(),
    "hivetrace_acme-0.1.dist-info/entry_points.txt": "[hivetrace.models]\nacme = hivetrace_acme\n",
}

LIGHT, OPTIONS, MODEL, DIALECT, METADATA, NAMES = (
    "hivetrace_acme/__init__.py",
    "hivetrace_acme/options.py",
    "hivetrace_acme/model.py",
    "hivetrace_acme/dialect.py",
    "hivetrace_acme-0.1.dist-info/METADATA",
    "hivetrace_acme-0.1.dist-info/entry_points.txt",
)

# What is wrong: the file, the text in it, what stands there instead (None: no such file), and the test that sees it.
WRONG = {
    "SDK in the light module": (LIGHT, "\nfrom", "\nimport aiohttp\nfrom", "test_the_light_module_imports_no_sdk"),
    "slow light module": (
        LIGHT,
        "\n@hookimpl",
        "\nimport hashlib\nhashlib.pbkdf2_hmac('sha256', b'', b'', 1_200_000)\n\n@hookimpl",
        "test_importing_the_light_module_costs_little",
    ),
    "SDK in the options": (
        OPTIONS,
        "\nfrom pydantic",
        "\nimport aiohttp\nfrom pydantic",
        "test_options_classifier_and_dialect_import_no_sdk",
    ),
    "key read at import": (
        MODEL,
        "\nfrom typing",
        "\nimport os\nKEY = os.environ.get('ACME_API_KEY')\nfrom typing",
        "test_importing_reads_no_environment_and_opens_nothing",
    ),
    "file opened at import": (
        OPTIONS,
        "\nfrom pydantic",
        "\nopen('/dev/null').close()\nfrom pydantic",
        "test_importing_reads_no_environment_and_opens_nothing",
    ),
    "unbounded requirement": (METADATA, "<0.2,>=0.1", ">=0.1", "test_the_requirement_of_core_has_an_upper_bound"),
    "no requirement": (METADATA, "hivetrace-core<", "other<", "test_the_requirement_of_core_has_an_upper_bound"),
    "no readme": (METADATA, README, "", "test_the_distribution_has_a_readme"),
    "not typed": ("hivetrace_acme/py.typed", "", None, "test_the_package_is_marked_as_typed"),
    "name that nobody yields": (
        NAMES,
        "acme = hivetrace_acme\n",
        "acme = hivetrace_acme\nacme-two = hivetrace_acme\n",
        "test_the_plugin_yields_exactly_the_names_that_its_metadata_declares",
    ),
    "name that nobody declares": (
        LIGHT,
        "    yield",
        "    yield ModelSpec(name='acme-two', model='hivetrace_acme.model:AcmeModel')\n    yield",
        "test_the_plugin_yields_exactly_the_names_that_its_metadata_declares",
    ),
    "malformed name": (NAMES, "acme = ", "Acme_1 = ", "test_names_are_well_formed"),
    "another plugin API": (LIGHT, "api=1", "api=2", "test_every_name_loads_and_speaks_this_plugin_api"),
    "nothing to say": (LIGHT, 'summary="Acme", ', "", "test_every_name_loads_and_speaks_this_plugin_api"),
    "no provider": (
        MODEL,
        "class AcmeModel(ProviderModel[AcmeOptions]):",
        "class AcmeModel:",
        "test_the_class_can_be_imported_or_says_what_to_install",
    ),
    "other options": (
        MODEL,
        "class AcmeModel(ProviderModel[AcmeOptions]):",
        "class Other(AcmeOptions): pass\n\nclass AcmeModel(ProviderModel[Other]):",
        "test_the_spec_names_the_options_of_its_class",
    ),
    "dialect of another name": (DIALECT, '"acme"', '"other"', "test_the_other_parts_of_a_spec_can_be_imported"),
    "option without description": (
        OPTIONS,
        'Field(default=None, description="0 to 2.")',
        "None",
        "test_every_option_has_a_description",
    ),
    "key in the open": (OPTIONS, "api_key: SecretStr", "api_key: str", "test_credentials_are_secret_strings"),
    "no schema": (
        OPTIONS,
        "temperature: float",
        "temperature: type(open) | float",
        "test_options_have_a_json_schema",
    ),
    "argument that is missing": (
        MODEL,
        "    temperature: float | None\n",
        "",
        "test_the_constructor_is_typed_as_the_options_are",
    ),
    "argument that is too much": (
        MODEL,
        "    temperature: float | None\n",
        "    temperature: float | None\n    top_p: float\n",
        "test_the_constructor_is_typed_as_the_options_are",
    ),
    "argument of another type": (
        MODEL,
        "temperature: float | None",
        "temperature: str | None",
        "test_the_constructor_is_typed_as_the_options_are",
    ),
    "argument of a wider type": (
        MODEL,
        "temperature: float | None",
        "temperature: float | str | None",
        "test_the_constructor_is_typed_as_the_options_are",
    ),
    "argument that cannot be None": (
        MODEL,
        "temperature: float | None",
        "temperature: float",
        "test_the_constructor_is_typed_as_the_options_are",
    ),
    "key that cannot be text": (
        MODEL,
        "SecretStr | str | None",
        "SecretStr | None",
        "test_the_constructor_is_typed_as_the_options_are",
    ),
    "arguments of any kind": (
        MODEL,
        "**options: Unpack[AcmeParams]",
        "**options: object",
        "test_the_constructor_is_typed_as_the_options_are",
    ),
}


def install(folder: Path, wrong: str | None = None) -> None:
    """Put the plugin into a folder, with one thing wrong."""
    where, old, new, _ = WRONG[wrong] if wrong is not None else ("", "", "", "")
    for name, text in FILES.items():
        if name == where:
            if new is None:
                continue
            assert old in text, f"{wrong}: {name} has no {old!r}"
            text = text.replace(old, new)  # noqa: PLW2901  # the wrong one
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
