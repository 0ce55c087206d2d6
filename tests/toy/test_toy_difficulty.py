"""The measures of the page on difficulty, on cases whose answer is known."""

import numpy as np
import pytest

from dsel.audio import log_mel
from dsel.corpus import Track
from dsel.toy.speaker import draw_speaker, factors
from tools.toy_difficulty import lag_ms, matching_ceiling, mouth_fit, nearest_voices

torch = pytest.importorskip("torch")


class People:
    """Stand for a corpus: every split has one or two tracks of each speaker."""

    def __init__(self, speakers, extra=None, tracks=1):
        self.tracks = [
            Track(
                f"{s.name}_{k}",
                s.name,
                "any",
                "x",
                50,
                0,
                {**factors(s), **(extra(s, k) if extra else {})},
            )
            for s in speakers
            for k in range(tracks)
        ]

    def split(self, _):
        return self.tracks


@pytest.mark.parametrize("late", [-80, -20, 0, 40, 90])
def test_lag_of_a_sound_that_follows_the_mouth_by_known_milliseconds(late):
    rng, T, fits = np.random.default_rng(0), 50, []
    for _ in range(12):
        opening = np.convolve(rng.random(T + 8), np.hanning(7) / 3, "same")[4:-4]
        t = np.arange(640 * T) / 16000
        loud = np.interp(t - late / 1000, (np.arange(T) + 0.5) / 25, opening)
        sound = 0.1 * np.exp(2 * loud) * rng.standard_normal(len(t))
        mel = log_mel(torch.from_numpy(sound.astype(np.float32))[None])[0].numpy()
        fits.append(mouth_fit(mel, opening))
    assert lag_ms(fits) == pytest.approx(late, abs=6)


def test_matching_by_the_true_latents_is_certain_when_coupled_and_chance_when_not():
    for coupling, low, high in ((1.0, 0.999, 1.0), (0.0, 0.01, 0.07)):
        people = People([draw_speaker(3, f"te{k:04d}", coupling) for k in range(200)])
        assert low <= matching_ceiling(people) <= high


def test_a_copied_voice_is_no_distinct_voice():
    names = (
        "voice_f0",
        *(f"voice_f{k}_scale" for k in (1, 2, 3, 4)),
        "voice_tilt",
        "voice_rate",
        "voice_breath",
    )
    rng = np.random.default_rng(1)
    own = rng.normal(size=(40, len(names)))

    def voice(twins):
        return lambda s, k: dict(
            zip(names, own[int(s.name[2:]) // (2 if twins else 1)] + 0.001 * k, strict=True)
        )

    people = [draw_speaker(3, f"te{k:04d}", 0.9) for k in range(40)]
    apart = nearest_voices(People(people, voice(False), tracks=2))
    twins = nearest_voices(People(people, voice(True), tracks=2))
    assert apart[0] > 0.3
    assert twins[0] == pytest.approx(0, abs=1e-6)
    assert apart[1] == pytest.approx(
        np.sqrt(2), abs=0.25
    )  # two draws of a unit normal, per parameter
    assert apart[2] < 0.01
