"""The derive stage: items and judgements of another corpus become new items with judgements of their own."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from curate.corpus.last_run import last_recipe
from curate.corpus.sources import RawFolders, allowing, outside
from curate.corpus.tombstones import Tombstones
from curate.errors import CurateError, InvalidInput, InvalidRow
from curate.labels import LabelSchema, load_labels
from curate.sentences import count_of, verb_of
from curate.stages.capabilities import Discovered, Judged, JudgementRows
from curate.stages.contract import Outcome, Problem, Rejection, Tools
from curate.stages.derive.inputs import RECORD, judgement_rows, to_inputs
from curate.stages.derive.media import to_media
from curate.stages.derive.parents import Evidence, Parents, read_parents
from curate.stages.derive.view import Derived, Draw, LeftOut
from curate.stages.derive.views import AnyView
from curate.storage.workspace import Workspace

_BATCH_TEXTS, _BATCH_MEDIA = 2_048, 16


class Derive(Discovered, Judged):
    """Makes items, and judgements of them, from those of another corpus, by one view.

    Licence, consent and participant come from the parents, and what their groups keep together stays together. A
    recipe either derives or ingests. The workspace of the other corpus is only read.
    """

    reads: ClassVar[str] = ""
    writes: ClassVar[tuple[str, ...]] = ("sources",)
    repeatable: ClassVar[bool] = True

    stage: Literal["derive"] = "derive"
    corpus: str = Field(min_length=1, max_length=1_000)
    """The workspace of the other corpus: a folder in the recipe's folder, or in one that ``--raw`` names."""
    make: AnyView
    """What is made of its items: a view and its settings."""
    evidence: Evidence = "judgements"
    """What labels follow from: each rater's judgements, or the aggregated labels of people as the judgement of one
    rater."""
    arms: tuple[str, ...] = ()
    """Count only judgements of these arms; by default of all."""
    collection: str | None = None
    """What the derived items belong to; the collection of their parents stays a column."""

    def problems(self, folder: Path, labels: LabelSchema | None = None) -> Iterable[Problem]:
        """See ``Stage.problems``: fields and units that the label schemas of both corpora do not have."""
        if self.arms and self.evidence == "labels":
            yield ("arms",), "arms are of judgements; leave `arms` out, or write `evidence: judgements`"
        if labels is None:
            return
        parent = self._parent_labels(RawFolders(folder))
        for location, sentence in self.make.problems(labels, parent):
            yield ("make", *location), sentence

    def notices(self, tools: Tools) -> Iterable[str]:
        """See ``Stage.notices``: that parents of what is stored here were forgotten in their own corpus."""
        if tools.derived is None:
            return
        try:
            tombstones = Tombstones.read(self.open_workspace(tools.raw))
        except InvalidInput:
            return
        ids = {name for names in tools.derived(self.make.view).values() for name in names} if tombstones else set()
        if gone := len(tombstones.holds("item", ids)):
            sentence = f"{count_of(gone, 'item')} that others here were derived from {verb_of(gone, 'was', 'were')}"
            yield f"{sentence} forgotten in {self.corpus}: `curate forget --derived` removes what was made of them"

    def missing(self, raw: RawFolders) -> Iterable[Problem]:
        """Yield that there is no workspace where ``corpus`` says, or none that may be read or has been run."""
        try:
            last_recipe(self.open_workspace(raw))
        except CurateError as error:
            yield ("corpus",), f"{error.message}{f'; {error.hint}' if error.hint else ''}"

    def discover(self, tools: Tools) -> pa.Table:
        """Return a row for each derived item, and one for each reason why items were left out."""
        parents = self._parents(tools)
        return to_inputs(self._make(parents, tools), self.make.view, parents.corpus, self.collection)

    def unlisted(self, tools: Tools) -> Iterable[str]:
        """See ``Discovered.unlisted``."""
        return ()

    def findings(self, tools: Tools) -> Iterable[str]:
        """See ``Discovered.findings``: that items are derived, and how."""
        yield f"The items were derived from those of another corpus (view {self.make.view}, from its {self.evidence})."

    def cut(self, inputs: pa.Table, todo: Sequence[int]) -> Iterator[Sequence[int]]:
        """Yield many texts at once, and few items with media."""
        derived = pc.struct_field(pc.struct_field(inputs[RECORD], "derived"), "layout")
        has_media = np.asarray(pc.fill_null(pc.not_equal(derived, "text"), False))
        for chosen, size in ((~has_media, _BATCH_TEXTS), (has_media, _BATCH_MEDIA)):
            indices = [index for index in todo if chosen[index]]
            yield from (indices[start : start + size] for start in range(0, len(indices), size))

    def apply(self, batch: pa.Table, tools: Tools) -> Outcome:
        sources: list[dict[str, Any]] = []
        rejections: list[Rejection] = []
        for row in batch.to_pylist():
            try:
                sources.append(self._source(row, tools))
            except InvalidRow as error:
                rejections.append(Rejection(row["file"], row["file"], error.reason, error.message))
        return Outcome({"sources": sources}, rejections)

    @property
    def has_judgements(self) -> bool:
        return self.make.is_judged

    def judgement_files(self, tools: Tools) -> Iterable[Path] | None:
        """See ``Judged.judgement_files``."""
        return None

    def judgements(self, tools: Tools) -> JudgementRows | None:
        """See ``Judged.judgements``."""
        if not self.has_judgements:
            return None
        parents = self._parents(tools)
        made = (item for item in self._make(parents, tools) if isinstance(item, Derived))
        return JudgementRows(judgement_rows(made, tools.labels, self.make.view, parents.corpus), {})

    def _source(self, row: dict[str, Any], tools: Tools) -> dict[str, Any]:
        if row["problem"]:
            raise InvalidRow(row["problem"], reason=row["reason"])
        record = row[RECORD]
        derived = record["derived"]
        if derived["layout"] != "text":
            derived |= to_media(derived, row["cut"], self.open_workspace(tools.raw).blobs, tools.blobs)
        size_bytes = len((record["text"] or "").encode())
        return {
            **record,
            "derived": derived,
            "file": row["file"],
            "kind": "derived",
            "collection": self.collection,
            "size_bytes": size_bytes,
        }

    def _make(self, parents: Parents, tools: Tools) -> Iterator[Derived | LeftOut]:
        problems = [sentence for _, sentence in self.make.problems(tools.labels, parents.labels)]
        if problems:
            raise InvalidInput(f"view {self.make.view} does not fit {self.corpus}", problems=tuple(problems))
        earlier = tools.derived(self.make.view) if tools.derived is not None else {}
        return self.make.derive(parents, tools.labels, Draw(tools.seed, frozenset(earlier)))

    def _parents(self, tools: Tools) -> Parents:
        path = self._path(tools.raw)
        if tools.parent is None:
            raise InvalidInput(f"{self.corpus} can only be read by a run", hint="start it with `curate run`")
        corpus = tools.parent(path)
        if corpus.workspace.recipe == tools.recipe:
            raise InvalidInput(
                f"{self.corpus} is the workspace of this recipe itself",
                hint="derive in a recipe of another name, with a workspace of its own",
            )
        parents = read_parents(corpus, evidence=self.evidence, arms=self.arms)
        if not parents.items:
            raise InvalidInput(
                f"{self.corpus} holds no item that its recipe asks for now",
                hint="run the recipe of that corpus again; its files, or this version of curate, may be others",
            )
        return parents

    def open_workspace(self, raw: RawFolders) -> Workspace:
        """Return the workspace of the other corpus. Raises ``InvalidInput`` if it is not there, or may not be read."""
        return Workspace(self._path(raw), create=False)

    def _path(self, raw: RawFolders) -> Path:
        """Return the folder of the other workspace. Raises ``InvalidInput`` if it is not there, or may not be read."""
        pure = PurePosixPath(self.corpus)
        if "://" in self.corpus or pure.is_absolute() or ".." in pure.parts or "\0" in self.corpus:
            raise InvalidInput(
                f"{self.corpus!r} is not a folder in the recipe's folder",
                hint="name the workspace without `..`; if it is elsewhere, name its folder with --raw",
            )
        path = raw.on_disk(self.corpus)
        if not Workspace.is_at(path):
            folders = " or ".join(str(folder.resolve()) for folder in raw)
            raise InvalidInput(
                f"there is no workspace {self.corpus!r} in {folders}",
                hint="run the recipe of that corpus first, or name the folder that it is in with --raw",
            )
        if not raw.boundary()(real := os.path.realpath(path)):
            raise InvalidInput(outside(str(path), real), hint=allowing(real))
        return path

    def _parent_labels(self, raw: RawFolders) -> LabelSchema | None:
        """Return the label schema of the other corpus; None if it is not at hand."""
        try:
            workspace = self.open_workspace(raw)
            folder = Path(workspace.recipe_file).parent if workspace.recipe_file else raw.recipe
            return load_labels(last_recipe(workspace)["labels"], folder)
        except CurateError:
            return None
