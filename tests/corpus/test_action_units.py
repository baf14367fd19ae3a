"""What a prompt is told of action units: which, how strong, when, and in how many frames."""

import numpy as np
import pytest

from curate.corpus.action_units import describe_action_units
from curate.corpus.signals import Signal

NAN = np.nan


def make_signal(
    columns: dict[str, list[float]], *, kind: str = "openface", track: str | None = None, **changes
) -> Signal:
    values = np.array(list(columns.values()), float)
    times = np.arange(values.shape[1]) / 10
    tools = {"openface": "OpenFace", "py-feat": "py-feat"}
    signal = Signal("units", track, kind, tools.get(kind), 10.0, list(columns), [], times, values)
    return signal._replace(**changes)


def test_intensities_with_occurrences():
    signal = make_signal(
        {
            "pose_Rx": [0.5] * 8,
            "AU12_r": [0, 0.5, NAN, 3.2, 1.1, 0, 5, 5],
            "AU12_c": [0, 0, NAN, 1, 1, 0, 1, 1],
            "AU01_r": [0.2, 0.4, NAN, 0.1, 0, 0, 5, 5],
            "AU01_c": [0, 0, NAN, 0, 0, 0, 1, 1],
        }
    )
    assert describe_action_units([signal], 0.1, 0.6).splitlines() == [
        "Measured by OpenFace at 10 Hz: 4 of 5 frames; times in seconds from the start of the clip.",
        "Intensities are from 0 to 5; the letter is the nearest of A (1) to E (5).",
        # Frames .1, .3, .4 and .5 s; the strongest is at .3 s, which is .2 s into the clip.
        "- AU12 (lip corner puller): present in 50% of the measured frames; highest 3.2 of 5 (C) at 0.20 s, mean 1.20",
        "- Not present: AU1 (inner brow raiser)",
    ]


def test_coded_intensities_and_coded_occurrences():
    coded = make_signal({"AU04": [0, 2, 2, NAN]}, kind="coded")
    assert describe_action_units([coded], 0.0, 1.0).splitlines() == [
        "From signal units at 10 Hz: 3 of 4 frames; times in seconds from the start of the clip.",
        "Intensities are from 0 to 5; the letter is the nearest of A (1) to E (5).",
        "- AU4 (brow lowerer): present in 67% of the measured frames; highest 2.0 of 5 (B) at 0.10 s, mean 1.33",
    ]
    ticked = make_signal({"AU04": [0, 0, 1, 1], "AU45": [0, 0, 0, 0]}, kind="coded")
    assert describe_action_units([ticked], 0.1, 1.0).splitlines()[1:] == [
        "Units are there or not.",
        "- AU4 (brow lowerer): present in 67% of the measured frames; first at 0.10 s",
        "- Not present: AU45 (blink)",
    ]


def test_likelihoods_and_values_of_no_known_scale():
    likely = make_signal({"AU06": [0.25, 0.75]}, kind="py-feat")
    assert describe_action_units([likely], None, None).splitlines()[1:] == [
        "Likelihoods are from 0 to 1; a unit counts as present from 0.5 on.",
        "- AU6 (cheek raiser): present in 50% of the measured frames; highest 0.75 at 0.10 s, mean 0.50",
    ]
    unknown = make_signal({"AU6": [10, 70], "AU99": [1, 2]}, kind="csv", tool="FaceReader 9")
    assert describe_action_units([unknown], 0.0, 1.0).splitlines() == [
        "Measured by FaceReader 9 at 10 Hz: 2 of 2 frames; times in seconds from the start of the clip.",
        "The scale of the values is not stated.",
        "- AU6 (cheek raiser): highest 70.00 at 0.10 s, mean 40.00",
        "- AU99: highest 2.00 at 0.10 s, mean 1.50",
    ]


def test_each_face_is_told_apart_and_the_longest_comes_first():
    short = make_signal({"AU12_r": [1, NAN, NAN]}, track="0")
    long = make_signal({"AU12_r": [2, 2, 2]}, track="1")
    text = describe_action_units([short, long], 0.0, 1.0)
    assert [line for line in text.splitlines() if "face" in line] == [
        "Measured by OpenFace at 10 Hz, face 1: 3 of 3 frames; times in seconds from the start of the clip.",
        "Measured by OpenFace at 10 Hz, face 0: 1 of 3 frames; times in seconds from the start of the clip.",
    ]
    crowd = [make_signal({"AU12_r": [1]}, track=str(number)) for number in range(5)]
    assert describe_action_units(crowd, 0.0, 1.0).endswith("2 more faces were measured for a shorter time.")


@pytest.mark.parametrize(
    "signal",
    [
        make_signal({"AU12_r": [NAN, NAN], "AU12_c": [NAN, NAN]}),
        make_signal({"loudness": [1, 2]}, kind="opensmile"),
        make_signal({"AU12_r": [3.0] * 60})._replace(times_s=np.arange(60) + 100.0),
    ],
    ids=["missing", "another signal", "another time"],
)
def test_what_was_not_measured_is_not_said_to_be_absent(signal):
    assert describe_action_units([signal], 0.0, 1.0) == ""
