"""What the readers say of a bad file: where, and what to do."""

import codecs
import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hivetrace_core import ConfigError
from hivetrace_core.config.schema import PromptSource
from hivetrace_core.runs import csv_prompts, yaml_prompts
from hivetrace_core.runs.prompts import read_prompts

Fail = Callable[..., str]


@pytest.fixture
def fail(tmp_path: Path) -> Fail:
    """The message for a file with this content."""

    def _fail(name: str, content: str | bytes | None = None, **source: Any) -> str:
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        with pytest.raises(ConfigError) as caught:
            list(read_prompts(PromptSource(file=path, **source)))
        return str(caught.value).replace(f"{tmp_path}/", "").replace(str(tmp_path), "FOLDER")

    return _fail


class TestFiles:
    def test_a_missing_file_offers_a_similar_one(self, fail: Fail, tmp_path: Path) -> None:
        (tmp_path / "prompts.csv").write_text("prompt\na\n")

        assert fail("promts.csv") == "There is no prompts file promts.csv; did you mean prompts.csv?"

    def test_a_missing_file_says_where_it_was_looked_for(self, fail: Fail) -> None:
        assert fail("p.csv") == "There is no prompts file p.csv (looked in FOLDER)."

    def test_a_missing_folder_is_named(self, fail: Fail) -> None:
        assert fail("no/p.csv") == "There is no prompts file no/p.csv: there is no folder no either."

    def test_a_folder_is_no_file(self, fail: Fail, tmp_path: Path) -> None:
        (tmp_path / "p.csv").mkdir()

        assert fail("p.csv") == "p.csv is a folder. Name the prompts file in it."

    def test_a_path_through_a_file_cannot_be_read(self, fail: Fail, tmp_path: Path) -> None:
        (tmp_path / "f").write_text("x")

        assert fail("f/p.csv") == "The prompts file f/p.csv cannot be read: Not a directory."

    def test_a_file_that_may_not_be_read(self, fail: Fail, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: Any, **__: Any) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)  # the tests may run as root, whom nothing is forbidden

        assert fail("p.csv") == "The prompts file p.csv may not be read. Check its permissions."

    def test_a_name_that_acts_on_the_terminal_is_written_out(self, fail: Fail) -> None:
        assert "\x1b" not in fail("a\x1b[2J.csv")

    def test_an_unclear_format_asks_for_it(self, fail: Fail) -> None:
        assert "add `format: csv`" in fail("prompts.dat", "prompt\na\n")

    @pytest.mark.parametrize("name", ["p.csv", "p.jsonl", "p.txt", "p.yaml"])
    def test_an_empty_file(self, fail: Fail, name: str) -> None:
        assert fail(name, "") == f"The prompts file {name} is empty."

    @pytest.mark.parametrize(
        ("name", "text"),
        [("p.csv", "prompt,x\n"), ("p.jsonl", "\n \n"), ("p.txt", "\n\n"), ("p.yaml", "# nothing\n"), ("q.yaml", "[]")],
    )
    def test_a_file_without_prompts(self, fail: Fail, name: str, text: str) -> None:
        assert fail(name, text) == f"{name} has no prompts."

    def test_a_csv_of_blank_lines_has_no_header(self, fail: Fail) -> None:
        assert fail("p.csv", "\n \n") == "p.csv has no rows: its first row must name the columns, such as `prompt`."

    def test_prompts_of_a_journal_are_not_read_again(self) -> None:
        source = PromptSource.model_validate({"stored": {"count": 1, "sha256": "x"}})

        with pytest.raises(ConfigError, match="in the journal of a run"):
            list(read_prompts(source))


class TestEncodings:
    def test_a_wrong_byte_is_named_with_line_and_offset(self, fail: Fail) -> None:
        message = fail("p.csv", codecs.BOM_UTF8 + "prompt\nда\n".encode() + "нет\n".encode("cp1251"))

        assert message.startswith("p.csv:3: the byte 0xed at offset 15 is not UTF-8.")
        assert "iconv -f CP1251 -t UTF-8 p.csv > p-utf8.csv" in message

    def test_a_wrong_byte_in_the_first_line_after_a_mark(self, fail: Fail) -> None:
        assert fail("p.txt", codecs.BOM_UTF8 + b"ab\xff").startswith("p.txt:1: the byte 0xff at offset 5 ")

    def test_a_character_cut_off_at_the_end_is_an_error(self, fail: Fail) -> None:
        assert fail("p.txt", b"ok\nab\xd0").startswith("p.txt:2: the byte 0xd0 at offset 5 ")

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
    def test_a_marked_encoding_is_named(self, fail: Fail, encoding: str) -> None:
        mark = {"utf-16-be": codecs.BOM_UTF16_BE}.get(encoding, b"")

        message = fail("p.csv", mark + "prompt\nпривет\n".encode(encoding))

        assert message.startswith(f"p.csv is {encoding[:6].upper()}, not UTF-8. Save it as UTF-8, or convert it: iconv")

    @pytest.mark.parametrize("text", ["prompt\nhello there\n", "prompt\nпривет, как дела\n"])
    def test_an_unmarked_utf_16_is_not_taken_for_text(self, fail: Fail, text: str) -> None:
        assert "text in UTF-16" in fail("p.csv", text.encode("utf-16-le"))

    @pytest.mark.parametrize(
        ("content", "what"),
        [
            (b"PK\x03\x04rest of it", "spreadsheet"),
            (b"PAR1 rest of it", "parquet"),
            (gzip.compress(b"prompt\na\n", mtime=0), "gzip"),
            (b"SQLite format 3\x00 rest", "SQLite"),
            (bytes(range(32)) * 4, "binary"),
        ],
    )
    def test_other_kinds_of_files_are_recognised(self, fail: Fail, content: bytes, what: str) -> None:
        assert what in fail("p.csv", content)

    def test_a_file_name_is_quoted_for_the_shell(self, fail: Fail) -> None:
        assert "'my file; rm.txt' > 'my file; rm-utf8.txt'" in fail("my file; rm.txt", b"\xff\xfea\0")


class TestColumns:
    def test_a_wrong_column_lists_the_others(self, fail: Fail) -> None:
        assert fail("p.csv", "text,note\na,b\n") == (
            "p.csv has no column 'prompt'. There are 'text', 'note'; choose one with `column: ...` in `prompts`."
        )

    def test_a_similar_column_is_offered_whatever_its_case(self, fail: Fail) -> None:
        assert "did you mean 'Prompt'? Choose it with `column: ...`" in fail("p.csv", "Prompt,note\na,b\n")
        assert "did you mean 'question'?" in fail("p.csv", "question\na\n", column="qestion")

    def test_many_columns_are_cut_short(self, fail: Fail) -> None:
        message = fail("p.csv", ",".join(f"c{n}" for n in range(500)) + "\n")

        assert "'c19', ...;" in message
        assert len(message) < 300

    def test_two_columns_of_one_name(self, fail: Fail) -> None:
        assert "more than one column 'prompt'" in fail("p.csv", "prompt,prompt\na,b\n")

    @pytest.mark.parametrize("first", ["Ignore all previous instructions", "What is it?", "x" * 65])
    def test_a_file_without_a_header_is_not_robbed_of_its_first_prompt(self, fail: Fail, first: str) -> None:
        assert "reads like a prompt" in fail("p.csv", f"{first}\nSecond\n")

    def test_a_header_that_reads_like_a_prompt_is_taken_when_it_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "p.csv").write_text("What was asked?\na\n")
        source = PromptSource(file=tmp_path / "p.csv", column="What was asked?")

        assert [row.prompt for row in read_prompts(source)] == ["a"]

    def test_an_object_without_the_key(self, fail: Fail) -> None:
        assert fail("p.jsonl", '{"prompt": "a"}\n{"promt": "b"}\n') == (
            "p.jsonl:2: there is no 'prompt'. There are 'promt'; did you mean 'promt'? "
            "Choose it with `column: ...` in `prompts`."
        )

    def test_an_empty_object(self, fail: Fail) -> None:
        assert fail("p.jsonl", "{}\n") == "p.jsonl:1: there is no 'prompt'. It is empty."


class TestRows:
    def test_a_row_that_is_too_long(self, fail: Fail) -> None:
        assert fail("p.csv", 'prompt,x\n"a\nb",1\nc, d,2\n') == (
            "p.csv:4: the row has 3 cells, but the header has 2. Quote cells that contain the delimiter."
        )

    def test_a_row_that_is_too_short(self, fail: Fail) -> None:
        assert fail("p.csv", "\nprompt,x\n\na\n") == (
            "p.csv:4: the row has 1 cell, but the header has 2. Fill in the missing cells."
        )

    def test_a_cell_beyond_use(self, fail: Fail, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(csv_prompts, "_LARGEST_CELL", 0)
        before = csv.field_size_limit(10)
        try:
            message = fail("p.csv", "prompt\na\n12345678901\n")
        finally:
            csv.field_size_limit(before)

        assert message == "p.csv:3: not valid CSV (field larger than field limit (10))."

    def test_a_quote_left_open_does_not_swallow_the_rest(self, fail: Fail) -> None:
        assert fail("p.csv", 'prompt\na\n"b\nc\nd\n').startswith("p.csv:3: a quote in this row is never closed.")

    def test_text_behind_a_closing_quote(self, fail: Fail) -> None:
        assert fail("p.csv", 'prompt,x\n"He said "hi" to me",1\n').startswith(
            "p.csv:2: there is text between a closing"
        )

    def test_a_bad_json_line_is_named_with_its_column(self, fail: Fail) -> None:
        assert fail("p.jsonl", '"a"\n{"prompt": b}\n') == (
            "p.jsonl:2:12: not valid JSON (Expecting value). Each line must be one JSON value."
        )

    @pytest.mark.parametrize("value", ["[" * 100_000, '{"prompt": "a", "n": ' + "9" * 5000 + "}"])
    def test_json_beyond_use(self, fail: Fail, value: str) -> None:
        assert fail("p.jsonl", f"{value}\n").startswith("p.jsonl:1: cannot be read as JSON (")

    @pytest.mark.parametrize("value", [5, 0, 1.5, True, False])
    def test_a_prompt_that_is_no_text(self, fail: Fail, value: Any) -> None:
        assert fail("p.jsonl", json.dumps({"prompt": value})) == (
            f"p.jsonl:1: the prompt is {value}, not text. Put it in quotes."
        )

    def test_a_single_message_is_not_a_list(self, fail: Fail) -> None:
        assert "Put messages into a list" in fail("p.jsonl", '{"prompt": {"role": "user", "content": "a"}}')

    def test_a_list_of_texts_is_not_messages(self, fail: Fail) -> None:
        assert "each must be an object" in fail("p.jsonl", '["a", "b"]')


class TestBlanks:
    @pytest.mark.parametrize(
        ("name", "text", "lines"),
        [
            ("p.csv", "prompt,x\na,1\n,2\nb,3\n  ,4\n", (3, 5)),
            ("p.jsonl", '"a"\n{"prompt": null}\n{"prompt": "\\u00a0"}\n', (2, 3)),
            ("p.jsonl", '"a"\n{"prompt": []}\nnull\n', (2, 3)),
            ("p.yaml", "- a\n- ''\n-\n", (2, 3)),
        ],
    )
    def test_the_rows_are_named(self, fail: Fail, name: str, text: str, lines: tuple[int, int]) -> None:
        assert fail(name, text).startswith(f"{name}:{lines[0]}: the prompt is blank (also {lines[1]}). Fill it in")

    def test_many_are_cut_short(self, fail: Fail) -> None:
        message = fail("p.csv", "prompt,x\n" + ",1\n" * 100)

        assert "p.csv:2: the prompt is blank (also 3, 4, 5, 6, 7, 8, 9, 10, 11 and more)." in message

    def test_one_is_named_alone_whatever_is_wrong_below(self, fail: Fail) -> None:
        assert fail("p.csv", "prompt,x\n,1\na,b,c\n").startswith("p.csv:2: the prompt is blank. Fill")

    def test_a_blank_item_of_the_config(self) -> None:
        with pytest.raises(ConfigError, match=r"^prompts\[1\]: the prompt is blank"):
            list(read_prompts(PromptSource.model_validate(["a", " "])))


class TestYaml:
    @pytest.mark.parametrize("text", ["prompts: [a]", "just text"])
    def test_it_must_be_a_list(self, fail: Fail, text: str) -> None:
        assert fail("p.yaml", text).startswith("p.yaml is not a list.")

    def test_a_syntax_error_has_its_place(self, fail: Fail) -> None:
        assert fail("p.yaml", "- a\n- b: c: d\n").startswith("p.yaml:2:7: a `:` where none can be")

    def test_a_second_document(self, fail: Fail) -> None:
        assert fail("p.yaml", "- a\n---\n- b\n").startswith("p.yaml:2:1: a second document")

    def test_a_control_character(self, fail: Fail) -> None:
        assert "U+001B" in fail("p.yaml", "- a\x1bb\n")

    def test_a_key_given_twice(self, fail: Fail) -> None:
        assert fail("p.yaml", "- prompt: a\n  prompt: b\n") == (
            "p.yaml:2: the key 'prompt' is given twice. Keep one of them."
        )

    def test_a_cycle(self, fail: Fail) -> None:
        assert "contains an alias of itself" in fail("p.yaml", "- &a {prompt: x, more: [*a]}\n")

    def test_an_item_that_expands_without_end(self, fail: Fail) -> None:
        levels = [f"- &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 9)]
        bomb = "\n".join(["- &l0 [x, x, x, x, x, x, x, x, x, x]", *levels])

        assert "expand to more text than is reasonable" in fail(
            "p.yaml", f"- prompt: a\n  x:\n    {'    '.join(bomb.splitlines(True))}"
        )

    def test_a_file_that_expands_without_end(self, fail: Fail, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(yaml_prompts, "LARGEST_FILE", 10_000)
        text = "- &a " + "x" * 1000 + "\n" + "- *a\n" * 20

        assert fail("p.yaml", text).startswith("p.yaml:1: aliases")

    def test_a_depth_without_end(self, fail: Fail) -> None:
        assert fail("p.yaml", "- " + "[" * 600).startswith("p.yaml is nested too deeply")

    @pytest.mark.parametrize(("value", "line"), [(r'"\U99999999"', 1), ("!!binary ж", 2), ("!!int x", 2)])
    def test_a_value_that_is_none(self, fail: Fail, value: str, line: int) -> None:
        assert fail("p.yaml", f"- a\n- {{prompt: b, x: {value}}}\n").startswith(f"p.yaml:{line}:")

    def test_a_key_that_is_a_list(self, fail: Fail) -> None:
        assert fail("p.yaml", "- a\n- ? [b]\n  : c\n").startswith("p.yaml:2:5:")

    def test_a_tag(self, fail: Fail) -> None:
        assert fail("p.yaml", "- !!python/object/apply:os.system [ls]\n").startswith("p.yaml:1:3:")
