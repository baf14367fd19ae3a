"""The budget account that a prelabel stage spends from."""

from curate.llm.money.budget import assign_accounts
from curate.llm.replies import ReplyStore
from curate.stages.contract import Tools
from curate.stages.prelabel.settings import PrelabelSettings

_KIND = "prelabel"


def budget_account(settings: PrelabelSettings, tools: Tools, replies: ReplyStore) -> str:
    """Return the account of a stage, so that several prelabel stages of a recipe have a budget each."""
    candidates: tuple[object, ...] = tools.stages
    stages = [stage for stage in candidates if isinstance(stage, PrelabelSettings) and stage.spenders]
    if settings not in stages:
        stages = [settings]
    accounts = assign_accounts([stage.spenders for stage in stages], replies.spenders(), _KIND)
    return accounts[stages.index(settings)]
