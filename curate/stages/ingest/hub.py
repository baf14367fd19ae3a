"""Data sets of the Hugging Face Hub as tables: which files they had when the workspace first read them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from curate.annotation.importing.settings import HubTable, Table
from curate.corpus.fetched import FetchRecord
from curate.errors import InvalidInput, InvalidRow, ServiceRefused, ServiceUnavailable
from curate.hub.parquet import Listing, choose_files, fetch_copy, list_dataset
from curate.stages.contract import Tools

_KIND = "dataset"


def find_hub_files(table: HubTable, tools: Tools) -> list[tuple[str, Path]]:
    """Return names and copies of a data set's files. Raises ``InvalidRow`` with a sentence.

    The first run stores the commit and what it has; later ones, and other commands, read what is stored.
    """
    try:
        files = choose_files(_listing(table, tools), table.dataset, table.config, table.split)
        for file in files:
            if not file.copy.is_file() and tools.fetches:
                fetch_copy(file.name)
    except (ServiceRefused, ServiceUnavailable) as error:
        hint = f"; {error.hint}" if error.hint else ""
        raise InvalidRow(f"{table} cannot be read: {error.message}{hint}", reason="unavailable") from error
    return [(file.name, file.copy) for file in files]


def is_at_hand(table: Table, tools: Tools | None) -> bool:
    """Whether a table can be read now: always, unless it is a data set of which there are no copies yet."""
    dataset_table = table.hub
    if dataset_table is None or tools is None or tools.fetches:
        return dataset_table is None or tools is not None
    try:
        listing = _stored(dataset_table, tools)
        files = (
            []
            if listing is None
            else choose_files(listing, dataset_table.dataset, dataset_table.config, dataset_table.split)
        )
    except InvalidRow:
        return True
    return bool(files) and all(file.copy.is_file() for file in files)


def hub_notices(tables: Sequence[Table], tools: Tools) -> Iterator[str]:
    """Yield for each data set that was read at which commit."""
    for table in _datasets(tables):
        if (listing := _stored(table, tools)) is not None:
            branch = "" if listing.branch == listing.commit else f", then the head of {listing.branch}"
            yield f"data set {table.dataset} was read at commit {listing.commit}{branch}"


def unread_datasets(tables: Sequence[Table], tools: Tools) -> Iterator[str]:
    """Yield the data sets that a run would have to ask the Hub for."""
    for table in tables:
        if table.hub is not None and not is_at_hand(table, tools):
            yield f"data set {table.hub.dataset} is to be downloaded"


def _datasets(tables: Sequence[Table]) -> Sequence[HubTable]:
    return list(dict.fromkeys(table.hub for table in tables if table.hub is not None))


def _listing(table: HubTable, tools: Tools) -> Listing:
    stored = _stored(table, tools)
    if stored is not None:
        return stored
    if not tools.fetches or tools.fetched is None:
        raise InvalidRow(f"{table} was not read yet: `curate run` reads it", reason="unavailable")
    listing = list_dataset(table.dataset, table.revision)
    FetchRecord(tools.fetched).put(_KIND, {str(table): listing._asdict()})
    return listing


def _stored(table: HubTable, tools: Tools) -> Listing | None:
    if tools.fetched is None:
        return None
    value = FetchRecord(tools.fetched).get(_KIND, str(table))
    try:
        return None if value is None else Listing(**value)
    except TypeError as error:
        hint = "move it away: data sets are then read again, at the newest commits of their branches"
        raise InvalidInput(f"{tools.fetched} is damaged: {error}", hint=hint) from error
