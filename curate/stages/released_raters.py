"""What raters say of themselves, from a table next to the recipe, under their pseudonyms."""

import csv
import io
from pathlib import Path

from curate.corpus.pseudonyms import pseudonym
from curate.document import read_text
from curate.errors import InvalidInput
from curate.release.long import COUNTS

_NAME = "rater"
_MAX_CHARS = 200
_MAX_COLUMNS = 50


def read_raters(path: Path, secret: bytes) -> dict[str, dict[str, str]]:
    """Return what each rater says, by pseudonym, from a CSV file with a column ``rater`` of their names.

    Raises ``InvalidInput`` for a file that is not such a table, naming the line.
    """
    try:
        # In texts of csv, lines end as they do in the file.
        rows = list(csv.reader(io.StringIO(read_text(path), newline="")))
    except csv.Error as error:
        raise InvalidInput(f"{path} cannot be read as CSV: {error}", hint="save it as CSV again") from error
    head = [name.strip() for name in rows[0]] if rows else []
    if _NAME not in head or len(set(head)) < len(head) or len(head) > _MAX_COLUMNS or not all(head):
        raise InvalidInput(
            f"{path}: the first line must name the columns, each once, among them {_NAME!r}",
            hint="write one row for each rater: their name as in the annotations, and what they say of themselves",
        )
    if taken := sorted(set(head) & set(COUNTS)):
        raise InvalidInput(f"{path}: {taken[0]} is a column of every table of raters", hint="rename the column")
    raters: dict[str, dict[str, str]] = {}
    for number, cells in enumerate(rows[1:], start=2):
        if not any(cells):
            continue
        if len(cells) != len(head) or any(len(cell) > _MAX_CHARS for cell in cells):
            raise InvalidInput(
                f"{path}, row {number}: {len(cells)} cells where the first line has {len(head)}, or a cell is too long",
                hint=f"give every row each column, of at most {_MAX_CHARS} characters",
            )
        values = dict(zip(head, (cell.strip() for cell in cells), strict=True))
        name = pseudonym(values.pop(_NAME), secret) or ""
        if name in raters:
            raise InvalidInput(f"{path}, row {number}: this rater has a row already", hint="write one row for each")
        raters[name] = values
    return raters
