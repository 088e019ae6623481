"""YAML 1.2's core schema, the place of everything, and what is refused."""

import builtins
import math

import pytest

from wine_sweep.config.yaml_io import MAX_BYTES, MAX_DEPTH, MAX_DIGITS, parse_scalar, read_yaml
from wine_sweep.errors import ConfigError


def read(text):
    return read_yaml(text if isinstance(text, bytes) else text.encode(), "c.yaml").value


def refusals(text):
    with pytest.raises(ConfigError) as caught:
        read(text)
    return [str(problem) for problem in caught.value.problems]


def refusal(text):
    (only,) = refusals(text)
    return only


def places(text):
    document = read_yaml(text.encode(), "c.yaml")
    keys = {path: (place.line, place.column) for path, place in document.keys.items()}
    values = {path: (place.line, place.column) for path, place in document.values.items()}
    return keys, values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("007", 7),
        ("+1", 1),
        ("-12", -12),
        ("0x1F", 31),
        ("0o17", 15),
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("1e+2", 100.0),
        ("-1.5e2", -150.0),
        (".5", 0.5),
        ("+.5", 0.5),
        ("5.", 5.0),
        ("1.0", 1.0),
        ("-0.0", -0.0),
        (".inf", math.inf),
        ("+.INF", math.inf),
        ("-.Inf", -math.inf),
        ("true", True),
        ("True", True),
        ("TRUE", True),
        ("false", False),
        ("False", False),
        ("FALSE", False),
        ("", None),
        ("~", None),
        ("null", None),
        ("Null", None),
        ("NULL", None),
    ],
)
def test_a_plain_scalar_follows_the_core_schema(text, value):
    got = read(f"key: {text}")["key"]
    assert got == value
    assert type(got) is type(value)
    assert repr(got) == repr(value)


@pytest.mark.parametrize("text", [".nan", ".NaN", ".NAN"])
def test_every_spelling_of_nan_is_a_number(text):
    assert math.isnan(read(f"[{text}]")[0])


@pytest.mark.parametrize(
    "text",
    [
        "on", "On", "off", "yes", "Yes", "no", "NO", "y", "n", "tRUE", "nULL", "none", "None", "nan", "inf", "+true",
        "1:30", "12:30:45", "2024-01-01", "2024-01-01T12:00:00Z", "1_000", "1,000", "0b101", "0O17", "0X1F", "0o18", "0xG",
        "-0x1F", "+0o17", "1e", "e5", "1e5.5", ".", "..5", "1.2.3", "--1", "+", "1 000", "=", "+.nan", "१२",
    ],
)  # fmt: skip
def test_what_the_core_schema_does_not_know_stays_text(text):
    assert read(f"key: {text}") == {"key": text}


@pytest.mark.parametrize("text", ["1", "1e-3", "true", "null", "~", ".inf", "0x1F", "", "on"])
def test_what_stands_in_quotes_is_text(text):
    assert read(f"a: '{text}'\nb: \"{text}\"") == {"a": text, "b": text}


def test_block_text_is_text():
    assert read("a: |\n  1\nb: >-\n  2\n") == {"a": "1\n", "b": "2"}


def test_a_key_is_read_as_a_value_is():
    assert read("on: 1\nyes: 2\n1e3: 3\n1: 4\n") == {"on": 1, "yes": 2, 1000.0: 3, 1: 4}


def test_a_number_just_short_enough_is_read():
    digits = "9" * MAX_DIGITS
    assert read(f"a: {digits}") == {"a": int(digits)}
    assert parse_scalar(f"0.{'1' * 1000}") == pytest.approx(1 / 9)


def test_a_number_of_5000_digits_is_refused_at_its_place():
    assert refusal("a: 1\nb: [2, " + "9" * 5000 + "]") == "c.yaml:2:8: b.1: a number of 5000 digits; at most 300 are read"


def test_places_of_a_block_mapping():
    keys, values = places("a: 1\nbb:\n  c: x\n  dd:   y\n")
    assert keys == {("a",): (1, 1), ("bb",): (2, 1), ("bb", "c"): (3, 3), ("bb", "dd"): (4, 3)}
    assert values == {(): (1, 1), ("a",): (1, 4), ("bb",): (3, 3), ("bb", "c"): (3, 6), ("bb", "dd"): (4, 9)}


def test_places_in_flow_style():
    keys, values = places("a: {b: [1, {c: 2}],\n    d: 'x'}")
    assert keys == {("a",): (1, 1), ("a", "b"): (1, 5), ("a", "b", 1, "c"): (1, 13), ("a", "d"): (2, 5)}
    assert values == {
        (): (1, 1),
        ("a",): (1, 4),
        ("a", "b"): (1, 8),
        ("a", "b", 0): (1, 9),
        ("a", "b", 1): (1, 12),
        ("a", "b", 1, "c"): (1, 16),
        ("a", "d"): (2, 8),
    }


def test_places_of_list_items():
    _, values = places("a:\n  - x\n  -   b: 1\n      c: 2\n")
    assert values[("a",)] == (2, 3)
    assert values[("a", 0)] == (2, 5)
    assert values[("a", 1)] == (3, 7)
    assert values[("a", 1, "c")] == (4, 10)


def test_columns_count_characters_and_not_bytes():
    _, values = places("größe: [é, 中, x]")
    assert values[("größe", 2)] == (1, 15)


def test_an_empty_value_stands_after_its_colon():
    _, values = places("a:\nb: 1")
    assert values[("a",)] == (1, 3)


def test_a_merged_key_stands_where_it_was_written():
    keys, values = places("base: &base {x: 1}\nnew:\n  <<: *base\n  y: 2\n")
    assert keys[("new", "x")] == (1, 14)
    assert values[("new", "x")] == (1, 17)
    assert keys[("new", "y")] == (4, 3)


def test_an_aliased_value_stands_at_its_anchor():
    _, values = places("a: &a [1, 2]\nb: *a\n")
    assert values[("b", 1)] == values[("a", 1)] == (1, 11)


def test_places_after_windows_line_ends_and_a_byte_order_mark():
    document = read_yaml(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n", "c.yaml")
    assert document.value == {"a": 1, "b": 2}
    assert str(document.keys[("a",)]) == "c.yaml:1:1"
    assert str(document.values[("b",)]) == "c.yaml:2:4"


def test_anchors_and_aliases():
    assert read("a: &x [1, {b: 2}]\nc: *x\nd: [*x, &y 5, *y]\n") == {
        "a": [1, {"b": 2}],
        "c": [1, {"b": 2}],
        "d": [[1, {"b": 2}], 5, 5],
    }


def test_a_merge_brings_keys_in():
    assert read("a: &a {x: 1, y: 2}\nb: {<<: *a, z: 3}")["b"] == {"x": 1, "y": 2, "z": 3}


@pytest.mark.parametrize("text", ["{<<: *a, x: 9}", "{x: 9, <<: *a}"])
def test_a_key_of_ones_own_wins_over_a_merged_one(text):
    assert read(f"a: &a {{x: 1}}\nb: {text}")["b"] == {"x": 9}


def test_of_merged_mappings_the_earlier_wins():
    assert read("a: &a {x: 1, y: 1}\nb: &b {x: 2, z: 2}\nc: {<<: [*b, *a]}")["c"] == {"x": 2, "y": 1, "z": 2}


def test_a_merge_within_a_merge():
    text = "a: &a {x: 1, y: 1, z: 1}\nb: &b {<<: *a, y: 2}\nc: {<<: *b, z: 3}"
    assert read(text)["c"] == {"x": 1, "y": 2, "z": 3}


def test_a_merge_does_not_change_what_it_merges():
    assert read("a: &a {x: 1}\nb: {<<: *a, x: 2}")["a"] == {"x": 1}


def test_a_mapping_is_merged_without_an_anchor_too():
    assert read("<<: {a: 1}\nb: 2") == {"a": 1, "b": 2}


def test_two_arrows_in_quotes_are_a_key():
    assert read("'<<': {a: 1}") == {"<<": {"a": 1}}


@pytest.mark.parametrize("text", ["b: {<<: 5}", "b: {<<: [5]}", "b: {<<: [[{x: 1}]]}"])
def test_only_mappings_can_be_merged(text):
    assert refusal(text).endswith(": b: `<<` takes a mapping or a list of mappings")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r'a: "\U00110000"', r"c.yaml:1:5: no character has the number 00110000; the last is \U0010FFFF"),
        ('a: 1\n"b\\UFFFFFFFF": 2', r"c.yaml:2:3: no character has the number FFFFFFFF; the last is \U0010FFFF"),
        (f"%YAML 1.{'9' * 5000}\n---\na: 1", "c.yaml:1:9: not valid YAML: a number with too many digits"),
        (f"%YAML {'9' * 5000}.1\n---\na: 1", "c.yaml:1:7: not valid YAML: a number with too many digits"),
    ],
)
def test_a_number_that_python_cannot_turn_into_a_character_or_read_is_refused_in_its_place(text, expected):
    assert refusal(text) == expected


def test_a_key_given_twice_is_refused_where_it_stands_again():
    assert refusal("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n") == "c.yaml:5:3: b.c: given twice"


def test_a_key_given_twice_in_flow_style_is_refused():
    assert refusal("a: {b: 1, b: 1}") == "c.yaml:1:11: a.b: given twice"


def test_every_key_given_twice_is_reported():
    assert refusals("a: 1\na: 2\nb: {c: 1, c: 2}\na: 3\n") == [
        "c.yaml:2:1: a: given twice",
        "c.yaml:3:11: b.c: given twice",
        "c.yaml:4:1: a: given twice",
    ]


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.system",
        "!!python/object/new:os.system",
        "!!python/name:os.system",
        "!!python/module:os",
        "!!python/tuple",
        "!<tag:yaml.org,2002:python/object/apply:os.system>",
    ],
)
def test_a_python_tag_is_refused_and_nothing_is_run(tag, tmp_path, monkeypatch):
    touched = tmp_path / "touched"
    imported = []
    really = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", lambda name, *rest: imported.append(name) or really(name, *rest))
    message = refusal(f"a:\n  b: {tag} ['touch {touched}']\n")
    monkeypatch.undo()
    assert message.startswith("c.yaml:2:6: a.b: the tag `!!python/")
    assert message.endswith("` is not allowed; a config is plain data")
    assert not touched.exists()
    assert "os" not in imported


@pytest.mark.parametrize("text", ["!secret x", "!!set {x}", "!!omap [x: 1]", "!!binary aGk=", "!!timestamp 2024-01-01"])
def test_other_tags_are_refused(text):
    tag = text.partition(" ")[0]
    assert refusal(f"a: {text}") == f"c.yaml:1:4: a: the tag `{tag}` is not allowed; a config is plain data"


def test_a_tagged_top_is_refused():
    assert refusal("!config {a: 1}") == "c.yaml:1:1: the tag `!config` is not allowed; a config is plain data"


def test_the_tags_of_plain_data_are_allowed():
    assert read("a: !!str 5\nb: !!int '5'\nc: !!map {x: 1}\nd: !!seq [1]\ne: !!null ''\nf: !!bool 'true'\n") == {
        "a": "5", "b": 5, "c": {"x": 1}, "d": [1], "e": None, "f": True,
    }  # fmt: skip


@pytest.mark.parametrize("text", ["!!int 1.5", "!!int x", "!!float x", "!!bool 1", "!!null 5"])
def test_a_value_that_is_not_what_its_tag_says_is_refused(text):
    assert refusal(f"a: {text}").startswith("c.yaml:1:4: a: ")


def test_a_whole_number_tagged_as_float_is_a_float():
    assert type(read("a: !!float 1")["a"]) is float


@pytest.mark.slow
def test_an_alias_bomb_is_refused():
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    text += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
    assert refusal(text).endswith(": the file unfolds to more than 200,000 values")


@pytest.mark.slow
def test_a_bomb_of_merges_is_refused():
    text = "a0: &a0 {x: 1}\n"
    text += "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 12))
    assert refusal(text).endswith(": the file unfolds to more than 200,000 values")


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: *a}", "a: &a [1, {b: [*a]}]"])
def test_an_alias_that_leads_to_itself_is_refused(text):
    assert refusal(text) == "c.yaml:1:4: an alias that leads back to itself"


@pytest.mark.parametrize("text", ["a: &a {<<: *a}", "a: &a {<<: [{x: 1}, *a]}", "a: &a {<<: {<<: *a}}"])
def test_a_merge_that_leads_to_itself_is_refused(text):
    assert refusal(text) == "c.yaml:1:4: a merge that leads back to itself"


def test_the_same_alias_twice_leads_nowhere_near_itself():
    assert read("a: &a {x: [1]}\nb: [*a, *a, {c: *a}]")["b"] == [{"x": [1]}, {"x": [1]}, {"c": {"x": [1]}}]


def test_aliases_that_nest_too_deep_are_refused():
    text = "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 2000))
    assert refusal(text).endswith(f"aliases unfold to more than {MAX_DEPTH} levels")


def test_a_long_chain_of_merges_is_refused():
    text = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: *a{n - 1}}}\n" for n in range(1, 2000))
    assert refusals(text)


def test_an_alias_without_an_anchor_is_refused():
    assert refusal("a: 1\nb: *nowhere\n") == "c.yaml:2:4: not valid YAML: found undefined alias 'nowhere'"


@pytest.mark.slow
def test_a_file_over_one_mebibyte_is_refused():
    assert read(b"a: 1 #" + b"x" * (MAX_BYTES - 6)) == {"a": 1}
    assert refusal(b"a: 1 #" + b"x" * (MAX_BYTES - 5)) == "c.yaml: the file is 1,048,577 bytes long; at most 1,048,576 are read"


def test_51_levels_are_too_deep_and_50_are_not():
    deepest = "x"
    for _ in range(MAX_DEPTH - 1):
        deepest = f"[{deepest}]"
    assert read(deepest)
    assert refusal(f"[{deepest}]") == "c.yaml:1:51: not valid YAML: nested more than 50 levels deep"


def test_51_indented_levels_are_too_deep_and_50_are_not():
    lines = [" " * n + "k:" for n in range(60)]
    assert read("\n".join(lines[:49]))
    message = refusal("\n".join(lines[:50]))
    assert message.startswith("c.yaml:50:")
    assert message.endswith("nested more than 50 levels deep")


@pytest.mark.slow
@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "[{a: "])
def test_thousands_of_openings_are_refused(opening):
    assert refusal(opening * 20_000).endswith("nested more than 50 levels deep")


@pytest.mark.parametrize("text", ["a:\n\tb: 1\n", "a:\n  b: 1\n\tc: 2\n"])
def test_a_tab_for_indentation_is_refused(text):
    assert refusal(text) == f"c.yaml:{text[: text.index(chr(9))].count(chr(10)) + 1}:1: a tab; YAML is indented with spaces"


def test_a_tab_within_text_is_fine():
    assert read("a: 'x\ty'\n") == {"a": "x\ty"}


@pytest.mark.parametrize("content", ["a: é\n".encode("latin-1"), "a: 1\n".encode("utf-16"), b"\x80"])
def test_what_is_not_utf_8_is_refused(content):
    assert refusal(content) == "c.yaml:1:1: the file is not UTF-8 text"


def test_the_line_that_is_not_utf_8_is_named():
    assert refusal(b"a: 1\nb: 2\nc: \xff\n") == "c.yaml:3:1: the file is not UTF-8 text"


@pytest.mark.parametrize(("character", "name"), [("\x07", "U+0007"), ("\x00", "U+0000"), ("\x1b", "U+001B"), ("\x7f", "U+007F")])
def test_a_control_character_is_refused_at_its_place(character, name):
    assert refusal(f"a: 1\nbcd: {character}\n") == f"c.yaml:2:6: the character {name} is not allowed in YAML"


def test_a_second_document_is_refused():
    assert refusal("a: 1\n---\nb: 2\n") == "c.yaml:2:1: a second document; a config file holds one sweep"


def test_one_document_may_have_its_marks():
    assert read("---\na: 1\n...\n") == {"a": 1}


@pytest.mark.parametrize("text", ["", "\n\n", "# a comment\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(text):
    assert refusal(text) == "c.yaml:1:1: the file is empty; a config is a mapping of keys such as `data`, `model` and `search`"


@pytest.mark.parametrize("text", ["? [1]\n: 2\n", "a: 1\n? {b: 2}\n: 3\n", "{[1]: 2}"])
def test_a_list_or_mapping_as_a_key_is_refused(text):
    assert refusal(text).endswith(": a list or mapping cannot be a key")


def test_a_second_colon_is_explained():
    expected = "c.yaml:2:8: a second `:` on the line, or wrong indentation; put text that holds `: ` in quotes"
    assert refusal("a: 1\nb: text: more\n") == expected


@pytest.mark.parametrize(
    ("text", "place"),
    [("a: [1, 2", "1:9"), ("a: {b: 1", "1:9"), ("a: 'x", "1:6"), ("a: }", "1:4"), ("a: @x", "1:4"), ('a: "\\q"', "1:6")],
)
def test_broken_yaml_is_refused_at_its_place(text, place):
    assert refusal(text).startswith(f"c.yaml:{place}: not valid YAML: ")
