"""Small inputs, made by code."""

import json
from collections.abc import Sequence
from pathlib import Path

import yaml

TEXTS = (
    "I am so happy that you came!",
    "This is disgusting, take it away.",
    "I am not afraid of the dark.",
    "We meet at five.",
    "Wow, no way!",
    "I miss her, and I am so sad and angry.",
)


def make_recipe(folder: Path, *stages: dict, name: str = "sample", labels: str = "utterance_emotion.v1") -> Path:
    """A recipe file with these stages."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"recipe": name, "labels": labels, "stages": list(stages)}, sort_keys=False))
    return path


def make_posts(folder: Path, count: int, *, extra: Sequence[dict] = ()) -> Path:
    """A recipe over ``count`` posts that goes as far as a release."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"text": f"{TEXTS[i % len(TEXTS)]} ({i})", "author": f"writer{i % 3}"}) for i in range(count)]
    (folder / "posts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return make_recipe(
        folder,
        {"stage": "ingest", "files": "posts.jsonl", "licence": "CC0-1.0"},
        {"stage": "preprocess"},
        {"stage": "prelabel", "model": "offline"},
        {"stage": "aggregate"},
        {"stage": "export"},
        *extra,
    )
