"""LocatedProblem the layout that shows an item to annotators."""

from pathlib import Path

from curate.assets import find_asset, list_assets
from curate.labels.schema import LabelSchema
from curate.labels.units import Modality, Unit

FOLDER = "annotation_ui_configs"
_USUAL: dict[Unit, Modality] = {"post": "text", "dialogue": "text", "image": "image", "frame": "image"}


def find_layout(labels: LabelSchema, unit: Unit, modality: Modality, *, user_folder: Path | None = None) -> Path:
    """Return the layout file for a unit and what there is of the item to look at (video, audio, image or text).

    The layout named in the label schema (``layout: {video: face_video}``) is preferred, then ``<unit>_<modality>.xml``,
    then ``<modality>.xml``; a file in ``user_folder`` wins over a shipped one of the same name. Raises
    ``InvalidInput`` if there is none.
    """
    name = labels.layout.get(modality)
    if name is None:
        specific = f"{unit}_{modality}"
        name = specific if specific in list_assets(FOLDER, suffix=".xml", user_folder=user_folder) else modality
    return find_asset(FOLDER, name, suffix=".xml", user_folder=user_folder)


def usual_layout(labels: LabelSchema, *, user_folder: Path | None = None) -> Path:
    """Return the layout file in which a label schema is seen most often: that of its first unit."""
    unit = labels.units[0]
    modality: Modality = next(iter(labels.layout), _USUAL.get(unit, "video"))
    return find_layout(labels, unit, modality, user_folder=user_folder)
