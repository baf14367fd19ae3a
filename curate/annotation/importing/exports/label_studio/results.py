"""The result of a Label Studio annotation as one cell for each control."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from curate.annotation.importing.exports.contract import Options, to_cell
from curate.annotation.importing.exports.label_studio.regions import UNREAD, is_in_page, is_region, to_mark_groups
from curate.labels.fields.marks import Link, unreadable

_ONE = {"rating": "rating", "number": "number", "pairwise": "selected", "selected": "selected", "datetime": "datetime"}
_ORIGINS = ("manual", "prediction", "prediction-changed")


class Answers:
    """Cells by control, the origin of each, and what no cell can hold, counted by control."""

    def __init__(self) -> None:
        self.cells: dict[str, str] = {}
        self.left_out: Counter[str] = Counter()
        self.origins: dict[str, str] = {}

    def add(self, result: Mapping[str, Any]) -> None:
        """Add a result that is about the whole task; what cannot be read is counted."""
        control, kind, value = str(result.get("from_name")), str(result.get("type")), result["value"]
        content: Any
        if kind == "choices" and isinstance(value.get("choices"), list):
            content = value["choices"]
        elif kind == "taxonomy" and isinstance(value.get("taxonomy"), list):
            content = ["/".join(map(str, path)) for path in value["taxonomy"] if isinstance(path, list)]
        elif kind in ("textarea", "text") and isinstance(value.get("text"), list | str):
            texts = value["text"] if isinstance(value["text"], list) else [value["text"]]
            content = "\n".join(map(str, texts))
        elif kind == "ranker" and isinstance(value.get("ranker"), Mapping):
            content = _ranking(value["ranker"])
        elif _ONE.get(kind) in value:
            content = value[_ONE[kind]]
        else:
            self.left_out[f"{control} ({kind})"] += 1
            return
        cell = to_cell(content)
        if cell is None:
            return
        self.cells[control] = unreadable(f"{control} is answered twice") if control in self.cells else cell


def answers_of(results: Sequence[Mapping[str, Any]], data: Mapping[str, Any], options: Options) -> Answers:
    """Return the answers in a result. Cells of controls that cannot be read rightly say so."""
    answers = Answers()
    regions: list[Mapping[str, Any]] = []
    for result in results:
        control, kind = str(result.get("from_name")), str(result.get("type"))
        if kind == "relation":
            continue
        if not isinstance(result.get("value"), Mapping) or kind.startswith(UNREAD) or is_in_page(result["value"]):
            answers.left_out[f"{control} ({kind})"] += 1
        elif is_region(result["value"]):
            regions.append(result)
        else:
            answers.add(result)
    _add_regions(answers, regions, results, data, options)
    for control in answers.cells:
        origins = {str(r["origin"]) for r in results if r.get("from_name") == control and r.get("origin") in _ORIGINS}
        if origins:
            answers.origins[control] = origins.pop() if len(origins) == 1 else "prediction-changed"
    return answers


def _add_regions(
    answers: Answers,
    regions: Sequence[Mapping[str, Any]],
    results: Sequence[Mapping[str, Any]],
    data: Mapping[str, Any],
    options: Options,
) -> None:
    groups = to_mark_groups(regions, data, options)
    answers.left_out.update(groups.left_out)
    # Labels of a region come before what is answered about it.
    by_control = reversed(list(groups.marks.items()))
    owners = {mark.name: control for control, marks in by_control for mark in marks if mark.name}
    links: dict[str, list[Link]] = defaultdict(list)
    for result in (result for result in results if result.get("type") == "relation"):
        begin, end = str(result.get("from_id")), str(result.get("to_id"))
        if begin in owners and owners.get(begin) == owners.get(end):
            links[owners[begin]] += _links(result, begin, end)
        else:
            answers.left_out["relations between regions of different controls"] += 1
    for control in groups.marks:
        answers.cells[control] = groups.cell(control, links.get(control, ()))


def _links(result: Mapping[str, Any], begin: str, end: str) -> list[Link]:
    labels = result.get("labels")
    names = [str(label) for label in labels] if isinstance(labels, list) and labels else [None]
    directions = {"left": [(end, begin)], "bi": [(begin, end), (end, begin)]}
    pairs = directions.get(str(result.get("direction")), [(begin, end)])
    return [Link(*pair, name) for pair in pairs for name in names]


def _ranking(ranker: Mapping[str, Any]) -> str:
    """Return a ranking as ``a > b > c``; several buckets as ``best: a > b; worst: c``."""
    ranked = {name: " > ".join(map(str, ids)) for name, ids in ranker.items() if isinstance(ids, list)}
    if len(ranked) == 1:
        return next(iter(ranked.values()))
    return "; ".join(f"{name}: {ids}" for name, ids in ranked.items())
