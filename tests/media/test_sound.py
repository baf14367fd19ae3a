"""The sound that a player plays: which track, how it is mixed, and at which time."""

import errno
import subprocess
import wave

import numpy as np
import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from curate.errors import InvalidRow
from curate.media.container.decode import read_audio, read_audio_start, read_channels, read_sound
from curate.media.container.open import MediaFile
from curate.media.container.probe import describe_limits, probe
from curate.media.container.sample_store import release_pages
from tests.support.media_builders import make_speech, make_tone, sample, write_media


def encode(*arguments: object) -> None:
    subprocess.run([get_ffmpeg_exe(), "-v", "error", "-y", *map(str, arguments)], check=True)


def write_channels(path, *channels, rate_hz=16_000):
    samples = np.stack(channels, axis=1).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setparams((len(channels), 2, rate_hz, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return path


def level(samples) -> float:
    return float(np.sqrt((samples.astype(float) ** 2).mean()))


@pytest.mark.parametrize("share", [-1.0, -0.85])
def test_opposite_phase_does_not_vanish(tmp_path, share):
    speech = make_speech()
    sound = read_sound(write_channels(tmp_path / "a.wav", speech, speech * share))
    assert level(sound.samples) == pytest.approx(level(speech) * (1 - share) / 2, rel=0.02)
    assert sound.notices == ["a.wav: channel 2 of 2 is of opposite phase and inverted in the mix"]
    assert level(read_audio_start(tmp_path / "a.wav", 3.0)) > 0.5 * level(speech[:48_000])


def test_a_silent_channel_takes_no_part(tmp_path):
    speech = make_speech()
    sound = read_sound(write_channels(tmp_path / "a.wav", np.zeros_like(speech), speech))
    assert np.abs(sound.samples.astype(int) - speech).max() <= 1
    assert sound.notices == ["a.wav: channel 1 of 2 is silent and left out of the mix"]


def test_two_equal_channels_are_one_voice(tmp_path):
    speech = make_speech()
    sound = read_sound(write_channels(tmp_path / "a.wav", speech, speech))
    assert np.abs(sound.samples.astype(int) - speech).max() <= 1
    assert not sound.notices


@pytest.mark.parametrize("place", range(6))
def test_each_of_several_microphones_is_heard(tmp_path, place):
    speech = make_speech()
    channels = [speech if channel == place else make_tone(len(speech) / 16_000, level=0.01) for channel in range(6)]
    path = write_channels(tmp_path / "a.wav", *channels)
    assert np.corrcoef(read_audio(path), speech)[0, 1] > 0.9
    assert [len(samples) for samples in read_channels(path)] == [len(speech)] * 6


def test_the_centre_of_surround_sound_counts(tmp_path):
    encode("-i", sample(), "-vn", "-af", "pan=5.1|FC=c0", "-ar", "16000", "-c:a", "flac", tmp_path / "a.flac")
    assert level(read_audio(tmp_path / "a.flac")) == pytest.approx(level(make_speech()), rel=0.1)


def two_languages(folder, *, default: int):
    write_media(folder / "tone.wav", sound=make_tone(3.0))
    marks = [value for n in (0, 1) for value in (f"-disposition:a:{n}", "default" if n == default else "0")]
    languages = ("-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=ger")
    inputs = ("-i", sample(), "-i", folder / "tone.wav", "-map", "0:a", "-map", "1:a")
    encode(*inputs, *languages, *marks, "-c:a", "flac", folder / "a.mka")
    return folder / "a.mka"


@pytest.mark.parametrize(
    ("default", "language", "number"), [(0, None, 1), (1, None, 2), (0, "de", 2), (1, "en", 1), (0, "fr", 1)]
)
def test_the_track_heard_is_chosen_and_named(tmp_path, default, language, number):
    sound = read_sound(two_languages(tmp_path, default=default), language=language)
    assert (len(sound.samples) < 60_000) == (number == 2)
    code = {1: "eng", 2: "ger"}[number]
    assert sound.notices == [f"a.mka has 2 sound tracks: number {number} ({code}) is heard, no other"]


@pytest.mark.parametrize("codec", ["aac", "mp3"])
def test_sound_that_changes_its_rate_midway_keeps_its_speed(tmp_path, codec):
    for rate_hz in (44_100, 22_050):
        encode("-i", sample(), "-vn", "-ar", rate_hz, "-write_xing", "0", tmp_path / f"{rate_hz}.{codec}") if (
            codec == "mp3"
        ) else encode("-i", sample(), "-vn", "-ar", rate_hz, tmp_path / f"{rate_hz}.{codec}")
    joined = b"".join((tmp_path / f"{rate_hz}.{codec}").read_bytes() for rate_hz in (44_100, 22_050))
    (tmp_path / f"a.{codec}").write_bytes(joined)
    speech = make_speech()
    heard = read_audio(tmp_path / f"a.{codec}")
    assert len(heard) == pytest.approx(2 * len(speech), rel=0.03)
    assert probe(tmp_path / f"a.{codec}").duration_s == pytest.approx(len(heard) / 16_000, abs=0.05)
    second = heard[len(heard) - len(speech) :].astype(float)
    spectra = np.abs(np.fft.rfft(second * 1.0, 1 << 18)), np.abs(np.fft.rfft(speech.astype(float), 1 << 18))
    assert np.corrcoef(*(spectrum[:40_000] for spectrum in spectra))[0, 1] > 0.9


@pytest.mark.parametrize("suffix", ["ts", "mpg", "ogg"])
def test_joined_files_follow_each_other(tmp_path, suffix):
    codec = ("-vn", "-c:a", "libopus") if suffix == "ogg" else ()
    for name in ("good_news", "broken_promise"):
        encode("-i", sample(name), *codec, tmp_path / f"{name}.{suffix}")
    parts = [(tmp_path / f"{name}.{suffix}").read_bytes() for name in ("good_news", "broken_promise")]
    (tmp_path / f"a.{suffix}").write_bytes(b"".join(parts))
    expected_s = (len(make_speech()) + len(make_speech("broken_promise"))) / 16_000
    assert len(read_audio(tmp_path / f"a.{suffix}")) / 16_000 == pytest.approx(expected_s, abs=0.3)
    assert probe(tmp_path / f"a.{suffix}").duration_s == pytest.approx(expected_s, abs=0.3)


def test_a_hole_of_half_an_hour_is_silence(tmp_path):
    path = write_media(tmp_path / "a.mkv", sound=make_tone(3.0))
    encode("-i", path, "-c", "copy", "-bsf:a", "setts=ts='if(gt(N,20),TS+1800/TB,TS)'", tmp_path / "b.mkv")
    sound = read_audio(tmp_path / "b.mkv")
    assert len(sound) / 16_000 == pytest.approx(1803, abs=0.2)
    assert probe(tmp_path / "b.mkv").duration_s == pytest.approx(1803, abs=0.2)
    assert level(sound[-16_000:]) > 5000
    assert level(sound[32_000:3_200_000]) == 0


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "wav", "flac", "mp3"])
def test_what_a_cut_file_lacks_is_told(tmp_path, suffix):
    whole = tmp_path / f"whole.{suffix}"
    encode("-i", sample(), *(("-movflags", "+faststart") if suffix == "mp4" else ()), whole)
    assert describe_limits(whole, probe(whole).duration_s) == []
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (notice,) = describe_limits(cut, probe(cut).duration_s)
    assert "that it declares" in notice
    assert 35 < int(notice.partition("(")[2].partition("%")[0]) < 65


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ENOENT])
def test_an_error_of_the_disk_midway_is_not_a_broken_file(tmp_path, monkeypatch, number):
    path = write_media(tmp_path / "a.wav", sound=make_speech())
    packets = MediaFile.packets

    class Failing:
        def __init__(self, container):
            self._container = container

        def __getattr__(self, name):
            return getattr(self._container, name)

        def demux(self, *streams):
            for index, packet in enumerate(self._container.demux(*streams)):
                if index == 20:
                    raise OSError(number, "out of reach")
                yield packet

    def fail(self, *streams):
        yield from packets(
            MediaFile(self.path, Failing(self.container), self.video, self.audio, self.origin_s), *streams
        )

    monkeypatch.setattr(MediaFile, "packets", fail)
    with pytest.raises(InvalidRow, match=r"a\.wav is out of reach") as caught:
        read_audio(path)
    assert caught.value.reason == "unavailable"


def test_long_sound_is_kept_on_disk(tmp_path):
    silence = np.zeros(20 * 1 << 20, np.int16)
    silence[-16_000:] = make_tone(1.0)
    sound = read_audio(write_channels(tmp_path / "a.wav", silence))
    assert np.array_equal(sound, silence)
    release_pages(sound)
    assert np.array_equal(sound[-16_000:], make_tone(1.0))
