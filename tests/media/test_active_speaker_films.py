"""Whose face speaks in films made of real talking heads, side by side, with their own voices and those of others."""

import subprocess
from typing import NamedTuple

import numpy as np
import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from curate.media.container.decode import Span, read_audio
from curate.media.faces.analyse import analyse_video
from curate.media.faces.centerface import CenterFace
from curate.media.speech.active_speaker import find_active_speakers
from curate.media.speech.vad import find_utterances, speech_probabilities

ONE, TWO = "sadtalker/WDA_AlexandriaOcasioCortez_000.mp4", "sadtalker/WDA_KatieHill_000.mp4"
SILENT = "pyfeat/WolfgangLanger_Pexels.mp4"
SPEECH, MOODS = "whisper/jfk.flac", ("emodb/08a01Fd.wav", "emodb/08a02Tb.wav", "emodb/08a01Na.wav")


class Film(NamedTuple):
    """Heads from left to right, the sound, and which head speaks, if any."""

    heads: tuple[str, ...]
    sound: str | tuple[str, ...]
    speaker: int | None
    filters: str = "null"
    """What is done to the last head"""


FILMS = {
    "speaks, silent": Film((ONE, SILENT), ONE, 0),
    "silent, speaks": Film((SILENT, TWO), TWO, 1),
    "both move, left speaks": Film((ONE, TWO), ONE, 0),
    "both move, right speaks": Film((ONE, TWO), TWO, 1),
    "both move, one backwards": Film((TWO, ONE), TWO, 0, "reverse"),
    "twice the same, one backwards": Film((ONE, ONE), ONE, 0, "reverse"),
    "unseen over one": Film((ONE,), MOODS, None),
    "unseen over another": Film((TWO,), MOODS, None),
    "unseen over two": Film((TWO, ONE), "silero/test.mp3", None),
    "unseen over a speaker and a listener": Film((TWO, SILENT), MOODS, None),
    "the voice of the other one": Film((ONE,), TWO, None),
    "the voice of the other": Film((TWO,), ONE, None),
    "unseen over a speaker who is played backwards": Film((ONE,), SPEECH, None, "reverse"),
}


def answers(film: Film, media, path):
    """For each 2-4 s of speech the head that speaks, or the outcome; and all heads that were given as the likeliest."""
    sounds = [film.sound] if isinstance(film.sound, str) else list(film.sound)
    command = [get_ffmpeg_exe(), "-v", "error"]
    for file in (*film.heads, *sounds):
        command += ["-t", "8", "-i", str(media / file)]
    heads = len(film.heads)
    steps = [
        f"[{i}:v]fps=25,scale=320:320:force_original_aspect_ratio=increase,crop=320:320,"
        f"{film.filters if i == heads - 1 else 'null'}[v{i}]"
        for i in range(heads)
    ]
    steps.append("".join(f"[v{i}]" for i in range(heads)) + (f"hstack=inputs={heads}[v]" if heads > 1 else "null[v]"))
    voices = "".join(f"[{heads + i}:a]" for i in range(len(sounds)))
    steps.append(f"{voices}concat=n={len(sounds)}:v=0:a=1[a]")
    command += ["-filter_complex", ";".join(steps), "-map", "[v]", "-map", "[a]", "-t", "8", "-preset", "ultrafast"]
    subprocess.run([*command, str(path)], check=True)
    sound = read_audio(path)
    utterances = find_utterances(speech_probabilities(sound), duration_s=len(sound) / 16_000)
    spans = [
        Span(start_s, min(start_s + 3.0, utterance.span.end_s))
        for utterance in utterances
        for start_s in np.arange(utterance.span.start_s, utterance.span.end_s - 1.4, 3.0).tolist()
    ]
    tracks = analyse_video(path, [Span(0.0, 99.0)], CenterFace(), crops="none").tracks
    order = sorted(range(len(tracks)), key=lambda index: tracks[index].track.faces[0].box[0])
    return [
        order.index(answer.track) if answer.outcome == "speaker face" else answer.outcome
        for answer in find_active_speakers(tracks, sound, spans)
    ]


@pytest.mark.media
def test_real_voices_are_given_to_their_faces_and_unseen_ones_to_nobody(shared_data, tmp_path):
    given = {
        name: answers(film, shared_data / "media", tmp_path / f"{index}.mp4")
        for index, (name, film) in enumerate(FILMS.items())
    }
    pairs = [(answer, FILMS[name].speaker) for name, found in given.items() for answer in found]
    sure = [("off screen" if speaker is None else speaker) == found for found, speaker in pairs if found != "uncertain"]
    assert np.mean(sure) >= 0.9, given
    assert len(sure) >= 0.7 * len(pairs), given
    unseen = [answer for answer, speaker in pairs if speaker is None]
    assert unseen.count("off screen") >= 0.75 * len(unseen), given
    seen = [(answer, speaker) for answer, speaker in pairs if speaker is not None]
    assert sum(answer == speaker for answer, speaker in seen) >= 0.75 * len(seen), given
