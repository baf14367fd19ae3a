"""The section of a dataset card on signals: which tool measured what, how often, and how much is missing."""

from collections.abc import Sequence

from curate.hub.card_facts import SignalFigures
from curate.hub.card_sections import code, escape, table
from curate.sentences import count_of

_MAX_COLUMNS = 40
_NOTE = """`times_s` are seconds from the start of the source, as `start_s` of the item is; where it is null, the values
hold for all of the source. A missing value is null: the tool failed there, or was less sure than asked for.

```python
features = load_dataset("PATH", "features")  # joined to items by "item_id"
```"""


def signals_section(signals: Sequence[SignalFigures], items: int) -> str:
    """Return the section with its heading; empty if no item has a signal."""
    if not signals:
        return ""
    rows = [
        [
            f"`{signal.name}`",
            escape(", ".join(signal.tools)) or "not stated",
            _rate(signal.rates_hz),
            f"{signal.items:,} of {items:,}",
            f"{signal.missing_share:.1%}",
        ]
        for signal in signals
    ]
    text = "## Signals\n\nValues over time, in the configuration `features`: a row for each signal of each item.\n\n"
    text += table(["signal", "tool", "rate (Hz)", "items with values", "values missing"], rows)
    for signal in signals:
        shown = ", ".join(f"`{code(name)}`" for name in signal.columns[:_MAX_COLUMNS])
        more = len(signal.columns) - _MAX_COLUMNS
        shown += f" and {more} more" if more > 0 else ""
        text += f"\n\n`{signal.name}` has {count_of(len(signal.columns), 'column')}: {shown}."
        if signal.tracks > 1:
            text += f" Up to {signal.tracks} faces of an item have a row each, told apart by `track`."
    return f"{text}\n\n{_NOTE}"


def _rate(rates_hz: Sequence[float]) -> str:
    shown = list(dict.fromkeys(f"{rate:.4g}" for rate in rates_hz))
    return " to ".join(shown) or "none"
