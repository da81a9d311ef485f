"""Made-up sounds of letters, to be recognized: a tone or a chirp for each.

Symbols: N samples, M frames of all of them, K bands.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from dlexp.data.bundle import SPLITS, DataBundle, Split, fingerprint_of
from dlexp.data.columns import Ragged
from dlexp.data.preprocess import Affine
from dlexp.data.splitting import split_rows
from dlexp.sequence_specs import SeriesSpec, TokenTargetSpec
from dlexp.specs import DataSpec
from dlexp.text.vocabulary import SPECIAL, Vocabulary

__all__ = ["tones"]

_RATE = 8000  # samples a second
_FRAME, _HOP = 256, 128  # samples of a frame, and between the beginnings of two
_BANDS = 32
_LETTERS = "abcdefgh"


def tones(
    *,
    num_samples: int = 1000,
    length: int = 8,
    noise: float = 0.1,
    data_seed: int = 0,
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    split_seed: int = 0,
) -> DataBundle:
    """Sounds of one to three words of eight letters: inputs (T, 32) log energies of bands, targets the letters.

    Each letter is a tone of its own frequency, and every second one a chirp that rises from it; it lasts 50 to 110 ms,
    with a short silence after it and a longer one between words.

    Args:
        num_samples: N.
        length: Letters and spaces of the longest text.
        noise: Standard deviation of the noise, where tones have an amplitude of 1.
        data_seed: Seed of the sounds.
        val_fraction: Share of the samples in the validation split.
        test_fraction: Share of them in the test split.
        split_seed: Seed of the split.
    """
    rng = np.random.default_rng(data_seed)
    texts = [_text(rng, length) for _ in range(num_samples)]
    frames = [_bands(_sound(text, noise, rng)) for text in texts]
    vocabulary = Vocabulary("character", (*SPECIAL, *_LETTERS, " "))
    ids = [vocabulary.encode(text) for text in texts]
    parts = split_rows(num_samples, (val_fraction, test_fraction, split_seed))
    seen = np.concatenate([frames[row] for row in parts[0]])
    mean, std = seen.mean(0), seen.std(0) + 1e-6
    longest = max(map(len, frames))
    spec = DataSpec(
        SeriesSpec(_BANDS, longest), TokenTargetSpec(len(vocabulary), max(map(len, ids)), vocabulary=vocabulary)
    )
    splits = {
        name: Split(
            _ragged([frames[row] for row in rows]),
            _ragged([np.array(ids[row]) for row in rows]),
            torch.from_numpy(rows),
        )
        for name, rows in zip(SPLITS, parts, strict=True)
    }
    return DataBundle(
        spec=spec,
        splits=splits,
        preprocess=Affine(torch.from_numpy(1 / std).float(), torch.from_numpy(-mean / std).float()),
        fingerprint=fingerprint_of(np.concatenate(frames), np.concatenate(ids)),
        preprocessing={"kind": "sound", "rate": _RATE, "frame": _FRAME, "hop": _HOP, "bands": _BANDS},
    )


def _text(rng: np.random.Generator, length: int) -> str:
    count = int(rng.integers(max(1, length // 2), length + 1))
    letters = rng.choice(list(_LETTERS), size=count)
    for place in range(2, count - 1):
        if rng.random() < 0.2 and letters[place - 1] != " ":
            letters[place] = " "
    return "".join(letters)


def _sound(text: str, noise: float, rng: np.random.Generator) -> NDArray[np.float64]:
    parts = [np.zeros(_HOP)]
    for letter in text:
        if letter == " ":
            parts.append(np.zeros(int(rng.uniform(0.10, 0.15) * _RATE)))
            continue
        number = _LETTERS.index(letter)
        seconds = rng.uniform(0.05, 0.11)
        time = np.arange(int(seconds * _RATE)) / _RATE
        begun = 300 * 2 ** (number / 2)
        rise = 0.5 * begun / seconds if number % 2 else 0.0
        parts += [
            np.sin(2 * np.pi * (begun * time + rise * time**2 / 2)),
            np.zeros(int(rng.uniform(0.03, 0.05) * _RATE)),
        ]
    whole = np.concatenate([*parts, np.zeros(_FRAME)])
    return whole + noise * rng.standard_normal(len(whole))


def _bands(sound: NDArray[np.float64]) -> NDArray[np.float32]:
    """(T, K) log energies of equal bands of the spectrum of each frame."""
    pieces = np.lib.stride_tricks.sliding_window_view(sound, _FRAME)[::_HOP] * np.hanning(_FRAME)
    energy = np.abs(np.fft.rfft(pieces, axis=1)[:, : _FRAME // 2]) ** 2
    return np.asarray(np.log(energy.reshape(len(pieces), _BANDS, -1).mean(2) + 1e-3), np.float32)


def _ragged(rows: list[NDArray[np.float32]] | list[NDArray[np.int64]]) -> Ragged:
    offsets = torch.tensor([0, *np.cumsum([len(row) for row in rows])])
    return Ragged(torch.from_numpy(np.concatenate(rows)), offsets)
