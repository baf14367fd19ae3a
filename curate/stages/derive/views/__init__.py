"""The views: one module each, and the union of their settings."""

from typing import Annotated

from pydantic import Field

from curate.stages.derive.views.compound import Compound
from curate.stages.derive.views.conflict import Conflict
from curate.stages.derive.views.dialogues import Dialogues
from curate.stages.derive.views.difference import Difference
from curate.stages.derive.views.open_vocabulary import OpenVocabulary
from curate.stages.derive.views.pairs import Pairs
from curate.stages.derive.views.shift import Shift
from curate.stages.derive.views.statements import Statements
from curate.stages.derive.views.stills import Stills
from curate.stages.derive.views.windows import Windows

AnyView = Annotated[
    Windows | Pairs | Dialogues | Conflict | Compound | Difference | Shift | OpenVocabulary | Statements | Stills,
    Field(discriminator="view"),
]
"""The settings of any view."""
