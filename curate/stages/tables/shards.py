"""Shards of WebDataset as tables: a row for each sample, the files of a tar archive that have a name in common."""

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from curate.annotation.importing.exports.files import parse_json
from curate.corpus.archives.unpack import REST, unpack
from curate.corpus.sources import MEMBER
from curate.errors import InvalidRow
from curate.stages.tables.delimited import Row
from curate.stages.tables.documents import text_row, to_text

SUFFIXES = (".tar", ".tar.gz", ".tgz")
KEY = "__key__"
"""The column with the name that the files of a sample have in common."""
_TEXTS = ("txt", "text", "cls", "cls2", "transcript")
_JSON = "json"
_MAX_TEXT_BYTES = 8_000_000


def is_shard(path: Path) -> bool:
    """Whether a table is an archive of samples, by its name."""
    return path.name.lower().endswith(SUFFIXES)


def shard_columns(path: Path) -> list[str]:
    """Return the columns of a shard: ``__key__``, those of its files by suffix, and members of JSON as ``json.name``.

    Raises ``InvalidRow`` if the archive cannot be read.
    """
    names: dict[str, None] = {KEY: None}
    for _, files in _samples(path):
        names.update(dict.fromkeys(files))
        if _JSON in files:
            with suppress(InvalidRow):  # a row says so
                names.update(dict.fromkeys(_members(_read(files[_JSON]))))
    return list(names)


def shard_rows(path: Path, file: str, columns: Collection[str]) -> Iterator[Row]:
    """Yield the samples of a shard, numbered from 1: texts and labels as they are, and other files by their names.

    Samples are in order of their keys. What cannot be read of the archive comes last, as rows with a problem.
    """
    number = 0
    for key, files in _samples(path):
        number += 1
        values: dict[str, Any] = {KEY: key}
        try:
            for suffix, member in files.items():
                is_text = suffix in (*_TEXTS, _JSON)
                name = f"{key}.{_suffix_as_written(member, key)}"
                values[suffix] = _read(member).decode("utf-8-sig").strip() if is_text else f"{file}{MEMBER}{name}"
            if any(name.startswith(f"{_JSON}.") for name in columns) and _JSON in files:
                values |= _members(_read(files[_JSON]))
        except (InvalidRow, UnicodeDecodeError) as error:
            yield Row(number, [], f"sample {key}: {error}")
            continue
        yield text_row(number, [values.get(name) for name in columns])
    for refusal in unpack(path).refusals:
        member_name = "the archive" if refusal.name == REST else refusal.name
        number += 1
        yield Row(number, [], f"{member_name}: {refusal.problem}")


def _samples(path: Path) -> Iterator[tuple[str, dict[str, Path]]]:
    """Yield the key of each sample, and its files by suffix, in lower case."""
    folder = unpack(path).folder
    samples: dict[str, dict[str, Path]] = {}
    for parent, _, names in os.walk(folder):
        inner = Path(parent).relative_to(folder).as_posix()
        for name in names:
            stem, _, suffix = name.partition(".")
            if stem and suffix:
                key = stem if inner == "." else f"{inner}/{stem}"
                samples.setdefault(key, {})[suffix.lower()] = Path(parent, name)
    yield from sorted(samples.items())


def _suffix_as_written(member: Path, key: str) -> str:
    return member.name.removeprefix(f"{key.rpartition('/')[2]}.")


def _read(member: Path) -> bytes:
    if member.stat().st_size > _MAX_TEXT_BYTES:
        raise InvalidRow(f"{member.name} is longer than {_MAX_TEXT_BYTES // 10**6} MB")
    return member.read_bytes()


def _members(content: bytes) -> Mapping[str, str | None]:
    """Return the members of a JSON object as columns. Raises ``InvalidRow`` if it is none."""
    try:
        values = parse_json(content)
    except (ValueError, RecursionError) as error:
        raise InvalidRow(f"its .json is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise InvalidRow("its .json is not a JSON object")
    return {f"{_JSON}.{name}": to_text(value) for name, value in values.items()}
