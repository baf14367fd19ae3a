"""Open an engine: choose and wire the transports that the settings name."""

from collections.abc import Callable, Mapping
from typing import Any

from curate.llm.engine import Engine
from curate.llm.money.budget import BudgetAccount
from curate.llm.replies import ReplyStore
from curate.llm.settings import EngineSettings
from curate.llm.transport.batch.courier import BatchTransport
from curate.llm.transport.online import OnlineTransport
from curate.llm.transport.replay import ReplayTransport


def open_engine(
    settings: EngineSettings, answers: ReplyStore, read: Callable[[str], bytes], *, models: tuple[str, ...] = ()
) -> Engine:
    """An engine in the mode that the settings name. ``read`` gives a blob's bytes; ``models`` are those to ask.

    Raises ``InvalidInput`` where a budget in dollars meets a model without a price or the address is none, and
    ``MissingDependency`` without a key.
    """
    if settings.mode == "replay":
        return Engine(answers, ReplayTransport(answers))
    # One account, whichever way is asked.
    budget = BudgetAccount(
        answers, pot=settings.pot, run=settings.run, usd=settings.budget_usd, tokens=settings.budget_tokens
    )
    about: Mapping[str, Any] = {
        "settings": settings, "answers": answers, "read": read, "models": models, "budget": budget,
    }  # fmt: skip
    if settings.mode == "batch":
        courier = BatchTransport(**about)
        return Engine(answers, courier, replayed=settings.replayed, open_online=lambda: OnlineTransport(**about))
    online = OnlineTransport(**about)
    # What earlier runs sent as batches is paid for: it is waited for, and not asked a second time.
    first = BatchTransport(**about, instead=online) if answers.open_batches() else online
    return Engine(answers, first, replayed=settings.replayed, open_online=lambda: online)
