"""A note of a run after which nothing was left to do, so that the next one can know it without looking at rows."""

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from curate import __version__
from curate.corpus.view import Corpus
from curate.errors import StorageFailed
from curate.files import digest, read_json_object, sha256_of_file, write_whole
from curate.pipeline.listing import listed_stages
from curate.stages.capabilities import Discovered
from curate.stages.contract import BatchStage, Stage, Tools

_FILE = ".settled.json"
_FRESH_NS = 2 * 10**9
"""A file that changes again so soon may keep its time of change."""


class SettledStage(NamedTuple):
    """A batch stage whose work is done; see ``StageResult`` for what it says of rejected inputs."""

    inputs: int
    rejected: int
    repeats: int
    forgotten: int
    rejection: str
    unused_parts: str
    work_hash: str


class Settled:
    """The note about the batch stages of a recipe, and what they depend on: settings, tables and raw files."""

    def __init__(self, stages: Sequence[Stage], corpus: Corpus, tools: Tools) -> None:
        self._stages = {index: stage for index, stage in enumerate(stages) if isinstance(stage, BatchStage)}
        self._corpus, self._tools = corpus, tools
        self._path = corpus.workspace.local / _FILE
        self._raw, self._fresh = self._read_raw_files()
        self._done: dict[int, SettledStage] = {}

    def read(self) -> dict[int, SettledStage]:
        """Return the stages by index; empty if anything that decides their work has changed."""
        note = read_json_object(self._path)
        if not note or self._raw is None or note.get("files") != self._raw or note.get("key") != self._key():
            return {}
        identities = {stage.identity(self._tools) for stage in self._stages.values() if isinstance(stage, Discovered)}
        if not identities <= listed_stages(self._corpus.workspace):
            return {}
        try:
            if any(sha256_of_file(Path(path)) != sha256 for path, sha256 in note["fresh"].items()):
                return {}
            return {index: SettledStage(*note["stages"][str(index)]) for index in self._stages}
        except (OSError, KeyError, TypeError, AttributeError):
            return {}

    def add(self, index: int, stage: SettledStage) -> None:
        """Add a stage with nothing left to do; the note is written after the last one.

        Failing to write it only costs time.
        """
        self._done[index] = stage
        if self._raw is not None and self._done.keys() == self._stages.keys():
            note = {"files": self._raw, "fresh": self._fresh, "key": self._key(), "stages": self._done}
            with suppress(StorageFailed):
                write_whole(self._path, json.dumps(note))

    def _key(self) -> str:
        stages = self._stages.values()
        tables = sorted({"rejections", *(table for stage in stages for table in stage.writes)})
        states = [self._corpus.table(table).state() for table in tables]
        identities = [f"{stage.stage}:{stage.identity(self._tools)}" for stage in stages]
        return digest([__version__, identities, tables, states])

    def _read_raw_files(self) -> tuple[str | None, Mapping[str, str]]:
        """Return a hash of the state of the raw files, and content hashes of those that have only just changed."""
        states: dict[str, list[int]] = {}
        fresh: dict[str, str] = {}
        try:
            for stage in self._stages.values():
                if isinstance(stage, Discovered):
                    paths = stage.raw_files(self._tools)
                    if paths is None:
                        return None, {}
                    for path in paths:
                        state = path.stat()
                        states[str(path)] = [state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino]
                        if time.time_ns() - max(state.st_mtime_ns, state.st_ctime_ns) < _FRESH_NS:
                            fresh[str(path)] = sha256_of_file(path)
        except OSError:
            return None, {}
        return digest(states), fresh
