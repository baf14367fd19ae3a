"""Signals: tables of values over time become rows of ``signals``, exactly, or are refused in one sentence."""

import math
import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from curate.corpus.spec import open_table
from curate.labels import load_labels
from curate.stages.contract import REASONS, Outcome, Tools
from curate.stages.ingest.stage import Ingest
from curate.storage.blobs import Blobs
from curate.storage.workspace import Workspace
from tests.support.builders import make_recipe
from tests.support.media_builders import make_tone, sample, write_media
from tests.support.runs import run_quietly
from tests.support.signals import write_openface

DURATION_S = 2.0


def make_media(folder: Path, *names: str) -> None:
    """Two seconds of sound each, different in each file."""
    for number, name in enumerate(names or ("a.wav",)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_media(folder / name, sound=make_tone(DURATION_S, level=0.3 + number / 50))


def ingest(folder: Path, *signals: dict, files: str = "**/*.wav") -> Outcome:
    """Run the stage, and check that reasons are known and nothing is said twice."""
    tools = Tools(Blobs(folder / "blobs"), load_labels("utterance_emotion.v1"), folder)
    stage = Ingest(files=files, signals=[{"name": "given", **signal} for signal in signals])
    outcome = stage.apply(stage.discover(tools), tools)
    assert {rejection.reason for rejection in outcome.rejections} <= set(REASONS)
    subjects = [rejection.subject for rejection in outcome.rejections]
    assert len(set(subjects)) == len(subjects)
    return outcome


def read(folder: Path, content: str | bytes, *, name: str = "a.csv", **settings) -> list[dict]:
    """The rows of a signal of one medium; it must be usable."""
    outcome = ingest_one(folder, content, name=name, **settings)
    assert outcome.rejections == []
    return outcome.dicts("signals")


def ingest_one(folder: Path, content: str | bytes, *, name: str = "a.csv", **settings) -> Outcome:
    if not (folder / "a.wav").exists():
        make_media(folder)
    (folder / "s").mkdir(exist_ok=True)
    (folder / "s" / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return ingest(folder, {"files": f"s/{name}", **settings})


def values_of(row: dict) -> dict[str, list]:
    return dict(zip(row["names"], row["values"], strict=True))


def test_openface_with_spaces_in_its_header(tmp_path):
    make_media(tmp_path)
    times = np.arange(50) / 25
    path = write_openface(tmp_path / "s/a.csv", times_s=times, failed=[3])
    outcome = ingest(tmp_path, {"files": "s/*.csv"})
    (row,) = outcome.dicts("signals")
    assert (row["format"], row["tool"], row["track"], row["file"]) == ("openface", "OpenFace", "0", "a.wav")
    assert row["source_id"] == outcome.dicts("sources")[0]["source_id"]
    assert row["times_s"] == pytest.approx(times)
    assert row["rate_hz"] == pytest.approx(25)
    assert row["names"] == ["AU01_r", "AU12_r", "AU12_c"]
    # The first lines are plain text, so NumPy reads the same.
    table = np.genfromtxt(path, delimiter=",", names=True)
    for name, values in values_of(row).items():
        expected = table[name].tolist()
        assert values == [None if index == 3 else value for index, value in enumerate(expected)]


def test_values_of_less_sure_rows_are_missing_and_never_zero(tmp_path):
    lines = ["timestamp,confidence,success,AU01_r", "0.00,0.9,1,1.5", "0.04,0.5,1,2.5", "0.08,,1,3.5", "0.12,0.8,1,0"]
    (row,) = read(tmp_path, "\n".join(lines), min_confidence=0.8)
    assert values_of(row) == {"AU01_r": [1.5, None, None, 0.0]}


def test_several_faces_are_tracks_of_their_own(tmp_path):
    make_media(tmp_path)
    write_openface(tmp_path / "s/a.csv", times_s=np.arange(50) / 25, faces=[0, 1])
    rows = ingest(tmp_path, {"files": "s/*.csv", "keep": "AU01_r"}).dicts("signals")
    assert [row["track"] for row in rows] == ["0", "1"]
    assert [row["values"][0][10] for row in rows] == [0.1, 1.1]
    assert len({row["signal_id"] for row in rows}) == 2
    assert rows[0]["rate_hz"] == pytest.approx(25)


def test_py_feat_counts_frames_of_its_film(tmp_path):
    shutil.copy(sample(), tmp_path / "film.mp4")
    lines = ["frame,FaceRectX,FaceScore,AU01,AU12,happiness,Pitch,approx_time,input"]
    lines += [
        f"{frame},10,{0.99 if frame else 0.3},0.5,{frame / 200},0.75,1.5,00:00,film.mp4" for frame in range(0, 180, 2)
    ]
    (tmp_path / "film.csv").write_text("\n".join(lines))
    (row,) = ingest(tmp_path, {"files": "film.csv", "min_confidence": 0.5}, files="*.mp4").dicts("signals")
    assert (row["format"], row["tool"], row["rate_hz"]) == ("py-feat", "py-feat", 25)
    assert row["times_s"] == [frame / 25 for frame in range(0, 180, 2)]
    assert row["names"] == ["AU01", "AU12", "happiness", "Pitch"]
    assert values_of(row)["AU12"] == [None, *(frame / 200 for frame in range(2, 180, 2))]


def test_opensmile_csv_over_time(tmp_path):
    lines = ["name;frameTime;F0;loudness", *(f"'unknown';{index / 100:.6f};{100 + index};0.5" for index in range(195))]
    (row,) = read(tmp_path, "\n".join(lines) + "\n")
    assert (row["format"], row["tool"]) == ("opensmile", "openSMILE")
    assert row["rate_hz"] == pytest.approx(100)
    assert row["names"] == ["F0", "loudness"]
    assert values_of(row)["F0"] == [100.0 + index for index in range(195)]


ARFF = """@relation openSMILE_features

@attribute name string
@attribute frameTime numeric
@attribute F0semitone_amean numeric
@attribute 'loudness sma3' numeric

@data

'a file, named oddly',0.000000,2.75e+01,?
"""


def test_opensmile_functionals_in_arff_hold_for_the_whole_file(tmp_path):
    (row,) = read(tmp_path, ARFF, name="a.arff")
    assert (row["times_s"], row["rate_hz"]) == (None, None)
    assert values_of(row) == {"F0semitone_amean": [27.5], "loudness sma3": [None]}


def test_opensmile_from_python_with_times_as_text(tmp_path):
    lines = ["file,start,end,F0"]
    lines += [
        f"a.wav,0 days 00:00:0{second},0 days 00:00:0{second}.5,{second}" for second in ("0", "0.5", "1", "1.500")
    ]
    (row,) = read(tmp_path, "\n".join(lines))
    assert (row["times_s"], row["rate_hz"]) == ([0.0, 0.5, 1.0, 1.5], 2.0)
    assert values_of(row) == {"F0": [0.0, 0.5, 1.0, 1.5]}


def test_coded_action_units(tmp_path):
    (row,) = read(tmp_path, "frame,1,2,12\n1,0,B,5\n2,9,0,E\n3,A,,2\n", rate_hz=2)
    assert (row["format"], row["tool"], row["times_s"]) == ("coded", None, [0.0, 0.5, 1.0])
    assert values_of(row) == {"AU01": [0, None, 1], "AU02": [2, 0, None], "AU12": [5, 5, 2]}


def test_any_table_with_a_rate_an_offset_and_a_clock_of_its_own(tmp_path):
    (row,) = read(tmp_path, "pulse,skin\n60,1\n62,nan\n64,\n", rate_hz=2, offset_s=0.25, tool="Shimmer 3")
    assert (row["times_s"], row["rate_hz"], row["tool"]) == ([0.25, 0.75, 1.25], 2.0, "Shimmer 3")
    assert values_of(row) == {"pulse": [60, 62, 64], "skin": [1, None, None]}
    (row,) = read(tmp_path, "ms\tpulse\n500\t60\n1000\t62\n", name="a.tsv", time="ms", time_scale=0.001, offset_s=-0.25)
    assert (row["times_s"], row["rate_hz"]) == ([0.25, 0.75], 2.0)


def test_a_table_without_a_header(tmp_path):
    (row,) = read(tmp_path, "1,0\n2,3\n", columns=["frame", "AU12"], rate_hz=2, first_frame=1, name="a.txt")
    assert (row["times_s"], values_of(row)) == ([0.0, 0.5], {"AU12": [0, 3]})


def test_an_array(tmp_path):
    array = np.arange(8, dtype=np.float32).reshape(4, 2)
    array[2, 1] = np.nan
    make_media(tmp_path)
    np.save(tmp_path / "a.npy", array)
    (row,) = ingest(tmp_path, {"files": "*.npy", "rate_hz": 2}).dicts("signals")
    assert row["times_s"] == [0, 0.5, 1, 1.5]
    assert row["format"] == "npy"
    assert values_of(row) == {"c0": [0, 2, 4, 6], "c1": [1, 3, None, 7]}
    rows = ingest(tmp_path, {"files": "*.npy", "rate_hz": 2, "columns": ["x", "y"], "keep": "y"}).dicts("signals")
    assert values_of(rows[0]) == {"y": [1, 3, None, 7]}


def test_infinite_values_are_missing_and_said(tmp_path):
    outcome = ingest_one(tmp_path, "energy\n-inf\n1\nInfinity\n2\n", rate_hz=2)
    assert values_of(outcome.dicts("signals")[0]) == {"energy": [None, 1, None, 2]}
    (rejection,) = outcome.rejections
    assert rejection.detail == "s/a.csv: 2 infinite values marked as missing"
    assert (rejection.parent_id, rejection.reason) == ("a.wav", "partial")


def test_media_are_named_by_patterns(tmp_path):
    make_media(tmp_path, "rec/day1/anna_cam1.wav", "rec/day2/anna_cam1.wav", "rec/day2/ben_cam1.wav")
    for day, person in ((1, "anna"), (2, "anna"), (2, "ben")):
        path = tmp_path / f"out/day{day}/{person}.features.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"x\n{day}\n{day}\n{day}\n{day}\n")
    outcome = ingest(
        tmp_path,
        {
            "files": "out/*/*.csv",
            "rate_hz": 2,
            "extract": {"<file>": r"out/(?P<day>day\d)/(?P<person>\w+)\.features\.csv"},
            "media": "rec/{day}/{person}_cam1.wav",
        },
    )
    assert outcome.rejections == []
    assert {row["file"]: row["values"][0][0] for row in outcome.dicts("signals")} == {
        "rec/day1/anna_cam1.wav": 1,
        "rec/day2/anna_cam1.wav": 2,
        "rec/day2/ben_cam1.wav": 2,
    }
    make_media(tmp_path, "flat/x.wav")
    (tmp_path / "flat/x.csv").write_text("x\n1\n1\n1\n1\n")
    outcome = ingest(tmp_path, {"files": "flat/*.csv", "rate_hz": 2, "media": "{folder}/{stem}.wav"}, files="flat/*")
    assert [row["file"] for row in outcome.dicts("signals")] == ["flat/x.wav"]
    assert len(outcome.dicts("sources")) == 1  # the table is no file of posts


def test_what_belongs_to_nothing_is_said(tmp_path):
    make_media(tmp_path, "a.wav", "b.wav", "x/a.wav", "c.wav")
    (tmp_path / "s").mkdir()
    for name in ("a.csv", "b.csv", "b.txt", "gone.csv"):
        (tmp_path / "s" / name).write_text("x\n1\n1\n1\n1\n")
    outcome = ingest(tmp_path, {"files": ["s/*.csv", "s/*.txt"], "rate_hz": 2})
    said = {
        rejection.subject: (rejection.reason, rejection.detail.partition(": ")[2]) for rejection in outcome.rejections
    }
    assert said["s/a.csv#given"] == (
        "unknown_item",
        "2 raw files are with the stem 'a' (a.wav, x/a.wav): say which one it is of by `media`",
    )
    assert said["s/gone.csv#given"][0] == "unknown_item"
    assert said["s/gone.csv#given"][1].startswith("there is no raw file with the stem 'gone': correct `media`")
    assert said["s/b.txt#given"] == ("duplicate", "s/b.csv is signal given of b.wav already")
    assert {subject for subject, (reason, _) in said.items() if reason == "no_signal"} == {
        "a.wav:signals",
        "c.wav:signals",
        "x/a.wav:signals",
    }
    assert len(outcome.dicts("sources")) == 4


def test_a_table_of_several_media(tmp_path):
    make_media(tmp_path, "rec/a.wav", "rec/b.wav", "rec/c.wav")
    lines = [
        "file,start,end,F0",
        "/data/rec/b.wav,0,2,20",
        "/data/rec/a.wav,0,2,10",
        "/data/rec/gone.wav,0,2,5",
        ",0,2,1",
    ]
    (tmp_path / "functionals.csv").write_text("\n".join(lines))
    signal = {"files": "*.csv", "medium_column": "file", "media": "rec/{name}"}
    outcome = ingest(tmp_path, signal)
    rows = {row["file"]: row for row in outcome.dicts("signals")}
    assert {file: row["values"] for file, row in rows.items()} == {"rec/a.wav": [[10.0]], "rec/b.wav": [[20.0]]}
    assert all((row["times_s"], row["format"], row["names"]) == (None, "opensmile", ["F0"]) for row in rows.values())
    assert [(r.subject, r.reason) for r in outcome.rejections] == [
        ("rec/c.wav:signals", "no_signal"),
        ("functionals.csv#given:/data/rec/gone.wav", "unknown_item"),
        ("functionals.csv#given:", "invalid"),
    ]
    times = ["who;frameTime;F0", *(f"{name};{index / 2};{index}" for name in "ba" for index in range(4))]
    (tmp_path / "functionals.csv").write_text("\n".join(times))
    outcome = ingest(tmp_path, {"files": "*.csv", "medium_column": "who", "media": "rec/{stem}.wav"})
    assert [row["values"] for row in outcome.dicts("signals")] == [[[0, 1, 2, 3]]] * 2
    outcome = ingest(tmp_path, {"files": "*.csv", "medium_column": "film"})
    assert "no column 'film', which `medium_column` names; its columns are who, frameTime, F0" in "".join(
        rejection.detail for rejection in outcome.rejections
    )


def npy(array: object, folder: Path) -> bytes:
    np.save(folder / "made.npy", array, allow_pickle=True)
    return (folder / "made.npy").read_bytes()


def header(shape: str, descr: str = "'<f8'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


HOSTILE = {
    "empty": (b"", {}, "it is empty"),
    "only a header": (b"timestamp,x\n", {}, "no rows below the names"),
    "wrong delimiter": (b"timestamp;x\n0;1\n1;2\n", {"delimiter": ","}, "no column with values|no times"),
    "no times": (b"x\n1\n2\n", {}, "it has no times: set `rate_hz`, or name a column of seconds by `time`"),
    "a blank line": (b"x\n1\n\n2\n3\n", {"rate_hz": 2}, "line 3 is blank, and times follow from the order of the rows"),
    "text": (b"timestamp,x\n0,1\n0.5,loud\n", {}, "line 3: column 'x' holds 'loud', which is no number"),
    "decimal commas": (b"timestamp;x\n0;1\n0,5;2\n", {}, "line 3: column 'timestamp' holds '0,5', which is no number"),
    "ragged": (b"timestamp,x\n0,1\n0.5\n", {}, "line 3: the row has 1 cells, the first line names 2"),
    "a time is missing": (b"timestamp,x\n0,1\n,2\n", {}, "line 3: column 'timestamp' holds '', which is no time"),
    "a time is infinite": (
        b"timestamp,x\n0,1\ninf,2\n",
        {},
        "line 3: column 'timestamp' holds 'inf', which is no time",
    ),
    "times go back": (
        b"timestamp,x\n0,1\n1,2\n0.5,3\n",
        {},
        "line 4: time 0.5 s comes after 1 s in line 3: times must",
    ),
    "a time twice": (
        b"timestamp,x\n0,1\n1,2\n1,3\n",
        {},
        "line 4: time 1 s is there twice: name the column that tells",
    ),
    "a face twice": (
        b"timestamp,face_id,x\n0,1,1\n0.5,1,2\n0.5,1,3\n",
        {},
        "line 4: time 0.5 s is there twice for face_id '1'",
    ),
    "wrong rate": (
        b"x\n" + b"1\n" * 50,
        {"rate_hz": 100},
        "from 0.00 to 0.50 s, short of its medium of 2.00 s: correct `rate_hz`",
    ),
    "too long": (b"timestamp,x\n0,1\n5,2\n10,2\n", {}, "from 0.00 to 15.00 s, beyond the end of its medium of 2.00 s"),
    "two rates": (
        b"timestamp,x\n0,1\n0.5,1\n1,1\n",
        {"rate_hz": 3},
        "0.5 s apart \\(2 Hz\\), and `rate_hz` says 3: correct",
    ),
    "no such column": (
        b"timestamp,x\n0,1\n",
        {"keep": "AU*"},
        "no column fits 'AU\\*' of `keep`; its columns are timestamp",
    ),
    "no confidence": (b"timestamp,x\n0,1\n", {"min_confidence": 0.5}, "no column of confidence: name it by"),
    "no such track": (b"timestamp,x\n0,1\n", {"track": "who"}, "no column 'who', which `track` names; its columns are"),
    "column twice": (b"timestamp,x,x\n0,1,2\n", {}, "2 columns named x"),
    "binary": (bytes(range(256)) * 10, {}, "its first line is not UTF-8 text|no column|empty"),
    "pictures": (b"\x89PNG\r\n\x1a\n" + bytes(100), {}, "UTF-8|no column|no times"),
    "not an array": (
        b"no array at all",
        {"name": "a.npy", "rate_hz": 2},
        "header cannot be read as that of an .npy file",
    ),
    "huge shape": (header("(10000000000, 10)"), {"name": "a.npy", "rate_hz": 2}, "more than 100,000,000"),
    "damaged": (header("(1000, 2)"), {"name": "a.npy", "rate_hz": 2}, "asks for 16,000 bytes of values, and it has 0"),
    "negative shape": (header("(-4, 2)"), {"name": "a.npy", "rate_hz": 2}, "shape|header|damaged"),
    "many dimensions": (header("(2, 2, 2)") + bytes(64), {"name": "a.npy", "rate_hz": 2}, "its shape is \\(2, 2, 2\\)"),
    "texts": (header("(2,)", "'<U4'") + bytes(32), {"name": "a.npy", "rate_hz": 2}, "values of type <U4"),
    "huge header": (header("(2,)" + " " * 50_000)[:-1], {"name": "a.npy", "rate_hz": 2}, "header cannot be read"),
    "code in a header": (header("__import__('os').getcwd()"), {"name": "a.npy", "rate_hz": 2}, "header cannot be read"),
    "npy without rate": (header("(2,)") + bytes(16), {"name": "a.npy"}, "no times: set `rate_hz`"),
    "wrong format": (b"timestamp,x\n0,1\n", {"format": "npy"}, "its name ends in '.csv', and `format` says npy"),
    "sparse arff": (
        b"@relation x\n@attribute a numeric\n@data\n{0 1}\n",
        {"name": "a.arff", "rate_hz": 1},
        "sparse ARFF",
    ),
    "cut arff": (b"@relation x\n@attribute a numeric\n", {"name": "a.arff"}, "no @data"),
    "no arff": (b"timestamp,x\n0,1\n", {"name": "a.arff"}, "line 1: 'timestamp,x' is not ARFF"),
    "ragged arff": (
        b"@relation x\n@attribute a numeric\n@attribute b numeric\n@data\n1\n",
        {"name": "a.arff", "rate_hz": 1},
        "line 5: the row has 1 cells, and there are 2 attributes",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_file_that_cannot_be_read_rightly_is_refused_in_a_sentence(tmp_path, case):
    content, settings, sentence = HOSTILE[case]
    settings = dict(settings)
    name = settings.pop("name", "a.csv")
    outcome = ingest_one(tmp_path, content, name=name, **settings)
    assert outcome.dicts("signals") == []
    (rejection,) = outcome.rejections
    assert rejection.parent_id == "a.wav"
    assert rejection.subject == f"s/{name}#given"
    assert rejection.detail.startswith(f"s/{name}: ")
    assert "\n" not in rejection.detail

    assert re.search(sentence, rejection.detail), rejection.detail
    assert len(outcome.dicts("sources")) == 1


class Evil:
    def __reduce__(self):
        return Path.touch, (Path("evil"),)


def test_pickled_objects_are_never_loaded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = npy(np.array([Evil(), 1], object), tmp_path)
    outcome = ingest_one(tmp_path, content, name="a.npy", rate_hz=1)
    (rejection,) = outcome.rejections
    assert "Python objects (pickle), which are never loaded" in rejection.detail
    outcome = ingest_one(tmp_path, pickle.dumps(Evil()), name="a.npy", rate_hz=1)
    assert "header cannot be read" in outcome.rejections[0].detail
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"media": "{stem}/{who}.wav"}, "'who' is not known"),
        ({"media": "a.wav"}, "with names in braces"),
        ({"extract": {"x": "(?P<who>.)"}}, "extract is for <file>"),
        ({"extract": {"<file>": "(?P<who>.)(?=x)"}}, "not a regular expression"),
        ({"rate_hz": 0}, "greater than 0"),
        ({"rate_hz": math.inf}, "less than or equal"),
        ({"name": "Open Face"}, "match pattern"),
        ({"columns": ["a", "a"]}, "each column a name of its own"),
    ],
)
def test_settings_that_cannot_be_meant(settings, sentence):
    with pytest.raises(ValidationError, match=sentence):
        Ingest(files="*.wav", signals=[{"name": "x", "files": "*.csv", **settings}])


def test_signals_change_without_their_media_being_processed_again(tmp_path):
    raw = tmp_path / "in"
    raw.mkdir()
    shutil.copy(sample(), raw / "film.mp4")
    write_openface(raw / "of/film.csv", times_s=np.arange(170) / 25)
    ingest_stage = {"stage": "ingest", "files": "*.mp4", "signals": [{"name": "openface", "files": "of/*.csv"}]}
    recipe = make_recipe(raw, ingest_stage, {"stage": "preprocess"})
    run_quietly(recipe, tmp_path / "ws")
    table = open_table(Workspace(tmp_path / "ws", create=False), "signals", load_labels("utterance_emotion.v1"))
    assert table.read(["values"])["values"][0].as_py()[0][1] == 0.01
    again = run_quietly(recipe, tmp_path / "ws")
    assert [stage.changed for stage in again.stages] == [False, False]
    write_openface(raw / "of/film.csv", times_s=np.arange(170) / 25, shift=2)
    changed = run_quietly(recipe, tmp_path / "ws")
    assert [stage.changed for stage in changed.stages] == [True, False]
    assert [row[0][1] for row in table.read(["values"])["values"].to_pylist()] == [2.01]
    (raw / "of/film.csv").write_text("x\n1\n2\n")
    for _ in range(2):
        refused = run_quietly(recipe, tmp_path / "ws").stages[0]
        assert refused.unused_parts.startswith("1 part of inputs that it kept, such as of/film.csv: it has no times")
        assert (refused.rejected_in_all, refused.rejection) == (0, "")
    assert table.read().num_rows == 0
