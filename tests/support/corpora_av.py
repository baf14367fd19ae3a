"""Small files in the formats of published corpora of sound and video, with the dirt that the real ones have."""

import io
import json
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

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


def make_mer_caption(folder: Path) -> None:
    """Lists as Python writes them, none at all, one that is broken, a clip without words."""
    words = {
        "sample_00000001": "\"['happy', 'looking forward', 'Happy']\"",
        "sample_00000002": "[]",
        "sample_00000003": "\"['sad', 'wor\"",
    }
    lists = "\n".join(f"{name},{cell}" for name, cell in words.items())
    _write(folder / "track2_train_mercaptionplus.csv", f"name,openset\n{lists}\n")
    _write(folder / "track2_train_ovmerd.csv", 'name,openset\nsamplenew_00000009,"[""can\'t believe"", \'angry\']"\n')
    reasons = (
        'name,reason\nsample_00000001,"She smiles, then laughs."\nsample_00000002,He waits.\nsample_00000007,Lost.\n'
    )
    _write(folder / "track3_train_mercaptionplus.csv", reasons)
    _write(folder / "track3_train_ovmerd.csv", "name,reason\nsamplenew_00000009,He frowns.\n")
    subtitles = "name,chinese,english\nsample_00000001,太好了,Great!\nsamplenew_00000009,不会吧,\n"
    _write(folder / "subtitle_chieng.csv", subtitles)


def make_emer(folder: Path) -> None:
    """An emotion with a capital letter, one that is not of the six; clips of both versions."""
    header = "names,emotions,subtitles,reasons\n"
    first = (
        'sample_1,Worried,"Well, maybe.","His brow is furrowed, he pauses."\nsample_2,puzzled,Oh?,She tilts her head.\n'
    )
    _write(folder / "dataset-v1/gt-eng.csv", header + first)
    second = 'name,chinese,english\nsample_1,他皱眉,"He frowns. ""Maybe"" sounds anxious."\nsample_3,她笑,She smiles.\n'
    _write(folder / "dataset-v2/final-EMER-reason.csv", second)


def make_emonet_voice(folder: Path) -> None:
    """Sound in cells, raters in a list as Python writes it, a score that there is not, a cell that says more."""
    labels = [
        "[{'human-1': {'Shame': 1}}, {'human-4': {'Shame': 2}}]",
        "[{'human-2': {'Impatience%20and%20Irritability': 0}}]",
        "[{'human-1': {'Awe': 2}}, {'human-3': {'Awe': 5}}]",
        "[{'human-1': {'Fear': 1}}, {'human-3': 'no idea'}]",
    ]
    sounds = [{"bytes": _tone(text), "path": f"{number}.wav"} for number, text in enumerate(labels)]
    pq.write_table(pa.table({"audioId": sounds, "label": labels}), folder / "train-00000-of-00001.parquet")


def make_omg_empathy(folder: Path) -> None:
    """A row for each picture: one blank, one that is no number, one off the scale."""
    rows = ["0.1", "0.12", "", "nan", "-1.5", "-1.0", "0"]
    _write(folder / "Training/Annotations/Subject_1_Story_2.csv", "\n".join(["valence", *rows]) + "\n")
    _write(folder / "Testing/Annotations/Subject_10_Story_3.csv", "valence\n0.5\n0.5\n")


def make_sewa(folder: Path) -> None:
    """Annotators in columns, who begin and end apart; times out of order, one sample twice."""
    rows = ["time,A1,A2,A3", "0.0,0.1,,0.25", "0.1,0.2,-0.5,x", "0.3,0.3,-0.5,", "0.2,0.25,-0.4,", "0.2,0.9,,"]
    _write(folder / "annotations/valence/SEWA0101.csv", "\n".join(rows) + "\n")
    _write(folder / "annotations/arousal/SEWA0101.csv", "time,A1,A4\n0.0,0,1.2\n0.1,0,1\n")
    _write(folder / "annotations/liking/SEWA0101.csv", "time,A1\n0.0,-1\n")


def make_deam(folder: Path) -> None:
    """Workers with and without names, other lengths, spaces after commas, a worker twice, an unknown piece."""
    start = folder / "annotations per each rater"
    for dimension in ("valence", "arousal"):
        dynamic = start / "dynamic (per second annotations)" / dimension
        for song in ("2", "10", "100", "1000"):
            _write(dynamic / f"{song}.csv", "sample_15000ms,sample_15500ms\n0.25,0.5\n-0.1,\n")
        for song in ("1001", "1010", "1100", "2001"):
            rows = "w1,0.1,0.2,\nw2,0.3,7,0.5\n" + ("w1,0.9,0.9,\n" if song == "1010" else "")
            _write(dynamic / f"{song}.csv", f"WorkerId,sample_15000ms,sample_15500ms,sample_16000ms\n{rows}")
    _write(
        start / "song_level/static_annotations_songs_1_2000.csv",
        "workerID, SongId, Valence, Arousal\nw1, 1001, 7, 3\nw3, 1001, 10, 3\nw3, 3000, 5, 5\n",
    )


def make_msp_podcast(folder: Path) -> None:
    """Secondary emotions or none, words under Other, a detail without its end, a segment without consensus."""
    rows = [
        "MSP-PODCAST_0001_0001.wav,WORKER00000001; Happy; Happy,Amused; A:5.0; V:6.0; D:4.0;",
        "MSP-PODCAST_0001_0001.wav,WORKER00000002; Neutral; Neutral; A:4.0; V:4.0; D:4.0;",
        "MSP-PODCAST_0001_0001.wav,WORKER00000003; Other-hopeful, eager; A:5.0; V:6.0; D:8.0;",
        "MSP-PODCAST_0001_0002.wav,WORKER00000001; Other-tired; Sad; A:2.0; V:3.0; D:3.0;",
        "MSP-PODCAST_0001_0002.wav,WORKER00000002; Sad; Sad; A:2.0; V:2.0",
        "MSP-PODCAST_0001_0003.wav,WORKER00000002; Fear; A:6.0; V:2.0; D:2.0;",
    ]
    cells = (row.partition(",") for row in rows)
    text = "\n".join(f'{name},"{detail}"' for name, _, detail in cells)
    _write(folder / "Labels/labels_detailed.csv", f"FileName,EmoDetail\n{text}\n")
    consensus = "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set\n"
    consensus += "MSP-PODCAST_0001_0001.wav,X,4.5,5,4,12,Female,Train\n"
    consensus += "MSP-PODCAST_0001_0002.wav,O,2,3,3,Unknown,Male,Test1\n"
    _write(folder / "Labels/labels_consensus.csv", consensus)


def make_bah(folder: Path) -> None:
    """Transcripts with commas and quotation marks, none at all, a label that there is not, a video twice."""
    train = 'Videos/82557/q1.mp4,1,Well, I could... "maybe", no.\nVideos/82557/q2.mp4,0,\nVideos/82558/q1.mp4,2,Yes.\n'
    _write(folder / "train.txt", train)
    _write(folder / "val.txt", "Videos/82600/q1.mp4,0\n")
    _write(folder / "test.txt", "Videos/82700/q1.mp4,1,Hm.\nVideos/82557/q2.mp4,0,\n")


def make_rafdb_compound(folder: Path) -> None:
    """The first and the last number, one that there is not, a line without any."""
    lines = "train_0001.jpg 1\ntrain_0002.jpg  11\ntest_0001.jpg 12\ntest_0002.jpg\n"
    _write(folder / "compound/EmoLabel/list_patition_label.txt", lines)


def make_fea(folder: Path) -> None:
    """Lists of units and labels, no unit, two labels, a unit that there is not, a line that is cut off."""
    rows = [
        {"id": "a1", "AUs": ["AU6", "AU12"], "labels": ["happiness"], "description": "AU6 and AU12: a smile."},
        {"id": "a2", "AUs": [], "labels": ["anger"], "description": "Nothing moves."},
        {"id": "a3", "AUs": ["AU99"], "labels": ["fear"], "description": "Odd."},
        {"id": "a4", "AUs": ["AU1"], "labels": ["fear", "sadness"], "description": "Both."},
    ]
    texts = [json.dumps({"dataset": "RAF-DB", "image": f"{row['id']}.jpg", **row}) for row in rows]
    _write(folder / "fea_train.jsonl", "\n".join([*texts, texts[0][:40]]) + "\n")
    _write(folder / "fea_test.jsonl", texts[0].replace("a1", "b1") + "\n")


def _tone(name: str) -> bytes:
    """Half a second of sound, another one for each name."""
    rng = np.random.default_rng(list(name.encode()))
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(rng.integers(-3000, 3000, 8_000, dtype=np.int16).tobytes())
    return content.getvalue()


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


MAKERS: dict[str, Callable[[Path], None]] = {
    "iemocap": make_iemocap,
    "mer_caption": make_mer_caption,
    "emer": make_emer,
    "emonet_voice": make_emonet_voice,
    "omg_empathy": make_omg_empathy,
    "sewa": make_sewa,
    "deam": make_deam,
    "msp_podcast": make_msp_podcast,
    "bah": make_bah,
    "rafdb_compound": make_rafdb_compound,
    "fea": make_fea,
}
"""What writes a small corpus, by the name of its shipped recipe."""
