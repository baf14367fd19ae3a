"""Ingest: find the raw files, say what each is, and record where it comes from."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from curate.corpus.sources import RawFolders, allowing, outside
from curate.corpus.spec import table_spec
from curate.errors import InvalidInput, InvalidRow
from curate.stages.capabilities import Discovered
from curate.stages.contract import Outcome, Problem, Rejection, Tools, cut_by_size
from curate.stages.ingest.files import read_source
from curate.stages.ingest.finding import find_files, list_inputs, list_raw_files
from curate.stages.ingest.licences import licence_notice
from curate.stages.ingest.matching import LeadsOutside
from curate.stages.ingest.posts import parse_post

_BYTES_PER_CPU_S = 1_000_000
_BATCH_FILES, _BATCH_POSTS, _BATCH_BYTES = 8, 2_048, 1_000_000


class Ingest(Discovered):
    """Turns every file that the globs match into a source: media by its content, posts from .txt, .jsonl and .csv."""

    version: ClassVar[int] = 5
    reads: ClassVar[str] = ""
    writes: ClassVar[tuple[str, ...]] = ("sources",)
    repeatable: ClassVar[bool] = True

    stage: Literal["ingest"] = "ingest"
    files: str | Annotated[tuple[str, ...], Field(min_length=1)]
    """Globs relative to the recipe's folder, or to one that ``--raw`` names; nothing outside these is read. ``**``
    reaches into folders, never into workspaces. Workers elsewhere read the same paths."""
    licence: str | None = None
    """The SPDX name of the licence, such as CC-BY-4.0; terms of one's own as LicenseRef-<name>."""
    collection: str | None = None
    consent: str | None = None

    def notices(self, tools: Tools) -> Iterable[str]:
        """See ``Stage.notices``: a licence that is missing, or that nobody can look up."""
        if notice := licence_notice(self.licence):
            yield notice

    def missing(self, raw: RawFolders) -> Iterable[Problem]:
        """Yield the patterns that match no file, or lead out of the folders of raw files."""
        for pattern in self._patterns():
            try:
                if not find_files(pattern, raw):
                    folders = " or ".join(str(folder.resolve()) for folder in raw)
                    yield ("files",), f"no file matches {pattern!r} in {folders}"
            except LeadsOutside as error:
                yield ("files",), _refusal(pattern, error)

    def discover(self, tools: Tools) -> pa.Table:
        """Return one row a file, and one a line of a file of posts, in order of their names.

        Raises ``InvalidInput`` naming each pattern that matches nothing, and the first that leads outside.
        """
        names: set[str] = set()
        problems = []
        try:
            for pattern in self._patterns():
                files = find_files(pattern, tools.raw)
                names.update(files)
                problems += [] if files else [sentence for _, sentence in self.missing(tools.raw)]
            if not problems:
                return list_inputs(names, tools.raw)
        except LeadsOutside as error:
            raise InvalidInput(outside(error.path, error.real), hint=allowing(error.real)) from error
        hint = "the pattern is relative to the recipe's folder; --raw FOLDER names another where raw files are"
        raise InvalidInput(problems[0], problems=tuple(dict.fromkeys(problems)), hint=hint)

    def max_cpu_s(self, batch: pa.Table) -> float:
        """See ``BatchStage.max_cpu_s``: more for large files, which are read whole."""
        size_bytes = pc.sum(batch["size_bytes"]).as_py() or 0
        return super().max_cpu_s(batch) + size_bytes / _BYTES_PER_CPU_S

    def cut(self, inputs: pa.Table, todo: Sequence[int]) -> Iterator[Sequence[int]]:
        """Yield a few files, or many posts, at once."""
        post_bytes = pc.fill_null(pc.binary_length(inputs["post"]), 0)
        sizes = pc.if_else(inputs["path"].is_valid(), _BATCH_BYTES // _BATCH_FILES, post_bytes).to_pylist()
        return cut_by_size(todo, sizes, rows=_BATCH_POSTS, size=_BATCH_BYTES)

    def apply(self, batch: pa.Table, tools: Tools) -> Outcome:
        sources: list[dict[str, Any]] = []
        rejections: list[Rejection] = []
        origin = {"licence": self.licence, "collection": self.collection, "consent": self.consent}
        for row in batch.to_pylist():
            try:
                sources.append({"file": row["file"], **origin, **_source(row, tools.raw)})
            except InvalidRow as error:
                rejections.append(Rejection(row["file"], row["file"], error.reason, error.message))
        return Outcome({"sources": sources}, rejections).by_column(
            "sources", table_spec("sources", tools.labels).schema
        )

    def raw_files(self, tools: Tools) -> Iterable[Path] | None:
        """See ``Discovered.raw_files``."""
        try:
            names = {name for pattern in self._patterns() for name in find_files(pattern, tools.raw)}
        except LeadsOutside:
            return None
        return list_raw_files(names, tools.raw)

    def _patterns(self) -> tuple[str, ...]:
        return (self.files,) if isinstance(self.files, str) else self.files


def _refusal(pattern: str, error: LeadsOutside) -> str:
    return f"{pattern!r}: {outside(error.path, error.real)}; {allowing(error.real)}"


def _source(row: dict[str, Any], raw: RawFolders) -> dict[str, Any]:
    if row["problem"]:
        raise InvalidRow(f"{row['file']}: {row['problem']}")
    return parse_post(row["file"], row["post"]) if row["post"] is not None else read_source(row, raw)
