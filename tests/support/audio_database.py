"""A small audformat database, written by the library itself."""

from pathlib import Path

import audformat
import pandas as pd


def make_database(folder: Path, storage: str, *, raters: bool = True) -> Path:
    """Write a database of three sounds (not the sounds): one table of files, one of segments, one of speakers."""
    database = audformat.Database("toy", source="made by hand", usage="research", license="CC-BY-4.0")
    database.raters["ann"] = audformat.Rater("human")
    database.raters["machine"] = audformat.Rater("machine")
    database.splits["test"] = audformat.Split("test")
    schemes = {
        "emotion": audformat.Scheme(labels={"A": {"meaning": "anger"}, "H": {"meaning": "happiness"}}),
        "valence": audformat.Scheme("float", minimum=0, maximum=1),
        "age": audformat.Scheme("int", minimum=0),
        "gender": audformat.Scheme(labels=["female", "male"]),
        "loud": audformat.Scheme("bool"),
        "onset": audformat.Scheme("time"),
        "day": audformat.Scheme("date"),
        "note": audformat.Scheme("str"),
    }
    for name, scheme in schemes.items():
        database.schemes[name] = scheme
    people = database["speaker"] = audformat.MiscTable(pd.Index(["00", "1e5"], name="speaker", dtype="string"))
    people["age"] = audformat.Column(scheme_id="age")
    people["age"].set([30, None])
    people["gender"] = audformat.Column(scheme_id="gender")
    people["gender"].set(["female", None])
    database.schemes["speaker"] = audformat.Scheme("str", labels="speaker")
    files = database["files"] = audformat.Table(
        audformat.filewise_index(["audio/a.wav", "audio/b.wav", "c.wav"]), split_id="test"
    )
    columns = {
        "emotion": ("emotion", "ann", ["A", None, "H"]),
        "emotion.m": ("emotion", "machine", ["A", "H", "A"]),
        "valence": ("valence", "ann", [0.1, None, 1.0]),
        "loud": ("loud", None, [True, False, None]),
        "onset": ("onset", None, pd.to_timedelta([1.5, None, 2], unit="s")),
        "day": ("day", None, pd.to_datetime(["2020-01-01", None, "2020-01-02"])),
        "speaker": ("speaker", None, ["00", "1e5", None]),
        "note": ("note", None, ['x,"y"', "NaN", ""]),
    }
    for name, (scheme_id, rater_id, values) in columns.items():
        files[name] = audformat.Column(scheme_id=scheme_id, rater_id=rater_id if raters else None)
        files[name].set(values)
    segments = database["segments"] = audformat.Table(
        audformat.segmented_index(
            ["audio/a.wav", "audio/a.wav", "c.wav"], [0, "0.5s", "1500ms"], ["0.5s", pd.NaT, pd.NaT]
        )
    )
    segments["emotion"] = audformat.Column(scheme_id="emotion", rater_id="ann" if raters else None)
    segments["emotion"].set(["A", "H", None])
    database.save(folder, storage_format=storage)
    return folder
