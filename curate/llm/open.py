"""Open an engine with the transports that its settings call for."""

from collections.abc import Callable

from curate.llm.engine import Engine
from curate.llm.money.budget import BudgetAccount
from curate.llm.replies import ReplyStore
from curate.llm.settings import EngineSettings
from curate.llm.transport.batch.transport import BatchTransport
from curate.llm.transport.online import OnlineTransport
from curate.llm.transport.protocol import Transport
from curate.llm.transport.replay import ReplayTransport


def open_engine(
    settings: EngineSettings, store: ReplyStore, read: Callable[[str], bytes], *, models: tuple[str, ...] = ()
) -> Engine:
    """Open an engine in the mode of the settings. ``read`` returns a blob's bytes; ``models`` will be requested.

    Raises ``InvalidInput`` if a budget in dollars meets a model without a price, or for an invalid address, and
    ``MissingDependency`` without a key.
    """
    if settings.mode == "replay":
        return Engine(store, ReplayTransport(store))
    # Both transports spend from one account.
    budget = BudgetAccount(store, settings.account, settings.budget)

    def open_online() -> OnlineTransport:
        return OnlineTransport(settings, store, read, budget, models)

    if settings.mode == "batch":
        transport: Transport = BatchTransport(settings, store, read, budget, models)
        return Engine(store, transport, replayed=settings.replayed, open_online=open_online, grace_s=settings.grace_s)
    online = open_online()
    # Batches of earlier runs are paid for: their replies are waited for, and not requested a second time.
    transport = (
        BatchTransport(settings, store, read, budget, models, fallback=online) if store.open_batches() else online
    )
    return Engine(store, transport, replayed=settings.replayed, open_online=lambda: online, grace_s=settings.grace_s)
