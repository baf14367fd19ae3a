"""Stretches of recordings that tables name as items: one input for each recording, with all of its stretches."""

from collections.abc import Mapping
from typing import Any

from curate.annotation.importing.items import KEPT_COLUMNS
from curate.corpus.sources import RawFolders
from curate.errors import InvalidRow
from curate.stages.ingest.files import file_input
from curate.stages.ingest.finding import CUTS, RECORD

_OF_STRETCH = ("key", "text", "speaker", "statement")
_MAX_CUTS = 100_000
_Input = dict[str, Any]


def add_cut(
    inputs: dict[str, _Input],
    name: str,
    record: Mapping[str, Any],
    start_s: float,
    end_s: float,
    raw: RawFolders,
) -> None:
    """Add a stretch to the input of its recording.

    Raises ``InvalidRow`` if the recording is an item as a whole, or is said to be of somebody else by another stretch.
    """
    of_recording = {key: None if key in _OF_STRETCH else value for key, value in record.items()}
    of_recording |= {"media": None, "absent": None}
    recording = inputs.get(name)
    if recording is None:
        recording = inputs[name] = {**file_input(name, name, raw), RECORD: of_recording, CUTS: []}
    elif not recording.get(CUTS):
        raise InvalidRow(f"{name} is the file of {described(recording)} already", reason="duplicate")
    if other := next((key for key, value in of_recording.items() if value != recording[RECORD][key]), None):
        what = "columns kept" if other == KEPT_COLUMNS else f"{other} {str(of_recording[other])[:60]!r}"
        raise InvalidRow(f"{what} is not what another stretch of {name} says: it is of the whole recording")
    if len(recording[CUTS]) >= _MAX_CUTS:
        raise InvalidRow(f"{name} has more than {_MAX_CUTS:,} stretches")
    recording[CUTS].append({**{key: record[key] for key in _OF_STRETCH}, "start_s": start_s, "end_s": end_s})


def described(recording: Mapping[str, Any]) -> str:
    """Return what a recording is the file of, in words."""
    return "items that are stretches of it" if recording.get(CUTS) else f"item {recording[RECORD]['key']!r}"
