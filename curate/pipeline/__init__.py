"""Plan and run a recipe, and say how it stands."""

from curate.pipeline.plan import StagePlan, make_tools, open_corpus, plan
from curate.pipeline.run import Listener, Run, StageResult, attempt, run
from curate.pipeline.status import Status, status

__all__ = [
    "Listener",
    "Run",
    "StagePlan",
    "StageResult",
    "Status",
    "attempt",
    "make_tools",
    "open_corpus",
    "plan",
    "run",
    "status",
]
