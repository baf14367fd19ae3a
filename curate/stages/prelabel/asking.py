"""A prompt as one model is asked with it: the labels in its language, the form of the reply, the media it is sent."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from curate.labels import LabelSchema, describe_labels
from curate.llm.prompts.load import load_prompt
from curate.llm.prompts.prompt import answer_schema
from curate.llm.prompts.scores import Scoring


class AskedPrompt:
    """A prompt, what it says of the labels, and the form in which it is answered."""

    def __init__(
        self, name: str, labels: LabelSchema, recipe_folder: Path, *, scores: bool, shown: Collection[str]
    ) -> None:
        """``shown`` are the optional modalities that are sent; those that the prompt requires always are."""
        self.prompt = load_prompt(name, recipe_folder)
        header = self.prompt.header
        self.described = describe_labels(labels, header.language) if header.asks_labels else ""
        self.modalities = {
            name for name, need in header.modalities.items() if need == "required" or _kind(name) in shown
        }
        """The media that are sent, if an item has them"""
        self.scoring = Scoring(labels) if scores and header.asks_labels else None
        schema: dict[str, Any] = answer_schema(self.prompt, labels)
        self.schema = self.scoring.extend_schema(schema) if self.scoring else schema


def _kind(modality: str) -> str:
    return modality.removesuffix("_b")
