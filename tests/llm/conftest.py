"""A key for every test that asks a model, a server that knows it, and posts to label."""

import pytest

from tests.support.asking import KEY
from tests.support.chat_double import ChatDouble
from tests.support.posts import Posts


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


@pytest.fixture
def double():
    with ChatDouble(key=KEY) as server:
        yield server


@pytest.fixture
def corpus(tmp_path, double, monkeypatch) -> Posts:
    monkeypatch.setenv("OPENAI_BASE_URL", double.url)
    return Posts(tmp_path / "posts")
