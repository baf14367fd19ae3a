"""The links of a recipe as inputs of ingest: files that were fetched, and why others were not."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from curate.annotation.importing.rows import LINE
from curate.annotation.importing.settings import Table
from curate.corpus.fetched import LINKS, FetchRecord, link_copy, link_key
from curate.errors import Interrupted, InvalidInput, InvalidRow
from curate.files import digest
from curate.sentences import count_of, verb_of
from curate.stages.contract import Tools
from curate.stages.ingest.tables import find_tables
from curate.stages.ingest.urls.outcomes import OUTCOMES, PASSING, RETRY_DAYS, Result, describe_outcomes
from curate.stages.ingest.urls.settings import Urls
from curate.stages.tables.mapped import table_problems
from curate.stages.tables.read import read_file

_DECIDING = ("max_mb", "types", "robots")


class Listed(NamedTuple):
    """Links with their checksums, and rows of the table that have none."""

    links: dict[str, str | None]
    problems: list[dict[str, Any]]


class LinkInputs(NamedTuple):
    """The links whose files are there, and the inputs for those that can only be rejected."""

    names: list[str]
    problems: list[dict[str, Any]]


def url_problems(settings: Urls, find: Callable[..., Any]) -> Iterator[str]:
    """Yield what is wrong with the table of links: it is not there, or lacks a column."""
    if settings.table is not None:
        yield from (sentence for _, sentence in table_problems([_mapping(settings)], find))


def link_inputs(settings: Urls, tools: Tools) -> LinkInputs:
    """Return the inputs for the links of a recipe; a run fetches those that it has not yet.

    Raises ``InvalidInput`` if the table of links cannot be read.
    """
    if tools.fetched is None:
        return LinkInputs([], [])
    listed = _listed(settings, tools)
    if tools.fetches:
        _fetch(settings, _due(settings, listed, tools), tools)
    results = stored_results(tools)
    names: list[str] = []
    problems = list(listed.problems)
    for url in listed.links:
        result = results.get(link_key(url))
        if result is None or (result.outcome == "ok" and not link_copy(tools.fetched, url).is_file()):
            continue
        if result.outcome == "ok":
            names.append(url)
        else:
            problems.append({"file": url, "problem": result.detail, "reason": result.outcome})
    return LinkInputs(names, problems)


def link_findings(settings: Urls, tools: Tools) -> Iterator[str]:
    """Yield in a sentence what became of the links, if they were asked for."""
    if tools.fetched is None or not tools.fetched.is_file():
        return
    results = stored_results(tools)
    try:
        listed = _listed(settings, tools)
    except InvalidInput:
        return
    link_results = (results.get(link_key(url)) for url in listed.links)
    outcomes = [result.outcome for result in link_results if result is not None]
    if sentence := describe_outcomes(outcomes):
        waiting = len(listed.links) - len(outcomes)
        yield (
            sentence[0].upper()
            + sentence[1:]
            + (f"; {waiting:,} more are still to be asked for" if waiting else "")
            + "."
        )
        if not settings.robots:
            yield "robots.txt and noai were not honoured, as the recipe says."


def unread_links(settings: Urls, tools: Tools) -> Iterator[str]:
    """Yield how many links a run would ask for, if any."""
    if tools.fetched is not None and (due := len(_due(settings, _listed(settings, tools), tools))):
        yield f"{count_of(due, 'link')} {verb_of(due, 'is', 'are')} to be fetched"


def _fetch(settings: Urls, due: list[tuple[str, str | None]], tools: Tools) -> None:
    from curate.stages.ingest.urls.fetch import Link, fetch_links

    if tools.fetched is None or not due:
        return
    stop = tools.stop or (lambda: False)
    fetch_links(
        [Link(url, link_key(url), link_copy(tools.fetched, url), sha256) for url, sha256 in due],
        settings,
        FetchRecord(tools.fetched),
        kind=LINKS,
        basis=_basis(settings, tools),
        day=tools.today.isoformat(),
        allows_private=tools.private_links,
        stop=stop,
        follow=tools.fetching or (lambda done, total, size_bytes: None),
    )
    if stop():
        raise Interrupted("stopped while links were fetched", hint="run the same command again to go on")


def _due(settings: Urls, listed: Listed, tools: Tools) -> list[tuple[str, str | None]]:
    """Return the links that are to be asked for now, with their checksums."""
    results, basis = stored_results(tools), _basis(settings, tools)
    fetched = tools.fetched or Path("nowhere")
    return [
        (url, sha256)
        for url, sha256 in listed.links.items()
        if _is_due(results.get(link_key(url)), link_copy(fetched, url), basis, sha256, tools.today)
    ]


def _basis(settings: Urls, tools: Tools) -> str:
    """Return a hash of the settings that decide whether a link may be fetched."""
    return digest([settings.model_dump(mode="json", include=set(_DECIDING)), tools.private_links])


def _is_due(result: Result | None, copy: Path, basis: str, sha256: str | None, today: date) -> bool:
    """Whether a link is to be asked for: never, failed in a way that passes, long ago or by other settings."""
    if result is None:
        return True
    if result.outcome == "forgotten":
        return False
    if result.outcome == "ok":
        return not copy.is_file() or sha256 not in (None, result.sha256)
    if result.outcome in PASSING or result.settings != basis:
        return True
    try:
        return date.fromisoformat(result.day) + timedelta(days=RETRY_DAYS) <= today
    except ValueError:
        return True


def stored_results(tools: Tools) -> dict[str, Result]:
    """Return what is stored of links by key, without what is damaged."""
    results = {}
    for key, value in FetchRecord(tools.fetched).all(LINKS) if tools.fetched is not None else ():
        try:
            result = Result(**value)
        except TypeError:
            continue
        if result.outcome in OUTCOMES:
            results[key] = result
    return results


def _listed(settings: Urls, tools: Tools) -> Listed:
    if settings.table is None:
        return Listed(dict.fromkeys(settings.links), [])
    find = partial(find_tables, raw=tools.raw)
    if problems := list(url_problems(settings, find)):
        raise InvalidInput(problems[0], problems=tuple(problems[1:]), hint="correct the table of links, or its columns")
    columns = [settings.column] + ([settings.sha256] if settings.sha256 else [])
    listed = Listed({}, [])
    for name, path in find(settings.table):
        try:
            rows = read_file(path, name, _mapping(settings), columns)
        except (InvalidRow, OSError) as error:
            raise InvalidInput(f"{name}: {error}", hint="correct the table of links") from error
        for number, url, *sha256 in rows.frame.select(LINE, *columns).iter_rows():
            if url is None:
                listed.problems.append(
                    {"file": f"{name}#{number}", "problem": "the row has no link", "reason": "invalid"}
                )
            else:
                listed.links.setdefault(url.strip(), sha256[0].strip().lower() if sha256 and sha256[0] else None)
        listed.problems.extend(
            {"file": f"{name}#{row[LINE]}", "problem": row["sentence"], "reason": row["reason"]}
            for row in rows.problems.iter_rows(named=True)
        )
    return listed


def _mapping(settings: Urls) -> Table:
    keep = [settings.sha256] if settings.sha256 else []
    return Table.model_validate({"table": settings.table, "item": {"id": {"column": settings.column}, "keep": keep}})
