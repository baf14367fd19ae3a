"""YAML that is wrong, huge or hostile: one sentence with the line, soon, and never a traceback."""

import time
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from curate.document import load_document, parse_document, parse_model
from curate.errors import InvalidInput


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
        ("[" * 5_000, "nested too deeply|not valid YAML"),
    ],
)
def test_values_that_are_not_what_they_say(text, words):
    with pytest.raises(InvalidInput, match=words) as refused:
        parse_document(Path("x.yaml"), text)
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
