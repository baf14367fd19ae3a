"""Problems with prompts and prices that can be found before anything runs."""

from collections.abc import Iterator
from pathlib import Path

from curate.errors import InvalidInput
from curate.labels import LabelSchema
from curate.llm.money.prices import check_priced, load_prices
from curate.llm.prompts.load import load_prompt
from curate.stages.contract import Problem
from curate.stages.prelabel.settings import PrelabelSettings


def prompt_problems(settings: PrelabelSettings, recipe_folder: Path, labels: LabelSchema | None) -> Iterator[Problem]:
    """Yield prompts that are missing or invalid, or do not suit the labels."""
    for location, labeller in settings.prompted.items():
        try:
            prompt = load_prompt(labeller.prompt, recipe_folder)
        except InvalidInput as error:
            sentences = error.problems or (f"{error.message} ({error.hint})",)
        else:
            sentences = tuple(prompt.problems(labels)) if labels is not None else ()
        yield from (((*location, "prompt"), sentence) for sentence in sentences)


def price_problems(settings: PrelabelSettings, recipe_folder: Path) -> Iterator[Problem]:
    """Yield problems of the price table, and models without a price if the budget is in dollars."""
    models = settings.paid_models
    if not models:
        return
    try:
        prices = load_prices(recipe_folder)
    except InvalidInput as error:
        *sentences, last = error.problems or (error.message,)
        yield from ((("budget",), sentence) for sentence in (*sentences, f"{last} ({error.hint})"))
        return
    for location, model in models.items() if settings.budget.usd is not None else ():
        try:
            check_priced(prices, [model])
        except InvalidInput as error:
            yield location, f"{error.message} ({error.hint})"
