"""Links in a release let nobody act in the name of whoever made it."""

import pyarrow as pa
import pytest

from curate.corpus.link_names import public_link, public_links


@pytest.mark.parametrize(
    ("link", "public"),
    [
        ("raw/a.mp4", "raw/a.mp4"),
        ("raw/is it?token=1.mp4", "raw/is it?token=1.mp4"),
        ("https://x.org/a.mp4", "https://x.org/a.mp4"),
        ("https://x.org/watch?v=abc&t=1%2C5", "https://x.org/watch?v=abc&t=1%2C5"),
        ("https://ann:secret@x.org/a.mp4", "https://x.org/a.mp4"),
        (
            "https://b.s3.amazonaws.com/a.mp4?v=1&X-Amz-Algorithm=A&X-Amz-Credential=K%2F1&X-Amz-Signature=ff",
            "https://b.s3.amazonaws.com/a.mp4?v=1",
        ),
        (
            "https://b.blob.core.windows.net/a.mp4?sv=2024&se=2026&sig=a%3D",
            "https://b.blob.core.windows.net/a.mp4?sv=2024&se=2026",
        ),
        ("https://x.org/a?access_token=1&API_KEY=2&key=3&id=4&sessionid=5#x", "https://x.org/a?id=4#x"),
        ("https://x.org/a?a=&b=%C3%A4&Policy=p&Key-Pair-Id=k&Signature=s", "https://x.org/a?a=&b=%C3%A4"),
        ("https://[x.org/a?token=1", "https://[x.org/a"),
    ],
)
def test_access_is_left_out_and_nothing_else(link, public):
    assert public_link(link) == public
    assert public_link(public) == public
    names = pa.chunked_array([["raw/b.mp4", None], [link]])
    assert public_links(names).to_pylist() == ["raw/b.mp4", None, public]
