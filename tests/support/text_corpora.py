"""Small corpora of dialogues, posts and preferences, in the formats of published ones, with the dirt that they have."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet


def make_reccon(folder: Path) -> None:
    """Labels with other names, a latent cause, words that are not in their turn, one kind of cause for two others."""

    def turn(number: int, speaker: str, text: str, emotion: str, **cause: Any) -> dict[str, Any]:
        return {"turn": number, "speaker": speaker, "utterance": text, "emotion": emotion, **cause}

    def cause(turns: list[Any], words: list[str], kinds: list[str]) -> dict[str, Any]:
        return {"expanded emotion cause evidence": turns, "expanded emotion cause span": words, "type": kinds}

    sweet = "I've always got room for something sweet !"
    desserts = [
        turn(1, "A", "It's time for desserts ! Are you still hungry ?", "neutral"),
        turn(2, "B", sweet, "happines", **cause([1, 2], ["desserts", sweet], ["no-context", "inter-personal"])),
    ]
    latent = [turn(2, "B", "Go .", "angry", **cause(["b"], ["b"], ["latent"])), turn(1, "A", "Hi .", "neutral")]
    three = cause([1, 2], ["Hello ,", "he left"], ["inter-personal", "self-contagion"])
    open_kinds = [
        turn(1, "A", "Hello , dear .", "neutral"),
        turn(2, "A", "So he left .", "neutral"),
        turn(3, "B", "Oh no .", "sad", **three),
    ]
    odd = [turn(1, "A", "Oh !", "surprise", **cause([1], ["No !"], ["no-context"])), turn(2, "B", "Fine .", "happy")]
    again = [turn(1, "A", "Ok .", "neutral"), turn(1, "A", "Ok .", "neutral"), turn(2, "B", " ", "neutral")]
    again.append(turn(3, "B", "Ok ?", "sad", **cause([2], ["Ok"], ["hybrid"])))
    splits = {
        "train": {"tr_1": [desserts], "tr_2": [latent]},
        "valid": {"va_1": [open_kinds]},
        "test": {"te_1": [odd], "te_2": [again]},
    }
    for name, dialogues in splits.items():
        (folder / f"dailydialog_{name}.json").write_text(json.dumps(dialogues))


def make_empathetic_dialogues(folder: Path) -> None:
    """Commas in words, stray quotation marks, rows with too many and too few cells, turns out of order."""
    header = "conv_id,utterance_idx,context,prompt,speaker_idx,utterance,selfeval,tags"
    prompt = 'I waited_comma_ and nobody came. "Alone'
    train = [
        f"hit:0_conv:1,2,lonely,{prompt},7,That is sad_comma_ sorry.,5|5|5_2|2|5,",
        f"hit:0_conv:1,1,lonely,{prompt},3,I waited the whole day.,5|5|5_2|2|5,",
        f"hit:0_conv:1,1,lonely,{prompt},3,I waited the whole day.,5|5|5_2|2|5,",
        "hit:2_conv:4,1,hopefull,It will be fine,4,I think so.,5|5|5_2|2|5,",
    ]
    test = [
        "hit:9_conv:8,1,sad,My cat died,5,My cat died.,5|5|5_2|2|5,,first answer|second answer",
        "hit:9_conv:8,2,sad,My cat died,6,Oh no!",
        "hit:9_conv:8,3,sad,My dog died,5,Yes.,5|5|5_2|2|5,",
    ]
    rows = {"train": train, "valid": ["hit:5_conv:6,1,proud,I won,1,I won!,5|5|5_2|2|5,"], "test": test}
    for name, lines in rows.items():
        (folder / f"{name}.csv").write_text("\n".join([header, *lines]) + "\n")


def make_dailydialog(folder: Path) -> None:
    """Lists of unlike length, a blank turn, and an emotion that there is not."""
    rows = {
        "train": [
            {"dialog": ["Hi , Jim . ", " Hello !"], "act": [3, 4], "emotion": [0, 4]},
            {"dialog": ["Who is there ?", "Me .", " "], "act": [2, 1, 1], "emotion": [6, 0, 0]},
        ],
        "validation": [{"dialog": ["Go away .", "No ."], "act": [3], "emotion": [1]}],
        "test": [{"dialog": ["Well ."], "act": [1], "emotion": [7]}],
    }
    for name, dialogues in rows.items():
        (folder / name).mkdir()
        parquet.write_table(pa.Table.from_pylist(dialogues), folder / name / "0000.parquet")


def make_emorynlp(folder: Path) -> None:
    """Two speakers at once, nobody who speaks, an utterance without words, and a label that is no longer used."""

    def utterance(number: int, speakers: list[str], text: str, emotion: str) -> dict[str, Any]:
        name = f"s01_e02_c01_u{number:03}"
        return {"utterance_id": name, "speakers": speakers, "transcript": text, "tokens": [[text]], "emotion": emotion}

    scenes = {
        "trn": [
            utterance(2, ["Joey Tribbiani"], "Yeah, right!.......Y'serious?", "Neutral"),
            utterance(3, ["Phoebe Buffay", "Rachel Green"], "Oh, yeah!", "Joyful"),
            utterance(4, [], "", "Neutral"),
            utterance(5, [], "It\u2019s off!", "scared"),
        ],
        "dev": [utterance(9, ["Ross Geller"], "No.", "Angry")],
        "tst": [utterance(12, ["Ross Geller"], "Yes.", "Powerful")],
    }
    for name, utterances in scenes.items():
        scene = {"scene_id": f"s01_e02_{name}", "utterances": utterances}
        content = {"season_id": "s01", "episodes": [{"episode_id": "s01_e02", "scenes": [scene]}]}
        (folder / f"emotion-detection-{name}.json").write_text(json.dumps(content))


def write_csv(path: Path, rows: list[list[Any]]) -> None:
    """Write rows with a comma between cells and quotation marks where they are needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


TEXT_MAKERS: dict[str, Callable[[Path], None]] = {
    "reccon": make_reccon,
    "empathetic_dialogues": make_empathetic_dialogues,
    "dailydialog": make_dailydialog,
    "emorynlp": make_emorynlp,
}
"""What writes a small corpus of texts, by the name of its shipped recipe."""
