"""The views: one module each, and the union of their settings."""

from typing import Annotated

from pydantic import Field

from curate.stages.derive.views.pairs import Pairs
from curate.stages.derive.views.windows import Windows

AnyView = Annotated[Windows | Pairs, Field(discriminator="view")]
"""The settings of any view."""
