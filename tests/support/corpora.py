"""Small files in the formats of published corpora, with the dirt that the real ones have."""

from collections.abc import Callable
from pathlib import Path

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


MAKERS: dict[str, Callable[[Path], None]] = {
    "cremad": make_cremad,
    "ferplus": make_ferplus,
    "emobank_readers": make_emobank,
    "emobank_writers": make_emobank,
    "emonet_face": make_emonet_face,
    "goemotions": make_goemotions,
}
"""What writes a small corpus, by the name of its shipped recipe."""
