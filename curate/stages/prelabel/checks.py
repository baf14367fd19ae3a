"""Problems with prompts and prices that can be found before anything runs."""

from collections.abc import Iterator
from pathlib import Path

from curate.errors import InvalidInput
from curate.labels import LabelSchema
from curate.llm.money.prices import check_priced, load_prices
from curate.llm.prompts.load import load_prompt
from curate.llm.prompts.prompt import Prompt
from curate.stages.contract import Problem
from curate.stages.prelabel.settings import Location, PrelabelSettings


def prompt_problems(settings: PrelabelSettings, recipe_folder: Path, labels: LabelSchema | None) -> Iterator[Problem]:
    """Yield prompts that are missing or invalid, or do not suit the labels or what they are used for."""
    prompts: dict[Location, Prompt] = {}
    names: dict[Location, str] = {}
    for location, labeller in settings.prompted.items():
        names[*location, "prompt"] = labeller.prompt
        names |= {(*location, "prompts", language): name for language, name in labeller.prompts.items()}
    for location, name in names.items():
        try:
            prompt = load_prompt(name, recipe_folder)
        except InvalidInput as error:
            sentences = error.problems or (f"{error.message} ({error.hint})",)
        else:
            prompts[location] = prompt
            sentences = tuple(prompt.problems(labels)) if labels is not None else ()
            sentences += tuple(_misuse(prompt, location, has_clues=bool(settings.clues)))
        yield from ((location, sentence) for sentence in sentences)
    others = [prompt for location, prompt in prompts.items() if location[0] != "clues"]
    if settings.clues and len(prompts) == len(names) and not any("clues" in p.header.variables for p in others):
        yield ("clues",), "no prompt of a labeller shows the clues; use one with the variable clues"


def _misuse(prompt: Prompt, location: Location, *, has_clues: bool) -> Iterator[str]:
    if location[0] == "clues" and prompt.header.asks_labels:
        yield f"prompt {prompt.name} asks for labels: name it under labellers"
    if location[0] != "clues" and not prompt.header.asks_labels:
        yield f"prompt {prompt.name} asks for clues and no labels: name it under clues"
    if prompt.header.variables.get("clues") == "required" and (location[0] == "clues" or not has_clues):
        yield f"prompt {prompt.name} shows clues: name the models that give them under clues"


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
