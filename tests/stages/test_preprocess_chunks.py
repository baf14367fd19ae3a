"""Long files are processed in chunks: the rows are the same as in one piece, on any worker."""

import math
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from curate.errors import Interrupted
from curate.executors.local import LocalExecutor
from curate.executors.open import open_executor
from curate.labels import load_labels
from curate.media.container.decode import Span, decode_frames, read_frames
from curate.media.container.pictures import resize
from curate.pipeline import run
from curate.recipe import load_recipe
from curate.stages.capabilities import Parts
from curate.stages.contract import Tools
from curate.stages.preprocess.chunks import Chunk, join_shots
from curate.stages.preprocess.stage import Preprocess
from curate.storage.blobs import Blobs
from curate.storage.workspace import Workspace
from tests.support.builders import make_recipe
from tests.support.media_builders import make_portrait, make_speech, sample, write_media
from tests.support.preprocessing import make_sources
from tests.support.processes import killing_a_ray_worker
from tests.support.runs import Quiet, assert_same, contents, run_quietly

CLIPS = ("good_news", "broken_promise", "night_noise")
SUBTITLES = "1\n00:00:00,300 --> 00:00:07,300\nWe all of us got the job here\n"


def make_talk_show(path: Path, *, names: Sequence[str] = CLIPS, silence_s: float = 0.0) -> Path:
    """The samples in a row, 20 s, small: cuts at 7.68 and 13.52 s, in the pauses of two utterances each.

    ``silence_s`` is the length of a pause after the first one.
    """
    frames, sound = [], []
    for name in names:
        shots = [resize(frame.rgb, 160, 160) for frame in read_frames(sample(name), [Span(0.0, 60.0)], every=2)]
        if name == names[0]:
            shots += [shots[-1]] * round(silence_s * 12.5)
        speech, samples = make_speech(name), np.zeros(len(shots) * 1280, np.int16)
        samples[: len(speech)] = speech[: len(samples)]
        frames, sound = frames + shots, [*sound, samples]
    times_s = [index * 0.08 for index in range(len(frames))]
    return write_media(path, frames=frames, times_s=times_s, sound=np.concatenate(sound))


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    """A film that is spoken nearly all the time."""
    return make_talk_show(tmp_path_factory.mktemp("film") / "show.mp4")


def make_tools(folder: Path, blobs: Path) -> Tools:
    labels = load_labels("utterance_emotion.v1")
    return Tools(Blobs(blobs), labels.model_copy(update={"units": ("utterance", "window", "clip")}), folder)


def chunked(film: Path, blobs: Path, **settings):
    """The outcome, and the chunks that it was made in (none where in one piece)."""
    stage, tools = Preprocess(**settings), make_tools(film.parent, blobs)
    sources = make_sources(film.parent, film.name, stage=stage)
    begun = stage.begin(sources, tools)
    if isinstance(begun, Parts):
        for part in begun.parts:
            pickle.dumps(part)
        assert list(blobs.rglob("*.pcm"))
        stage.discard(begun, tools)
    outcome = stage.apply(sources, tools)
    assert not list(blobs.rglob("*.pcm")), "what was stored for the chunks is removed"
    return outcome, begun.parts if isinstance(begun, Parts) else []


@pytest.mark.parametrize(
    ("settings", "ends"),
    [
        ({"unit": "shot", "chunk_s": 5.0}, [7.68, 13.52]),
        ({"unit": "speech", "chunk_s": 4.6}, [7.68, 13.52]),
        ({"unit": "window", "window_s": 0.08, "chunk_s": 5.2}, [7.68, 13.52]),
    ],
)
def test_chunks_that_end_at_cuts_give_the_rows_of_the_whole_file(film, tmp_path, settings, ends):
    film.with_suffix(".srt").write_text(SUBTITLES)
    chunks, parts = chunked(film, tmp_path / "chunks", **settings)
    unchunked, chunk = chunked(film, tmp_path / "whole", **{**settings, "chunk_s": 7200.0})
    assert not chunk
    assert [part.ending for part in parts] == ["cut"] * len(ends) + ["gap"]
    assert [part.span.end_s for part in parts[:-1]] == pytest.approx(ends)
    assert chunks.rows["shots"] == unchunked.rows["shots"]
    assert chunks.rows["faces"] == unchunked.rows["faces"]
    # A window shows its last moment, which may be the first of the next shot.
    chunked_items, items = (
        [item for item in rows if item["end_s"] not in ends] for rows in (chunks.rows["items"], unchunked.rows["items"])
    )
    assert chunked_items == items
    assert chunks.rejections == unchunked.rejections


def test_a_chunk_ends_in_a_long_pause_if_there_is_one(tmp_path):
    film = make_talk_show(tmp_path / "pause.mp4", names=CLIPS[:2], silence_s=3.0)
    chunks, parts = chunked(film, tmp_path / "chunks", chunk_s=6.0)
    unchunked, _ = chunked(film, tmp_path / "whole")
    assert [part.ending for part in parts] == ["gap", "gap"]
    assert 7.3 < parts[0].span.end_s < 10.7
    assert chunks.rows == unchunked.rows


def test_a_shot_that_goes_on_in_the_next_chunk_is_one(tmp_path):
    sound = np.concatenate([make_speech(name) for name in CLIPS[:2]])
    portrait = resize(make_portrait(), 160, 160)
    film = write_media(tmp_path / "still.mp4", frames=[portrait] * (len(sound) // 1600), sound=sound, fps=10)
    chunks, parts = chunked(film, tmp_path / "chunks", chunk_s=4.0)
    unchunked, _ = chunked(film, tmp_path / "whole")
    assert "through" in [part.ending for part in parts]
    assert chunks.rows["shots"] == unchunked.rows["shots"]
    assert len(chunks.rows["faces"]) > len(unchunked.rows["faces"]), "its face tracks end with the chunk"
    assert [item["item_id"] for item in chunks.rows["items"]] == [item["item_id"] for item in unchunked.rows["items"]]
    assert [item["sound_hash"] for item in chunks.rows["items"]] == [
        item["sound_hash"] for item in unchunked.rows["items"]
    ]


def test_joined_shots_do_not_overlap():
    cut = Chunk({}, "shot", "clip", 20.0, Span(0.0, 7.68), "cut", [], None, None, [], [])
    through, last = cut._replace(ending="through"), cut._replace(span=Span(7.68, math.inf), ending="gap")
    shots = [[Span(0.0, 3.0), Span(3.0, 7.6)], [Span(7.7, 9.0)]]
    assert join_shots([cut, last], shots) == [Span(0.0, 3.0), Span(3.0, 7.68), Span(7.68, 9.0)]
    assert join_shots([through, last], shots) == [Span(0.0, 3.0), Span(3.0, 9.0)]
    assert join_shots([through, last], [[], shots[1]]) == shots[1]
    assert join_shots([cut, last], [shots[0], [Span(12.0, 13.0)]]) == [*shots[0], Span(12.0, 13.0)]


def test_near_duplicates_and_filters_hold_across_chunks(tmp_path):
    sound = np.concatenate([make_speech("good_news")] * 3)
    film = write_media(tmp_path / "again.wav", sound=sound)
    settings = {"filters": {"drop_near_duplicates": True, "min_speech_s": 0.5}}
    chunks, parts = chunked(film, tmp_path / "chunks", chunk_s=5.0, **settings)
    unchunked, _ = chunked(film, tmp_path / "whole", **settings)
    assert len(parts) > 1
    assert chunks.rows["items"] == unchunked.rows["items"]
    assert {rejection.reason for rejection in chunks.rejections} == {"near_duplicate"}
    assert set(chunks.rejections) == set(unchunked.rejections)
    filtered, _ = chunked(film, tmp_path / "none", chunk_s=5.0, filters={"min_speech_s": 60.0})
    assert not filtered.rows["items"]
    assert [rejection.reason for rejection in filtered.rejections if len(rejection.subject) == 64] == ["filtered"]


@pytest.mark.parametrize(("suffix", "start_s"), [("mp4", 0.0), ("mkv", 0.0), ("mkv", 36_000.0), ("ts", 36_000.0)])
def test_reading_can_begin_far_into_a_file(tmp_path, suffix, start_s):
    """Also where its timestamps begin at ten hours."""
    frames = [np.full((48, 64, 3), 20 + index % 200, np.uint8) for index in range(300)]
    times_s = [start_s + index / 10 for index in range(300)]
    film = write_media(tmp_path / f"a.{suffix}", frames=frames, times_s=times_s, fps=10)
    decoded = list(decode_frames(film, [Span(25.0, 26.0)]))
    assert [frame.time_s for frame in decoded] == pytest.approx([25.0 + index / 10 for index in range(10)], abs=0.002)
    grey = [frame.to_rgb().mean() for frame in decoded]
    assert grey == pytest.approx([20 + index % 200 for index in range(250, 260)], abs=3)


def test_long_silence_is_cut_and_is_no_chunk(tmp_path):
    """Otherwise the sound of a film with few words would be one chunk."""
    silence = np.zeros(60 * 16_000, np.int16)
    sound = np.concatenate([silence, make_speech(), silence, make_speech("night_noise"), silence])
    film = write_media(tmp_path / "quiet.wav", sound=sound)
    chunks, parts = chunked(film, tmp_path / "chunks", chunk_s=8.0)
    unchunked, _ = chunked(film, tmp_path / "whole")
    assert len(parts) >= 2
    assert all(part.voices[0].spans for part in parts)
    assert max(part.span.end_s - part.span.start_s for part in parts[:-1]) < 60
    assert chunks.rows == unchunked.rows


def make_corpus(folder: Path, *files: Path) -> Path:
    """A recipe over files of several chunks and of one."""
    folder.mkdir()
    for file in files:
        shutil.copy(file, folder)
    return make_recipe(folder, {"stage": "ingest", "files": "*.*4*"}, {"stage": "preprocess", "chunk_s": 4.6})


@pytest.fixture(scope="module")
def film_alone(film, tmp_path_factory):
    """A recipe over a film and a clip, and the tables that it gives in this process."""
    folder = tmp_path_factory.mktemp("film")
    recipe = make_corpus(folder / "in", film, sample())
    run_quietly(recipe, folder / "w")
    return recipe, contents(folder / "w")


@pytest.fixture(scope="module")
def talk_alone(tmp_path_factory):
    """The same with sound only, which is fast."""
    folder = tmp_path_factory.mktemp("talk")
    long = write_media(folder / "long.m4a", sound=np.concatenate([make_speech(name) for name in CLIPS]))
    short = write_media(folder / "short.m4a", sound=make_speech())
    recipe = make_corpus(folder / "in", long, short)
    run_quietly(recipe, folder / "w")
    return recipe, contents(folder / "w")


class ProgressListener(Quiet):
    """A listener that records the progress of preprocess."""

    def __init__(self):
        self.advanced = []

    def stage_advanced(self, name, inputs, account):
        if name == "preprocess":
            self.advanced.append(inputs)


def leftovers(workspace: Path) -> list[Path]:
    return list((workspace / "blobs").rglob("*.pcm"))


def test_several_workers_do_the_chunks_of_one_film(tmp_path, film_alone):
    recipe, expected = film_alone
    executor, listener = LocalExecutor(2), ProgressListener()
    try:
        run(load_recipe(recipe), Workspace(tmp_path / "w"), executor=executor, listener=listener)
    finally:
        executor.close()
    assert_same(contents(tmp_path / "w"), expected)
    assert len(listener.advanced) > 3
    assert sum(listener.advanced) == 2
    assert not leftovers(tmp_path / "w")


def test_a_ray_worker_killed_in_the_middle_of_a_film_loses_nothing(tmp_path, film_alone):
    recipe, expected = film_alone
    with killing_a_ray_worker(lambda: leftovers(tmp_path / "w")) as killed:
        run_quietly(recipe, tmp_path / "w", executor=open_executor("ray", 2, None))
    assert killed
    assert_same(contents(tmp_path / "w"), expected)
    assert not leftovers(tmp_path / "w")


class Deadly(Preprocess):
    """Its worker dies at every chunk but the first."""

    def apply_part(self, part, tools):
        if part.span.start_s > 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().apply_part(part, tools)


def test_a_file_with_a_deadly_chunk_is_left_to_the_next_run(tmp_path, talk_alone):
    recipe, expected = talk_alone
    loaded = load_recipe(recipe)
    stages = [stage if stage.stage == "ingest" else Deadly(**stage.model_dump()) for stage in loaded.recipe.stages]
    deadly = loaded._replace(recipe=loaded.recipe.model_copy(update={"stages": tuple(stages)}))
    executor = LocalExecutor(2)
    try:
        run(deadly, Workspace(tmp_path / "w"), executor=executor, listener=Quiet())
    finally:
        executor.close()
    half = contents(tmp_path / "w")
    assert 0 < half["items"].num_rows < expected["items"].num_rows
    assert half["rejections"]["reason"].to_pylist() == ["crashed"]
    assert not leftovers(tmp_path / "w")
    run_quietly(recipe, tmp_path / "w")
    assert_same(contents(tmp_path / "w"), expected)


def test_a_run_stopped_in_the_middle_of_a_file_keeps_nothing_of_it(tmp_path, talk_alone):
    recipe, expected = talk_alone
    listener, executor = ProgressListener(), LocalExecutor(1)
    with pytest.raises(Interrupted):
        run(
            load_recipe(recipe),
            Workspace(tmp_path / "w"),
            executor=executor,
            listener=listener,
            stop=lambda: len(listener.advanced) >= 2,
        )
    assert contents(tmp_path / "w")["items"].num_rows in (0, 2)
    assert not leftovers(tmp_path / "w")
    run_quietly(recipe, tmp_path / "w")
    assert_same(contents(tmp_path / "w"), expected)


DIE_AT_CHUNK = """
import os, signal, sys
from pathlib import Path
from curate.stages.preprocess import stage as preprocess
from tests.support.runs import run_quietly
chunks = []
def deadly(self, part, tools, apply=preprocess.Preprocess.apply_part):
    chunks.append(part)
    if len(chunks) == 3: os.kill(os.getpid(), signal.SIGKILL)
    return apply(self, part, tools)
preprocess.Preprocess.apply_part = deadly
run_quietly(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_a_run_killed_in_the_middle_of_a_file_leaves_nothing_half_written(tmp_path, talk_alone):
    recipe, expected = talk_alone
    command = [sys.executable, "-c", DIE_AT_CHUNK, str(recipe), str(tmp_path / "w")]
    assert subprocess.run(command, cwd=Path(__file__).parents[2], timeout=120).returncode == -signal.SIGKILL
    assert contents(tmp_path / "w")["items"].num_rows in (0, 2)
    assert leftovers(tmp_path / "w")
    run_quietly(recipe, tmp_path / "w")
    assert_same(contents(tmp_path / "w"), expected)
    assert not leftovers(tmp_path / "w")
