"""Regions of Label Studio results as marks: stretches of text, of sound and video, boxes, and boxes that move."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from curate.annotation.importing.exports.contract import Options
from curate.annotation.importing.exports.offsets import code_points
from curate.labels.fields.marks import Keyframe, Link, Mark, Marks, unreadable
from curate.labels.fields.numbers import checked_number

_BOX = ("x", "y", "width", "height")
_PLACES = ({"start", "end"}, set(_BOX), {"ranges"}, {"sequence"})
_MAX_S = 1e7
# What these mark has no place in a text, in time or in a box: they are counted.
UNREAD = ("brush", "bitmask", "polygon", "keypoint", "ellipse", "vector", "hypertext", "timeseries", "magicwand", "ocr")
_PERCENT = (100.0, 100.0)


def is_region(value: Mapping[str, Any]) -> bool:
    """Return whether the value of a result has a place."""
    return any(members <= value.keys() for members in _PLACES)


def is_in_page(value: Mapping[str, Any]) -> bool:
    """Return whether a result marks a place in a page of HTML, which has no place in a text."""
    return "startOffset" in value and not str(value.get("start")).isdecimal()


class MarkGroups(NamedTuple):
    """Marks by control, why those of a control cannot be read, and regions without a label, counted by control."""

    marks: Mapping[str, Sequence[Mark]]
    problems: Mapping[str, str]
    left_out: Counter[str]

    def cell(self, control: str, links: Sequence[Link] = ()) -> str:
        """Return the cell of a control."""
        if control in self.problems:
            return unreadable(self.problems[control])
        return Marks(tuple(self.marks[control]), tuple(links)).to_json()


def to_mark_groups(results: Sequence[Mapping[str, Any]], data: Mapping[str, Any], options: Options) -> MarkGroups:
    """Return the marks of regions."""
    groups: dict[str, list[Mark]] = defaultdict(list)
    problems: dict[str, str] = {}
    left_out: Counter[str] = Counter()
    labelled = {str(result.get("id")) for result in results if result.get("id") and labels_in(result)}
    for result in results:
        control = str(result.get("from_name"))
        labels = labels_in(result)
        if not labels:
            # A box that is drawn with one control and labelled with another comes twice.
            if str(result.get("id")) not in labelled:
                left_out[f"{control}: regions without a label"] += 1
            continue
        try:
            place = _place(result, data, options)
        except ValueError as error:
            problems.setdefault(control, str(error))
            groups.setdefault(control, [])
            continue
        for number, label in enumerate(labels):
            name = str(result.get("id") or "") if not number else ""
            groups[control] += [mark._replace(label=label, name=name) for mark in place]
    return MarkGroups(groups, problems, left_out)


def labels_in(result: Mapping[str, Any]) -> list[str]:
    """Return the labels of a region: those of its control, or an answer about the region alone."""
    value = result["value"]
    kinds = [name for name in value if name == "labels" or name.endswith("labels")]
    for name in (*kinds, "choices", "text", "rating", "number"):
        content = value.get(name)
        if name == "taxonomy" or content is None or (name == "text" and not isinstance(content, list)):
            continue
        entries = content if isinstance(content, list) else [content]
        labels = [str(entry) for entry in entries if isinstance(entry, str | int | float)]
        if labels:
            return labels
    paths = value.get("taxonomy")
    return ["/".join(map(str, path)) for path in paths if isinstance(path, list)] if isinstance(paths, list) else []


def _place(result: Mapping[str, Any], data: Mapping[str, Any], options: Options) -> list[Mark]:
    value = result["value"]
    if "sequence" in value:
        return [Mark("", track=_track(value, options), size=_PERCENT)]
    if "ranges" in value:
        rate = _rate(value, options)
        return [Mark("", start_s=start, end_s=end) for start, end in _ranges(value["ranges"], rate)]
    if set(_BOX) <= value.keys():
        return [Mark("", box=_box(value), size=_PERCENT)]
    if "startOffset" in value:
        return [_turn_mark(value, data, options)]
    is_sound = "original_length" in result or "channel" in value
    quoted = value.get("text") if isinstance(value.get("text"), str) else None
    if is_sound and quoted is None:
        start, end = (checked_number(value.get(key), -_MAX_S, _MAX_S) for key in ("start", "end"))
        return [Mark("", start_s=start, end_s=end)]
    if quoted is None:
        raise ValueError("a region neither quotes a text nor is it of a sound: it is not clear what it marks")
    return [_text_mark(value, quoted, data, options)]


def _text_mark(value: Mapping[str, Any], quoted: str, data: Mapping[str, Any], options: Options) -> Mark:
    """Return a stretch of the first text of the task in which the quotation is where the export says."""
    problem = ValueError(f"the task has no text from which {quoted[:60]!r} is")
    for text in data.values():
        if isinstance(text, str):
            try:
                start, end = code_points(text, value["start"], value["end"], options.offsets, quoted=quoted)
            except ValueError as error:
                problem = error
                continue
            return Mark("", start=start, end=end, text=text[start:end])
    raise problem


def _turn_mark(value: Mapping[str, Any], data: Mapping[str, Any], options: Options) -> Mark:
    """Return a stretch of a turn of a dialogue, which Label Studio counts in UTF-16 units."""
    turn = str(value.get("start"))
    if not turn.isdecimal() or turn != str(value.get("end")):
        raise ValueError(f"a region reaches from turn {turn[:20]} to turn {str(value.get('end'))[:20]}, not within one")
    quoted = value.get("text") if isinstance(value.get("text"), str) else None
    for turns in data.values():
        entry = turns[int(turn)] if isinstance(turns, list) and int(turn) < len(turns) else None
        text = entry.get("text") if isinstance(entry, Mapping) else None
        if isinstance(text, str):
            places = value["startOffset"], value.get("endOffset")
            if quoted is None:
                start, end = code_points(text, *places, options.offsets or "utf16")
            else:
                start, end = code_points(text, *places, options.offsets, quoted=quoted)
            return Mark("", turn=int(turn), start=start, end=end, text=text[start:end])
    raise ValueError(f"the task has no dialogue with a text in turn {turn[:20]}")


def _box(value: Mapping[str, Any]) -> tuple[float, float, float, float]:
    if checked_number(value.get("rotation") or 0, -3_600, 3_600) % 360:
        raise ValueError("a box is rotated, which boxes here cannot be")
    x, y, width, height = (checked_number(value.get(side), -10_000, 10_000) for side in _BOX)
    return x, y, width, height


def _track(value: Mapping[str, Any], options: Options) -> tuple[Keyframe, ...]:
    sequence = value["sequence"]
    if not isinstance(sequence, list) or not all(isinstance(entry, Mapping) for entry in sequence):
        raise ValueError("a box in a video without its keyframes")
    rate = _rate(value, options)
    keyframes = []
    for entry in sequence:
        time_s = (checked_number(entry.get("frame"), 1, _MAX_S) - 1) / rate
        keyframes.append(Keyframe(time_s, _box(entry), bool(entry.get("enabled", True))))
    return tuple(keyframes)


def _ranges(ranges: Any, rate: float) -> list[tuple[float, float]]:
    if not isinstance(ranges, list) or not all(isinstance(entry, Mapping) for entry in ranges):
        raise ValueError("a range of time without its frames")
    frames = [(checked_number(r.get("start"), 1, _MAX_S), checked_number(r.get("end"), 1, _MAX_S)) for r in ranges]
    # Frames are counted from 1.
    return [((start - 1) / rate, (end - 1) / rate) for start, end in frames]


def _rate(value: Mapping[str, Any], options: Options) -> float:
    """Return frames per second, which the export says only of boxes."""
    if options.frame_rate_hz is not None:
        return options.frame_rate_hz
    count, seconds = value.get("framesCount"), value.get("duration")
    if isinstance(count, int | float) and isinstance(seconds, int | float) and count > 0 and seconds > 0:
        return count / seconds
    raise ValueError(
        "the export counts frames and does not say how many there are in a second: set frame_rate_hz to the frameRate "
        "of the project's Video tag (24 where it has none)"
    )
