"""What outsiders wrote is printed as text: it moves no cursor and colours nothing."""

import json

import pytest

from curate.cli import output
from curate.errors import InvalidInput

HOSTILE = "a\x1b[2Jb\x1b]0;title\x07c\x9bd\re\x7f\u202ef\ud83d"


@pytest.mark.parametrize(
    "show",
    [
        output.say,
        output.note,
        lambda text: output.show_error(InvalidInput(text, problems=(text,), hint=text)),
        lambda text: output.show_table([text], [[text]], title=text),
        lambda text: output.show_json({text: text}),
    ],
)
def test_control_characters_are_shown_escaped(capsys, show):
    show(HOSTILE)
    printed = "".join(capsys.readouterr())
    assert "a" in printed
    assert not set(printed) & set("\x1b\x07\x9b\r\x7f\u202e\ud83d")


def test_json_is_still_the_same_document(capsys):
    output.show_json({"name": HOSTILE, "line": "a\nb"})
    assert json.loads(capsys.readouterr().out) == {"name": HOSTILE, "line": "a\nb"}
