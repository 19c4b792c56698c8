"""What the readers give for a good file."""

import csv
import io
import json
import tempfile
import tracemalloc
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hivetrace_core.config.schema import PromptSource
from hivetrace_core.runs.prompts import PromptRow, read_prompts

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def _write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return path

    return _write


def rows(path: Path, column: str | None = None, format: Any = None) -> list[PromptRow]:  # noqa: A002
    return list(read_prompts(PromptSource(file=path, column=column, format=format)))


def prompts(path: Path, column: str | None = None, format: Any = None) -> list[Any]:  # noqa: A002
    return [row.prompt for row in rows(path, column, format)]


class TestCsv:
    def test_the_column_prompt_is_taken_and_the_others_travel_along(self, write: Write) -> None:
        path = write("p.csv", 'id,prompt,note\n7,"Привет, мир",a\n8,b,\n')

        assert rows(path) == [
            PromptRow("Привет, мир", {"id": "7", "note": "a"}),
            PromptRow("b", {"id": "8", "note": ""}),
        ]

    def test_another_column_can_be_chosen(self, write: Write) -> None:
        path = write("p.csv", "prompt,question\na,b\n")

        assert rows(path, "question") == [PromptRow("b", {"prompt": "a"})]

    def test_a_single_column_needs_no_name(self, write: Write) -> None:
        assert rows(write("p.csv", "attack\none\ntwo\n")) == [PromptRow("one"), PromptRow("two")]

    def test_a_byte_order_mark_is_no_part_of_the_first_name(self, write: Write) -> None:
        assert prompts(write("p.csv", b"\xef\xbb\xbfprompt,x\na,1\n")) == ["a"]

    def test_a_byte_order_mark_further_down_is_text(self, write: Write) -> None:
        assert prompts(write("p.csv", "prompt\n\ufeffa\n")) == ["\ufeffa"]

    def test_cells_may_have_line_breaks_quotes_and_carriage_returns(self, write: Write) -> None:
        path = write("p.csv", b'prompt,x\r\n"a\nb\r\nc ""d"" \re",1\r\nf,2\r\n')

        assert prompts(path) == ['a\nb\r\nc "d" \re', "f"]

    def test_line_ends_of_old_macs_are_read(self, write: Write) -> None:
        assert prompts(write("p.csv", "prompt,x\ra,1\rb,2\r")) == ["a", "b"]

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("prompt;note\na,b;c\n", "a,b"),
            ("prompt\tnote\na,b\tc\n", "a,b"),
            ("note;prompt, the\tname;prompt\na;b;c\n", "c"),
            ("prompt,a;b\nx;y,z\n", "x;y"),
            ('"prompt"\nx;y\n', "x;y"),
        ],
    )
    def test_the_header_tells_the_delimiter(self, write: Write, text: str, expected: str) -> None:
        assert prompts(write("p.csv", text)) == [expected]

    def test_the_wanted_column_decides_between_delimiters(self, write: Write) -> None:
        path = write("p.csv", "a,b;question\nx,y;z\n")

        assert prompts(path, "question") == ["z"]

    def test_rows_without_content_are_left_out(self, write: Write) -> None:
        path = write("p.csv", "\n\nprompt,x\n\na,1\n , \n,\nb,2\n\n")

        assert prompts(path) == ["a", "b"]

    def test_a_row_may_have_empty_cells_beside_the_prompt(self, write: Write) -> None:
        assert rows(write("p.csv", "x,prompt,y\n,a,\n")) == [PromptRow("a", {"x": "", "y": ""})]

    def test_nameless_columns_are_numbered(self, write: Write) -> None:
        assert rows(write("p.csv", "prompt,,x\na,b,c\n")) == [PromptRow("a", {"column_2": "b", "x": "c"})]

    def test_spaces_around_names_are_dropped_but_not_around_prompts(self, write: Write) -> None:
        assert rows(write("p.csv", "id, prompt \n1, a \n")) == [PromptRow(" a ", {"id": "1"})]

    def test_a_nul_in_a_prompt_survives(self, write: Write) -> None:
        assert prompts(write("p.csv", "prompt,x\nbefore\0after,1\n")) == ["before\0after"]

    def test_a_prompt_of_ten_megabytes_is_read(self, write: Write) -> None:
        big = "ж" * 5_000_000

        assert prompts(write("p.csv", f'prompt,x\n"{big}",1\n')) == [big]

    def test_other_extensions_are_read_when_the_format_is_given(self, write: Write) -> None:
        assert prompts(write("p.data", "prompt\na\n"), format="csv") == ["a"]
        assert prompts(write("p.TSV", "prompt\tx\na\t1\n")) == ["a"]

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda t: t.strip()),
                st.text(st.characters(exclude_categories=["Cs"])),
            ),
            min_size=1,
        )
    )
    def test_what_the_csv_module_writes_is_read_back_to_the_letter(self, table: list[tuple[str, str]]) -> None:
        text = io.StringIO(newline="")
        writer = csv.writer(text, quoting=csv.QUOTE_ALL)
        writer.writerows([("prompt", "note"), *table])
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "p.csv"
            path.write_text(text.getvalue(), encoding="utf-8", newline="")
            found = [(row.prompt, row.extra["note"]) for row in read_prompts(PromptSource(file=path, format="csv"))]

        assert found == table


class TestJsonLines:
    def test_objects_strings_and_messages_may_stand_side_by_side(self, write: Write) -> None:
        messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
        lines = [{"prompt": "a", "n": 1, "tags": ["x"]}, "b", messages, {"prompt": messages}]
        path = write("p.jsonl", "\n\n".join(map(json.dumps, lines)))

        assert rows(path) == [
            PromptRow("a", {"n": 1, "tags": ["x"]}),
            PromptRow("b"),
            PromptRow(messages),
            PromptRow(messages),
        ]

    def test_the_key_can_be_chosen(self, write: Write) -> None:
        path = write("p.jsonl", '{"messages": [{"role": "user", "content": "a"}], "id": 1}\n')

        assert rows(path, "messages") == [PromptRow([{"role": "user", "content": "a"}], {"id": 1})]

    def test_lone_surrogates_nuls_and_line_separators_survive(self, write: Write) -> None:
        texts = ["\ud800", "a\0b", "a\u2028b", "\ud83d\ude00"]
        path = write("p.ndjson", "".join(json.dumps({"prompt": text}) + "\n" for text in texts))

        assert prompts(path) == ["\ud800", "a\0b", "a\u2028b", "😀"]

    def test_a_line_separator_inside_a_string_does_not_end_the_line(self, write: Write) -> None:
        assert prompts(write("p.jsonl", '"a\u2028b\x85c"\r\n"d"\r\n')) == ["a\u2028b\x85c", "d"]

    def test_a_byte_order_mark_is_dropped(self, write: Write) -> None:
        assert prompts(write("p.jsonl", b'\xef\xbb\xbf"a"\n')) == ["a"]

    def test_a_blank_prompt_can_be_sent_as_a_message(self, write: Write) -> None:
        assert prompts(write("p.jsonl", '[{"role": "user", "content": " "}]')) == [[{"role": "user", "content": " "}]]

    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(
            st.fixed_dictionaries(
                {"prompt": st.text(min_size=1).filter(lambda t: t.strip())},
                optional={"x": st.none() | st.integers() | st.lists(st.text())},
            ),
            min_size=1,
            max_size=5,
        )
    )
    def test_what_the_json_module_writes_is_read_back_to_the_letter(self, table: list[dict[str, Any]]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "p.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in table), encoding="utf-8")
            found = [{"prompt": row.prompt, **row.extra} for row in read_prompts(PromptSource(file=path))]

        assert found == table


class TestText:
    def test_every_line_is_a_prompt_as_it_stands(self, write: Write) -> None:
        path = write("p.txt", '\ufefffirst\r\n\n  second, "x"\t\n \t \nthird\rstill third\u2028too')

        assert prompts(path) == ["first", '  second, "x"\t', "third\rstill third\u2028too"]


class TestYaml:
    def test_a_list_of_texts_mappings_and_messages(self, write: Write) -> None:
        path = write(
            "p.yaml",
            "- plain\n- |\n  two\n  lines\n- {prompt: a, n: 1}\n- - {role: user, content: hi}\n"
            "- prompt: [{role: user, content: x}]\n  tag: [t]\n",
        )

        assert rows(path) == [
            PromptRow("plain"),
            PromptRow("two\nlines\n"),
            PromptRow("a", {"n": 1}),
            PromptRow([{"role": "user", "content": "hi"}]),
            PromptRow([{"role": "user", "content": "x"}], {"tag": ["t"]}),
        ]

    def test_dates_stay_text(self, write: Write) -> None:
        assert rows(write("p.yml", "- {prompt: 2024-01-01, at: 12:30:00}")) == [
            PromptRow("2024-01-01", {"at": "12:30:00"})
        ]

    def test_escapes_reach_what_yaml_cannot_hold_itself(self, write: Write) -> None:
        assert prompts(write("p.yaml", r'- "a\0b\x1b[2J"')) == ["a\0b\x1b[2J"]

    def test_aliases_share_text_between_prompts(self, write: Write) -> None:
        path = write("p.yaml", "- &s {role: system, content: s}\n- [*s, {role: user, content: u}]\n")

        assert prompts(path, "content") == ["s", [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]]

    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda t: t.strip()), min_size=1)
    )
    def test_what_pyyaml_writes_in_quotes_is_read_back_to_the_letter(self, texts: list[str]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "p.yaml"
            path.write_text(yaml.safe_dump(texts, default_style='"'), encoding="utf-8")

            assert [row.prompt for row in read_prompts(PromptSource(file=path))] == texts


class TestInline:
    def test_a_list_in_the_config(self) -> None:
        source = PromptSource.model_validate(["a", {"prompt": "b", "n": 2}, [{"role": "user", "content": "c"}]])

        assert list(read_prompts(source)) == [
            PromptRow("a"),
            PromptRow("b", {"n": 2}),
            PromptRow([{"role": "user", "content": "c"}]),
        ]


@pytest.mark.parametrize("name", ["p.csv", "p.jsonl", "p.txt"])
def test_a_long_file_is_not_held_in_memory(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with path.open("w") as file:
        file.write('"prompt"\n')
        file.writelines('"' + "x" * 1000 + '"\n' for _ in range(8_000))
    tracemalloc.start()

    count = sum(1 for _ in read_prompts(PromptSource(file=path)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert count >= 8_000
    assert peak < 2_000_000


def test_nothing_after_the_first_prompt_is_read_before_it_is_asked_for(write: Write) -> None:
    path = write("p.csv", 'prompt,x\na,1\n"never closed')

    assert [row.prompt for row in islice(read_prompts(PromptSource(file=path)), 1)] == ["a"]
