"""The media that a release holds: those that people were shown, with the viewing copies that are still to be made."""

from collections.abc import Collection
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curate.annotation.label_studio.tasks import variables_of
from curate.corpus.view import Corpus
from curate.document import read_text
from curate.labels import find_layout
from curate.release.features import MEDIA
from curate.stages.contract import Tools
from curate.stages.viewing_copies import ViewingCopies

_ALWAYS = frozenset({"audio", "face"})
"""What models and studies need of every item, whatever its screen shows"""
_COPY_COLUMNS = ["item_id", "source_id", "start_s", "end_s", "audio"]


class MadeCopies(NamedTuple):
    """The viewing copies made for a release: how many, and a sentence for each item that stays without one."""

    made: int
    problems: list[str]


class ReleasedMedia:
    """Decides for each item which of its media are released."""

    def __init__(self, items: pa.Table, tools: Tools, media: Collection[str]) -> None:
        """``media`` holds the columns that the recipe allows. Raises ``InvalidInput`` for an unusable layout."""
        self._media = frozenset(media)
        self._shown: dict[tuple[str, str], frozenset[str]] = {}
        for pair in items.select(["unit", "layout"]).group_by(["unit", "layout"]).aggregate([]).to_pylist():
            unit, layout = pair["unit"], pair["layout"]
            layout_variables = frozenset[str]()
            if unit is not None and layout is not None:
                path = find_layout(tools.labels, unit, layout, user_folder=tools.folder)
                layout_variables = variables_of(read_text(path))
            self._shown[unit, layout] = self._media & (layout_variables | _ALWAYS)

    def make_copies(self, corpus: Corpus, items: pa.Table, tools: Tools) -> MadeCopies:
        """Make the viewing copies that ``items`` lack and a release holds."""
        lacking = pc.and_(items["video"].is_null(), pc.equal(items["layout"], "video"))
        lacking = pc.and_(pc.and_(lacking, pc.not_equal(items["unit"], "pair")), self._shows(items, "video"))
        rows = items.filter(lacking).select(_COPY_COLUMNS).to_pylist()
        if not rows:
            return MadeCopies(0, [])
        copies = ViewingCopies(corpus, tools.raw).make(rows)
        problems = [error.message for error in copies.values() if not isinstance(error, str)]
        return MadeCopies(len(copies) - len(problems), problems)

    def select(self, items: pa.Table) -> pa.Table:
        """Return the items without the media that are not released."""
        for name in MEDIA:
            released = pc.if_else(self._shows(items, name), items[name], pa.scalar(None, pa.string()))
            items = items.set_column(items.column_names.index(name), name, released)
        return items

    def _shows(self, items: pa.Table, name: str) -> pa.ChunkedArray:
        """Return for each item whether a column of media is released with it."""
        pairs = [pair for pair, released_columns in self._shown.items() if name in released_columns]
        is_shown = pa.chunked_array([pa.repeat(False, items.num_rows)])
        for unit, layout in pairs:
            is_pair = pc.and_(_is(items["unit"], unit), _is(items["layout"], layout))
            is_shown = pc.or_(is_shown, is_pair)
        return is_shown


def _is(column: pa.ChunkedArray, value: str | None) -> pa.ChunkedArray:
    return column.is_null() if value is None else pc.fill_null(pc.equal(column, value), False)
