"""Files that are no config at all: missing, unreadable, in another encoding, too large."""

import os
import threading
from pathlib import Path

import pytest

from hivetrace_core import ConfigError, load_config

GOOD = "models: [{name: simulated}]\nprompts: [Привет]\n"


def test_a_config_is_read_with_and_without_a_byte_order_mark(write):
    plain = load_config(write(GOOD))
    marked = load_config(write(b"\xef\xbb\xbf" + GOOD.encode()))

    assert plain.prompts.items == marked.prompts.items == ["Привет"]


def test_windows_line_ends_change_nothing(write):
    config = load_config(write("models:\r\n  - name: simulated\r\nprompts:\r\n  - a\r\n"))

    assert config.prompts.items == ["a"]


def test_a_missing_file_suggests_the_one_that_is_there(write):
    write(GOOD, "leak-ru.yaml")

    with pytest.raises(ConfigError, match=r"There is no config file leek-ru\.yaml; did you mean leak-ru\.yaml\?$"):
        load_config("leek-ru.yaml")


def test_a_missing_file_says_where_it_was_looked_for(write, tmp_path):
    write(GOOD, "a.yaml")

    with pytest.raises(ConfigError) as caught:
        load_config(Path("nothing-alike"))

    assert str(caught.value) == f"There is no config file nothing-alike (looked in {tmp_path})."


def test_a_missing_folder_is_said_to_be_missing():
    with pytest.raises(ConfigError, match="there is no folder /nowhere/at-all either"):
        load_config("/nowhere/at-all/run.yaml")


def test_a_folder_is_no_config(tmp_path):
    with pytest.raises(ConfigError, match=r"is a folder\. Name the config file in it"):
        load_config(tmp_path)


def test_a_file_without_permission_says_so(write):
    path = write(GOOD).absolute()
    path.chmod(0)
    user = os.geteuid()
    if user == 0:  # who may read everything
        os.seteuid(65534)
    try:
        with pytest.raises(ConfigError, match=r"may not be read\. Check its permissions"):
            load_config(path)
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("name", ["a\0b.yaml", "x" * 5_000])
def test_a_name_that_no_file_can_have_is_a_config_error(name):
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        load_config(name)

    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (GOOD.encode("utf-16"), "is UTF-16, not UTF-8. Save it as UTF-8"),
        (GOOD.encode("utf-16-be"), "a NUL byte"),
        (b"\xfe\xff" + GOOD.encode("utf-16-be"), "is UTF-16, not UTF-8"),
        (GOOD.encode("utf-32"), "is UTF-32, not UTF-8"),
        (GOOD.encode("cp1251"), "run.yaml:2: byte 0xcf is not UTF-8. Save the file as UTF-8"),
        (b"\xef\xbb\xbf" + GOOD.encode("cp1251"), "run.yaml:2: byte 0xcf is not UTF-8"),
        (b"PK\x03\x04\x14\0", "run.yaml:1: a NUL byte: the file is binary, or text in UTF-16"),
        (GOOD.encode() + b"name: a\0b\n", "run.yaml:3: a NUL byte"),
        (b"name: \x1b[31m", "run.yaml:1:7: the character U+001B cannot stand in YAML"),
        (b"a: b\nc: d\x07", "run.yaml:2:5: the character U+0007 cannot stand in YAML"),
    ],
)
def test_what_is_not_text_in_utf8_is_refused_with_its_line(refused, content, said):
    assert said in refused(content)


@pytest.mark.parametrize("content", ["", "\n\n", "# only a comment\n", "---\n", "~\n"])
def test_an_empty_config_says_what_it_needs(refused, content):
    assert refused(content) == "run.yaml is empty. A config needs at least `models` and `prompts`."


@pytest.mark.parametrize(
    ("content", "kind"), [("\n- a\n", "a list"), ("\njust text\n", "text"), ("\n17\n", "a number")]
)
def test_a_config_must_be_a_mapping(refused, content, kind):
    assert refused(content) == f"run.yaml:2: a config is a mapping (`models: ...`, `prompts: ...`), not {kind}."


def test_a_file_beyond_the_limit_is_refused_unread(refused):
    message = refused("# " + "x" * 1024 * 1024)

    assert "larger than 1,024 KiB" in message
    assert "`prompts: {file: ...}`" in message


def test_a_file_at_the_limit_is_read(write):
    assert load_config(write((GOOD + "# ").ljust(1024 * 1024 - 6, "x"))).prompts.items == ["Привет"]


def test_a_pipe_without_end_is_not_read_to_its_end(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def feed() -> None:
        try:
            with pipe.open("wb") as end:
                while True:
                    end.write(b"# xxxxxxxxxxxxxx\n" * 4096)
        except BrokenPipeError:
            pass

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        with pytest.raises(ConfigError, match="larger than"):
            load_config(pipe)
    finally:
        thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("source", "kind"), [(None, "empty"), (3, "a number"), ([GOOD], "a list"), (b"run.yaml", "a bytes")]
)
def test_something_else_than_a_path_or_a_mapping_is_refused(source, kind):
    with pytest.raises(ConfigError, match=f"A config is a path, a mapping or a RunConfig, not {kind}"):
        load_config(source)


def test_a_file_name_cannot_write_to_the_terminal(refused):
    message = refused("a: [", "x\x1b[31m.yaml")

    assert message.isprintable()
    assert "\\x1b" in message
