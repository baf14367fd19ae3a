"""Small corpora with sources, items, judgements and labels, in a real workspace."""

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from curate.corpus.live import LiveWork
from curate.corpus.spec import open_table
from curate.corpus.view import Corpus
from curate.labels import LabelSchema, load_labels
from curate.stages.contract import Tools
from curate.storage.workspace import Workspace

EPOCH = datetime(2027, 1, 1, tzinfo=UTC)
EMOTIONS = ("happiness", "sadness", "anger", "fear")
LIVE = {name: LiveWork.of([f"{name}-work"]) for name in ("sources", "signals", "items", "faces", "prelabels", "labels")}


class Made(NamedTuple):
    """A corpus on disk, and the tools that stages get with it."""

    corpus: Corpus
    tools: Tools


def make_labels() -> LabelSchema:
    return load_labels("utterance_emotion.v1")


def make_jpeg(number: int, size: int = 24) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (size, size), (number * 40 % 256, 90, 200 - number * 13 % 200)).save(out, "JPEG")
    return out.getvalue()


def make_flac(number: int) -> bytes:
    """Bytes that stand for a recording; nobody decodes them."""
    return b"fLaC" + bytes((number * step) % 256 for step in range(1500))


def make_corpus(
    root: Path, *, items: int = 6, sources: int = 3, first: int = 0, seed: int = 0, media: bool = True, **changes: Any
) -> Made:
    """A corpus of utterances: even items judged by two people, odd ones labelled by a model, the last not at all.

    ``changes`` replaces columns of every item or source, e.g. ``title="…"``. Calling it again with another ``first``
    adds to the same workspace.
    """
    labels = make_labels()
    workspace = Workspace(root)
    workspace.claim("demo_corpus", root.parent / "demo_corpus.yaml")
    tables: dict[str, list[dict[str, Any]]] = {name: [] for name in ("sources", "items", "prelabels", "labels")}
    acts: list[dict[str, Any]] = []
    for number in range(first, first + sources):
        row = {"source_id": f"source-{number:04d}", "kind": "video", "title": f"Film {number}", "licence": "CC-BY-4.0"}
        tables["sources"].append(row | {"collection": "films", "participant": None} | _only(changes, "sources", labels))
    for number in range(first * 100, first * 100 + items):
        item = f"item-{number:04d}"
        source = f"source-{first + number % sources:04d}"
        audio = workspace.blobs.put(make_flac(number), "flac") if media else None
        face = workspace.blobs.put(make_jpeg(number), "jpg") if media and number % 2 == 0 else None
        video = workspace.blobs.put(b"film" + make_flac(number), "mp4") if media else None
        layout = "video" if media else "text"
        row = {"item_id": item, "source_id": source, "unit": "utterance", "layout": layout, "start_s": number * 1.5}
        row |= {"end_s": number * 1.5 + 1.25, "speaker": f"speaker of {source}", "text": f"Sentence {number}, ünïcode"}
        row |= {"text_source": "subtitles", "audio": audio, "face": face, "video": video}
        tables["items"].append(row | _only(changes, "items", labels))
        guess = {"emotion": [EMOTIONS[number % 4]], "intensity": 3.0, "valence": 0.25, "description": "guessed"}
        tables["prelabels"].append(
            {
                "prelabel_id": f"pre-{number}",
                "item_id": item,
                "labeller": "offline",
                "final": True,
                "model": "words 1",
                "outcome": "ok",
            }
            | guess
        )
        if number == first * 100 + items - 1:
            continue
        human = number % 2 == 0
        if human:
            acts.extend(act | _only(changes, "annotations", labels) for act in make_judgements(item, number, guess))
        tables["labels"].append(
            {
                "item_id": item,
                "label_source": "human" if human else "model",
                "raters": 2 if human else 0,
                "agreement": [{"field": "emotion", "value": 0.5}] if human else [],
                "soft": [
                    {"field": "emotion", "label": EMOTIONS[number % 4], "share": 1.0},
                    {"field": "emotion", "label": "surprise", "share": 0.5},
                ],
                "method": "majority",
                "evidence": [f"act-{number}-0-1"] if human else [f"pre-{number}"],
            }
            | guess
        )
    for name, rows in tables.items():
        table = open_table(workspace, name, labels)
        table.commit([{**row, "work": f"{name}-work"} for row in rows], metadata={})
    open_table(workspace, "annotations", labels).commit(acts, metadata={})
    return Made(Corpus(workspace, labels, LIVE), Tools(workspace.blobs, labels, root.parent, seed))


def make_signals(corpus: Corpus, *, sources: int = 3, **changes: Any) -> None:
    """Give each source ten minutes of a signal with two columns at 10 Hz: the tenths of seconds, and their squares.

    Every seventh value of the second column is missing.
    """
    rows = []
    for number in range(sources):
        steps = range(6_000)
        squares = [None if step % 7 == 0 else float(step**2) for step in steps]
        row = {
            "signal_id": f"signal-{number}",
            "source_id": f"source-{number:04d}",
            "signal": "motion",
            "rate_hz": 10.0,
        }
        row |= {"format": "csv", "tool": "Meter 1", "names": ["tenths", "squares"], "times_s": [s / 10 for s in steps]}
        row |= {"values": [[float(step) for step in steps], squares], "summary": ["mean", "maximum", "present_share"]}
        rows.append({**row, **changes, "work": "signals-work"})
    open_table(corpus.workspace, "signals", corpus.labels).commit(rows, metadata={})


def make_judgements(item: str, number: int, guess: dict[str, Any]) -> list[dict[str, Any]]:
    """Ada judged and changed her mind, Ben judged, Cleo took hers back."""
    acts = []
    for rater, (name, actions) in enumerate(
        [
            ("ada@example.org", ["created", "updated"]),
            ("ben@example.org", ["created"]),
            ("cleo", ["created", "deleted"]),
        ]
    ):
        for turn, action in enumerate(actions):
            acts.append(
                {
                    "annotation_id": f"act-{number}-{rater}-{turn}",
                    "judgement_id": f"judgement-{number}-{rater}",
                    "item_id": item,
                    "annotator": name,
                    "action": action,
                    "acted_at": EPOCH + timedelta(minutes=number, seconds=turn),
                    "origins": [{"field": "emotion", "origin": "manual"}],
                }
                | guess
                | {"description": f"answer {turn} of rater {rater}"}
            )
    return acts


def _only(changes: dict[str, Any], table: str, labels: LabelSchema) -> dict[str, Any]:
    from curate.corpus.spec import table_spec

    return {name: value for name, value in changes.items() if name in table_spec(table, labels).schema.names}
