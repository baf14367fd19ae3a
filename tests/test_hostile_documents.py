"""YAML that is wrong, huge or hostile: one sentence with the line, soon, and never a traceback."""

import time
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from curate.document import load_document, parse_document, parse_model
from curate.errors import InvalidInput
from curate.hub.card import _check_front_matter
from curate.recipe import load_recipe
from tests.support.builders import make_posts


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: int = 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: !!bool maybe", ":2: .*'maybe' is not a valid bool"),
        ("a: 1\nb: !!timestamp foo", ":2: .*'foo' is not a valid timestamp"),
        ("a: 1\nb: !!int x", ":2: .*'x' is not a valid int"),
        ("a: 1\nb: !!float x", ":2: .*'x' is not a valid float"),
        ("a: 1\nb: 1" + ":59" * 2_000 + ".5", ":2: .*is not a valid float"),
        ("a: 1\nb: 2027-13-45", ":2: .*is not a valid timestamp"),
        ("a: 1\nb: " + "9" * 10_000, ":2: .*is not a valid int"),
        ("a:\n\tb: 1", ":2: .*use spaces"),
        ("a: !!python/object/apply:os.system [x]", "not valid YAML"),
        ("a: " + "[" * 5_000, "nested too deeply"),
    ],
)
def test_values_that_are_not_what_they_say(text, words):
    with pytest.raises(InvalidInput, match=words) as refused:
        parse_document(Path("x.yaml"), text)
    assert len(refused.value.message) < 300


@pytest.mark.parametrize(
    "text",
    [
        "!!bool maybe",
        "!!timestamp foo",
        "!!int x",
        "!!float .",
        "2027-02-30",
        "[" * 5_000,
        "9" * 5_000,
        "a: b: c",
        "*x",
        "\0",
    ],
)
def test_settings_on_the_command_line_are_not_trusted_either(tmp_path, text):
    with pytest.raises(InvalidInput, match=r"--set seed=.*the value is not valid YAML") as refused:
        load_recipe(make_posts(tmp_path, 1), [f"seed={text}"])
    assert len(refused.value.message) < 300


def test_very_many_unknown_keys_are_told_soon(tmp_path):
    started = time.monotonic()
    document = parse_document(Path("x.yaml"), "\n".join(f"k{n}: 1" for n in range(20_000)))
    parsed = time.monotonic() - started
    started = time.monotonic()
    with pytest.raises(InvalidInput, match="20,000 problems") as refused:
        parse_model(Model, document.data, document)
    assert time.monotonic() - started < max(5.0, parsed)
    assert refused.value.problems[-1] == "and 19,800 more"
    (tmp_path / "x.yaml").write_text("\n".join(f"k{n}: 1" for n in range(250_000)))
    started = time.monotonic()
    with pytest.raises(InvalidInput, match="more than 50,000 values"):
        load_document(tmp_path / "x.yaml")
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("block", ["a: !!bool maybe", "a: !!timestamp foo", "a: " + "[" * 5_000, "a: b: c", "- 1"])
def test_the_head_of_a_card_that_is_no_yaml_is_one_sentence(block):
    with pytest.raises(InvalidInput, match="YAML block"):
        _check_front_matter(f"---\n{block}\n---\n# Card\n")
