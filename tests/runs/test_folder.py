"""The folder of a run."""

import stat
from datetime import datetime
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivetrace_core import RunError
from hivetrace_core.runs.folder import make_run_folder, sanitized, write_config

NOON = datetime(2026, 11, 23, 12, 0, 1).astimezone()


def test_it_is_named_after_the_run_and_the_time_and_is_for_its_owner(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "runs", "leak-ru", now=NOON)

    assert folder == tmp_path / "runs" / "leak-ru-20261123-120001"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_no_run_gets_the_folder_of_another(tmp_path: Path) -> None:
    folders = [make_run_folder(tmp_path, "x", now=NOON).name for _ in range(3)]

    assert folders == ["x-20261123-120001", "x-20261123-120001-2", "x-20261123-120001-3"]


def test_the_time_is_now(tmp_path: Path) -> None:
    assert make_run_folder(tmp_path, "x").name.startswith(f"x-{datetime.now().astimezone():%Y%m%d}-")


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("Утечка: промпт №1", "Утечка-промпт-1"),
        ("../../etc/passwd", "etc-passwd"),
        ("..", "run"),
        ("", "run"),
        ("/", "run"),
        (".hidden", "hidden"),
        ("a\0b\nc", "a-b-c"),
        ("CON", "run-CON"),
        ("nul.txt", "run-nul.txt"),
        ("com1", "run-com1"),
        ("console", "console"),
        ("x" * 300, "x" * 80),
        ("ж" * 300, "ж" * 40),
        ("e\u0301", "é"),
        ("\ud800", "run"),
    ],
)
def test_any_name_becomes_a_plain_one(name: str, plain: str) -> None:
    assert sanitized(name) == plain


@given(st.text(st.characters()))
def test_a_name_is_always_one_part_of_a_path(name: str) -> None:
    plain = sanitized(name)

    assert PurePosixPath(plain).name == PureWindowsPath(plain).name == plain
    assert not plain.startswith((".", "-"))
    assert len(plain.encode("utf-8")) <= 90


def test_a_place_that_takes_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    with pytest.raises(RunError, match=r"cannot be made in .*file: (Not a directory|File exists)\. Set"):
        make_run_folder(tmp_path / "file", "x")


def test_the_config_is_for_its_owner(tmp_path: Path) -> None:
    write_config(tmp_path, "name: ж\n")

    assert (tmp_path / "config.yaml").read_text(encoding="utf-8") == "name: ж\n"
    assert stat.S_IMODE((tmp_path / "config.yaml").stat().st_mode) == 0o600
    with pytest.raises(RunError, match=r"cannot be written: No such file or directory\."):
        write_config(tmp_path / "no", "x")
