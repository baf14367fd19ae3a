"""Check a release before it is published: what the Hub or a loader would silently get wrong."""

import json
import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from pyarrow import parquet

from curate.document import parse_value
from curate.hub.card import LICENCES

MAX_ROW_GROUP_BYTES = 300_000_000
"""The Hub's viewer shows no data set with larger row groups."""
_FRONT_MATTER = re.compile(r"---\n(.*?)\n---\n", re.DOTALL)
_LICENCES = LICENCES | {"other", "unknown"}
_LANGUAGE = re.compile(r"[a-z]{2,3}|multilingual|code")
_SIZES = {"n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "n>1M", "10M<n<100M", "n>1T"}
# fmt: off
_TASKS = {
    "text-classification", "token-classification", "audio-classification", "image-classification", "image-to-text",
    "video-classification", "text-generation", "feature-extraction", "automatic-speech-recognition", "object-detection",
    "visual-question-answering", "question-answering", "video-text-to-text", "image-text-to-text", "other",
}
# fmt: on
"""Ids of the Hub's tasks that data sets of this field have."""


def lint_release(
    folder: Path, shards: Mapping[str, int], to_card: Callable[[dict[str, Any]], list[dict[str, Any]]]
) -> list[str]:
    """Return what is wrong with the card and the footers of a release, a sentence each.

    ``shards`` holds the rows of each shard as the manifest has them; ``to_card`` turns the features of a footer into
    those of ``dataset_info``.
    """
    try:
        match = _FRONT_MATTER.match((folder / "README.md").read_text(encoding="utf-8"))
        header = parse_value(match[1]) if match else None
    except (OSError, ValueError) as error:
        return [f"README.md cannot be read: {error}"]
    if not isinstance(header, dict):
        return ["README.md does not begin with a block of YAML"]
    footers = {path: _read_footer(folder / path) for path in shards}
    problems = [f"{path} {footer}" for path, footer in footers.items() if isinstance(footer, str)]
    readable = {path: footer for path, footer in footers.items() if not isinstance(footer, str)}
    for path, footer in readable.items():
        if footer.rows != shards[path]:
            problems.append(f"{path} has {footer.rows:,} rows, and the manifest says {shards[path]:,}")
        if footer.largest_group > MAX_ROW_GROUP_BYTES:
            problems.append(f"{path} has a row group of {footer.largest_group:,} bytes, above the Hub's 300,000,000")
    return [*_metadata_problems(header), *problems, *_config_problems(header, readable, to_card)]


class _Footer(NamedTuple):
    features: dict[str, Any]
    rows: int
    largest_group: int


def _read_footer(path: Path) -> _Footer | str:
    """Return what a shard says of itself, or why it cannot be read."""
    try:
        metadata = parquet.read_metadata(path)
        stored = json.loads((metadata.schema.to_arrow_schema().metadata or {})[b"huggingface"])["info"]["features"]
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        return f"has no features in its footer: {error}"
    sizes = [metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups)]
    return _Footer(stored, metadata.num_rows, max(sizes, default=0))


def _metadata_problems(header: Mapping[str, Any]) -> list[str]:
    problems = []
    for key, valid in (("license", _LICENCES), ("task_categories", _TASKS), ("size_categories", _SIZES)):
        unknown = [name for name in _listed(header.get(key)) if name not in valid]
        problems += [f"README.md: {key} {name!r} is not one of the Hub's" for name in unknown]
    codes = [code for code in _listed(header.get("language")) if not _LANGUAGE.fullmatch(code)]
    return problems + [f"README.md: language {code!r} is not a code of ISO 639" for code in codes]


def _config_problems(
    header: Mapping[str, Any],
    footers: Mapping[str, _Footer],
    to_card: Callable[[dict[str, Any]], list[dict[str, Any]]],
) -> list[str]:
    """Return where ``configs`` and ``dataset_info`` differ from the shards: loaders believe them."""
    problems, claimed = [], set[str]()
    infos = {info.get("config_name", "default"): info for info in _objects(header.get("dataset_info"))}
    for config in _objects(header.get("configs")):
        name = config.get("config_name", "default")
        rows: dict[str, int] = {}
        for entry in _objects(config.get("data_files")):
            paths = [path for path in footers if any(fnmatch(path, glob) for glob in _listed(entry.get("path")))]
            claimed.update(paths)
            rows[str(entry.get("split"))] = sum(footers[path].rows for path in paths)
            expected = infos.get(name, {}).get("features")
            deviating = [p for p in paths if expected is not None and to_card(footers[p].features) != expected]
            problems += [
                f"{p} has other features than README.md says of {name}: loaders refuse that" for p in deviating
            ]
        stated = {
            str(split.get("name")): split.get("num_examples") for split in _objects(infos.get(name, {}).get("splits"))
        }
        if name in infos and stated != rows:
            problems.append(f"README.md: {name} has {stated} rows, and its shards have {rows}")
    return problems + [f"{path} is in no configuration of README.md" for path in footers if path not in claimed]


def _objects(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in (value if isinstance(value, list) else [value]) if isinstance(entry, dict)]


def _listed(value: Any) -> list[str]:
    return [str(entry) for entry in value] if isinstance(value, list) else [] if value is None else [str(value)]
