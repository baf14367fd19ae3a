"""Preprocess: units, words, speakers, channels, quality filters and near-duplicates."""

import json
import threading
import wave
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from curate.corpus.sources import RawFolders
from curate.errors import InvalidInput, ServiceRefused
from curate.llm.transport import client as openai_client
from curate.media.container.decode import Span, read_channels, read_frames
from curate.stages.contract import Tools
from curate.stages.preprocess.stage import Preprocess
from curate.storage.blobs import Blobs
from tests.support.media_builders import (
    embed_subtitles,
    make_frames,
    make_portrait,
    make_speech,
    make_talk,
    make_tone,
    sample,
    write_media,
)
from tests.support.preprocessing import preprocess
from tests.support.whisper_model import make_model

SRT = "{}\n00:00:{:06.3f} --> 00:00:{:06.3f}\n{}\n\n"


def make_subtitles(path: Path, *cues: tuple[float, float, str]) -> Path:
    path.write_text("".join(SRT.format(n, *cue) for n, cue in enumerate(cues, 1)).replace(".", ",", 0))
    path.write_text(
        "\n".join(line.replace(".", ",") if "-->" in line else line for line in path.read_text().split("\n"))
    )
    return path


def write_wav(path: Path, samples: np.ndarray, rate_hz: int = 16_000) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(samples.tobytes())
    return path


def times(items):
    return [(item["start_s"], item["end_s"]) for item in items]


def test_windows_carry_the_words_said_in_them(tmp_path):
    done = preprocess(sample().parent, "good_news.mp4", blobs=tmp_path, units=("window",), unit="window", window_s=1.0)
    assert times(done.items) == [(float(s), s + 1.0) for s in range(7)]
    assert {item["unit"] for item in done.items} == {"window"}
    assert done.items[0]["text"].startswith("I got the")
    said = " ".join(item["text"] or "" for item in done.items).split()
    assert " ".join(said[:16]) == "I got the job, I can not believe it, I am so happy! But leaving all"
    assert {item["face_outcome"] for item in done.items} == {"speaker face"}
    assert all(item["face"] for item in done.items)
    assert done.items[1]["words"][0]["start_s"] == pytest.approx(1.3, abs=0.5)
    halves = preprocess(
        sample().parent,
        "good_news.mp4",
        blobs=tmp_path,
        units=("window",),
        window_s=1.0,
        hop_s=0.5,
        faces={"every": 25},
    )
    assert times(halves.items)[:3] == [(0.0, 1.0), (0.5, 1.5), (1.0, 2.0)]
    too_short = preprocess(sample().parent, "good_news.mp4", blobs=tmp_path, units=("window",), window_s=60)
    assert too_short.reasons == ["too_short"]


def test_short_windows_have_sound_but_no_viewing_copy(tmp_path):
    write_media(tmp_path / "a.mp4", frames=[make_portrait()] * 25, sound=make_speech()[:16_000])
    done = preprocess(tmp_path, "a.mp4", blobs=tmp_path / "blobs", units=("window",))
    assert len(done.items) == 5
    assert all(item["audio"] and "video" not in item for item in done.items)


def test_shots(tmp_path):
    bright = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    frames = [make_frames(2)[0]] * 25 + [bright] * 50
    write_media(tmp_path / "a.mp4", frames=frames, sound=make_speech()[:48_000])
    write_media(tmp_path / "b.wav", sound=make_speech())
    done = preprocess(tmp_path, "*.*", blobs=tmp_path / "blobs", units=("clip",), unit="shot")
    assert np.asarray(times(done.items)) == pytest.approx(np.asarray([(0.0, 1.0), (1.0, 3.0)]), abs=0.08)
    assert [shot["number"] for shot in done.outcome.dicts("shots")] == [0, 1]
    assert done.reasons == ["no_unit"]


def test_cues(tmp_path):
    write_media(tmp_path / "a.wav", sound=make_speech())
    make_subtitles(
        tmp_path / "a.srt",
        (4, 6, "But leaving"),
        (0.5, 2, "I got"),
        (1.5, 3, "the job"),
        (7, 20, "sad."),
        (50, 51, "x"),
    )
    write_media(tmp_path / "b.wav", sound=make_speech("night_noise"))
    done = preprocess(tmp_path, "*.wav", blobs=tmp_path / "blobs", unit="cue")
    assert [(item["start_s"], item["text"]) for item in done.items] == [
        (0.5, "I got"),
        (1.75, "the job"),
        (4.0, "But leaving"),
        (7.0, "sad."),
    ]
    assert done.items[-1]["end_s"] == pytest.approx(7.7, abs=0.1)
    assert done.reasons == ["invalid", "no_subtitles"]
    beyond = "1 of its cues begins after the end of the file; 1 of its cues is cut at the end of the file"
    assert beyond in done.outcome.rejections[0].detail


def test_a_unit_that_the_label_schema_does_not_ask_for(tmp_path):
    done = preprocess(sample().parent, "good_news.mp4", blobs=tmp_path, unit="window")
    assert done.reasons == ["no_unit"]
    assert "window" in done.outcome.rejections[0].detail


def test_each_channel_is_a_voice(tmp_path):
    left, right = make_speech("good_news"), make_speech("night_noise")
    length = max(len(left), len(right)) + 4 * 16_000
    stereo = np.zeros((length, 2), np.int16)
    stereo[: len(left), 0] = left
    stereo[4 * 16_000 :][: len(right), 1] = right
    write_wav(tmp_path / "a.wav", stereo)
    make_subtitles(tmp_path / "a.srt", (0.4, 3.2, "I got the job"), (7.7, 9.2, "Oh, it was only the cat"))
    done = preprocess(tmp_path, "a.wav", blobs=tmp_path / "blobs", channels="separate")
    assert [item["channel"] for item in done.items] == [1, 1, 2, 2]
    assert [item["text"] for item in done.items] == ["I got the job", None, None, "Oh, it was only the cat"]
    assert len({item["speaker"] for item in done.items}) == 2
    assert {item["speaker_source"] for item in done.items} == {"channel"}
    mixed = preprocess(tmp_path, "a.wav", blobs=tmp_path / "blobs")
    assert {item["channel"] for item in mixed.items} == {None}
    mono = preprocess(sample().parent, "good_news.mp4", blobs=tmp_path / "blobs", channels="separate")
    assert [item["channel"] for item in mono.items] == [1, 1]


@pytest.mark.parametrize("rate_hz", [8_000, 48_000])
def test_six_channels_at_any_rate(tmp_path, rate_hz):
    speech = np.interp(np.arange(0, 7.5, 1 / rate_hz) * 16_000, np.arange(len(make_speech())), make_speech())
    sound = np.zeros((len(speech), 6), np.int16)
    sound[:, 2] = speech
    path = write_wav(tmp_path / "a.wav", sound, rate_hz)
    apart = read_channels(path)
    assert [bool(np.abs(channel).max() > 100) for channel in apart] == [False, False, True, False, False, False]
    assert len(apart[2]) == pytest.approx(7.5 * 16_000, abs=2)
    done = preprocess(tmp_path, "a.wav", blobs=tmp_path / "blobs", channels="separate")
    assert [item["channel"] for item in done.items] == [3, 3]
    assert len(preprocess(tmp_path, "a.wav", blobs=tmp_path / "blobs").items) == 2


def test_speakers_come_from_a_file(tmp_path):
    write_media(tmp_path / "a.wav", sound=make_speech())
    (tmp_path / "who").mkdir()
    (tmp_path / "who/a.rttm").write_text("SPEAKER a 1 0.0 3.5 <NA> <NA> Mary <NA> <NA>\n")
    done = preprocess(tmp_path, "a.wav", blobs=tmp_path / "blobs", speakers={"file": "who"})
    assert [item["speaker_source"] for item in done.items] == ["file", "unknown"]
    assert done.items[0]["speaker"] == "Mary"
    (tmp_path / "who/a.rttm").write_text("SPEAKER a 1\n")
    broken = preprocess(tmp_path, "a.wav", blobs=tmp_path / "blobs", speakers={"file": "who"})
    assert [(rejection.subject, rejection.reason) for rejection in broken.outcome.rejections] == [("a.rttm", "invalid")]
    assert list(Preprocess(speakers={"file": "gone.csv"}).missing(RawFolders(tmp_path)))
    assert not list(Preprocess(speakers={"file": "who"}).missing(RawFolders(tmp_path)))


def test_a_text_track_is_read_where_there_is_no_sidecar(tmp_path):
    text = make_subtitles(tmp_path / "text.srt", (0.3, 3.4, "MARY: I got the job"))
    embed_subtitles(sample(), text, tmp_path / "a.mp4", codec="mov_text")
    done = preprocess(tmp_path, "a.mp4", blobs=tmp_path / "blobs")
    assert [item["text"] for item in done.items] == ["I got the job", None]
    assert (done.items[0]["text_source"], done.items[0]["speaker"]) == ("embedded_subtitles", "MARY")
    make_subtitles(tmp_path / "a.srt", (0.3, 3.4, "From beside"))
    beside = preprocess(tmp_path, "a.mp4", blobs=tmp_path / "blobs")
    assert (beside.items[0]["text"], beside.items[0]["text_source"]) == ("From beside", "subtitles")


def test_words_are_spread_where_they_are_not_aligned(tmp_path):
    off = preprocess(sample().parent, "good_news.mp4", blobs=tmp_path, transcript={"align": False})
    assert {item["word_time_source"] for item in off.items} == {"proportional"}
    german = preprocess(sample().parent, "good_news.mp4", blobs=tmp_path, transcript={"language": "de"})
    assert {(item["word_time_source"], item["language"]) for item in german.items} == {("proportional", "de")}


def test_a_wrong_model_folder_is_reported_before_anything_runs(tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in ("empty", "gone"):
        problems = list(Preprocess(transcript={"whisper_model": folder}).problems(tmp_path))
        assert [location for location, _ in problems] == [("transcript", "whisper_model")]
    write_media(tmp_path / "a.wav", sound=make_speech())
    with pytest.raises(InvalidInput, match=r"lacks model\.bin"):
        preprocess(tmp_path, "a.wav", blobs=tmp_path / "blobs", transcript={"whisper_model": "empty"})
    subtitled = preprocess(
        sample().parent,
        "good_news.mp4",
        blobs=tmp_path / "blobs",
        transcript={"whisper_model": str(tmp_path / "empty")},
    )
    assert subtitled.items[0]["text_source"] == "subtitles"


def test_a_local_model_is_asked_where_there_are_no_subtitles(tmp_path, monkeypatch):
    monkeypatch.setattr("curate.media.words.whisper.MAX_COMPRESSION", 1e9)  # what chance weights say is a loop
    make_model(tmp_path / "chance")
    write_media(tmp_path / "a.wav", sound=make_speech())
    settings = {"whisper_model": "chance", "language": "en"}
    done = preprocess(tmp_path, "a.wav", blobs=tmp_path / "blobs", transcript=settings)
    assert {item["text_source"] for item in done.items if item["text"]} == {"faster-whisper:chance"}
    assert {item["word_time_source"] for item in done.items if item["words"]} <= {"native"}
    second = preprocess(tmp_path, "a.wav", blobs=tmp_path / "blobs", transcript=settings)
    assert second.outcome == done.outcome
    other = {**settings, "order": ["subtitles"]}
    assert [item["text"] for item in preprocess(tmp_path, "a.wav", blobs=tmp_path, transcript=other).items] == [
        None
    ] * 2


@pytest.fixture
def endpoint(monkeypatch):
    """A server that hears two timed words in everything; gives the number of requests so far."""

    class Handler(BaseHTTPRequestHandler):
        status = 200

        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            requests.append(self.path)
            words = [{"word": "Oh", "start": 0.2, "end": 0.5}, {"word": "no", "start": 0.6, "end": 0.9}]
            data = json.dumps({"text": "Oh no", "language": "english", "duration": 1, "words": words}).encode()
            self.send_response(Handler.status)
            self.send_header("content-length", str(len(data)))
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            pass

    requests: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    openai_client._sync_client.cache_clear()
    yield Handler, requests
    openai_client._sync_client.cache_clear()
    server.shutdown()


def test_an_endpoint_is_asked_only_where_the_recipe_says_so(tmp_path, endpoint):
    handler, requests = endpoint
    write_media(tmp_path / "a.wav", sound=make_speech())
    silent = preprocess(tmp_path, "a.wav", blobs=tmp_path / "blobs")
    assert [item["text"] for item in silent.items] == [None, None]
    assert not requests
    allowed = {"endpoint_model": "whisper-1"}
    transcribed = preprocess(tmp_path, "a.wav", blobs=tmp_path / "blobs", transcript=allowed)
    assert len(requests) == 2
    assert [(item["text"], item["text_source"]) for item in transcribed.items] == [("Oh no", "endpoint:whisper-1")] * 2
    assert transcribed.items[1]["words"][0]["start_s"] == pytest.approx(transcribed.items[1]["start_s"] + 0.2)
    assert transcribed.items[0]["word_time_source"] == "native"
    preprocess(sample().parent, "good_news.mp4", blobs=tmp_path / "blobs", transcript=allowed)
    assert len(requests) == 2
    first = preprocess(
        sample().parent, "good_news.mp4", blobs=tmp_path / "blobs", transcript={**allowed, "order": ["endpoint"]}
    )
    assert first.items[0]["text"] == "Oh no"
    handler.status = 401
    with pytest.raises(ServiceRefused):
        preprocess(tmp_path, "a.wav", blobs=tmp_path / "blobs", transcript=allowed)


@pytest.mark.parametrize(
    ("filters", "reason", "passing"),
    [
        ({"min_snr_db": 99}, "low_snr", 0),
        ({"min_loudness_lufs": -20.0}, "too_quiet", 1),
        ({"max_silence_share": 0.08}, "silent", 1),
        ({"min_speech_s": 2.9}, "too_short", 1),
        ({"max_clipping_share": 0}, None, 2),
        ({"languages": ["de"]}, "other_language", 0),
        ({"languages": ["en", "de"]}, None, 2),
        ({"min_chars": 49}, "too_short", 1),
        ({"max_chars": 49}, "too_long", 1),
        ({"need_text": True}, None, 2),
        ({"min_face_px": 4000}, "small_face", 0),
        ({"min_sharpness": 1e6}, "blurred", 0),
        ({"max_brightness": 1}, "badly_lit", 0),
    ],
)
def test_what_fails_a_filter_is_rejected_with_reason_and_value(tmp_path, filters, reason, passing):
    done = preprocess(sample().parent, "good_news.mp4", blobs=tmp_path, filters=filters)
    assert len(done.items) == passing
    of_items = [rejection for rejection in done.outcome.rejections if rejection.subject != rejection.parent_id]
    assert [rejection.reason for rejection in of_items] == [reason] * (2 - passing)
    assert all(any(c.isdigit() for c in rejection.detail) or reason == "other_language" for rejection in of_items)
    if not passing:
        assert [
            rejection.reason for rejection in done.outcome.rejections if rejection.subject == rejection.parent_id
        ] == ["filtered"]
        assert not done.faces


def test_text_and_face_may_be_needed(tmp_path):
    write_media(tmp_path / "a.wav", sound=make_speech())
    assert preprocess(tmp_path, "a.wav", blobs=tmp_path / "b", filters={"need_text": True}).reasons[0] == "no_text"
    assert preprocess(tmp_path, "a.wav", blobs=tmp_path / "b", filters={"need_face": True}).reasons[0] == "no_face"


def test_an_uncertain_face_is_kept_and_no_face_that_is_needed(tmp_path):
    frames = [make_portrait()] * 60
    quick = [make_speech()[6000:10400], np.zeros(16_000, np.int16)]
    write_media(tmp_path / "a.mp4", frames=frames, sound=np.concatenate([*quick, *quick]))
    how = {"max_pause_s": 0.3, "min_speech_s": 0.1, "pad_s": 0.0, "max_utterance_s": 1.0}
    done = preprocess(tmp_path, "a.mp4", blobs=tmp_path / "blobs", **how)
    unsure = [item for item in done.items if item["face_outcome"] == "uncertain"]
    assert unsure
    assert all(item["face"] and item["face_score"] <= 0.5 for item in unsure)
    strict = preprocess(tmp_path, "a.mp4", blobs=tmp_path / "blobs", filters={"need_face": True}, **how)
    assert not [item for item in strict.items if item["face_outcome"] == "uncertain"]
    assert strict.reasons.count("no_face") >= len(unsure)


def test_sources_that_repeat_others_are_dropped_where_asked(tmp_path):
    frames = [frame.rgb for frame in read_frames(sample(), [Span(0, 7.3)])]
    write_media(tmp_path / "a.mp4", frames=frames, sound=make_speech())
    small = [np.asarray(Image.fromarray(rgb).resize((160, 160))) for rgb in frames]
    write_media(tmp_path / "b.mkv", frames=small, sound=(make_speech() * 0.5).astype(np.int16))
    write_media(tmp_path / "c.mp3", sound=make_speech())
    write_media(tmp_path / "d.wav", sound=make_speech())
    write_media(tmp_path / "e.wav", sound=make_speech("night_noise"))
    (tmp_path / "f.jsonl").write_text(
        '{"text": "I am SO happy!"}\n{"text": "i am so happy"}\n{"text": "I am so unhappy"}\n'
    )
    done = preprocess(
        tmp_path, "*.*", blobs=tmp_path / "blobs", filters={"drop_near_duplicates": True}, faces={"every": 25}
    )
    repeats = [
        (rejection.reason, rejection.detail)
        for rejection in done.outcome.rejections
        if rejection.parent_id == rejection.subject
    ]
    assert repeats == [
        ("near_duplicate", "b.mkv repeats a.mp4"),
        ("near_duplicate", "d.wav repeats c.mp3"),
        ("near_duplicate", "f.jsonl#2 repeats f.jsonl#1"),
    ]
    everything = preprocess(tmp_path, "*.*", blobs=tmp_path / "blobs", faces={"every": 25})
    assert not everything.reasons


def test_items_that_repeat_others_of_their_source(tmp_path):
    talk, _ = make_talk(gaps_s=[0.6] * 8)
    write_media(tmp_path / "a.wav", sound=talk)
    done = preprocess(tmp_path, "a.wav", blobs=tmp_path / "blobs", filters={"drop_near_duplicates": True})
    assert len(done.items) == 6
    assert done.reasons == ["near_duplicate"] * 2


def test_posts_in_sentences_and_turns(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "I ran. He fell!", "author": "maple"}) + "\n")
    (tmp_path / "b.txt").write_text(
        "Anna: Hi, how are you today?\nBen: I am fine, thank you for asking. Why do you look so sad?\n"
    )
    sentences = preprocess(tmp_path, "a.jsonl", blobs=tmp_path / "blobs", posts="sentences")
    assert [(item["text"], item["speaker"]) for item in sentences.items] == [("I ran.", "maple"), ("He fell!", "maple")]
    assert len({item["item_id"] for item in sentences.items}) == 2
    dialogue = preprocess(tmp_path, "b.txt", blobs=tmp_path / "blobs", posts="turns")
    assert [(item["speaker"], item["language"]) for item in dialogue.items] == [("Anna", "en"), ("Ben", "en")]


def test_a_picture_of_several_people(tmp_path):
    portrait = make_portrait()
    both = np.hstack([portrait, portrait[:, ::-1]])
    Image.fromarray(both).save(tmp_path / "a.png")
    largest = preprocess(tmp_path, "a.png", blobs=tmp_path / "blobs")
    assert len(largest.items) == len(largest.faces) == 1
    every = preprocess(tmp_path, "a.png", blobs=tmp_path / "blobs", faces={"of_image": "each"})
    assert len({item["item_id"] for item in every.items}) == len({item["face_id"] for item in every.items}) == 2
    assert all(item["face_px"] > 40 and item["face_sharpness"] > 0 for item in every.items)
    assert every.items[0]["item_id"] == largest.items[0]["item_id"]


def test_hum_short_clips_and_late_clocks(tmp_path):
    times_s = np.arange(32_000) / 16_000
    write_media(tmp_path / "hum.wav", sound=(800 * np.sin(2 * np.pi * 50 * times_s)).astype(np.int16))
    write_media(tmp_path / "blip.wav", sound=make_speech()[8000:9600])
    write_media(tmp_path / "tone.wav", sound=make_tone(2.0))
    write_media(tmp_path / "late.mkv", frames=[make_portrait()] * 50, times_s=[36_000 + i / 25 for i in range(50)],
                sound=make_speech(), sound_start_s=36_000.0)  # fmt: skip
    done = preprocess(tmp_path, "*.*", blobs=tmp_path / "blobs")
    assert sorted(done.reasons) == ["no_speech"] * 3 + ["partial"]
    assert [item["start_s"] < 10 for item in done.items] == [True, True]


def test_frames_and_videos_of_faces_are_kept_where_asked(tmp_path):
    frames = preprocess(sample().parent, "good_news.mp4", blobs=tmp_path, faces={"keep": "frames", "every": 10})
    face = frames.faces[0]
    assert len(face["frames"]) > 5
    assert all(tmp_path.joinpath(frame["crop"]).is_file() for frame in face["frames"])
    video = preprocess(sample().parent, "good_news.mp4", blobs=tmp_path, faces={"keep": "video", "every": 10})
    frame_times_s = [frame.time_s for frame in read_frames(tmp_path / video.faces[0]["video"], [Span(0, 60)])]
    assert len(frame_times_s) > 100
    assert not video.faces[0]["frames"]


def test_settings_that_cost_nothing_are_part_of_the_identity(tmp_path):
    from curate.labels import load_labels

    tools = Tools(Blobs(tmp_path), load_labels("utterance_emotion.v1"), tmp_path)
    (tmp_path / "who.csv").write_text("start_s,end_s,speaker\n0,1,Mary\n")
    stage = Preprocess(speakers={"file": "who.csv"})
    before = stage.identity(tools)
    (tmp_path / "who.csv").write_text("start_s,end_s,speaker\n0,1,Bob\n")
    assert stage.identity(tools) != before
