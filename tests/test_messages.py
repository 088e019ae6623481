"""Text that others wrote, made safe for a terminal, JSON, YAML, Markdown and spreadsheets."""

import html
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from wine_sweep.config import dump_yaml
from wine_sweep.config.yaml_io import read_yaml
from wine_sweep.messages import first_line, markdown, spreadsheet_cell, visible, visible_in_json

IGNORABLE = [
    *(0xAD, 0x34F, 0x61C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFEFF, 0xFFA0),
    *range(0x180B, 0x1810),
    *range(0x200B, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x2060, 0x2070),
    *range(0xFE00, 0xFE10),
    *range(0xFFF0, 0xFFF9),
    *range(0x1BCA0, 0x1BCA4),
    *range(0x1D173, 0x1D17B),
    *range(0xE0000, 0xE1000),
]
"""Default_Ignorable_Code_Point of Unicode 17, from DerivedCoreProperties.txt."""

HIDDEN = re.compile(f"[\x00-\x1f\x7f-\x9f\u2028\u2029\u2800\ufff9-\ufffb\ud800-\udfff{''.join(map(chr, IGNORABLE))}]")
SEEN_NOWHERE = "".join(map(chr, [*IGNORABLE, 0x2800]))


def test_what_a_terminal_acts_on_is_shown_and_the_rest_stays():
    assert visible("a\x1b[2J\x9b\r\n\t\x7f") == r"a\x1b[2J\x9b\r\n\t\x7f"
    assert visible("\u202e\u2028\udcff\U000e0041") == r"\u202e\u2028\udcff\U000e0041"
    assert visible("Größe, ± → … 数 🍷") == "Größe, ± → … 数 🍷"


def test_what_no_display_shows_is_shown():
    assert [code for code in [*IGNORABLE, 0x2800] if not visible(chr(code)).startswith("\\")] == []
    assert visible("wine\u3164, \u2764\ufe0f") == r"wine\u3164, \u2764\ufe0f".replace(r"\u2764", "\u2764")


@pytest.mark.slow
@pytest.mark.parametrize("code", ["\u115f", "\u17b4", "\u3164", "\uffa0", SEEN_NOWHERE], ids=ascii)
def test_what_no_display_shows_reads_back(code):
    text = f"a{code}"
    assert json.loads(visible_in_json(json.dumps({text: 1}, ensure_ascii=False))) == {text: 1}
    written = dump_yaml({"a": text, text: 1})
    assert read_yaml(written.encode(), "x").value == {"a": text, text: 1}
    assert code not in written


@given(st.text(st.characters(codec=None)))
def test_no_text_gets_by(text):
    assert not HIDDEN.search(visible(text))


@pytest.mark.slow
@given(st.text(st.characters(codec=None)), st.text(st.characters(codec=None)))
def test_json_stays_what_it_was(key, value):
    written = visible_in_json(json.dumps({key: [value]}, indent=2, ensure_ascii=False))
    assert json.loads(written) == {key: [value]}
    assert not HIDDEN.search(written.replace("\n", ""))


@pytest.mark.slow
@given(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8")))
def test_a_written_config_reads_back_and_shows_what_is_hidden(key, value):
    written = dump_yaml({key: value, "list": [value]})
    assert read_yaml(written.encode(), "x").value == {key: value, "list": [value]}
    assert not HIDDEN.search(written.replace("\n", ""))


@pytest.mark.parametrize(
    "text",
    [
        "[click](javascript:alert(1))",
        "![x](http://x/y.png)",
        "<script>alert(1)</script> & <b>",
        "a | b `code` **bold** __init__ _x_ svr__C ~~no~~",
        "# heading",
        "- item",
        "+ item",
        "1. item",
        "1) item",
        "a\n# heading\n\n| a | b |",
        "\\[x](y) \\\\",
        "<http://x>",
        "[x]: http://y",
    ],
)
def test_markdown_shows_a_text_as_it_is(text):
    rendered = MarkdownIt("gfm-like", {"linkify": False}).render(f"- {markdown(text)}")
    tags = re.findall(r"<(\w+)", rendered)
    assert tags == ["ul", "li"]
    assert html.unescape(re.sub(r"<[^>]+>", "", rendered)).strip() == visible(text).strip()


@pytest.mark.parametrize("value", ["=1+1", "+cmd", "-x", "@SUM(A1)", "\uff1dx", "--1", "=", "-"])
def test_a_text_that_a_spreadsheet_would_run_gets_an_apostrophe(value):
    assert spreadsheet_cell(value) == f"'{value}"


@pytest.mark.parametrize("value", ["-0.5", "1e-5", "+3", "-.5", "-1e+5", "text", "a=b", "1-2", "", -0.5, 7, True, None])
def test_numbers_and_other_texts_stay_as_they_are(value):
    assert spreadsheet_cell(value) is value


def test_a_cell_that_begins_where_a_semicolon_parts_columns_is_none_either():
    assert spreadsheet_cell("x;=cmd()") == "x;'=cmd()"
    assert spreadsheet_cell("\t=cmd()\r@") == r"\t=cmd()\r@"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("one\ntwo"), "one"),
        (ValueError("\n one \n two"), "one "),
        (ValueError(" \n"), "ValueError"),
        (KeyError(), "KeyError"),
        ("x" * 600, "x" * 500),
    ],
)
def test_an_errors_first_line_is_its_types_name_where_it_says_nothing(error, line):
    assert first_line(error) == line
