"""Read data sets of the Hugging Face Hub: their Parquet files at one commit, and nothing that would run code."""

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import yaml

from curate.corpus.hub_names import HubFile, parse_hub_name
from curate.errors import InvalidRow
from curate.hub.client import Hub

CONVERTED = "refs/convert/parquet"
"""The branch with the Hub's own conversion of data sets in other formats."""
_CARD = "README.md"
_MAX_CARD_BYTES = 2_000_000
_MAX_PATTERN_CHARS = 1_000
_SPLITS = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
}
_SHARD = re.compile(r"(.+?)-\d{5}-of-\d{5}")
_DEFAULT = "default"


class Listing(NamedTuple):
    """What a data set holds at a commit: Parquet files by configuration and split."""

    commit: str
    branch: str
    files: Mapping[str, Mapping[str, Sequence[str]]]


def list_dataset(dataset: str, revision: str) -> Listing:
    """Return the Parquet files of a data set: its own, else those that the Hub converted it to.

    Raises ``ServiceRefused``, ``ServiceUnavailable``, and ``InvalidRow`` if there are neither.
    """
    hub = Hub(is_reader=True)
    with hub.errors(dataset):
        commit = hub.commit_of(dataset, revision)
        paths = sorted(hub.files(dataset, commit))
        if parquet_paths := [path for path in paths if path.endswith(".parquet")]:
            card = _configurations(_read_card(hub, dataset, commit)) if _CARD in paths else []
            return Listing(commit, revision, _by_card(parquet_paths, card) or _by_name(parquet_paths))
        if CONVERTED in hub.converted(dataset):
            commit = hub.commit_of(dataset, CONVERTED)
            paths = [path for path in sorted(hub.files(dataset, commit)) if path.endswith(".parquet")]
            if paths:
                return Listing(commit, CONVERTED, _by_folder(paths))
    raise InvalidRow(
        f"data set {dataset} has no Parquet files at {revision}, and the Hub has not converted it: convert it by hand"
    )


def choose_files(listing: Listing, dataset: str, config: str | None, split: str | None) -> list[HubFile]:
    """Return the files of a configuration and split; of every split without one. Raises ``InvalidRow``."""
    configs = listing.files
    if config is None and len(configs) > 1 and _DEFAULT not in configs:
        raise InvalidRow(f"data set {dataset} has several configurations: set `config` to {_or(configs)}")
    name = config or (_DEFAULT if _DEFAULT in configs else next(iter(configs)))
    if name not in configs:
        raise InvalidRow(f"data set {dataset} has no configuration {name!r}; it has {_or(configs)}")
    splits = configs[name]
    if split is not None and split not in splits:
        raise InvalidRow(f"data set {dataset} has no split {split!r}; it has {_or(splits)}")
    paths = [path for key, paths in splits.items() if split in (None, key) for path in paths]
    return [HubFile(dataset, listing.commit, path) for path in dict.fromkeys(paths)]


def fetch_copy(name: str) -> None:
    """Make this machine's copy of a file of a data set. Raises ``ServiceRefused`` and ``ServiceUnavailable``."""
    file = parse_hub_name(name)
    file.copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    hub = Hub(is_reader=True)
    with hub.errors(file.dataset), TemporaryDirectory(dir=file.copy.parent, prefix=".") as folder:
        hub.download(file.dataset, file.path, file.commit, Path(folder)).replace(file.copy)


def _read_card(hub: Hub, dataset: str, commit: str) -> str:
    with TemporaryDirectory(prefix="curate-card-") as folder:
        path = hub.download(dataset, _CARD, commit, Path(folder))
        return path.read_bytes()[:_MAX_CARD_BYTES].decode("utf-8", "replace")


def _configurations(card: str) -> list[tuple[str, Any]]:
    """Return names and files of the configurations in a card's header; none if it cannot be read."""
    match = re.match(r"---\s*\n(.*?\n)---\s*(?:\n|$)", card, re.DOTALL)
    try:
        header = yaml.safe_load(match[1]) if match else None
    except (yaml.YAMLError, ValueError, RecursionError):
        return []
    configs = header.get("configs") if isinstance(header, dict) else None
    entries = [entry for entry in configs if isinstance(entry, dict)] if isinstance(configs, list) else []
    return [
        (_DEFAULT if entry.get("default") is True else str(entry.get("config_name", _DEFAULT)), entry["data_files"])
        for entry in entries
        if entry.get("data_files")
    ]


def _by_card(paths: Sequence[str], configs: Sequence[tuple[str, Any]]) -> dict[str, dict[str, list[str]]]:
    files: dict[str, dict[str, list[str]]] = {}
    for config, data_files in configs:
        entries = data_files if isinstance(data_files, list) else [data_files]
        for entry in entries:
            split = str(entry.get("split", "train")) if isinstance(entry, dict) else "train"
            patterns = entry.get("path", []) if isinstance(entry, dict) else entry
            for pattern in patterns if isinstance(patterns, list) else [patterns]:
                matching = [path for path in paths if _matches(path, str(pattern))]
                if matching:
                    files.setdefault(config, {}).setdefault(split, []).extend(matching)
    return files


def _by_name(paths: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """Return files by the first folder that is no split and not ``data``, and by the split in their names."""
    files: dict[str, dict[str, list[str]]] = {}
    for path in paths:
        *folders, name = path.split("/")
        config_folders = [folder for folder in folders if folder != "data" and folder.lower() not in _SPLITS]
        config = config_folders[0] if config_folders else _DEFAULT
        files.setdefault(config, {}).setdefault(_split_in(folders, name.removesuffix(".parquet")), []).append(path)
    return files


def _split_in(folders: Sequence[str], stem: str) -> str:
    words = [word for part in (stem, *reversed(folders)) for word in re.split(r"[-_./ ]", part.lower())]
    split = next((_SPLITS[word] for word in words if word in _SPLITS), None)
    shard = _SHARD.fullmatch(stem)
    return split or (shard[1] if shard else "train")


def _by_folder(paths: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    """Return files of the Hub's own conversion: ``configuration/split/0000.parquet``."""
    files: dict[str, dict[str, list[str]]] = {}
    for path in paths:
        config, _, rest = path.partition("/")
        split = rest.rpartition("/")[0].removeprefix("partial-")
        files.setdefault(config, {}).setdefault(split or "train", []).append(path)
    return files


def _matches(path: str, pattern: str) -> bool:
    """Whether a path matches a glob, in which ``*`` does not cross folders and ``**`` does; none does if it is long.

    Patterns come from anybody's card: all places where a part may end are followed at once, so that none takes long.
    """
    ends = {0} if len(pattern) <= _MAX_PATTERN_CHARS else set()
    for part in filter(None, re.split(r"(\*\*/?|\*)", pattern.removeprefix("./"))):
        if not ends:
            return False
        if part == "**":
            ends = set(range(min(ends), len(path) + 1))
        elif part == "**/":
            ends |= {end for end in range(min(ends) + 1, len(path) + 1) if path[end - 1] == "/"}
        elif part == "*":
            ends = {end for start in ends for end in range(start, start + len(path[start:].partition("/")[0]) + 1)}
        else:
            literal = re.compile(fnmatch.translate(part)[4:-3], re.DOTALL)
            ends = {match.end() for start in ends if (match := literal.match(path, start))}
    return len(path) in ends


def _or(names: Iterable[str]) -> str:
    return " or ".join(sorted(repr(name) for name in names))
