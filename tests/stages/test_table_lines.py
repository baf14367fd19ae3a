"""Lines of text files as rows, rows made of like columns and of parts of cells, and judgements in several tables."""

import pytest

from curate.annotation.importing.settings import Table
from curate.corpus.sources import RawFolders
from curate.errors import InvalidInput
from curate.labels import load_labels
from curate.stages.ingest.tables import read_tables

TRACE = "listener_valence.v1"
LINES = {"under": r"\[(?P<clip>\w+)\]", "row": r"(?P<rater>\w+): (?P<label>\w+)", "skip": "#.*"}


def read(folder, labels, *tables):
    mapped = read_tables([Table.model_validate(table) for table in tables], RawFolders(folder), load_labels(labels))
    problems = mapped.problems.sort("<line>", "part").to_dicts()
    return mapped.judgements.to_pylist(), [f"{row['<line>']}:{row['part']}: {row['sentence']}" for row in problems]


def emotions(folder, text, **more):
    (folder / "votes.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    table = {"table": "votes.txt", "lines": LINES, "item": {"id": "clip"}, "rater": "rater"}
    rows, problems = read(folder, "acted_emotion.v1", {**table, "long": {"emotion": "label"}, **more})
    return [(row["<key>"], row["annotator"], row["emotion"]) for row in rows], problems


def test_lines_belong_to_the_line_above_that_says_what_they_are_of(tmp_path):
    text = "# votes\n[a]\nann: anger\n\nben: fear\r\n[b]\nann: sad\n"
    assert emotions(tmp_path, text) == ([("a", "ann", "anger"), ("a", "ben", "fear"), ("b", "ann", "sad")], [])


def test_a_line_that_cannot_be_read_costs_what_may_be_below_it(tmp_path):
    text = (
        b"ann: fear\n[a]\nann: anger\n[b\nann: fear\n[c]\nann: \xff\n"
        + b"x" * 200_000
        + b"\n[d]\nann: sad\nben: bored\n"
    )
    rows, problems = emotions(tmp_path, text)
    assert rows == [("a", "ann", "anger"), ("d", "ann", "sad")]
    assert problems == [
        "1:: no line above it says what it is of",
        "4:: '[b' fits none of the patterns of `lines`",
        "5:: line 4, which may say what it is of, is not read",
        "7:: the line is not UTF-8 text; save the file as UTF-8",
        "8:: the line is longer than 100000 characters",
        "11:emotion: 'bored' is not a label of cremad6.v1: map it",
    ]


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ({"row": "(?P<a>x"}, "the pattern row is not a regular expression"),
        ({"row": "x+"}, "the pattern row has no named group"),
        ({"row": "(?P<a>x)", "under": "(?P<a>y)"}, "both row and under have a group a"),
    ],
)
def test_patterns_that_cannot_be_used(lines, sentence):
    with pytest.raises(ValueError, match=sentence.replace("(", r"\(")):
        Table.model_validate({"table": "a.txt", "lines": lines, "item": {"id": "a"}})


def test_like_columns_are_samples_of_a_trace(tmp_path):
    cells = "who,song,at_0ms,at_40ms,at_80ms,at_160ms\n"
    (tmp_path / "t.csv").write_text(cells + "ann,s,0.5,,-0.5,1\nben,s,1,nan,2,0.1\ncat,s,,,,\n")
    table = {"table": "t.csv", "unpivot": r"at_(?P<ms>\d+)ms", "item": {"id": "song"}, "rater": "who"}
    samples = {"start_s": "ms", "per_s": 1000, "lasts_s": 0.04, "value": "<cell>"}
    rows, problems = read(tmp_path, TRACE, {**table, "stretches": {"valence": samples}})
    traces = {row["annotator"]: row["valence"]["values"] for row in rows}
    assert traces == {"ann": [0.5, None, -0.5, None, 1.0], "ben": [1.0, None, None, None, 0.1]}
    assert sorted(problems) == [
        "3:valence: 'nan' is not a number",
        "3:valence: 2 is not from -1 to 1",
        "4:: the row is blank from column at_0ms to at_160ms",
    ]


def test_rows_in_order_are_samples(tmp_path):
    (tmp_path / "a.csv").write_text("valence\n0.1\n\n0.3\nx\n0.5\n")
    table = {"table": "a.csv", "item": {"id": "<file>"}, "rater": {"constant": "self"}}
    samples = {"start_s": "<index>", "per_s": 25, "lasts_s": 0.04, "value": "valence"}
    rows, problems = read(tmp_path, TRACE, {**table, "stretches": {"valence": samples}})
    assert [row["valence"]["values"] for row in rows] == [[0.1, None, 0.3, None, 0.5]]
    assert problems == ["5:valence: 'x' is not a number"]


def test_no_column_is_like_that(tmp_path):
    (tmp_path / "t.csv").write_text("who,song\nann,s\n")
    table = {"table": "t.csv", "unpivot": r"at_(?P<ms>\d+)", "item": {"id": "song"}, "rater": "who"}
    with pytest.raises(InvalidInput, match="no column fits at_"):
        read(tmp_path, TRACE, {**table, "stretches": {"valence": {"start_s": "ms", "lasts_s": 1, "value": "<cell>"}}})


def test_parts_of_a_cell_and_fields_of_one_rater_in_two_tables(tmp_path):
    (tmp_path / "a.csv").write_text('id,votes\na,"(ann=3)(ben=5)"\nb,"(ann=2) or so"\n')
    (tmp_path / "b.csv").write_text("id,who,arousal\na,ben,1\na,cat,2\n")
    parts = {"table": "a.csv", "matches": {"votes": r"\((?P<rater>\w+)=(?P<valence>\d)\)"}}
    parts |= {"item": {"id": "id"}, "rater": "rater", "long": {"valence": "valence"}}
    other = {"table": "b.csv", "item_id": "id", "rater": "who", "long": {"arousal": "arousal"}}
    rows, problems = read(tmp_path, "text_vad_reader.v1", parts, other)
    assert [(row["annotator"], row["valence"], row["arousal"]) for row in rows] == [
        ("ann", 3, None),
        ("ben", 5, 1),
        ("cat", None, 2),
    ]
    assert len(problems) == 1
    assert "is not made of what fits" in problems[0]
