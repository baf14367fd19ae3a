"""Which subtitle files belong to a media file, and which of them is used."""

import pytest

from curate.media.words.sidecars import choose_sidecar, find_sidecars


def sidecars(folder, media, *names):
    for name in names:
        (folder / name).write_text("")
    return [(sidecar.path.name, sidecar.language) for sidecar in find_sidecars(folder / media)]


def test_the_best_subtitles_come_first(tmp_path):
    assert find_sidecars(tmp_path / "gone" / "a.mp4") == []
    names = ["clip.en.forced.srt", "clip.en.sdh.srt", "clip.de.vtt", "clip.pt-BR.cc.ass", "clip.vtt", "clip.mp4.srt"]
    assert sidecars(tmp_path, "clip.mp4", *names) == [
        ("clip.mp4.srt", None),
        ("clip.vtt", None),
        ("clip.de.vtt", "de"),
        ("clip.pt-BR.cc.ass", "pt"),
        ("clip.en.sdh.srt", "en"),
        ("clip.en.forced.srt", "en"),
    ]


@pytest.mark.parametrize("name", ["film.eng.SRT", "film.English.cc.srt", "film.en_GB.default.vtt", "film.en-SDH.srt"])
def test_a_language_by_any_name(tmp_path, name):
    assert sidecars(tmp_path, "film.mkv", name) == [(name, "en")]


@pytest.mark.parametrize(
    "name", ["clip2.srt", "clip.part2.srt", "clip.backup.srt", "clip.en.old.srt", "clip.other.mp4.srt", "Clip.srt"]
)
def test_subtitles_of_another_file(tmp_path, name):
    assert sidecars(tmp_path, "clip.mp4", name) == []


def test_a_file_with_the_same_stem_has_a_better_claim(tmp_path):
    assert sidecars(tmp_path, "film.mp4", "film.en.mp4", "film.en.srt", "film.de.srt") == [("film.de.srt", "de")]
    assert sidecars(tmp_path, "film.en.mp4") == [("film.en.srt", None)]


@pytest.mark.parametrize(
    ("languages", "wanted", "chosen"),
    [
        ([None, "de"], None, 0),
        ([None, "de"], "de", 1),
        (["de", "en", "en"], "en", 1),
        ([None, "de"], "en", 0),
        (["de"], "en", None),
        ([], None, None),
    ],
)
def test_the_language_that_is_spoken(languages, wanted, chosen):
    assert choose_sidecar(languages, wanted) == chosen
