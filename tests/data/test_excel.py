"""Excel workbooks: what is in their cells, which sheet, and that none unfolds to more than it may."""

from __future__ import annotations

import contextlib
import datetime as dt
import sys
import zipfile
from xml.sax.saxutils import escape

import numpy as np
import pandas as pd
import pytest

from wine_sweep.config import DataConfig, Reading
from wine_sweep.data import load_table
from wine_sweep.data.remarks import remarks
from wine_sweep.data.sources import has_more_than
from wine_sweep.data.splits import load_rows
from wine_sweep.errors import DataError

MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
STYLES = f'<styleSheet {MAIN}><cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>'
HEADER = ["a", "b", "y"]


def cell(value):
    if value is None:
        return "<c/>"
    if isinstance(value, bool):
        return f'<c t="b"><v>{int(value)}</v></c>'
    if isinstance(value, dt.date):
        return f'<c s="1"><v>{(value - dt.date(1899, 12, 30)).days}</v></c>'
    if isinstance(value, float | int):
        return f"<c><v>{value}</v></c>"
    return value if value.startswith("<c") else f'<c t="inlineStr"><is><t>{escape(value)}</t></is></c>'


def sheet(rows):
    lines = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
    return f"<worksheet {MAIN}><sheetData>{lines}</sheetData></worksheet>"


def write(path, sheets, *, texts=(), more=None):
    """Write a workbook: its sheets by name, each rows or XML; the texts that cells share; and other parts by name."""
    listed = "".join(f'<sheet name="{name}" sheetId="{i}" r:id="r{i}"/>' for i, name in enumerate(sheets, 1))
    linked = "".join(
        f'<Relationship Id="r{i}" Type="{OFFICE}/worksheet" Target="worksheets/sheet{i}.xml"/>' for i in range(1, len(sheets) + 1)
    )
    linked += "".join(
        f'<Relationship Id="{name}" Type="{OFFICE}/{name}" Target="{name}.xml"/>' for name in ("styles", "sharedStrings")
    )
    root = f'<Relationship Id="r1" Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/>'
    parts = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}">{root}</Relationships>',
        "xl/workbook.xml": f'<workbook {MAIN} xmlns:r="{OFFICE}"><sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}">{linked}</Relationships>',
        "xl/styles.xml": STYLES,
        "xl/sharedStrings.xml": f"<sst {MAIN}>{''.join(f'<si><t>{escape(text)}</t></si>' for text in texts)}</sst>",
        **{f"xl/worksheets/sheet{i}.xml": x if isinstance(x, str) else sheet(x) for i, x in enumerate(sheets.values(), 1)},
        **(more or {}),
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def test_cells_are_what_they_are_in_excel(tmp_path):
    day = dt.date(2026, 1, 2)
    rows = [
        ["whole", "gap", "when", "flag", "zip", "formula", "country", "", 2024],
        [1, 2, day, True, "01000", '<c t="str"><f>A2&amp;"x"</f><v>1x</v></c>', "DE", 0, 1.5],
        [],
        [3, None, None, False, "02000", "<c><f>A3*2</f><v>6</v></c>", "NA", 1, '<c t="e"><v>#DIV/0!</v></c>'],
    ]
    table = load_table(str(write(tmp_path / "t.xlsx", {"s": rows})))
    expected = pd.DataFrame(
        {
            "whole": [1, 3],
            "gap": [2.0, np.nan],
            "when": pd.to_datetime([day, None]).as_unit("us"),
            "flag": [True, False],
            "zip": ["01000", "02000"],
            "formula": ["1x", 6.0],
            "country": ["DE", None],
            "Unnamed: 7": [0, 1],
            "2024": [1.5, np.nan],
        }
    )
    pd.testing.assert_frame_equal(table, expected)


def test_the_only_sheet_with_something_in_it_is_read_and_one_of_several_is_named(tmp_path):
    rows = [HEADER, [1, 2, 3], [4, 5, 6]]
    one = write(tmp_path / "one.xlsx", {"Sheet1": [], "people": rows})
    assert load_table(str(one))["b"].tolist() == [2, 5]
    two = str(write(tmp_path / "two.xlsx", {"notes": [["read me"]], "people": rows}))
    assert load_table(two, Reading(sheet="people")).columns.tolist() == HEADER
    with pytest.raises(DataError, match=r"two.xlsx has several sheets; name one of them: 'notes', 'people'") as caught:
        load_table(two)
    assert caught.value.path == ("data", "sheet")
    with pytest.raises(DataError, match=r"no sheet 'peple'; did you mean 'people'\? Allowed: notes, people"):
        load_table(two, Reading(sheet="peple"))


def test_the_keys_of_other_formats_have_no_use_and_its_own_are_followed(tmp_path):
    path = write(tmp_path / "t.xlsx", {"s": [["a", "c", "y"], [1, "NA", 1], ["?", "DE", 2]]})
    rows = load_rows(DataConfig(source=str(path), na_values=["?"], keep_default_na=False, decimal=","), tmp_path)
    assert [(str(error), error.path) for error in rows.wrong] == [
        ("is for .csv, .tsv and .txt; a .xlsx says itself what is in it", ("data", "decimal"))
    ]
    assert rows.table["a"].isna().tolist() == [False, True]
    assert rows.table["c"].tolist() == ["NA", "DE"]
    (tmp_path / "t.csv").write_text("a,y\n1,2\n")
    rows = load_rows(DataConfig(source="t.csv", sheet="s"), tmp_path)
    assert [str(error) for error in rows.wrong] == ["is for .xlsx; a .csv says itself what is in it"]


def test_text_that_is_read_as_a_gap_is_pointed_out(tmp_path):
    from wine_sweep.data.dataset import make_dataset
    from wine_sweep.trial import DataRequirements, Task

    rows = [["x", "country", "y"], *([float(n), "NA" if n % 3 else "DE", n * 2.0] for n in range(6))]
    config = DataConfig(source=str(write(tmp_path / "t.xlsx", {"s": rows})), target="y")
    needs = DataRequirements(Task.REGRESSION, numbers=False, takes_missing=True, model="m")
    dataset = make_dataset(load_table(config.source), config, source=config.source, needs=needs)
    assert remarks(dataset, config) == [
        "column 'country' holds 'NA', read as a gap; write `data.keep_default_na: false` if it is a value"
    ]


FAR = f'<worksheet {MAIN}><sheetData><row r="1"><c r="A1"><v>1</v></c></row>{{}}</sheetData></worksheet>'
SHARED = [["a"], *[['<c t="s"><v>0</v></c>']] * 2000]
BOMBS = {
    "compressed": lambda path: write(path, {"s": [["a"], ["x" * 3_000_000]]}),
    "a part that is not read as a sheet": lambda path: write(
        path, {"s": [HEADER, [1, 2, 3]]}, more={"xl/x.xml": f"<a>{' ' * 3_000_000}</a>"}
    ),
    "a text that many cells share": lambda path: write(path, {"s": SHARED}, texts=["x" * 2000]),
    "a cell far to the right and below": lambda path: write(
        path, {"s": FAR.format('<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>')}
    ),
    "a cell that says another row than its row": lambda path: write(path, {"s": FAR.format('<row r="2"><c r="ZZ99999"/></row>')}),
    "another prefix": lambda path: write(
        path,
        {
            "s": FAR.format("")
            .replace("<c ", "<x:c ")
            .replace("</c>", "</x:c>")
            .replace("A1", "ZZ99999")
            .replace("xmlns=", f"{MAIN.replace('xmlns', 'xmlns:x')} xmlns=")
        },
    ),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_workbook_is_refused_where_it_unfolds_to_more(kind, tmp_path):
    path = BOMBS[kind](tmp_path / "t.xlsx")
    assert path.stat().st_size < 50_000
    assert has_more_than(path, 2_500_000)
    assert not has_more_than(write(tmp_path / "small.xlsx", {"s": [HEADER, [1, 2, 3]]}), 20_000)


def test_what_an_archive_says_of_its_sizes_is_not_trusted(tmp_path):
    path = write(tmp_path / "t.xlsx", {"s": [["a"], ["x" * 3_000_000]]})
    content = path.read_bytes()
    true = next(i.file_size for i in zipfile.ZipFile(path).infolist() if i.filename.endswith("sheet1.xml"))
    path.write_bytes(content.replace(true.to_bytes(4, "little"), (1000).to_bytes(4, "little")))
    with pytest.raises(DataError, match="cannot be read: Bad CRC-32"):
        load_table(str(path))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"xl/worksheets/sheet1.xml": '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'}, "a part of it has a document type"),
        ({"xl/worksheets/sheet1.xml": "<a><b></a>"}, r"xl/worksheets/sheet1.xml in it is damaged: mismatched tag"),
        ({"xl/workbook.xml": "<a/>"}, ""),
    ],
)
def test_a_damaged_workbook_is_refused(more, message, tmp_path):
    with pytest.raises(DataError, match=f"cannot be read: {message}"):
        load_table(str(write(tmp_path / "t.xlsx", {"s": [HEADER, [1, 2, 3]]}, more=more)))


@pytest.mark.parametrize("at", range(0, 2000, 41))
def test_a_workbook_with_a_wrong_byte_is_refused_or_read_and_nothing_else(at, tmp_path):
    path = write(tmp_path / "t.xlsx", {"s": [HEADER, [1, 2, 3]]})
    content = bytearray(path.read_bytes())
    content[at % len(content)] ^= 0xFF
    path.write_bytes(bytes(content))
    with contextlib.suppress(DataError):
        load_table(str(path))


def test_a_name_that_stands_twice_is_refused(tmp_path):
    with pytest.raises(DataError, match="it names the column 'a' twice"):
        load_table(str(write(tmp_path / "t.xlsx", {"s": [["a", "b", "a"], [1, 2, 3]]})))


def test_without_the_library_the_error_names_what_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(DataError, match=r"pip install wine-sweep\[excel\]"):
        load_table(str(write(tmp_path / "t.xlsx", {"s": [HEADER, [1, 2, 3]]})))
