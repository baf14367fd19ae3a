"""The annotate stage: items and pre-labels go to Label Studio, and every judgement comes back."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Literal

import pyarrow.compute as pc
from pydantic import Field

from curate.annotation.guideline import find_guideline
from curate.annotation.label_studio import pull as pulling
from curate.annotation.label_studio import push as pushing
from curate.annotation.label_studio.client import LabelStudioServer
from curate.annotation.label_studio.pull import ProjectStatus, PullCounts
from curate.annotation.label_studio.push import PushCounts
from curate.annotation.local_server import connection as connections
from curate.annotation.local_server.connection import Connection
from curate.corpus.judgements import current_judgements
from curate.corpus.view import Corpus
from curate.errors import InvalidInput
from curate.labels import DEFAULT_LANGUAGE, Language
from curate.sentences import count_of, verb_of
from curate.stages.contract import DriverStage, Forecast, Receipt, Tools
from curate.stages.tables.store import store_judgements
from curate.stages.viewing_copies import ViewingCopies

Say = Callable[[str], None]


class Annotate(DriverStage):
    """Take in judgements from tables, and exchange items and judgements with Label Studio.

    Without a server the items wait and the run continues.
    """

    writes: ClassVar[tuple[str, ...]] = ("annotations",)

    stage: Literal["annotate"] = "annotate"
    raters_per_item: Annotated[int, Field(ge=1, le=20)] = 1
    """How many people judge each item."""
    blind_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of items, drawn by their ids, that people judge without a proposal, for `curate audit`.

    Items that were sent before stay as they are.
    """
    instructions: Annotated[str, Field(min_length=1, max_length=20_000)] | None = None
    """For annotators, in Markdown, after the guideline beside the label schema."""
    language: Language = DEFAULT_LANGUAGE
    """Language of the questions, where the label schema has them in it; else English."""
    server: bool = True
    """Whether items go to Label Studio; if not, only judgements in tables count."""

    def perform(self, corpus: Corpus, tools: Tools) -> Receipt:
        """Take in what tables hold; push and pull, or report how many items wait for people."""
        stored = store_judgements(corpus, tools)
        receipt = self._exchange(corpus, tools) if self.server else Receipt(False, {})
        message = "; ".join(filter(None, [stored.message, receipt.message]))
        return Receipt(receipt.changed or stored.changed, {**stored.counts, **receipt.counts}, message)

    def _exchange(self, corpus: Corpus, tools: Tools) -> Receipt:
        if not connections.is_configured(corpus.workspace.local):
            return Receipt(changed=False, counts={}, message=_waiting(corpus, self))
        connection = connections.connection(corpus.workspace.local)
        pulled = _pull(corpus, connection)
        pushed = _push(corpus, tools, self, connection)
        counts = {
            "added": pushed.added,
            "refilled": pushed.refilled,
            "waiting": pushed.waiting,
            **({"blind": pushed.blind} if pushed.blind else {}),
            "acts": pulled.new,
        }
        waiting = f"{pushed.waiting} items wait for people at {connection.shown_url}" if pushed.waiting else ""
        message = "; ".join(filter(None, [waiting, _blind(pushed)]))
        if pushed.problems:
            message = "; ".join(
                filter(None, [message, f"not sent, {pushed.problems[0]}: `curate annotate push` lists all"])
            )
        if pulled.problems:
            message = "; ".join(filter(None, [message, _misfits(pulled.problems)]))
        return Receipt(changed=bool(pushed.added or pushed.refilled or pulled.new), counts=counts, message=message)

    def foresee(self, corpus: Corpus, tools: Tools) -> Forecast:
        """See ``DriverStage.foresee``."""
        if not self.server:
            return Forecast(False, "takes in what has changed in the tables")
        if not connections.is_configured(corpus.workspace.local):
            return Forecast(False, _waiting(corpus, self))
        url = connections.connection(corpus.workspace.local).url
        return Forecast(False, f"fetches judgements from {url} and sends new items there")


def _blind(counts: PushCounts) -> str:
    """Return how many items show no proposal by choice; empty if none do."""
    total = count_of(counts.waiting + counts.judged, "item")
    return f"{counts.blind:,} of {total} there show no proposal" if counts.blind else ""


def _waiting(corpus: Corpus, stage: Annotate) -> str:
    """Return how many items still need judgements where no server is running; empty if none do."""
    items = set(corpus.read("items", ["item_id"])["item_id"].to_pylist())
    acts = current_judgements(corpus.read("annotations"))
    is_reopened = pc.and_(pc.equal(acts["action"], "migrated"), pc.greater(pc.list_value_length(acts["misfits"]), 0))
    acts = acts.filter(pc.invert(pc.fill_null(is_reopened, False)))
    raters = Counter(acts["item_id"].to_pylist())
    waiting = sum(raters[item] < stage.raters_per_item for item in items)
    verb = verb_of(waiting, "waits", "wait")
    return f"{count_of(waiting, 'item')} {verb} for people: `curate annotate up`" if waiting else ""


def push(
    corpus: Corpus, tools: Tools, stage: Annotate, connection: Connection, *, say: Say = lambda _: None
) -> PushCounts:
    """Push items, media and pre-labels to the server; see ``curate.annotation.label_studio.push``.

    Raises ``InvalidInput``, after all others were sent, for items that cannot be shown.
    """
    counts = _push(corpus, tools, stage, connection, say)
    if counts.problems:
        raise InvalidInput(
            f"{counts.added} items were sent; others cannot be shown and were not",
            problems=counts.problems,
            hint="put the raw files back and push again",
        )
    return counts


def _push(
    corpus: Corpus, tools: Tools, stage: Annotate, connection: Connection, say: Say = lambda _: None
) -> PushCounts:
    guideline = find_guideline(corpus.labels, stage.language, tools.folder, stage.instructions or "")
    settings: dict[str, Any] = {
        "maximum_annotations": stage.raters_per_item,
        "expert_instruction": guideline.html,
        "show_instruction": bool(guideline.text),
        "show_collab_predictions": True,
        "show_skip_button": True,
        "enable_empty_annotation": False,
    }
    server = LabelStudioServer(connection, say)
    return pushing.push(
        corpus,
        server,
        connection.name,
        folder=tools.folder,
        settings=settings,
        guideline_sha256=guideline.sha256,
        make_copies=ViewingCopies(corpus, tools.raw).make,
        language=stage.language,
        blind_share=stage.blind_share,
        seed=tools.seed,
        say=say,
    )


def pull(corpus: Corpus, connection: Connection, *, say: Say = lambda _: None) -> PullCounts:
    """Append every new human act to ``annotations``. The caller holds the workspace's lock.

    Raises ``InvalidInput``, after all is stored, as long as current judgements do not fit the label schema.
    """
    counts = _pull(corpus, connection, say)
    _raise_for(counts)
    return counts


def status(corpus: Corpus, connection: Connection) -> list[ProjectStatus]:
    """Return tasks, judged tasks, annotators and address of each project."""
    return pulling.status(corpus, LabelStudioServer(connection), connection.name)


def invitation(connection: Connection) -> str:
    """Return the address where an annotator creates an account."""
    return LabelStudioServer(connection).invitation()


def _pull(corpus: Corpus, connection: Connection, say: Say = lambda _: None) -> PullCounts:
    return pulling.pull(corpus, LabelStudioServer(connection, say), connection.name, say=say)


def _raise_for(counts: PullCounts) -> None:
    if counts.problems:
        raise InvalidInput(
            f"{len(counts.problems)} answers do not fit the label schema; they are stored, with those fields empty",
            problems=counts.problems,
            hint="correct or delete them in Label Studio, and pull again",
        )


def _misfits(problems: Sequence[str]) -> str:
    return (
        f"{len(problems)} answers do not fit the label schema and count as empty, such as {problems[0]}: "
        "`curate annotate pull` lists them"
    )
