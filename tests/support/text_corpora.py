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


def make_mvei(folder: Path) -> None:
    """Two statements on one picture, another word for an answer, a picture that leads out of the folder."""

    def entry(picture: str, *statements: tuple[str, str]) -> dict[str, Any]:
        entries = [
            {"statement": s, "label": x, "class": "sentiment polarity", "subclass": "none"} for s, x in statements
        ]
        return {"image_id": picture, "ov_emotion": ["awe", "calm"], "statement_list": entries}

    entries = [
        entry("awe/awe_1.jpg", ("It is calm.", "correct"), ("It is sad.", "incorrect")),
        entry("fear/fear_2.jpg", ("It frightens.", "Correct")),
        entry("fear/fear_3.jpg", ("It amuses.", "wrong")),
    ]
    (folder / "MVEI_metadata.json").write_text(json.dumps(entries))


def make_wildfeedback(folder: Path) -> None:
    """Equal replies, a conversation without a word, a reply that is missing, and a pair twice."""

    def pair(talk: list[str], chosen: str | None, rejected: str) -> dict[str, Any]:
        said = [{"from": ("human", "gpt")[number % 2], "value": text} for number, text in enumerate(talk)]
        return {
            "conversations": said,
            **{k: {"from": "gpt", "value": v} for k, v in (("chosen", chosen), ("rejected", rejected))},
        }

    pairs = [
        pair(["Hello", "Hi!", "Explain it.\nShortly."], "It is so.", "It is, as a matter of fact, so."),
        pair(["Why?"], "Because.", "Because."),
        pair(["Why?", ""], "Because.", "No idea."),
        pair(["How?"], None, "So."),
        pair(["Hello", "Hi!", "Explain it.\nShortly."], "It is so.", "It is, as a matter of fact, so."),
    ]
    (folder / "wildfeedback.json").write_text(json.dumps(pairs))


def make_mm_rlhf(folder: Path) -> None:
    """Pictures and films, equal replies, and a line that is cut off."""
    rows = [
        {"image": "short/1.jpg", "prompt": "Who is it?", "chosen": "A child.", "rejected": "A dog.", "chosen_rank": 1},
        {"video": "long/2.mp4", "prompt": "What happens?", "chosen": "They dance.", "rejected": "Nothing."},
        {"image": "mcq/3.jpg", "prompt": "A or B?", "chosen": "A", "rejected": "A"},
    ]
    lines = [json.dumps(row) for row in rows]
    (folder / "dpo_pairs.jsonl").write_text("\n".join([*lines, lines[0][:40]]) + "\n")


def make_se_emotion_causes(folder: Path) -> None:
    """A stop before the words, a line break after them, words that were corrected, a curly quotation mark."""
    rows = [
        ["id", "modified_comment", "Cause Span"],
        [659305436, "I think that this\nmight not work. Odd.", ".might not work"],
        [707483092, "I might be missing something.\nIn fact, no.", "I might be missing something.\n"],
        [512943729, "That seems unnecessary to me.", "seems unneccesary"],
        [918672907, "I don\u2019t understand.", "I don\u2019t understand."],
        [918672908, "Fine.", ""],
    ]
    write_csv(folder / "manual_causes.csv", rows)


SEMEVAL = (
    *("anger", "anticipation", "disgust", "fear", "joy", "love", "optimism", "pessimism"),
    *("sadness", "surprise", "trust"),
)


def make_semeval2018_emotions(folder: Path) -> None:
    """A quotation mark that is never closed, a tweet without emotions, and a tick that is none."""
    rows = {
        "train": [
            ("2017-En-1", '"Worry is a down payment', "01000010001"),
            ("2017-En-2", "Five o'clock.", "00000000000"),
        ],
        "dev": [("2018-En-3", "So happy \U0001f602", "00001100000")],
        "test-gold": [("2018-En-4", "Hm", "20000000000")],
    }
    for name, tweets in rows.items():
        lines = ["\t".join(["ID", "Tweet", *SEMEVAL])]
        lines += ["\t".join([tweet, text, *ticks]) for tweet, text, ticks in tweets]
        (folder / f"2018-E-c-En-{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def make_semeval2025_emotions(folder: Path) -> None:
    """Numbers as 2 and as 2.0, a text of two lines, and a strength that there is not."""
    header = ["id", "text", "anger", "fear", "joy", "sadness", "surprise"]
    rows = {
        "train": [["eng_1", "I shook.\nA lot.", 0, 3, 0, 1, 0], ["eng_2", "Well.", 0, 0, 0, 0, 0]],
        "dev": [["eng_3", "Great!", "0.0", "0.0", "2.0", "0.0", "1.0"]],
        "test": [["eng_4", "No!", 5, 0, 0, 0, 0]],
    }
    for name, lines in rows.items():
        write_csv(folder / "track_b" / name / "eng.csv", [header, *lines])


def make_aaid(folder: Path) -> None:
    """Another task, an answer of none, one with a label that there is not, and a text of two lines."""
    kinds = ", ".join(SEMEVAL)
    task = (
        "Human: \nTask: Categorize the text's emotional tone as either 'neutral or no emotion' or identify the "
        f"presence of one or more of the given emotions ({kinds}).\nText: {{}}\nThis text contains emotions:\n\n"
        "Assistant:\n"
    )
    other = "Human: \nTask: Assign a numerical value between 0 and 1.\nText: Hi\nEmotion: joy\nIntensity Score:\n"

    def sample(value: str, answer: str) -> dict[str, Any]:
        return {"id": "x", "conversations": [{"from": "human", "value": value}, {"from": "assistant", "value": answer}]}

    splits = {
        "train": [sample(task.format("Be\nhappy."), "joy, love, optimism"), sample(other, "0.896")],
        "dev": [sample(task.format("At five."), "neutral or no emotion")],
        "test": [sample(task.format("Oh."), "joy, wonder")],
    }
    for name, samples in splits.items():
        (folder / f"{name}.json").write_text(json.dumps(samples))


def make_emo_pillars(folder: Path) -> None:
    """Ticks as a list, one of which is too short."""
    rows = {
        "train": [("You are the best!", {0, 17}), ("We meet at five.", {27})],
        "validation": [("I dread it.", {14})],
        "test": [("Well.", set())],
    }
    for name, sentences in rows.items():
        table = [{"text": text, "labels": [int(n in ticked) for n in range(28)]} for text, ticked in sentences]
        if name == "validation":
            table.append({"text": "Hm.", "labels": [1, 2]})
        parquet.write_table(pa.Table.from_pylist(table), folder / f"{name}-00000-of-00001.parquet")


def make_leia(folder: Path) -> None:
    """A category that does not count, an emotion without a category, and the same post of two writers."""
    write_csv(folder / "emotion_categories.csv", [["id", "name"], [1, "Happiness"], [2, "Creativity"], [3, "Fear"]])
    emotions = [["id", "emotion_category_id", "name"], [10, 1, "Giggly"], [11, 2, "Artistic"], [12, 3, "Worried"]]
    write_csv(folder / "emotions.csv", [*emotions, [13, 9, "Lost"]])
    rows = [
        ["emotion_id", "user_id", "created_at", "text"],
        [10, "a", "2016-01-01", "What a day!"],
        [12, "b", "2016-01-02", "What a day!"],
        [11, "a", "2016-01-03", "I painted."],
        [13, "c", "2016-01-04", "Where?"],
    ]
    write_csv(folder / "vent.csv", rows)


def make_emotionlines(folder: Path) -> None:
    """A line that people disagree on, one with six votes, one with none, and votes with a digit too few."""

    def line(speaker: str, text: str, emotion: str, votes: str) -> dict[str, str]:
        return {"speaker": speaker, "utterance": text, "emotion": emotion, "annotation": votes}

    scenes = [
        [
            line("Chandler", "My duties?  All right.", "surprise", "2000030"),
            line("Monica", "Oh.", "non-neutral", "2210000"),
        ],
        [line("Ross", "Hi\x92s.", "neutral", "6000000"), line("Ross", "Hm.", "neutral", "0000000")],
    ]
    (folder / "friends.json").write_text(json.dumps(scenes))
    (folder / "emotionpush.json").write_text(json.dumps([[line("1051336806", "lol", "joy", "050000")]]))


def make_prc_emo(folder: Path) -> None:
    """More speakers than sentences, a sentence of another emotion, and one without a label."""
    talk = {"labels": [4, 2, -1], "sentences": ["Guess what?", "what?", "Hm."], "genders": ["M", "F", "M", "M", "F"]}
    short = {"labels": [1], "sentences": ["He left.", "Oh."], "genders": ["F", "M"]}
    for name, dialogues in {"train": {"Ses05M_impro03": talk}, "valid": {"Ses01F_a": short}, "test": {}}.items():
        content = dialogues or {"Ses05F_b": {"labels": [9], "sentences": ["No."], "genders": ["F"]}}
        (folder / f"iemocap.{name}.json").write_text(json.dumps(content))


def make_longemotion(folder: Path) -> None:
    """A long text, and a label of two emotions."""
    start = {"source": "emobench", "choices": ["Joy", "Anger & Love"], "length": 3}
    rows = [
        {"id": 0, "content": "It rained. " * 20_000 + "Ann smiled.", "subject": "Ann", "label": "Joy", **start},
        {"id": 1, "content": "Ben came back.", "subject": "Ben", "label": "Anger & Love", **start},
        {"id": 2, "content": "Cy came back.", "subject": "Cy", "label": "", **start},
    ]
    (folder / "Emotion_Classification_Emobench.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")


def make_measles_videos(folder: Path) -> None:
    """A title of two lines, links with and without a scheme, a video twice, and no title."""
    rows = [
        ["URL", "Title", "Description", "Date"],
        ["https://www.youtube.com/watch?v=1", "Terrible outbreak kills children", "News", "2024-01-02"],
        ["tiktok.com/@a/video/2", "I love this great vaccine,\nit is wonderful!", "", "2024-02-03"],
        ["https://www.youtube.com/watch?v=1", "Terrible outbreak kills children", "News", "2024-01-02"],
        ["https://m.youtube.com/watch?v=3", "", "Only this", "2024-02-03"],
    ]
    write_csv(folder / "videos.csv", rows)


def make_viewer_comments(folder: Path) -> None:
    """Replies, a comment without words, emoji, and a comment of nobody."""

    def comment(name: str, text: str, author: str | None, parent: str = "root") -> dict[str, Any]:
        who = {"author": f"@{author}", "author_id": f"UC{author}"} if author else {}
        return {"id": name, "parent": parent, "text": text, "like_count": 3, "timestamp": 1_700_000_000, **who}

    comments = [
        comment("Ug1", "Thank you so much \u2764\ufe0f", "ann"),
        comment("Ug1.9", "This is disgusting.", "ben", "Ug1"),
        comment("Ug2", "", "cy"),
        comment("Ug3", "First!", None),
    ]
    (folder / "films").mkdir()
    for name, said in (("a", comments), ("b", comments[:1])):
        film = {"id": name, "title": f"Film {name}", "comments": said}
        (folder / "films" / f"{name}.info.json").write_text(json.dumps(film))


def make_environmental_posts(folder: Path) -> None:
    """Numbers with a sign, a tone that there is not, and a check of a post that is not there."""
    emotions = ["anger", "anticipation", "disgust", "fear", "joy", "sadness", "surprise", "trust"]
    rows = [
        ["id", "text", "pmi", *emotions],
        ["00012", "The river is dying, a terrible crime.", -1, 1, 0, 1, 0, 0, 1, 0, 0],
        ["00013", "We planted a lovely wood.", "+1", 0, 1, 0, 0, 1, 0, 0, 1],
        ["00014", "It rains.", 7, 0, 0, 0, 0, 0, 0, 0, 0],
    ]
    write_csv(folder / "posts.csv", rows)
    write_csv(folder / "checked.csv", [["id", "tone"], ["00012", -1], ["00014", 0], ["99", 1]])


def make_empathicstories(folder: Path) -> None:
    """A story that two people read, an answer beyond the scale, and none."""
    rows = [
        ["participant_id", "story_id", "story", "empathy"],
        ["p01", "s1", "I lost my dog,\nand cried.", 5],
        ["p02", "s1", "I lost my dog,\nand cried.", 2],
        ["p01", "s2", "I moved.", 6],
        ["p02", "s2", "I moved.", ""],
    ]
    write_csv(folder / "read_stories.csv", rows)


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
    "emotionlines": make_emotionlines,
    "prc_emo": make_prc_emo,
    "mvei": make_mvei,
    "wildfeedback": make_wildfeedback,
    "mm_rlhf": make_mm_rlhf,
    "se_emotion_causes": make_se_emotion_causes,
    "semeval2018_emotions": make_semeval2018_emotions,
    "semeval2025_emotions": make_semeval2025_emotions,
    "aaid": make_aaid,
    "emo_pillars": make_emo_pillars,
    "leia": make_leia,
    "longemotion": make_longemotion,
    "measles_videos": make_measles_videos,
    "viewer_comments": make_viewer_comments,
    "environmental_posts": make_environmental_posts,
    "empathicstories": make_empathicstories,
}
"""What writes a small corpus of texts, by the name of its shipped recipe."""
