"""A workspace as polars frames."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from curate.assets import list_assets
from curate.consensus.agreement.rows import AgreementRow, Over
from curate.consensus.audit.rows import AuditRow, Options
from curate.consensus.scores import ScoreRow
from curate.corpus.judgements import current_judgements
from curate.corpus.view import Corpus
from curate.document import nearest
from curate.errors import InvalidInput
from curate.labels import LabelSchema
from curate.labels.markup import MEDIA_VARIABLES
from curate.notebook.frames import rows_frame, to_frame
from curate.notebook.releases import find_release, load_release
from curate.notebook.runs import load_remembered
from curate.pipeline import Status, Trace, open_corpus, status, trace
from curate.pipeline.agreement import measure_agreement
from curate.pipeline.audit import audit_bias, audit_model
from curate.pipeline.report import write_corpus_report
from curate.pipeline.scores import score_pairs
from curate.recipe import LoadedRecipe
from curate.release.diff import Difference, compare_releases
from curate.release.versions import Releases
from curate.storage.workspace import Workspace

if TYPE_CHECKING:
    import polars
    from datasets import Dataset, DatasetDict


def open_workspace(path: str | Path, recipe: str | Path | None = None) -> "CorpusFrames":
    """Open the workspace in a folder or at a URL, as its recipe sees it: by default the recipe that was run last.

    Needs no raw files and changes nothing. Raises ``WorkspaceUnusable`` if there is no workspace, and ``InvalidInput``
    for a recipe with mistakes.
    """
    return CorpusFrames(*load_remembered(recipe, path))


class CorpusFrames:
    """The current rows of a workspace as polars frames, its agreement, and its releases."""

    def __init__(self, loaded: LoadedRecipe, workspace: Workspace) -> None:
        """See ``open_workspace``."""
        self._loaded, self._workspace = loaded, workspace
        self._corpus: Corpus = open_corpus(loaded, workspace)

    def __repr__(self) -> str:
        """Return the place and the recipe."""
        return f"<workspace {self.location} of recipe {self._loaded.recipe.recipe}>"

    @property
    def location(self) -> str:
        """The folder or URL of the workspace."""
        return self._workspace.location

    @property
    def schema(self) -> LabelSchema:
        """The label schema that people judge by."""
        return self._loaded.labels

    def table(self, name: str) -> "polars.DataFrame":
        """Return the current rows of a table, such as ``sources``, ``prelabels``, ``rejections``.

        Raises ``InvalidInput`` if there is no such table.
        """
        names = sorted(list_assets("schemas/tables", suffix=".yaml"))
        if name not in names:
            raise InvalidInput(f"there is no table {name!r}{nearest(name, names)}")
        return to_frame(self._corpus.read(name))

    def items(self) -> "polars.DataFrame":
        """Return the items with the file, title, collection and licence of their source.

        ``audio``, ``video``, ``image`` and ``face`` (and ``audio_b``, ``video_b``) are paths or URLs of media files.
        """
        import polars

        items = self.table("items")
        sources = self.table("sources").select("source_id", "file", "title", "collection", "licence", "participant")
        folder = f"{self.location}/blobs/"
        media = [(polars.lit(folder) + polars.col(name)).alias(name) for name in MEDIA_VARIABLES]
        return items.with_columns(media).join(sources, on="source_id", how="left", maintain_order="left")

    def judgements(self, *, with_skipped: bool = False) -> "polars.DataFrame":
        """Return the newest form of every judgement, a row each, sorted by item; deleted ones are left out.

        ``with_skipped`` includes those without a value: the item was skipped, or could not be judged.
        """
        return to_frame(current_judgements(self._corpus.read("annotations"), with_skipped=with_skipped))

    def labels(self) -> "polars.DataFrame":
        """Return the aggregated label of each item, with its soft label, agreement and evidence."""
        return self.table("labels")

    def agreement(self, *, by: str | None = None, draws: int = 0, over: Over = "items") -> "polars.DataFrame":
        """Return how far people agree on each field, as ``curate.agreement``.

        ``by`` is ``rater``, ``label``, ``split``, or a column of annotations, items or sources.
        """
        measured = measure_agreement(self._loaded, self._workspace, by=by, draws=draws, over=over)
        return rows_frame(measured.rows, AgreementRow)

    def audit_model(
        self,
        *,
        labeller: str | None = None,
        field: str | None = None,
        arm: str | None = None,
        draws: int = 1_000,
        epsilon: float = 0.2,
        interval: float | None = None,
    ) -> "polars.DataFrame":
        """Return whether a model may replace a rater, and label shares from few judgements, as ``curate audit model``.

        The columns are those of ``AuditRow``. Rows with a ``rater`` in their group name a person.
        """
        options = Options(draws, epsilon, interval)
        audit = audit_model(self._loaded, self._workspace, labeller=labeller, field=field, arm=arm, options=options)
        return rows_frame(audit.rows, AuditRow)

    def audit_bias(
        self,
        by: Sequence[str] = (),
        *,
        labeller: str | None = None,
        field: str | None = None,
        arm: str | None = None,
        draws: int = 1_000,
    ) -> "polars.DataFrame":
        """Return for which groups a model or a rater answers otherwise, as ``curate audit bias``.

        ``by`` names columns of items, sources or tables. The columns are those of ``AuditRow``.
        """
        chosen = {"labeller": labeller, "field": field, "arm": arm}
        return rows_frame(
            audit_bias(self._loaded, self._workspace, by=by, options=Options(draws), **chosen).rows, AuditRow
        )

    def scores(self, *, blind_only: bool = False) -> "polars.DataFrame":
        """Return the scores of texts and clips that people compared in pairs, as ``curate scores``.

        The columns are those of ``ScoreRow``. Raises ``InvalidInput`` if the label schema has no preference.
        """
        return rows_frame(score_pairs(self._loaded, self._workspace, blind_only=blind_only), ScoreRow)

    def status(self) -> Status:
        """Return what the workspace holds, by table, outcome and reason."""
        return status(self._loaded, self._workspace)

    def trace(self, item: str) -> Trace:
        """Return everything behind the label of the item whose id begins with ``item``."""
        return trace(self._loaded, self._workspace, item)

    def report(self, path: str | Path | None = None, *, draws: int = 200, media_mb: int = 12) -> Path:
        """Write the report of ``curate report`` and return its path, by default ``report.html`` in the workspace.

        ``draws`` are those of the intervals of agreement, and ``media_mb`` what the page holds of sound and video.
        """
        output = None if path is None else Path(path)
        return write_corpus_report(self._loaded, self._workspace, output, draws=draws, media_mb=media_mb)

    def releases(self) -> list[str]:
        """Return the versions of the releases, oldest first."""
        return [manifest.version for manifest in Releases(self._workspace.releases).manifests()]

    def release(
        self, version: str | None = None, *, split: str | None = None, streaming: bool = False
    ) -> "DatasetDict | Dataset":
        """Return a release, by default the newest, as ``curate.load_release``.

        Raises ``InvalidInput`` if there is no such release.
        """
        versions = self.releases()
        if version is None and not versions:
            raise InvalidInput(f"{self.location} has no release yet", hint="run a recipe with an export stage")
        folder = find_release(version or versions[-1], self._workspace)
        return load_release(folder, split=split, streaming=streaming)

    def diff(self, before: str, after: str) -> Difference:
        """Return what changed from one release to another."""
        return compare_releases(*(find_release(version, self._workspace) for version in (before, after)))
