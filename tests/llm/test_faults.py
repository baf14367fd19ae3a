"""Every fault of the matrix, played by a server: the outcome, the tries, the account, and no item lost."""

import pytest

from tests.llm.fault_matrix import COUNT, HIT, play, rows


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.fault)
def test_fault(row, tmp_path):
    seen, tries, charged = play(row, tmp_path)
    assert tries == row.tries
    assert charged == row.charged
    if row.ends:
        assert type(seen.error).__name__ == row.ends
        return
    assert seen.error is None, seen.error
    assert seen.lost == 0
    hit = seen.replies[HIT]
    assert hit.outcome == row.outcome, hit.detail
    assert (hit.value is None) == (row.outcome != "ok")
    assert bool(hit.detail) == (row.outcome != "ok")
    assert [seen.replies[at].outcome for at in range(COUNT) if at != HIT] == ["ok"] * (COUNT - 1)
