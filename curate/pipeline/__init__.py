"""Plan and run a recipe, and report its state."""

from curate.pipeline.plan import StagePlan, plan
from curate.pipeline.record import Run, StageResult, add_accounts
from curate.pipeline.run import Listener, attempt, run
from curate.pipeline.status import Status, list_rejections, status
from curate.pipeline.trace import Trace, trace
from curate.pipeline.walk import make_tools, open_corpus

__all__ = [
    "Listener",
    "Run",
    "StagePlan",
    "StageResult",
    "Status",
    "Trace",
    "add_accounts",
    "attempt",
    "list_rejections",
    "make_tools",
    "open_corpus",
    "plan",
    "run",
    "status",
    "trace",
]
