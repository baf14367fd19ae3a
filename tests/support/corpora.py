"""Small files in the formats of published corpora, with the dirt that the real ones have."""

import json
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.support.release_builders import make_jpeg

CREMAD_CLIPS = ("1001_IEO_NEU_XX", "1001_IEO_HAP_LO", "1002_DFA_ANG_XX")
CREMAD_VOTES = {
    # clip by arm: votes for A, D, F, H, N, S
    (1, 0): (0, 0, 0, 1, 10, 0),
    (1, 1): (0, 0, 0, 4, 4, 1),
    (1, 2): (9, 0, 0, 0, 1, 0),
    (2, 0): (0, 0, 0, 0, 9, 0),
    (2, 1): (0, 0, 0, 10, 0, 0),
    (2, 2): (8, 2, 0, 0, 0, 0),
    (3, 0): (0, 0, 0, 0, 8, 1),
    (3, 1): (0, 0, 0, 10, 0, 0),
    (3, 2): (10, 0, 0, 0, 0, 0),
}


def make_cremad(folder: Path) -> None:
    """Quoted cells and a first column without a name; each clip in three rows."""
    lines = ['"","A","D","F","H","N","S","fileName","numResponses","emoVote"']
    for (arm, clip), votes in CREMAD_VOTES.items():
        counts = ",".join(map(str, votes))
        lines.append(f'"{arm}{clip + 1:05}",{counts},"{CREMAD_CLIPS[clip]}",{sum(votes)},"N"')
    (folder / "tabulatedVotes.csv").write_text("\n".join(lines) + "\n")
    (folder / "VideoDemographics.csv").write_text(
        '"ActorID","Age","Sex","Race","Ethnicity"\n1001,51,"Male","Caucasian","Not Hispanic"\n'
        '1002,21,"Female","Caucasian","Not Hispanic"\n'
    )


def make_ferplus(folder: Path) -> None:
    """A row without a picture, one with nine votes, one twice, and one picture with two different rows."""
    header = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
    rows = [
        "Training,fer0000000.png,4,0,0,1,3,2,0,0,0,0",
        "Training,fer0000001.png,6,0,1,1,0,0,0,0,2,0",
        "Training,,5,0,0,3,1,0,0,0,1,0",
        "Training,fer0000001.png,6,0,1,1,0,0,0,0,2,0",
        "PublicTest,fer0000003.png,4,0,0,4,1,0,0,0,0,0",
        "PrivateTest,fer0000004.png,0,0,0,0,0,0,0,0,1,9",
        "PrivateTest,fer0000004.png,9,0,0,0,0,0,0,0,1,0",
    ]
    (folder / "fer2013new.csv").write_text("\n".join([header, *rows]) + "\n")


def make_emobank(folder: Path) -> None:
    """Ratings without raters, equal ones, spam, a quoted text with quotation marks, a sentence without ratings."""
    (folder / "raw.csv").write_text('"id","text"\n"A_1","I can\'t ""believe"" it."\n"A_2","Fine."\n"B_1","Well."\n')
    (folder / "meta.tsv").write_text("id\tdocument\tcategory\tsubcategory\nA_1\tA\tblog\t \nA_2\tA\tblog\t \n")
    (folder / "emobank.csv").write_text(
        'id,split,V,A,D,text\nA_1,train,3.0,3.0,3.2,"I can\'t."\nA_2,test,3,3,3,Fine.\n'
    )
    ratings = "id,V,A,D\nA_1,3,3,3\nA_1,3,3,3\nA_1,4,5,3\nA_1,1,1,1\nA_2,2,3,3\nC_9,2,2,2\nA_2,6,3,3\n"
    for who in ("reader", "writer"):
        (folder / f"individual_{who}_ratings.csv").write_text(ratings)


def make_emonet_face(folder: Path) -> None:
    """Ids with leading zeros, truth values as text, a second rater only after a True."""
    rows = ["00000,human-1,True,Anger", "00000,human-2,True,Anger", "00000,human-3,False,Contentment"]
    rows += ["00001,human-1,False,Pleasure/Ecstasy", "00001,human-1,True,Pleasure/Ecstasy"]
    (folder / "binary.csv").write_text("\n".join(["path,annotator,value,emotion", *rows]) + "\n")


def make_goemotions(folder: Path) -> None:
    """No first line with names, quotation marks that enclose nothing, curly ones, neutral beside another label."""
    rows = {
        "train": ['"Do it!\t27\teebbqej', "You know, don’t avoid them!\t4,27\tee84bjg", "Same.\t0\teaaaaa1"],
        "dev": ["Same.\t1,17\teaaaaa2", "Odd.\t28\teaaaaa3"],
        "test": ['She said "no" twice\t25\teecwqtt'],
    }
    for name, lines in rows.items():
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def make_emodb(folder: Path) -> None:
    """A recording for each of three letters, and one whose name says nothing."""
    for name in ("03a01Fa", "03a01Nc", "16b10Lb", "speech"):
        _write_tone(folder / f"wav/{name}.wav", name)


def make_ravdess(folder: Path) -> None:
    """Speech and song, and a folder with a copy, as in one archive."""
    for name in ("Actor_01/03-01-02-01-01-01-01", "Actor_24/03-02-06-02-02-02-24", "Actor_01/03-01-09-01-01-01-01"):
        _write_tone(folder / f"{name}.wav", name)
    _write_tone(folder / "copy/Actor_01/03-01-02-01-01-01-01.wav", "Actor_01/03-01-02-01-01-01-01")


def make_beat(folder: Path) -> None:
    """First and last sequences of emotions, a conversation, another language, and a sequence that there is not."""
    for name in ("1_wayne_0_1_8", "1_wayne_0_65_72", "2_scott_0_111_118", "2_scott_1_103_103", "2_scott_0_119_119"):
        _write_tone(folder / f"{name[0]}/{name}.wav", name)
    _write_tone(folder / "12/12_zhao_2_1_1.wav", "zh")


def make_meld(folder: Path) -> None:
    """Curly quotation marks, a label with a space, a row twice, an utterance that ends before it starts."""
    header = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"
    said = '"Oh. That\u2019s so Monica, \u2018Where\u2019s 27?!\u2019"'
    push = '2,Push!,Joey,joy,positive,1,1,1,23,"0:10:46,146","0:10:46,833"'
    rows = {
        "train": [f'1,{said},Rachel,anger ,negative,0,1,3,19,"00:14:40,629","00:14:47,385"', push, push],
        "dev": ['1,Oh!,Phoebe,surprised,positive,0,1,4,14,"00:08:42,271","00:08:43,271"'],
        "test": ['1,Bye!,Joey,neutral,neutral,1,1,5,20,"0:13:24,929","0:13:24,386"'],
    }
    for name, lines in rows.items():
        (folder / f"{name}_sent_emo.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")


def make_mahaemotions(folder: Path) -> None:
    """Labels in lower case and with a space, columns without a name, a cell of two lines, tweets in several files."""
    (folder / "test.csv").write_text("Tweet,Label\nएक,Neutral\nदोन,Anger\n", encoding="utf-8")
    (folder / "validation.csv").write_text('Tweet,Label,,\n"तीन\nचार",respect,,\nपाच,Happiness ,,\n', encoding="utf-8")
    train = "Tweet,Label\nसहा,Sarcasm\nदोन,Disgust\nसहा,Sarcasm\nसात,Anger/Disgust\n"
    (folder / "train.csv").write_text(train, encoding="utf-8")


def make_emoset(folder: Path) -> None:
    """Rows that are lists, one of them without its id."""
    rows = {
        "train": [("amusement", 12865), ("fear", 7)],
        "val": [("contentment", 3)],
        "test": [("awe", 4)],
    }
    for name, pairs in rows.items():
        lists = [
            [label, f"{label}_{n:05}", f"image/{label}/{label}_{n:05}.jpg", f"annotation/{label}/{label}_{n:05}.json"]
            for label, n in pairs
        ]
        if name == "train":
            lists.append(lists[0][1:])
        (folder / f"{name}.json").write_text(json.dumps(lists))


def make_emo8(folder: Path) -> None:
    """A folder for each class; one name in two of them, and a folder that is no class."""
    places = ("train/awe/1.jpg", "train/fear/1.jpg", "val/Sadness/2.jpg", "test/anger/3.jpg", "test/joy/4.jpg")
    for number, place in enumerate(places):
        path = folder / place
        path.parent.mkdir(parents=True)
        path.write_bytes(make_jpeg(number))


def make_se_emotions(folder: Path) -> None:
    """Ticks as 0 and 1, as X, x and blank cells, one that is neither, a comment of two lines, one without emotions."""
    header = "repo,type,id,created_at,user,comment,modified_comment,Anger,Love,Fear,Joy,Sadness,Surprise,Emotion 2"
    start = "angular/angular,issue,{},2021-07-29 21:59:28,ann,raw"
    train = [
        start.format(1) + ',"[USER] Well done,\nthank you!",0,1,0,1,0,0,None',
        start.format(2) + ",Use the parser.,0,0,0,0,0,0,None",
        start.format(3) + ",This is broken again.,X,,,,x,,",
    ]
    test = [start.format(4) + ",Hm.,0,0,maybe,0,0,0,None", start.format(1) + ",Odd.,0,0,0,0,0,1,None"]
    for name, lines in (("train", train), ("test", test)):
        (folder / f"ann-{name}.csv").write_text("\n".join([header, *lines]) + "\n")


def make_wrime(folder: Path) -> None:
    """A post of two lines, one sent twice, a strength that the scale does not have, an emotion for one of three."""
    emotions = ("Joy", "Sadness", "Anticipation", "Surprise", "Anger", "Fear", "Disgust", "Trust", "Sentiment")
    raters = ("Writer", "Reader1", "Reader2", "Reader3", "Avg. Readers")
    names = [f"{rater}_{emotion}" for rater in raters for emotion in emotions]
    flat = (0, 3, 0, 1, 3, 0, 0, 0, 0)
    readers = ((0, 3, 0, 3, 1, 2, 1, 0, -1), (0, 2, 0, 2, 0, 0, 0, 0, -1), (0, 2, 0, 2, 0, 1, 1, 0, -2))
    numbers = [*flat, *(number for reader in readers for number in reader), *readers[1]]
    odd = [{"Reader1_Joy": 1, "Reader2_Joy": 4}.get(name, 0) for name in names]
    rows = [
        ('"車のタイヤが\nパンクしてた"', 1, "train", numbers),
        ("眠い", 2, "test", odd),
        ("眠い", 2, "test", [0] * len(names)),
    ]
    lines = ["\t".join(["Sentence", "UserID", "Datetime", "Train/Dev/Test", *names])]
    lines += ["\t".join([text, str(user), "2012/07/31", split, *map(str, row)]) for text, user, split, row in rows]
    (folder / "wrime-ver2.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_tone(path: Path, name: str) -> None:
    """Write half a second of sound, another one for each name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(list(name.encode()))
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(rng.integers(-3000, 3000, 8_000, dtype=np.int16).tobytes())


MAKERS: dict[str, Callable[[Path], None]] = {
    "cremad": make_cremad,
    "ferplus": make_ferplus,
    "emobank_readers": make_emobank,
    "emobank_writers": make_emobank,
    "emonet_face": make_emonet_face,
    "goemotions": make_goemotions,
    "emodb": make_emodb,
    "ravdess": make_ravdess,
    "beat": make_beat,
    "meld": make_meld,
    "mahaemotions": make_mahaemotions,
    "emoset": make_emoset,
    "emo8": make_emo8,
    "se_emotions": make_se_emotions,
    "wrime": make_wrime,
}
"""What writes a small corpus, by the name of its shipped recipe."""
