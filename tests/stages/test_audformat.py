"""Audformat databases: what the library itself writes and reads, and headers and tables that cannot be used."""

import audformat
import pandas as pd
import pytest
import yaml

from curate.annotation.importing.settings import Table
from curate.corpus.sources import RawFolders
from curate.errors import InvalidInput
from curate.labels import load_labels
from curate.stages.ingest.tables import paths_of, read_tables
from curate.stages.tables.read import columns_of, read_file
from tests.support.audio_database import make_database

FORMATS = ("csv", "parquet")


def cells(folder, sheet, *columns):
    table = Table.model_validate({"table": "db/db.yaml", "sheet": sheet, "item": {"id": columns[0]}})
    read = read_file(folder / "db" / "db.yaml", "db/db.yaml", table, columns)
    return read.frame.select(columns).rows(), [
        f"{row['<line>']}: {row['sentence']}" for row in read.problems.to_dicts()
    ]


@pytest.mark.parametrize("storage", FORMATS)
def test_tables_are_what_the_library_reads(tmp_path, storage):
    make_database(tmp_path / "db", storage)
    database = audformat.Database.load(tmp_path / "db")
    columns = ("file", "emotion", "valence", "loud", "onset", "day", "speaker", "note")
    rows, problems = cells(tmp_path, "files", *columns)
    assert problems == []
    rows = [(*row[:2], row[2] and float(row[2]), *row[3:]) for row in rows]
    assert rows == [
        ("db/audio/a.wav", "A", 0.1, "True", "1.5", "2020-01-01", "00", 'x,"y"'),
        ("db/audio/b.wav", None, None, "False", None, None, "1e5", "NaN"),
        ("db/c.wav", "H", 1.0, None, "2", "2020-01-02", None, None),
    ]
    frame = database["files"].get()
    assert [row[1] for row in rows] == [None if pd.isna(value) else value for value in frame["emotion"]]
    onsets = [None if pd.isna(value) else value.total_seconds() for value in frame["onset"]]
    assert [None if row[4] is None else float(row[4]) for row in rows] == onsets


@pytest.mark.parametrize("storage", FORMATS)
def test_what_is_known_of_labels_and_splits(tmp_path, storage):
    make_database(tmp_path / "db", storage)
    rows, _ = cells(tmp_path, "files", "file", "<split>", "speaker.age", "speaker.gender", "emotion.meaning")
    assert [row[1:] for row in rows] == [
        ("test", "30", "female", "anger"),
        ("test", None, None, None),
        ("test", None, None, "happiness"),
    ]
    assert cells(tmp_path, "speaker", "speaker", "age")[0] == [("00", "30"), ("1e5", None)]


@pytest.mark.parametrize("storage", FORMATS)
def test_segments_without_an_end(tmp_path, storage):
    make_database(tmp_path / "db", storage)
    rows, _ = cells(tmp_path, "segments", "file", "start_s", "end_s", "emotion")
    assert rows == [
        ("db/audio/a.wav", "0", "0.5", "A"),
        ("db/audio/a.wav", "0.5", None, "H"),
        ("db/c.wav", "1.5", None, None),
    ]


def test_raters_of_a_database_judge(tmp_path):
    make_database(tmp_path / "db", "csv")
    table = {
        "table": "db/db.yaml",
        "sheet": "files",
        "item": {"id": "file", "media": "file", "speaker": "speaker", "keep": {"speaker.gender": "gender"}},
        "wide": {"emotion": {"emotion": "ann", "emotion.m": "machine"}},
    }
    labels = tmp_path / "l.v1.yaml"
    (tmp_path / "codes.v1.yaml").write_text("taxonomy: codes.v1\ntitle: Codes\nlabels: [A, H]\n")
    labels.write_text("name: l.v1\nunit: clip\nfields:\n  emotion: {type: category, taxonomy: codes.v1}\n")
    mapped = read_tables([Table.model_validate(table)], RawFolders(tmp_path), load_labels("l.v1", tmp_path))
    assert mapped.problems.height == 0
    said = {(row["<key>"], row["annotator"], row["emotion"]) for row in mapped.judgements.to_pylist()}
    assert said == {
        ("db/audio/a.wav", "ann", "A"),
        ("db/audio/a.wav", "machine", "A"),
        ("db/audio/b.wav", "machine", "H"),
        ("db/c.wav", "ann", "H"),
        ("db/c.wav", "machine", "A"),
    }


def test_a_change_of_a_table_is_a_change_of_the_database(tmp_path):
    make_database(tmp_path / "db", "csv")
    table = Table.model_validate({"table": "db/db.yaml", "sheet": "files", "item": {"id": "file"}})

    class Tools:
        raw = RawFolders(tmp_path)
        fetches = False

    names = sorted(path.name for path in paths_of([table], Tools))
    assert names == ["db.files.csv", "db.segments.csv", "db.speaker.csv", "db.yaml"]


def change(folder, edit):
    path = folder / "db" / "db.yaml"
    header = yaml.safe_load(path.read_text())
    edit(header)
    path.write_text(yaml.safe_dump(header))


WRONG = {
    "several tables": (
        None,
        lambda folder: None,
        "it has the tables files, segments, speaker: name one of them in `sheet`",
    ),
    "no such table": ("segs", lambda folder: None, "it has no table 'segs'; its tables are files, segments, speaker"),
    "only pickled": (
        "files",
        lambda folder: (folder / "db/db.files.csv").rename(folder / "db/db.files.pkl"),
        "its table files is only there as .pkl, which may run code: save it as CSV or Parquet",
    ),
    "not there": (
        "files",
        lambda folder: (folder / "db/db.files.csv").unlink(),
        "its table files is not there: db.files.csv or .parquet",
    ),
    "a link out of its folder": (
        "files",
        lambda folder: (
            (folder / "db/db.files.csv").rename(folder / "secret.csv"),
            (folder / "db/db.files.csv").symlink_to(folder / "secret.csv"),
        ),
        "db.files.csv is a link out of its folder",
    ),
    "a name that leads outside": (
        "../x/../../secret",
        lambda folder: change(folder, lambda h: h["tables"].update({"../x/../../secret": {"type": "filewise"}})),
        "cannot name a table",
    ),
    "no header": ("files", lambda folder: (folder / "db/db.yaml").write_text("a: 1\n"), "it is not the header"),
    "tags": (
        "files",
        lambda folder: (folder / "db/db.yaml").write_text("name: !!python/object/apply:os.system [ls]\ntables: {}\n"),
        "db.yaml:1",
    ),
    "another type": (
        "files",
        lambda folder: change(folder, lambda h: h["tables"]["files"].update(type="other")),
        "db.yaml",
    ),
    "a column that is not there": (
        "files",
        lambda folder: (folder / "db/db.files.csv").write_text("file,emotion\na.wav,A\n"),
        "db.files.csv lacks column valence, which the header names",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_databases_that_cannot_be_read_are_a_sentence(tmp_path, case):
    sheet, spoil, sentence = WRONG[case]
    make_database(tmp_path / "db", "csv")
    spoil(tmp_path)
    table = Table.model_validate({"table": "db/db.yaml", "sheet": sheet, "item": {"id": "file", "keep": ["valence"]}})
    with pytest.raises(InvalidInput) as caught:
        read_tables([table], RawFolders(tmp_path), load_labels("utterance_emotion.v1"))
    assert sentence in caught.value.message


def test_only_the_row_with_a_bad_time_is_left_out(tmp_path):
    make_database(tmp_path / "db", "csv")
    path = tmp_path / "db/db.segments.csv"
    path.write_text(path.read_text().replace("0 days 00:00:01.500000", "soon"))
    rows, problems = cells(tmp_path, "segments", "file", "start_s")
    assert len(rows) == 2
    assert problems == ["4: 'soon' is not a duration such as 0 days 00:00:01.500000"]


def test_columns_are_listed(tmp_path):
    make_database(tmp_path / "db", "csv")
    table = Table.model_validate({"table": "db/db.yaml", "sheet": "segments", "item": {"id": "file"}})
    names = columns_of(tmp_path / "db/db.yaml", table, ())
    assert names == ["file", "start_s", "end_s", "emotion", "<split>", "emotion.meaning"]
