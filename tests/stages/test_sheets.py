"""Excel and OpenDocument tables: cells as a person sees them, and what is not certain named with its cell."""

import zipfile

import pytest

from curate.annotation.importing.settings import Table
from curate.corpus.sources import RawFolders
from curate.errors import InvalidInput
from curate.labels import load_labels
from curate.stages.ingest.stage import Ingest
from curate.stages.ingest.tables import read_tables
from tests.support.builders import make_recipe
from tests.support.runs import run_quietly
from tests.support.workbooks import Cell, make_open_document, make_workbook

KEPT = {"id": "id", "keep": ["value"]}


def read(folder, name="t.xlsx", **settings):
    table = Table.model_validate({"table": name, "item": {**KEPT, "text": "text"}, **settings})
    return read_tables([table], RawFolders(folder), load_labels("utterance_emotion.v1"))


def values(mapped) -> list[tuple]:
    return [(row["<key>"], row["text"], row["columns"][0]["value"], row["<line>"]) for row in mapped.items.to_dicts()]


def sentences(mapped) -> list[str]:
    return [f"{row['<line>']}: {row['sentence']}" for row in mapped.problems.sort("<line>").to_dicts()]


def test_cells_are_what_a_person_sees(tmp_path):
    rows = [
        ["id", "text", "value"],
        ["00000", " Oh no! ", True],
        [Cell(42, "00000"), "NaN", Cell(45000, "yyyy-mm-dd")],
        ["1e5", "One\nTwo", Cell(45000.5, "yyyy-mm-dd hh:mm")],
        [Cell(7.0, "0.00"), "<b>&", Cell(0.25, "hh:mm:ss")],
        [],
        [8, "123456789012345678901", Cell(3, formula="1+2")],
        [Cell("x9", formula='"x"&9', kind="str"), "end", 0.1 + 0.2],
    ]
    make_workbook(tmp_path / "t.xlsx", {"Rows": rows}, first=(3, 2))
    mapped = read(tmp_path)
    assert sentences(mapped) == []
    assert values(mapped) == [
        ("00000", " Oh no! ", "true", 4),
        ("00042", "NaN", "2023-03-15", 5),
        ("1e5", "One\nTwo", "2023-03-15 12:00:00", 6),
        ("7", "<b>&", "06:00:00", 7),
        ("8", "123456789012345678901", "3", 9),
        ("x9", "end", "0.3", 10),
    ]


def test_cells_without_a_certain_value_cost_their_row(tmp_path):
    rows = [
        ["id", "text", "value", "note"],
        ["a", "One.", Cell(formula="A1")],
        ["b", "Two.", Cell("#REF!", kind="e")],
        ["c", "Three.", 12345678901234567],
        ["d", "Four.", 1],
        ["e", None, 2],
        ["f", "Six.", 3, Cell(formula="A1")],
    ]
    make_workbook(tmp_path / "t.xlsx", {"Rows": rows}, merged=["B5:B6"])
    mapped = read(tmp_path)
    assert [row[0] for row in values(mapped)] == ["d", "f"]
    assert sentences(mapped) == [
        "2: cell C2 is a formula without a value: open the file in Excel and save it",
        "3: cell C3 has no value, but Error(Ref)",
        "4: cell C4 is a number of more digits than Excel keeps: write the column as text",
        "6: cell B6 is merged with B5: unmerge them, and write the value into each",
    ]


def test_sheets_are_named_hidden_ones_are_said(tmp_path):
    sheet = [["id", "text", "value"], ["a", "One.", 1]]
    other = [["id", "text", "value"], ["b", "Two.", 2]]
    make_workbook(tmp_path / "t.xlsx", {"Day 1": sheet, "Old": other}, hidden=["Old"])
    assert values(read(tmp_path)) == [("a", "One.", "1", 2)]
    assert values(read(tmp_path, sheet="Old")) == [("b", "Two.", "2", 2)]
    with pytest.raises(InvalidInput, match=r"no sheet 'Day'; its sheets are Day 1, Old \(hidden\)"):
        read(tmp_path, sheet="Day")
    make_workbook(tmp_path / "t.xlsx", {"Day 1": sheet, "Day 2": other})
    with pytest.raises(InvalidInput, match="it has the sheets Day 1, Day 2: name one of them in `sheet`"):
        read(tmp_path)


def test_a_run_says_which_sheets_it_leaves_out(tmp_path):
    sheet = [["id", "text", "said"], [Cell(1, "00000"), "Oh no!", "anger"]]
    make_workbook(tmp_path / "t.xlsx", {"Rows": sheet, "Old": sheet}, hidden=["Old"])
    ingest = {"tables": [{"table": "t.xlsx", "item": {"id": "id", "text": "text"}, "long": {"emotion": "said"}}]}
    recipe = make_recipe(tmp_path, {"stage": "ingest", **ingest}, {"stage": "preprocess"}, {"stage": "annotate"})
    ingested, _, annotated = run_quietly(recipe, tmp_path / "ws").stages
    assert "t.xlsx: its hidden sheet Old is not read" in ingested.message
    assert annotated.counts == {"judgements": 1, "new": 1}


def test_open_documents(tmp_path):
    rows = [["id", "text", "value"], ["007", "One.", ("1.5", "1.50")]]
    make_open_document(tmp_path / "t.ods", rows)
    assert values(read(tmp_path, "t.ods")) == [("007", "One.", "1.5", 2)]
    make_open_document(tmp_path / "t.ods", [*rows, [("8", "008"), "Two.", "x"]])
    with pytest.raises(InvalidInput, match="shows a number with leading zeros, 008: make the column text"):
        read(tmp_path, "t.ods")


def test_without_names_in_the_first_row(tmp_path):
    make_workbook(tmp_path / "t.xlsx", {"Rows": [["a", "One.", 1], ["b", "Two.", 2]]})
    mapped = read(tmp_path, columns=["id", "text", "value"])
    assert values(mapped) == [("a", "One.", "1", 1), ("b", "Two.", "2", 2)]
    with pytest.raises(InvalidInput, match="the sheet has 3 columns, `columns` names 4"):
        read(tmp_path, columns=["id", "text", "value", "more"])


def make_far(path):
    make_workbook(path, {"Rows": [["id", "text", "value"], ["a", "One.", 1]]})
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = "xl/worksheets/sheet1.xml"
    far = b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
    parts[name] = parts[name].replace(b"</sheetData>", far)
    with zipfile.ZipFile(path, "w") as archive:
        for part, content in parts.items():
            archive.writestr(part, content)


HOSTILE = {
    "no workbook": (lambda path: path.write_bytes(b"id,text\n"), "it is no workbook, or a damaged or protected one"),
    "empty": (lambda path: path.write_bytes(b""), "it is no workbook"),
    "cut short": (
        lambda path: path.write_bytes(make_workbook(path, {"Rows": [["id"]]}).read_bytes()[:-40]),
        "it is no workbook",
    ),
    "a cell far away": (make_far, "its cells reach to row 1,048,576 and column 16,384: save the sheet as CSV"),
    "without a column": (
        lambda path: make_workbook(path, {"Rows": [["id", "Text"], ["a", "b"]]}),
        "t.xlsx has no columns text, value; its columns are id, Text",
    ),
    "two of one name": (
        lambda path: make_workbook(path, {"Rows": [["id", "text", "text", "value"]]}),
        "t.xlsx has 2 columns named text",
    ),
    "nothing": (lambda path: make_workbook(path, {"Rows": []}), "t.xlsx is empty"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_files_that_cannot_be_read_are_a_sentence(tmp_path, case):
    make, sentence = HOSTILE[case]
    make(tmp_path / "t.xlsx")
    with pytest.raises(InvalidInput) as caught:
        read(tmp_path)
    assert sentence in caught.value.message


def test_repeated_cells_of_an_open_document_do_not_fill_the_memory(tmp_path):
    make_open_document(tmp_path / "t.ods", [["id", "text", "value"]] * 3, repeated=9_000_000)
    with pytest.raises(InvalidInput, match="it has 81,000,000 cells: save the sheet as CSV"):
        read(tmp_path, "t.ods")


def test_a_sheet_is_of_a_workbook(tmp_path):
    (tmp_path / "t.csv").write_text("id,text,value\na,One.,1\n")
    with pytest.raises(InvalidInput, match="it has no sheets, so it cannot have 'Rows'"):
        read(tmp_path, "t.csv", sheet="Rows")
    assert list(Ingest(tables=({"table": "t.csv", "item": KEPT},)).missing(RawFolders(tmp_path))) == []
