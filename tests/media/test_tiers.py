"""Files of tiers: what ELAN, Praat and others write is read with the right times, and what is broken is named."""

from datetime import UTC, datetime
from pathlib import Path

import pympi
import pytest
from praatio import textgrid as praat

from curate.errors import InvalidRow
from curate.media.tiers.contents import Annotation, Entry, Tier, TierFile, Vocabulary
from curate.media.tiers.elan.parse import read_external
from curate.media.tiers.elan.write import Recording, to_eaf
from curate.media.tiers.open import read_tier_file
from curate.media.tiers.textgrid import write_textgrid
from tests.support.tiers import make_eaf, make_nova

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def timed(tiers: TierFile, tier: str | None = None) -> list[tuple]:
    return [(a.start_s, a.end_s, a.text) for a in tiers.annotations if tier is None or a.tier == tier]


def faults(tiers: TierFile) -> list[str]:
    return [fault.sentence for fault in tiers.faults]


def test_elan_tiers_with_people_media_and_properties(tmp_path):
    path = make_eaf(
        tmp_path / "a.eaf",
        {"mood ä": [(0.5, 2.0, 'say "x" & <y>'), (2.0, 3.25, "b")]},
        tier_attributes={"mood ä": 'PARTICIPANT="P1" ANNOTATOR="ann"'},
        header='<MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/rec/a%20b.mp4" MIME_TYPE="video/mp4" TIME_ORIGIN="1500"/>'
        '<PROPERTY NAME="project">seven</PROPERTY>',
    )
    tiers = read_tier_file(path)
    assert timed(tiers) == [(2.0, 3.5, 'say "x" & <y>'), (3.5, 4.75, "b")]
    assert tiers.tiers["mood ä"] == Tier("mood ä", "P1", "ann", "default")
    assert (tiers.media, tiers.properties, tiers.start_s) == (["a b.mp4"], {"project": "seven"}, 1.5)
    assert [annotation.line for annotation in tiers.annotations] == [8, 10]


def test_slots_without_a_time_are_spread_evenly(tmp_path):
    words = [(1.0, None, "a"), (None, None, "b"), (None, 4.0, "c"), (5.0, 6.0, "d")]
    assert timed(read_tier_file(make_eaf(tmp_path / "a.eaf", {"words": words}))) == [
        (1.0, 2.0, "a"),
        (2.0, 3.0, "b"),
        (3.0, 4.0, "c"),
        (5.0, 6.0, "d"),
    ]


def test_slots_that_nothing_tells_the_time_of_cost_their_annotations(tmp_path):
    path = make_eaf(tmp_path / "a.eaf", {"words": [(1.0, None, "a"), (3.0, 4.0, "b")]})
    tiers = read_tier_file(path)
    assert timed(tiers) == [(3.0, 4.0, "b")]
    assert faults(tiers) == [
        "annotation a1: its time slot 'ts2' has no time, and none can be told from those around it"
    ]


DEPENDENT = """<TIER TIER_ID="gloss" LINGUISTIC_TYPE_REF="gloss" PARENT_REF="words">
<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="g2" ANNOTATION_REF="a1" PREVIOUS_ANNOTATION="g1">
<ANNOTATION_VALUE>two</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="g1" ANNOTATION_REF="a1">
<ANNOTATION_VALUE>one</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="g3" ANNOTATION_REF="a9">
<ANNOTATION_VALUE>lost</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION></TIER>
<TIER TIER_ID="note" LINGUISTIC_TYPE_REF="note" PARENT_REF="gloss">
<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="n1" ANNOTATION_REF="g2">
<ANNOTATION_VALUE>why</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION></TIER>"""
TYPES = """<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="gloss" CONSTRAINTS="Symbolic_Subdivision" TIME_ALIGNABLE="false"/>
<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="note" CONSTRAINTS="Symbolic_Association" TIME_ALIGNABLE="false"/>"""


def test_dependent_tiers_have_the_times_of_what_they_refer_to(tmp_path):
    # The tier of words comes after those that depend on it.
    path = make_eaf(tmp_path / "a.eaf", {"words": [(1.0, 3.0, "parent")]}, more_tiers=DEPENDENT, types=TYPES)
    tiers = read_tier_file(path)
    assert sorted(timed(tiers, "gloss")) == [(1.0, 2.0, "one"), (2.0, 3.0, "two")]
    assert [(a.start_s, a.end_s, a.parent) for a in tiers.annotations if a.tier == "note"] == [(2.0, 3.0, "two")]
    assert faults(tiers) == [
        "annotation g3: it refers to annotation 'a9', which has no times before it in the order of tiers"
    ]


def test_subdivided_tiers_share_slots_without_times(tmp_path):
    more = """<TIER TIER_ID="parts" LINGUISTIC_TYPE_REF="parts" PARENT_REF="words">
<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="p1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts9">
<ANNOTATION_VALUE>x</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="p2" TIME_SLOT_REF1="ts9" TIME_SLOT_REF2="ts2">
<ANNOTATION_VALUE>y</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>"""
    path = make_eaf(tmp_path / "a.eaf", {"words": [(1.0, 3.0, "parent")]}, more_tiers=more)
    text = path.read_text("utf-8").replace("</TIME_ORDER>", '<TIME_SLOT TIME_SLOT_ID="ts9"/></TIME_ORDER>')
    path.write_text(text, encoding="utf-8")
    assert timed(read_tier_file(path), "parts") == [(1.0, 2.0, "x"), (2.0, 3.0, "y")]


VOCABULARIES = """<CONTROLLED_VOCABULARY CV_ID="moods" DESCRIPTION="old form">
<CV_ENTRY DESCRIPTION="glad">joy</CV_ENTRY>
<CV_ENTRY>anger</CV_ENTRY></CONTROLLED_VOCABULARY>
<CONTROLLED_VOCABULARY CV_ID="acts"><DESCRIPTION LANG_REF="und">new form</DESCRIPTION>
<CV_ENTRY_ML CVE_ID="c1"><CVE_VALUE DESCRIPTION="mov" LANG_REF="und">nod</CVE_VALUE>
<CVE_VALUE DESCRIPTION="" LANG_REF="de">nicken</CVE_VALUE></CV_ENTRY_ML></CONTROLLED_VOCABULARY>
<CONTROLLED_VOCABULARY CV_ID="signs" EXT_REF="er1"/>
<EXTERNAL_REF EXT_REF_ID="er1" TYPE="ecv" VALUE="file:/home/x/signs.ecv"/>"""


def test_vocabularies_in_both_forms_and_in_other_files(tmp_path):
    types = '<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="default" CONTROLLED_VOCABULARY_REF="acts"/>'
    tiers = read_tier_file(make_eaf(tmp_path / "a.eaf", {"x": [(0, 1, "nod")]}, types=types, more=VOCABULARIES))
    assert [*tiers.vocabularies] == [
        Vocabulary("moods", [Entry("joy", "glad"), Entry("anger")], "old form"),
        Vocabulary("acts", [Entry("nod", "mov")], "new form"),
        Vocabulary("signs", [], "", "file:/home/x/signs.ecv"),
    ]
    assert tiers.tiers["x"].vocabulary == "acts"
    own, _, _ = VOCABULARIES.partition('<CONTROLLED_VOCABULARY CV_ID="acts')
    (tmp_path / "signs.ecv").write_text(f"<CV_RESOURCE>{own}</CV_RESOURCE>")
    assert [vocabulary.name for vocabulary in read_external(tmp_path / "signs.ecv")] == ["moods"]


BAD_ANNOTATIONS = {
    "ends_before": ([(2.0, 1.0, "x")], "annotation a1: it ends at 1 s, before it starts at 2 s"),
    "instant": ([(2.0, 2.0, "x")], "annotation a1: it ends at 2 s, where it starts"),
    "long_text": ([(0, 1, "x" * 1_000_001)], "annotation a1: its text is longer than 1 MB"),
    "late": ([(0, 1e9, "x")], "annotation a1: it ends at 1e+09 s, later than any recording"),
}


@pytest.mark.parametrize("case", BAD_ANNOTATIONS)
def test_a_bad_annotation_costs_only_itself(case, tmp_path):
    bad, sentence = BAD_ANNOTATIONS[case]
    tiers = read_tier_file(make_eaf(tmp_path / "a.eaf", {"x": bad, "y": [(0.0, 1.0, "good")]}))
    assert timed(tiers) == [(0.0, 1.0, "good")]
    assert faults(tiers) == [sentence]


def test_ids_that_come_twice_and_slots_that_are_no_times(tmp_path):
    path = make_eaf(tmp_path / "a.eaf", {"x": [(0, 1, "a"), (2, 3, "b"), (4, 5, "c")]})
    text = path.read_text("utf-8").replace('ANNOTATION_ID="a2"', 'ANNOTATION_ID="a1"').replace('"4000"', '"NaN"')
    path.write_text(text, encoding="utf-8")
    assert faults(read_tier_file(path)) == [
        "annotation a1: it has the id of line 11 again",
        "annotation a3: the time of its slot 'ts5' is not a whole number of milliseconds",
    ]


BOMB = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><ANNOTATION_DOCUMENT>&b;</ANNOTATION_DOCUMENT>'
BAD_FILES = {
    "bomb.eaf": (BOMB.encode(), "it declares a document type or entities"),
    "outside.eaf": (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><ANNOTATION_DOCUMENT/>', "it declares a document type"),
    "broken.eaf": (b"<ANNOTATION_DOCUMENT>\n<HEADER", "line 2 is not XML"),
    "encoding.eaf": (
        "<?xml version='1.0' encoding='UTF-8'?><ANNOTATION_DOCUMENT A='é'/>".encode("latin-1"),
        "line 1 is not XML",
    ),
    "codec.eaf": (b"<?xml version='1.0' encoding='klingon'?><ANNOTATION_DOCUMENT/>", "not XML"),
    "other.eaf": (b"<html/>", "its root is <html> instead of <ANNOTATION_DOCUMENT>"),
    "deep.eaf": (b"<ANNOTATION_DOCUMENT>" + b"<a>" * 60, "its elements are nested too deeply"),
    "frames.eaf": (
        b'<ANNOTATION_DOCUMENT><HEADER TIME_UNITS="PAL-frames"/></ANNOTATION_DOCUMENT>',
        "its times are in PAL-frames: save it in ELAN, which then counts milliseconds",
    ),
    "twice.eaf": (
        b'<ANNOTATION_DOCUMENT><TIER TIER_ID="x"/>\n<TIER TIER_ID="x"/></ANNOTATION_DOCUMENT>',
        "line 2 has a second tier 'x': rename one of them",
    ),
    "short.TextGrid": (
        b'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n3\n<exists>\n1\n'
        b'"IntervalTier"\n"x"\n0\n3\n2\n0\n1\n"a"\n',
        "it ends after line 15, before all of its annotations",
    ),
    "binary.TextGrid": (b"ooBinaryFile\x08TextGrid", "it is a binary TextGrid: save it in Praat as a text file"),
    "pitch.TextGrid": (b'File type = "ooTextFile"\nObject class = "Pitch 1"\n', "it is not a TextGrid"),
    "size.TextGrid": (
        b'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n3\n<exists>\n1e99\n',
        "line 7: it has more tiers than can be read",
    ),
    "nova.annotation": (b"<annotation><scheme name='x' type='FREE'/></annotation>", "which is not beside it"),
    "bomb.annotation": (BOMB.encode(), "it declares a document type or entities"),
    "geo.annotation": (b"<annotation><scheme name='x' type='POLYGON'/></annotation>", "its scheme is POLYGON"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_files_that_cannot_be_read_say_why(name, tmp_path):
    content, sentence = BAD_FILES[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidRow) as raised:
        read_tier_file(tmp_path / name)
    assert sentence in raised.value.message


def test_a_file_of_a_gigabyte_is_refused_without_being_read(tmp_path):
    path = tmp_path / "huge.eaf"
    with path.open("wb") as file:
        file.truncate(10**9)
    with pytest.raises(InvalidRow, match="it is longer than 300 MB: split it in ELAN"):
        read_tier_file(path)


MIXED = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 10
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "a ""b"" ü"
        xmin = 0
        xmax = 10
        intervals: size = 4
        intervals [1]:
            xmin = 0
            xmax = 1.5
            text = "item [1]: xmin = 7"
        intervals [2]:
            xmin = 1.5
            xmax = 2
            text = ""
        intervals [3]:
            xmin = -0.5
            xmax = 2
            text = "early"
        intervals [4]:
            xmin = --undefined--
            xmax = 3
            text = "never"
    item [2]:
        class = "TextTier"
        name = "clicks"
        xmin = 0
        xmax = 10
        points: size = 1
        points [1]:
            number = 2.25
            mark = "!"
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig"])
def test_textgrids_of_praat(encoding, tmp_path):
    path = tmp_path / "x.TextGrid"
    path.write_bytes(MIXED.replace("\n", "\r\n").encode(encoding))
    tiers = read_tier_file(path)
    assert timed(tiers) == [(0.0, 1.5, "item [1]: xmin = 7"), (2.25, 2.25, "!")]
    assert list(tiers.tiers) == ['a "b" ü', "clicks"]
    assert faults(tiers) == [
        "line 24, tier 'a \"b\" ü': it starts at -0.5 s, before the recording",
        "line 28, tier 'a \"b\" ü': nan to 3.0 s are not times",
    ]


@pytest.mark.parametrize("form", ["long_textgrid", "short_textgrid"])
def test_praatio_reads_what_is_written_and_writes_what_is_read(form, tmp_path):
    written = [Annotation(0, "m", 0.5, 1.25, 'say "hi"'), Annotation(0, "m", 1.25, 3.0, "größer")]
    path = tmp_path / "x.TextGrid"
    path.write_text(write_textgrid([("mood ü", written), ("empty", [])], 0.0, 5.0), encoding="utf-8")
    grid = praat.openTextgrid(str(path), includeEmptyIntervals=False)
    assert [tuple(entry) for entry in grid.getTier("mood ü").entries] == [
        (0.5, 1.25, 'say "hi"'),
        (1.25, 3.0, "größer"),
    ]
    grid.save(str(tmp_path / "y.TextGrid"), format=form, includeBlankSpaces=True)
    assert timed(read_tier_file(tmp_path / "y.TextGrid")) == [(0.5, 1.25, 'say "hi"'), (1.25, 3.0, "größer")]


def test_pympi_reads_what_is_written_and_saves_what_is_read(tmp_path):
    tier = Tier("mood ü", "P1", "ann", vocabulary="moods")
    written = [Annotation(0, "m", 0.5, 1.25, "joy"), Annotation(0, "m", 1.25, 3.0, "joy\x00 & <b>")]
    content = to_eaf(
        [(tier, written), (Tier("free"), [])],
        recordings=[Recording("./a b.wav", "audio/x-wav", 2.0)],
        vocabularies=[Vocabulary("moods", [Entry("joy", "being glad"), Entry("anger")], "Moods")],
        properties={"id": "7"},
        written_at=NOW,
    )
    path = tmp_path / "a.eaf"
    path.write_bytes(content)
    eaf = pympi.Eaf(str(path))
    assert sorted(eaf.get_annotation_data_for_tier("mood ü")) == [(500, 1250, "joy"), (1250, 3000, "joy\ufffd & <b>")]
    assert [values[0][0] for values, _ in eaf.get_cv_entries("moods").values()] == ["joy", "anger"]
    eaf.to_file(str(tmp_path / "b.eaf"))
    for name in ("a.eaf", "b.eaf"):
        tiers = read_tier_file(tmp_path / name)
        assert sorted(timed(tiers)) == [(2.5, 3.25, "joy"), (3.25, 5.0, "joy\ufffd & <b>")]
        assert tiers.tiers["mood ü"]._replace(kind="") == tier
        assert (tiers.media, tiers.properties) == (["a b.wav"], {"id": "7"})
        assert tiers.vocabularies[0].entries == [Entry("joy", "being glad"), Entry("anger")]


def test_rttm_and_ctm(tmp_path):
    (tmp_path / "a.rttm").write_text(
        ";; comment\nSPKR-INFO talk 1 <NA> <NA> <NA> unknown ann <NA> <NA>\n"
        "SPEAKER talk 1 0.5 1.5 <NA> <NA> ann 0.9 <NA>\nSPEAKER talk 1 nan 1 <NA> <NA> ben <NA> <NA>\n"
    )
    tiers = read_tier_file(tmp_path / "a.rttm")
    assert [*tiers.annotations] == [
        Annotation(3, "ann", 0.5, 2.0, "ann", confidence="0.9", media="talk", participant="ann")
    ]
    assert faults(tiers) == ["line 4: 'nan' is not a time in seconds"]
    (tmp_path / "a.ctm").write_text("talk A 1.0 0.25 hello 0.8 lex ann\ntalk A 2.0\ntalk A 2.0 0 x\n")
    tiers = read_tier_file(tmp_path / "a.ctm")
    assert [*tiers.annotations] == [
        Annotation(1, "A", 1.0, 1.25, "hello", confidence="0.8", media="talk", participant="ann")
    ]
    assert faults(tiers) == [
        "line 2: a line has at least 5 fields, not 3: 'talk A 2.0'",
        "line 3: it ends at 2 s, where it starts",
    ]


def test_nova_schemes(tmp_path):
    discrete = '<scheme name="laugh" type="DISCRETE"><item name="laughter" id="0"/><item name="talk" id="1"/></scheme>'
    path = make_nova(tmp_path / "d.annotation", discrete, ["2.96;3.92;1;1", "8;9.72;-1;.5", "5;4;0;1", "5;6;7;1"])
    tiers = read_tier_file(path)
    assert timed(tiers) == [(2.96, 3.92, "talk"), (8.0, 9.72, "GARBAGE")]
    assert tiers.tiers["laugh"] == Tier("laugh", "child", "ann", "DISCRETE", vocabulary="laugh")
    assert tiers.vocabularies == [Vocabulary("laugh", [Entry("laughter"), Entry("talk")])]
    assert faults(tiers) == [
        "d.annotation~, line 3: it ends at 4 s, before it starts at 5 s",
        "d.annotation~, line 4: label '7' is not in the scheme laugh",
    ]
    free = make_nova(tmp_path / "f.annotation", '<scheme name="w" type="FREE"/>', ["2;2.5;so; what;1;color=#FF"])
    assert timed(read_tier_file(free)) == [(2.0, 2.5, "so; what")]
    scheme = '<scheme name="arousal" type="CONTINUOUS" sr="25" min="-1" max="1"/>'
    trace = read_tier_file(make_nova(tmp_path / "c.annotation", scheme, ["-0.021;1", "NaN;0", "0.5;0.6", "3;1"]))
    assert timed(trace) == [(0.0, 0.04, "-0.021"), (0.08, 0.12, "0.5")]
    assert faults(trace) == ["c.annotation~, line 4: score 3 is not on the scale from -1 to 1"]


def test_carma_exports_of_two_generations(tmp_path):
    new = (
        "Time of Rating,01-Jan\nMultimedia File,C:\\films\\talk.mp4\nMinimum Value,-100\nSecond,Rating\n%%%%%%,%%%%%%\n"
    )
    (tmp_path / "new.csv").write_text(new + "0,1.5\n1,NaN\n2,3\n4,x\n")
    tiers = read_tier_file(tmp_path / "new.csv")
    assert timed(tiers) == [(0.0, 1.0, "1.5"), (2.0, 3.0, "3")]
    assert [*tiers.media] == ["talk.mp4"]
    assert faults(tiers) == ["line 9: 'x' is not a rating"]
    old = 'Filename:,talk.wmv\nAxis Labels:,"""a"" to ""b"""\nAxis Range:,-1 to 1\nSecond,Rating\n'
    (tmp_path / "old.csv").write_text(old + "1,0.5\n2,0.25\n")
    assert timed(read_tier_file(tmp_path / "old.csv")) == [(0.0, 1.0, "0.5"), (1.0, 2.0, "0.25")]


def test_every_file_of_tiers_can_be_empty(tmp_path):
    assert timed(read_tier_file(make_eaf(tmp_path / "a.eaf", {"x": []}))) == []
    (tmp_path / "a.TextGrid").write_text(write_textgrid([("x", [])], 0.0, 1.0))
    assert timed(read_tier_file(tmp_path / "a.TextGrid")) == []
    Path(tmp_path / "a.ctm").write_text("")
    assert timed(read_tier_file(tmp_path / "a.ctm")) == []


def test_a_long_chain_of_slots_without_a_time_ends_soon(tmp_path):
    chain = [(0.0, None, "a"), *[(None, None, "b")] * 20_000]
    tiers = read_tier_file(make_eaf(tmp_path / "a.eaf", {"words": chain}))
    assert (len(tiers.annotations), len(tiers.faults)) == (0, 20_001)
