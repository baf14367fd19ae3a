"""The keys of a form's labels: a row of the keyboard for each question, counted from the left."""

from collections.abc import Iterable, Sequence
from xml.etree import ElementTree as ET

from curate.labels.markup import LABEL_TAGS, OBJECT_TAGS

_ROWS = ("1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm")
_SHIFT = "shift+"
_TAKEN_WITH_REGIONS = frozenset("u")
_TAKEN_ON_PICTURES = frozenset({"h", "v", "r", "shift+1", "shift+2", "shift+r"})
"""Keys of Label Studio's own."""
_UNREACHABLE = "ctrl+alt+shift+f19"
"""Label Studio gives labels without a key one that is left, even while they are hidden."""
REGION_TAGS = frozenset({"Labels", "ParagraphLabels", "RectangleLabels", "TimelineLabels"})
"""The controls that mark parts of an item."""
_CONTROLS = REGION_TAGS | {"Choices"}
DEGREES = "intensity"
"""The class of the rows with the degrees of a label, shown while it is chosen."""


def assign_hotkeys(root: ET.Element, blocks: Sequence[ET.Element]) -> bool:
    """Give the labels of all questions distinct keys; the first label of the first question gets 1.

    Keys that a taxonomy sets are used where all of them are free. The other labels get keys from left to right, of a
    row of the keyboard that nothing else uses if there is one. The degrees of one rank, such as "weak", share a row in
    the order of the labels; where there are more labels than keys in a row, degrees have none; returns
    whether they have.
    """
    taken = {tag.get("hotkey", "") for tag in root.iter() if tag.tag in OBJECT_TAGS}
    if any(tag.tag == "Image" for tag in root.iter()):
        taken |= _TAKEN_ON_PICTURES
    if any(tag.tag in REGION_TAGS for block in blocks for tag in block.iter()):
        taken |= _TAKEN_WITH_REGIONS
    keyboard = _Keyboard(taken)
    for block in blocks:
        degrees = {
            control for row in block.iter() if row.get("className") == DEGREES for control in row.iter("Choices")
        }
        controls = [tag for tag in block.iter() if tag.tag in _CONTROLS]
        for control in controls:
            if control not in degrees:
                keyboard.assign([tag for tag in control.iter() if tag.tag in LABEL_TAGS])
        ranks = list(zip(*(list(control) for control in controls if control in degrees), strict=False))
        keyboard.assign_rows(ranks)
    keyboard.assign_left_over()
    return all(label.get("hotkey") != _UNREACHABLE for block in blocks for label in block.iter())


class _Keyboard:
    """The keys that are still free; ``left_over`` are labels that get one after all others."""

    def __init__(self, taken: Iterable[str]) -> None:
        self.left_over: list[ET.Element] = []
        self._used = set(taken)
        rows = [*_ROWS, *([f"{_SHIFT}{key}" for key in row] for row in _ROWS)]
        self._rows = [[key for key in row if key not in self._used] for row in rows]

    def assign(self, labels: Sequence[ET.Element]) -> None:
        """Give keys to the labels of a control, as far as there are any."""
        preset = [key for label in labels if (key := label.get("hotkey"))]
        if len(set(preset)) < len(preset) or not self._used.isdisjoint(preset):
            for label in labels:
                label.attrib.pop("hotkey", None)
        self._used.update(key for label in labels if (key := label.get("hotkey")))
        rest = [label for label in labels if "hotkey" not in label.attrib]
        rest.sort(key=_is_other)
        count = len(rest) - sum(map(_is_other, rest))
        unused = [row for row in self._rows if self._used.isdisjoint(row)]
        row = next((row for row in unused if len(row) >= count), None)
        keys = iter(row or [key for row in (*unused, *self._rows) for key in row if key not in self._used])
        for label in rest:
            if key := next((key for key in keys if key not in self._used), ""):
                self._set(label, key)
            else:
                self.left_over.append(label)

    def assign_left_over(self) -> None:
        """Give whatever key is free to labels whose row had none left."""
        free = (key for row in self._rows for key in row if key not in self._used)
        for label, key in zip(self.left_over, list(free), strict=False):
            self._set(label, key)

    def assign_rows(self, ranks: Sequence[Sequence[ET.Element]]) -> None:
        """Give a row of keys to the degrees of each rank, or none to all of them."""
        rows = [row for row in self._rows if ranks and len(row) >= len(ranks[0]) and self._used.isdisjoint(row)]
        for rank, labels in enumerate(ranks):
            for index, label in enumerate(labels):
                self._set(label, rows[rank][index] if len(rows) >= len(ranks) else _UNREACHABLE)

    def _set(self, label: ET.Element, key: str) -> None:
        label.set("hotkey", key)
        self._used.add(key)


def _is_other(label: ET.Element) -> bool:
    return label.get("other") == "true"
