"""A double of the Hub that answers at once and stores by LFS."""

import pytest

from tests.support.hub_double import TOKEN, HubDouble


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
    monkeypatch.setattr("curate.hub.client._WAITS_S", (0.0, 0.0))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with HubDouble(tmp_path / "hub") as double:
        monkeypatch.setenv("HF_ENDPOINT", double.url)
        yield double
