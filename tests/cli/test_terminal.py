import io
import logging
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivetrace_core.cli.logs import REPEATS, show_logs
from hivetrace_core.cli.terminal import SafeStream, complain, console, one_line
from hivetrace_core.runs.visible import visible

HOSTILE = "\x1b]0;title\x07 \x1b[2J\u202e\x9b31m\r\ud800"


@given(st.text(), st.integers(0, 50))
def test_a_line_never_breaks_steers_or_grows_over_its_limit(text: str, extra: int) -> None:
    line = one_line(text + HOSTILE, limit=5 + extra)

    assert len(line) <= 5 + extra
    assert line.splitlines() in ([line], [])
    assert not any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in line)


def test_a_short_line_is_left_as_it_is() -> None:
    assert one_line("Привет, [bold]world[/bold] :smile:") == "Привет, [bold]world[/bold] :smile:"
    assert one_line("a\tb\nc") == "a\\tb\\nc"
    assert one_line("x" * 61) == "x" * 59 + "…"


@given(st.lists(st.text(alphabet="a\r\n\x1b\u202e")))
def test_pieces_are_shown_as_the_whole_would_be(pieces: list[str]) -> None:
    stream = SafeStream()
    shown = [stream.feed(piece) for piece in pieces]
    shown.append(stream.rest())

    assert "".join(shown) == visible("".join(pieces))


def test_the_console_takes_data_literally(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(sys, "stdout", out := io.StringIO())

    console().print("[red]not markup[/red] :smile: " + "x" * 100)

    assert out.getvalue() == "[red]not markup[/red] :smile: " + "x" * 100 + "\n"


def test_the_width_that_the_user_gives_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")

    assert console().width == 40


def test_complaining_into_a_closed_stream_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)

    complain("nobody hears this")


class TestLogs:
    @pytest.fixture(autouse=True)
    def _as_before(self) -> object:
        root, own = logging.getLogger(), logging.getLogger("hivetrace_core")
        before = (root.handlers[:], own.level)
        yield
        root.handlers[:], own.level = before

    def test_a_warning_is_one_line_with_what_was_raised_at_its_end(self, capsys: pytest.CaptureFixture[str]) -> None:
        show_logs(everything=False)
        log = logging.getLogger("hivetrace_core.engine")

        log.warning("%s failed on a prompt\n%s", "echo", "Traceback ...\n  File ...\nValueError: no\x1b")
        try:
            raise KeyError("gone")
        except KeyError:
            log.exception("An observer failed")
        log.info("not of interest")

        assert capsys.readouterr().err.splitlines() == [
            "warning: echo failed on a prompt: ValueError: no\\x1b",
            "error: An observer failed: KeyError: 'gone'",
        ]

    def test_warnings_of_one_kind_are_shown_a_few_times(self, capsys: pytest.CaptureFixture[str]) -> None:
        show_logs(everything=False)
        log = logging.getLogger("hivetrace_core.engine")

        for number in range(100):
            log.warning("prompt %d failed", number)
        log.warning("something else")

        shown = capsys.readouterr().err.splitlines()
        assert len(shown) == REPEATS + 1
        assert "more of this kind is not shown" in shown[REPEATS - 1]
        assert shown[-1] == "warning: something else"

    def test_everything_means_every_level_and_whole_tracebacks(self, capsys: pytest.CaptureFixture[str]) -> None:
        show_logs(everything=True)
        log = logging.getLogger("hivetrace_core.engine")

        for _ in range(10):
            log.debug("a detail\nin two lines")

        assert capsys.readouterr().err.count("a detail\nin two lines") == 10

    @pytest.mark.parametrize("everything", [True, False])
    def test_a_key_of_the_environment_is_masked(
        self, everything: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ACME_API_KEY", "s3cret-of-acme")
        show_logs(everything=everything)

        logging.getLogger("hivetrace_core.engine").warning("refused: s3cret-of-acme")

        assert "refused: ***" in capsys.readouterr().err

    def test_a_second_call_replaces_the_first(self, capsys: pytest.CaptureFixture[str]) -> None:
        show_logs(everything=True)
        show_logs(everything=False)

        logging.getLogger("hivetrace_core.engine").warning("once")

        assert capsys.readouterr().err == "warning: once\n"

    def test_a_record_that_cannot_be_formatted_ends_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        show_logs(everything=False)
        ours = logging.getLogger().handlers[-1]  # pytest's own handlers do raise

        ours.handle(logging.LogRecord("hivetrace_core", logging.WARNING, "x.py", 1, "%d", ("not a number",), None))

        assert "Logging error" in capsys.readouterr().err
