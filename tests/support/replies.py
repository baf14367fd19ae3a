"""Builders for what the store of replies holds."""

from typing import Any

from curate.llm.replies import BudgetEntry, StoredReply, now


def make_reply(key: str = "k1", **fields: Any) -> StoredReply:
    """A stored reply that cost 0.25 USD."""
    defaults = {
        "key": key,
        "content_key": "c1",
        "endpoint": "https://api.example.org/v1",
        "model": "m",
        "answered_by": "m-1",
        "request_id": "req_1",
        "created_at": now(),
        "seconds": 0.5,
        "reply": "{}",
        "tokens_in": 10,
        "tokens_out": 5,
        "usd": 0.25,
    }
    return StoredReply(**{**defaults, **fields})


def make_entry(entry_id: str, state: str = "settled", **fields: Any) -> BudgetEntry:
    """An entry of 1 USD and 15 tokens in the account ``p``."""
    defaults = {
        "id": entry_id,
        "account": "p",
        "run": "r",
        "labeller": "l",
        "key": "k",
        "state": state,
        "usd": 1.0,
        "tokens_in": 10,
        "tokens_out": 5,
        "at": now(),
    }
    return BudgetEntry(**{**defaults, **fields})
