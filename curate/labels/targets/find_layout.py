"""Which layout shows an item to annotators."""

from pathlib import Path

from curate.assets import find_asset, list_assets
from curate.labels.schema import LabelSchema
from curate.labels.units import Shown, Unit

FOLDER = "annotation_ui_configs"
_USUALLY: dict[Unit, Shown] = {"post": "text", "dialogue": "text", "image": "image", "frame": "image"}


def find_layout(labels: LabelSchema, unit: Unit, shown: Shown, *, beside: Path | None = None) -> Path:
    """The file of the layout for a unit and what there is to look at (video, audio, image or text).

    It is the one that the label schema names (``layout: {video: face_video}``), else ``<unit>_<shown>.xml`` where there
    is one, else ``<shown>.xml``; a file of the user's own is taken before a shipped one of that name. Raises
    ``InvalidInput`` when there is none.
    """
    name = labels.layout.get(shown)
    if name is None:
        own = f"{unit}_{shown}"
        name = own if own in list_assets(FOLDER, suffix=".xml", beside=beside) else shown
    return find_asset(FOLDER, name, suffix=".xml", beside=beside)


def usual_layout(labels: LabelSchema, *, beside: Path | None = None) -> Path:
    """The file of the layout that a label schema is most often seen in: that of its first unit."""
    unit = labels.units[0]
    shown: Shown = next(iter(labels.layout), _USUALLY.get(unit, "video"))
    return find_layout(labels, unit, shown, beside=beside)
