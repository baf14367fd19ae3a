"""Damaged exports of annotation tools: parts replaced by anything end in a sentence, never in a traceback."""

import copy
import json
import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from curate.annotation.importing.answers import to_answer
from curate.annotation.importing.exports.contract import Options
from curate.annotation.importing.exports.readers import SUFFIXES, read_export
from curate.annotation.importing.settings import ExportFormat
from curate.annotation.importing.value_settings import Value
from curate.errors import InvalidRow
from curate.labels import load_labels
from tests.annotation.test_exports import COCO, FLAT, RECORD, TEXT, VIA_2, annotation, result, task

JUNK: list[Any] = [
    None,
    True,
    0,
    -1,
    1e308,
    float("nan"),
    "",
    "x",
    "\ud83d",
    [],
    {},
    [1],
    [[1, 2, 3]],
    {"a": 1},
    10**40,
]
SPAN = {"start": 12, "end": 16, "text": "keys", "labels": ["x"]}
BOX = {"x": 1, "y": 2, "width": 3, "height": 4}
WHOLE = annotation(
    result("a", "choices", {"choices": ["x"]}),
    result("s", "labels", SPAN, id="q"),
    result("t", "timelinelabels", {"ranges": [{"start": 1, "end": 2}], "timelinelabels": ["x"]}),
    result("b", "rectanglelabels", {**BOX, "rectanglelabels": ["f"]}),
    result(
        "v", "videorectangle", {"framesCount": 9, "duration": 1, "labels": ["f"], "sequence": [{"frame": 1, **BOX}]}
    ),
    result("k", "taxonomy", {"taxonomy": [["a", "b"]]}),
    {"type": "relation", "from_id": "q", "to_id": "q", "direction": "bi", "labels": ["z"]},
)
PLACE = {"start": 2, "end": 6, "label": "l"}
PRODIGY = [
    {"text": TEXT, "spans": [PLACE], "relations": [{"head_span": PLACE, "child_span": PLACE, "label": "r"}]}
    | {"answer": "accept"},
    {"image": "a.png", "width": 3, "height": 4, "spans": [{"label": "f", "points": [], **BOX}], "answer": "accept"},
]
ENTITY = {"id": 1, "label": "l", "start_offset": 2, "end_offset": 6}
DOCCANO = [
    {
        "id": 1,
        "text": "I lost",
        "entities": [ENTITY],
        "relations": [{"from_id": 1, "to_id": 1}],
        "label": [[0, 1, "x"]],
    },
    {"id": 2, "text": "y", "annotations": [{"label": 1, "start_offset": 0, "end_offset": 1, "user": 1}]},
]
VIA_3 = {
    "attribute": {"1": {"aname": "v", "type": 2, "options": {"s": "sob"}}},
    "file": {"1": {"fname": "a.mp4", "src": "x"}},
    "view": {"1": {"fid_list": [1]}},
    "metadata": {"m": {"vid": "1", "z": [1, 2], "xy": [], "av": {"1": "s"}}},
}
EXPORTS: list[tuple[ExportFormat, Any]] = [
    ("label-studio", [task(WHOLE)]),
    ("label-studio", [{**FLAT, "many": {"choices": ["a", "b"]}, "span": [SPAN], "st": [{"rating": 4}]}]),
    ("argilla", [RECORD]),
    ("prodigy", PRODIGY),
    ("doccano", DOCCANO),
    ("coco", COCO),
    ("via", {"a": VIA_2}),
    ("via", VIA_3),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        yield (*path, key)
        yield from places(member, (*path, key))


def damaged(value: Any, chance: random.Random) -> Any:
    value = copy.deepcopy(value)
    for _ in range(chance.choice([1, 1, 2, 4])):
        if not (paths := list(places(value))):
            break
        *parents, last = chance.choice(paths)
        owner = value
        for key in parents:
            owner = owner[key]
        owner[last] = copy.deepcopy(chance.choice(JUNK))
    return value


@pytest.mark.parametrize("number", range(len(EXPORTS)))
def test_damaged_exports_are_read_or_refused(tmp_path: Path, number: int) -> None:
    tool, whole = EXPORTS[number]
    chance, field = random.Random(number), load_labels("emotion_segments.v1").fields["seen"]
    path = tmp_path / f"export{SUFFIXES[tool][0]}"
    read = 0
    for _ in range(120):
        content = damaged(whole, chance)
        path.write_text("\n".join(map(json.dumps, content)) if path.suffix == ".jsonl" else json.dumps(content))
        with suppress(InvalidRow):
            export = read_export(path, tool, Options(25.0))
            read += 1
            for row in export.rows:
                assert row.rater is None or isinstance(row.rater, str)
                for name, cell in {**row.task, **row.answers}.items():
                    assert cell is None or isinstance(cell, str), name
                    with suppress(ValueError):
                        to_answer(cell or "", Value(column=name), field)
    assert read
