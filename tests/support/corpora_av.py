"""Small files in the formats of published corpora of sound and video, with the dirt that the real ones have."""

from collections.abc import Callable
from pathlib import Path

IEMOCAP_EVALUATION = """% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]
C-E2:\tNeutral;\t()
C-E3:\tNeutral; Frustration;\t(a bit (only))
C-F1:\tNeutral state;\t()
A-E3:\tval 3; act 2; dom  2;\t()
A-E4:\tval 2; act 3; dom  ;\t(mostly neutral)

[10.0100 - 11.3925]\tSes01F_impro01_M001\txxx\t[2.0000, 6.0000, 2.0000]
C-E2:\tOther;\t(tired)
C-E2:\tAnger;\t()
C-E4:\tPuzzlement;\t()
C-M1:\t;\t()
A-E3:\tval 2; act 6; dom  2;\t()

[14.8872 ? 18.0175]\tSes01F_impro01_F002\tang\t[1.0000, 4.0000, 4.0000]
C-E2:\tAnger;\t()
A-E3:\tval 1; act 4; dom  4;\t()
"""


def make_iemocap(folder: Path) -> None:
    """Blends, comments with parentheses, missing numbers, a rater twice, and a turn whose first line is damaged."""
    dialogue = "Session1/dialog/{}/Ses01F_impro01.txt"
    _write(folder / dialogue.format("EmoEvaluation"), IEMOCAP_EVALUATION)
    said = """Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.
M: Oh.
Ses01F_impro01_M001 [010.0100-011.3925]: Yeah.
Ses01F_impro01_MXX0 [013.0000-013.4000]: [LAUGHTER]
"""
    _write(folder / dialogue.format("transcriptions"), said)
    evaluation = (
        "[1.0000 - 2.5000]\tSes03M_script01_1_M000\thap\t[4.0000, 3.5000, 3.0000]\n"
        "C-E1:\tHappiness; Excited;\t()\nA-E1:\tval 4; act 3; dom  3;\t()\n"
    )
    dialogue = "Session3/dialog/{}/Ses03M_script01_1.txt"
    _write(folder / dialogue.format("EmoEvaluation"), evaluation)
    _write(folder / dialogue.format("transcriptions"), "Ses03M_script01_1_M000 [001.0000-002.5000]: Great!\n")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


MAKERS: dict[str, Callable[[Path], None]] = {
    "iemocap": make_iemocap,
}
"""What writes a small corpus, by the name of its shipped recipe."""
