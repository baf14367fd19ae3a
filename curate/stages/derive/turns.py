"""The turns of dialogues, in order."""

import math
from itertools import pairwise

from curate.stages.derive.parents import ParentItem, Parents
from curate.stages.derive.view import LeftOut


def group_turns(parents: Parents, by: str, order: str | None) -> tuple[list[list[ParentItem]], list[LeftOut]]:
    """Return the items of each dialogue that have a text, in order, and what cannot be placed.

    ``by`` is ``source`` or a column that the turns of a dialogue have in common; ``order`` a column with numbers, by
    default the turn and the time. Turns at the same place are left out: nothing says which comes first.
    """
    dialogues: dict[str, list[tuple[tuple[float, ...], ParentItem]]] = {}
    left_out: list[LeftOut] = []
    for item in parents:
        name = item.column("source_id" if by == "source" else by)
        place = _place(item, order)
        if name is None:
            left_out.append(LeftOut(item.item_id, "filtered", f"it has no {by} that says of which dialogue it is"))
        elif place is None:
            needed = f"its {order} is not a number" if order else "it has neither a turn nor a time"
            left_out.append(LeftOut(item.item_id, "filtered", f"{needed}, so that its place is not known"))
        elif not item.row["text"]:
            left_out.append(LeftOut(item.item_id, "no_text", "it has no text"))
        else:
            dialogues.setdefault(name, []).append((place, item))
    ordered = []
    for _, turns in sorted(dialogues.items()):
        turns.sort(key=lambda turn: (turn[0], turn[1].item_id))
        same = {b.item_id for (first, a), (second, b) in pairwise(turns) if first == second}
        same |= {a.item_id for (first, a), (second, b) in pairwise(turns) if first == second}
        sentence = "another turn of the dialogue is at the same place"
        left_out += [LeftOut(item_id, "tied", sentence) for item_id in sorted(same)]
        ordered.append([item for _, item in turns if item.item_id not in same])
    return [dialogue for dialogue in ordered if dialogue], left_out


def _place(item: ParentItem, order: str | None) -> tuple[float, ...] | None:
    if order is None:
        if item.row["turn"] is None and item.row["start_s"] is None:
            return None
        return (item.row["turn"] or 0, item.row["start_s"] or 0.0, item.row["end_s"] or 0.0)
    try:
        number = float(item.column(order) or "")
    except ValueError:
        return None
    return (number,) if math.isfinite(number) else None
