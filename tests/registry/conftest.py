"""Real little plugin packages: built as wheels, unpacked as an installer does, found by fresh processes."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import hivetrace_core

REPOSITORY = Path(hivetrace_core.__file__).parent.parent

PROLOGUE = """
import json, sys
from hivetrace_core.registry import Registry, create_model, default_registry

def attempt(call, *args, **kwargs):
    try:
        return call(*args, **kwargs)
    except Exception as exc:
        return {"error": type(exc).__name__, "message": str(exc)}

def loaded(*prefixes):
    return sorted(name for name in sys.modules if name.startswith(prefixes))

def say(value):
    print(json.dumps(value))
"""


SPEC = "from hivetrace_core import ModelSpec, hookimpl\n"


class Site:
    """A folder of installed distributions, and the processes that see it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(
        self,
        name: str,
        modules: Mapping[str, str],
        *,
        version: str = "1.0",
        models: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        observers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        metadata: Iterable[str] = (),
    ) -> Path:
        """Build a wheel and unpack it; returns its dist-info folder."""
        stem = f"{name.replace('-', '_')}-{version}"
        groups = {"hivetrace.models": dict_items(models), "hivetrace.observers": dict_items(observers)}
        points = "".join(
            f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in entries) + "\n"
            for group, entries in groups.items()
            if entries
        )
        header = ["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *metadata]
        files = {path: dedent(text) for path, text in modules.items()}
        files[f"{stem}.dist-info/METADATA"] = "\n".join(header) + "\n"
        files[f"{stem}.dist-info/WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        if points:
            files[f"{stem}.dist-info/entry_points.txt"] = points
        files[f"{stem}.dist-info/RECORD"] = record_of(files, f"{stem}.dist-info/RECORD")
        wheel = self.folder.parent / f"{stem}-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for path, text in files.items():
                archive.writestr(path, text)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(self.folder)
        return self.folder / f"{stem}.dist-info"

    def run(self, code: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run code in a fresh process in which this folder comes first."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith("HIVETRACE_")}
        path = os.pathsep.join([env.pop("BEFORE", ""), str(self.folder), str(REPOSITORY)]).lstrip(os.pathsep)
        return subprocess.run(
            [sys.executable, "-W", "error", "-c", PROLOGUE + dedent(code)],
            env=clean | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"} | env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def ask(self, code: str, **env: str) -> Any:
        """Run code and return what it says."""
        done = self.run(code, **env)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    @staticmethod
    def light(name: str, *, top: str = "", **fields: Any) -> str:
        """The source of a light module with one spec, after any other lines."""
        given = {"name": name, "model": f"hivetrace_{name}.model:{name.title()}Model", **fields}
        arguments = ", ".join(f"{key}={value!r}" for key, value in given.items())
        return f"{SPEC}{dedent(top)}\n@hookimpl\ndef hivetrace_models():\n    yield ModelSpec({arguments})\n"


def dict_items(entries: Mapping[str, str] | Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return list(entries.items() if isinstance(entries, Mapping) else entries)


def record_of(files: Mapping[str, str], own_path: str) -> str:
    lines = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(text.encode())}")
    return "\n".join([*lines, f"{own_path},,"]) + "\n"


ECHO = """
from hivetrace_core import Model

class {name}(Model):
    async def ainvoke(self, prompt):
        return {{"content": prompt}}
"""


def install_acme(site: Site) -> None:
    """A provider as the documentation has it: light module, options, class, SDK; the class is exported lazily."""
    site.install("acme-sdk", {"acme_sdk.py": "VERSION = 1\n"})
    lazy = """
        def __getattr__(name):
            if name == "AcmeModel":
                from .model import AcmeModel
                return AcmeModel
            raise AttributeError(name)

        def __dir__():
            return ["AcmeModel", "hivetrace_models"]
    """
    light_module = Site.light(
        "acme",
        options="hivetrace_acme.options:AcmeOptions",
        claims=("acme-*", "both-*", "!acme-oss*"),
        default_id="acme-1",
        summary="Acme hosted chat models",
        api=1,
    )
    site.install(
        "Hivetrace_Acme",
        {
            "hivetrace_acme/__init__.py": light_module + dedent(lazy),
            "hivetrace_acme/options.py": """
                from hivetrace_core import ModelOptions, SecretStr, from_env

                class AcmeOptions(ModelOptions):
                    api_key: SecretStr = from_env("ACME_API_KEY")
                    temperature: float | None = None
            """,
            "hivetrace_acme/model.py": """
                import acme_sdk
                from hivetrace_core import ProviderModel
                from .options import AcmeOptions

                class AcmeModel(ProviderModel[AcmeOptions]):
                    async def complete(self, client, messages):
                        return {"content": f"{self.options.model}: {messages[-1]['content']}"}
            """,
        },
        version="1.2",
        models={"acme": "hivetrace_acme"},
    )


def install_small_ones(site: Site) -> None:
    """Two names in one module, one of them with an overlapping claim; and a class whose SDK is not installed."""
    site.install(
        "hivetrace-pair",
        {
            "hivetrace_pair/__init__.py": SPEC
            + """
@hookimpl
def hivetrace_models():
    yield ModelSpec(name="left", model="hivetrace_pair.model:LeftModel", default_id="left-1", claims=["both-*"])
    yield ModelSpec(name="right", model="hivetrace_pair.model:RightModel", default_id="right-1")
    yield ModelSpec(name="acme", model="hivetrace_pair.model:FalseModel", default_id="not-acme")
""",
            "hivetrace_pair/model.py": ECHO.format(name="LeftModel") + "\nclass RightModel(LeftModel):\n    pass\n",
        },
        models={"left": "hivetrace_pair", "right": "hivetrace_pair"},
    )
    site.install(
        "hivetrace-nosdk",
        {
            "hivetrace_nosdk/__init__.py": Site.light("nosdk", default_id="n", options="hivetrace_nosdk.model:Options"),
            "hivetrace_nosdk/model.py": "import nosdk_client.chat\n",
        },
        models={"nosdk": "hivetrace_nosdk"},
        metadata=["Requires-Dist: nosdk-client>=2; extra == 'client'", "Provides-Extra: client"],
    )


BROKEN = {
    "absent": "import no_such_package_anywhere\n",
    "quitter": "import sys\nsys.exit(3)\n",
    "syntax": "def broken(:\n",
    "misspelt": SPEC + "@hookimpl\ndef hivetrace_model():\n    return []\n",
    "stranger": SPEC + "@hookimpl\ndef quite_another_thing():\n    return []\n",
    "raiser": SPEC + "@hookimpl\ndef hivetrace_models():\n    raise RuntimeError('no \\x1b[31mluck')\n",
    "leaver": SPEC + "@hookimpl\ndef hivetrace_models():\n    yield from ()\n    raise SystemExit(4)\n",
    "arguments": SPEC + "@hookimpl\ndef hivetrace_models(config):\n    return []\n",
    "garbage": SPEC + "@hookimpl\ndef hivetrace_models():\n    yield 'garbage'\n",
    "bare": SPEC + "@hookimpl\ndef hivetrace_models():\n    return ModelSpec(name='bare', model='a.b:C')\n",
    "number": SPEC + "@hookimpl\ndef hivetrace_models():\n    return 5\n",
    "badspec": SPEC
    + "@hookimpl\ndef hivetrace_models():\n    yield ModelSpec(name='badspec', model='no import string')\n",
    "nospec": Site.light("another"),
    "double": Site.light("double") + "    yield ModelSpec(name='double', model='a.b:C')\n",
    "unmarked": "def hivetrace_models():\n    return []\n",
    "hookless": "x = 1\n",
    "future": Site.light("future", api=2),
    "past": Site.light("past", api=0),
}


def install_broken_ones(site: Site) -> None:
    for name, source in BROKEN.items():
        site.install(f"hivetrace-{name}", {f"hivetrace_{name}/__init__.py": source}, models={name: f"hivetrace_{name}"})
    site.install(
        "hivetrace-attribute",
        {"hivetrace_attribute.py": "none = None\n"},
        models={
            "attribute": "hivetrace_attribute:missing",
            "nothing": "hivetrace_attribute:none",
            "twice": "hivetrace_attribute",
        },
    )
    for letter in "ab":
        source = Site.light("twin", model=f"twin_{letter}:Twin", claims=("twin-*",), default_id="twin-1")
        site.install(
            f"twin-{letter}",
            {f"twin_{letter}.py": source + ECHO.format(name="Twin")},
            models={"twin": f"twin_{letter}"},
        )


def install_unreadable_ones(site: Site) -> None:
    malformed = site.install(
        "hivetrace-malformed", {"hivetrace_malformed.py": ""}, models={"lost": "hivetrace_malformed"}
    )
    (malformed / "entry_points.txt").write_text("[hivetrace.models]\nno equals sign here\n")
    undecodable = site.install("hivetrace-undecodable", {"hivetrace_undecodable.py": ""}, models={"gone": "x"})
    (undecodable / "METADATA").write_bytes(b"Metadata-Version: 2.1\nName: \xff\xfe\nVersion: 1\n")


@pytest.fixture
def empty_site(tmp_path: Path) -> Site:
    """A folder with nothing installed yet."""
    folder = tmp_path / "site"
    folder.mkdir()
    return Site(folder)


@pytest.fixture
def unreadable_site(empty_site: Site) -> Site:
    """A good plugin beside two whose metadata is damaged."""
    install_acme(empty_site)
    install_unreadable_ones(empty_site)
    return empty_site


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Good and broken plugins side by side. Read only."""
    site = Site(tmp_path_factory.mktemp("installed") / "site")
    site.folder.mkdir()
    install_acme(site)
    install_small_ones(site)
    install_broken_ones(site)
    return site
