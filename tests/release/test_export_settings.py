"""Settings of the export stage that cannot be meant are refused."""

import pytest
from pydantic import ValidationError

from curate.stages.export import Export


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"train": 0.8, "test": 0.1}, "add up to 0.9"),
        ({"train": 1.5, "test": -0.5}, "above 0"),
        ({"tr/ain": 1.0}, "cannot name a split"),
        ({"all": 1.0}, "cannot name a split"),
        ({"train": 1.0, "disjoint_by": ["colour"]}, "'source', 'speaker', 'participant', 'identity' or"),
        ({"train": "much"}, "number"),
        ({"train": float("nan")}, "above 0"),
    ],
)
def test_split_settings_are_checked(split, message):
    with pytest.raises(ValidationError) as caught:
        Export(stage="export", split=split)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "release", ["../up", "", "v1", "1.0", "1.0.0.0", "01.0.0", "1.0.0-rc1", "1.0.0\n", "١.0.0", "9" * 30 + ".0.0", 1.0]
)
def test_versions_are_three_numbers(release):
    with pytest.raises(ValidationError):
        Export(stage="export", release=release)
