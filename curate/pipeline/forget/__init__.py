"""Forget a source, item, participant or rater: in the workspace, in releases, on the annotation server."""

from curate.pipeline.forget.scope import Scope
from curate.pipeline.forget.takedown import ForgetPlan, finish_on_server, forget, plan_forgetting, resume

__all__ = ["ForgetPlan", "Scope", "finish_on_server", "forget", "plan_forgetting", "resume"]
