"""Rows from models: requested on the driver while results stream in, or replayed from stored replies on a worker."""

import time
from collections.abc import Callable, Generator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate.corpus.view import Corpus
from curate.errors import CurateError
from curate.llm.dry_run import DryRun
from curate.llm.engine import Engine
from curate.llm.open import open_engine
from curate.llm.replies import ReplyStore
from curate.llm.settings import EngineSettings, RequestSettings
from curate.llm.stream import stream, stream_ready
from curate.stages.capabilities import Replayed
from curate.stages.contract import Outcome, Tools
from curate.stages.prelabel.account import budget_account
from curate.stages.prelabel.proposer import Proposer
from curate.stages.prelabel.settings import PrelabelSettings

Row = dict[str, Any]

_ITEMS_PER_REQUEST = 8
"""Items in progress for each request in flight, so that a slow request does not hold up the others."""
_BATCH_ITEMS = 50_000
_READ_ROWS = 256
_YIELD_ITEMS = 256
_YIELD_S = 0.5


def stream_outcomes(
    settings: PrelabelSettings,
    inputs: pa.Table,
    corpus: Corpus,
    tools: Tools,
    *,
    account: dict[str, Any],
    stop: Callable[[], bool],
) -> Generator[tuple[int, Outcome]]:
    """See ``Streamed.stream``."""
    items = (row for batch in inputs.to_batches(_READ_ROWS) for row in batch.to_pylist())
    window = _BATCH_ITEMS if settings.mode == "batch" else settings.in_flight * _ITEMS_PER_REQUEST
    pending: list[list[Row]] = []
    with closing(ReplyStore(replies_path(tools))) as replies:
        engine = _open_engine(settings, replies, tools)
        work = partial(Proposer(settings, corpus, tools).propose, engine)
        last_yield = time.monotonic()
        try:
            with closing(stream_ready(items, work, window=window, stop=stop, finish=engine.close)) as batches:
                for ready in batches:
                    pending += ready
                    if len(pending) >= _YIELD_ITEMS or time.monotonic() - last_yield >= _YIELD_S:
                        account.update(engine.usage())
                        yield _outcome(pending)
                        pending, last_yield = [], time.monotonic()
        except CurateError:
            # Such as a spent budget or a service that is down: what was answered is kept.
            if pending:
                yield _outcome(pending)
            pending = []
            raise
        finally:
            account.update(engine.usage())
        if pending:
            yield _outcome(pending)


def replay_outcome(settings: PrelabelSettings, batch: pa.Table, tools: Tools) -> Replayed:
    """See ``Streamed.replay``; items whose media must be decoded first are left to ``stream_outcomes``."""
    proposer = Proposer(settings, None, tools)
    with closing(ReplyStore(replies_path(tools))) as replies:
        dry_run = DryRun(replies)
        work = partial(proposer.replay, dry_run)
        rows_by_item = list(stream(iter(batch.to_pylist()), work, window=max(1, batch.num_rows)))
    replayed = [index for index, rows in enumerate(rows_by_item) if rows is not None]
    rows = [row for item_rows in rows_by_item if item_rows is not None for row in item_rows]
    return Replayed(replayed, Outcome({"prelabels": rows}), dry_run.usage())


def replies_path(tools: Tools) -> Path:
    """Return the file of stored replies. Raises ``ValueError`` if there is none."""
    if tools.answers is None:
        raise ValueError("no file for the replies of models is configured")
    return tools.answers


def _open_engine(settings: PrelabelSettings, replies: ReplyStore, tools: Tools) -> Engine:
    models = tuple(dict.fromkeys(settings.paid_models.values()))
    engine_settings = EngineSettings(
        mode=settings.mode if models else "replay",
        **{name: getattr(settings, name) for name in RequestSettings.model_fields},
        account=budget_account(settings, tools, replies),
        prices=tools.folder,
        replayed=settings.replayed,
    )
    return open_engine(engine_settings, replies, tools.blobs.read, models=models)


def _outcome(rows_by_item: list[list[Row]]) -> tuple[int, Outcome]:
    return len(rows_by_item), Outcome({"prelabels": [row for rows in rows_by_item for row in rows]})
