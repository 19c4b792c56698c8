import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def plugins(tmp_path: Path) -> dict[str, str]:
    """The environment in which three more distributions are installed: one that works, one that breaks, a rival."""
    site = tmp_path / "site"
    good = (
        "from hivetrace_core import ModelSpec, hookimpl\n"
        "@hookimpl\n"
        "def hivetrace_models():\n"
        "    yield ModelSpec(name='parrot', model='parrot_model:Parrot', summary='Repeats \\x1b[31mred')\n"
    )
    sources = {"good": ("parrot", good), "bad": ("ghost", "raise RuntimeError('no ghosts')"), "rival": ("parrot", good)}
    for module, (name, source) in sources.items():
        info = site / f"hivetrace_{module}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: hivetrace-{module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[hivetrace.models]\n{name} = hivetrace_{module}\n")
        (site / f"hivetrace_{module}.py").write_text(
            f"import pathlib\npathlib.Path(__file__).with_suffix('.imported').touch()\n{source}"
        )
    return {"PYTHONPATH": str(site)}


def statuses(out: str) -> dict[tuple[str, str], str]:
    rows = [line.split() for line in out.splitlines()[1:]]
    return {(row[0], row[1]): row[3] for row in rows}


def test_the_list_comes_from_metadata_and_imports_no_plugin(
    hivetrace: Command, plugins: dict[str, str], tmp_path: Path
) -> None:
    done = hivetrace("models", env=plugins)

    assert (done.returncode, done.stderr) == (0, "")
    found = statuses(done.stdout)
    assert found["simulated", "hivetrace-core"] == "installed"
    assert found["ghost", "hivetrace-bad"] == "installed"
    assert found["parrot", "hivetrace-good"] == found["parrot", "hivetrace-rival"] == "conflict"
    assert "hivetrace-good:parrot" in done.stdout
    assert list(tmp_path.rglob("*.imported")) == []


def test_check_loads_each_plugin_and_says_which_cannot_be_used(hivetrace: Command, plugins: dict[str, str]) -> None:
    done = hivetrace("models", "--check", env=plugins)

    assert done.returncode == 1
    found = statuses(done.stdout)
    assert found["simulated", "hivetrace-core"] == "ok"
    assert found["ghost", "hivetrace-bad"] == "broken"
    assert "no ghosts" in done.stdout


def test_check_is_content_with_plugins_that_work(hivetrace: Command, plugins: dict[str, str]) -> None:
    done = hivetrace("models", "--check", env={**plugins, "HIVETRACE_PLUGINS": "simulated,hivetrace-good"})

    assert done.returncode == 0
    assert statuses(done.stdout)["parrot", "hivetrace-good"] == "ok"
    assert "Repeats \\x1b[31mred" in done.stdout


def test_a_name_shows_what_its_model_takes(hivetrace: Command) -> None:
    done = hivetrace("models", "simulated")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("hivetrace-core:simulated: Embedded target")
    rows = {line.split()[0]: " ".join(line.split()) for line in done.stdout.splitlines()[1:]}
    assert rows["latency_sigma"].startswith("latency_sigma float 0 to 5 0.0 Spread")
    assert rows["deadline"].startswith("deadline float > 0 600.0 Seconds")


def test_options_are_known_without_the_model_class(hivetrace: Command, plugins: dict[str, str]) -> None:
    done = hivetrace("models", "hivetrace-good:parrot", env=plugins)

    assert done.returncode == 0
    assert "does not describe them" in done.stdout
    assert "Repeats \\x1b[31mred" in done.stdout


def test_a_misspelt_name_is_met_with_the_one_that_was_meant(hivetrace: Command) -> None:
    done = hivetrace("models", "simulatd")

    assert (done.returncode, done.stdout) == (1, "")
    assert "Did you mean 'simulated'" in done.stderr
    assert "Traceback" not in done.stderr


def test_only_the_list_can_be_checked(hivetrace: Command) -> None:
    done = hivetrace("models", "--check", "simulated")

    assert done.returncode == 1
    assert "leave out NAME" in done.stderr
