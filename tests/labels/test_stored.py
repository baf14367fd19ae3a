"""Values of every field type in a workspace's tables and in a released file."""

import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.corpus.spec import open_table
from curate.labels import FIELD_TYPES, LabelSchema
from curate.release.features import arrow_schema
from curate.storage.workspace import Workspace
from tests.labels.test_fields import draw_case

few = settings(max_examples=4, suppress_health_check=list(HealthCheck), derandomize=True)
kinds = pytest.mark.parametrize("kind", sorted(FIELD_TYPES))
LABEL = {"label_source": "human", "raters": 1, "agreement": [], "soft": [], "method": "majority", "evidence": []}


@kinds
@few
@given(data=st.data())
def test_value_survives_a_table(kind, data):
    field, _, value = draw_case(data, kind)
    unit = sorted(field.units)[0]
    labels = LabelSchema.model_validate({"name": "it.v1", "unit": unit, "fields": {"f": field}})
    with tempfile.TemporaryDirectory() as folder:
        table = open_table(Workspace(Path(folder)), "labels", labels)
        table.commit([{**LABEL, "item_id": "a", "f": value}, {**LABEL, "item_id": "b", "f": None}], metadata={})
        assert {row["item_id"]: row["f"] for row in table.read().to_pylist()} == {"a": value, "b": None}


@kinds
@few
@given(data=st.data())
def test_value_survives_a_released_file(kind, data):
    import datasets

    field, _, value = draw_case(data, kind)
    schema = arrow_schema({"f": field.feature})
    rows = [{"f": field.to_release(value)}, {"f": None}]
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/data.parquet"
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
        loaded = datasets.Dataset.from_parquet(path, cache_dir=folder, keep_in_memory=True)
        assert field.from_release(loaded[0]["f"]) == value
        assert loaded[1]["f"] is None
