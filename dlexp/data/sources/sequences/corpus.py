"""Running text for language models: of files, and the reference of the Python language.

Symbols: M tokens of a part of the text.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dlexp.data.bundle import SPLITS, DataBundle, Split, fingerprint_of
from dlexp.data.corpora.compression import witten_bell_bits, xz_bits_per_byte
from dlexp.data.corpora.paragraphs import Deduplicated, without_repeated
from dlexp.data.corpora.reading import read_corpus
from dlexp.data.corpora.windows import evaluation_windows, training_windows
from dlexp.data.preprocess import Identity
from dlexp.errors import DataError
from dlexp.findings import counted
from dlexp.sequence_specs import NextTokenSpec, TokenSpec
from dlexp.specs import DataSpec
from dlexp.text.vocabulary import Vocabulary, learn_vocabulary

__all__ = ["corpus", "topics"]

_LINE = 2000  # characters after a cut within which the next end of a line is looked for
_MOST_COUNTED = 2_000_000  # characters up to which the simple models are computed


def corpus(
    *,
    path: str,
    encoding: str = "auto",
    unit: str = "character",
    vocabulary_size: int = 8192,
    min_count: int = 1,
    lowercase: bool = False,
    window: int = 128,
    stride: int | None = None,
    eval_context: int | None = None,
    repeated: str = "keep",
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
) -> DataBundle:
    """Text of a file or folder, in windows: the first part is for training, the last for testing.

    Args:
        path: A text file, or a folder of them.
        encoding: Of the text; auto: detected.
        unit: character, byte, word or subword.
        vocabulary_size: Largest number of tokens; bytes always have 259.
        min_count: How often a word or character occurs at least in the training part to be known.
        lowercase: Whether the text is read in lower case.
        window: Tokens of a window.
        stride: Tokens between the beginnings of two training windows; None for `window`.
        eval_context: Tokens at the beginning of an evaluation window that are read and not counted; None for half.
        repeated: Whether paragraphs that occurred before are kept, or dropped before the text is split.
        val_fraction: Share of the text in the validation part.
        test_fraction: Share of the text in the test part.

    Raises:
        DataError: The text cannot be read, or is too short for its parts.
        ConfigError: Subwords need a package that is not installed.
    """
    text, files, others = read_corpus(Path(path), encoding)
    place = Path(path)
    notes = [f"{counted(len(files), 'file')} of text"] if len(files) > 1 else []
    if others:
        notes.append(f"{counted(len(others), 'file')} of other types not read, such as {others[0]}")
    cleaned = without_repeated(text)
    if repeated == "drop":
        text = cleaned.text
    if cleaned.paragraphs:
        notes.append(_note_on_repeated(cleaned, repeated, len(text)))
    learning = {"unit": unit, "size": vocabulary_size, "min_count": min_count, "lowercase": lowercase}
    windows = window, stride or window, window // 2 if eval_context is None else eval_context
    return _bundle(place, text, learning, windows, (val_fraction, test_fraction), notes, {}, others)


def topics(
    *,
    unit: str = "character",
    vocabulary_size: int = 8192,
    min_count: int = 1,
    lowercase: bool = False,
    window: int = 128,
    stride: int | None = None,
    eval_context: int | None = None,
    val_fraction: float = 0.05,
    test_fraction: float = 0.1,
) -> DataBundle:
    """The reference of the Python language, as it comes with Python: English prose of about 370,000 characters.

    Paragraphs that occurred before are dropped, a fifth of the text. Source: the module `pydoc_data.topics` of the
    standard library (PSF license). It differs between versions of Python, so figures compare within one version only.
    The arguments are those of `corpus`.
    """
    from pydoc_data.topics import topics as texts

    cleaned = without_repeated("\n\n".join(texts[name] for name in sorted(texts)))
    whole = len(cleaned.text) + cleaned.characters
    notes = [
        f"Python {platform.python_version()}: the text differs between versions",
        _note_on_repeated(cleaned, "drop", whole),
    ]
    learning = {"unit": unit, "size": vocabulary_size, "min_count": min_count, "lowercase": lowercase}
    windows = window, stride or window, window // 2 if eval_context is None else eval_context
    known = {"python": platform.python_version()}
    return _bundle(None, cleaned.text, learning, windows, (val_fraction, test_fraction), notes, known, [])


def _note_on_repeated(cleaned: Deduplicated, repeated: str, length: int) -> str:
    share = f"{100 * cleaned.characters / length:.1f} % of the text"
    found = f"{counted(cleaned.paragraphs, 'paragraph')} that occurred before ({share})"
    if repeated == "drop":
        return f"{found} dropped"
    return f"{found} kept: a part of the text may know another by heart. Set data.repeated=drop to drop them."


def _bundle(
    place: Path | None,
    text: str,
    learning: dict[str, Any],
    windows: tuple[int, int, int],
    fractions: tuple[float, float],
    notes: list[str],
    known: dict[str, Any],
    left_out: Sequence[str],
) -> DataBundle:
    window, stride, context = windows
    if context >= window:
        rule = f"data.eval_context={context} must be below data.window={window}"
        raise DataError(rule, remedy=f"Set data.eval_context={window // 2}.", code="out-of-range")
    parts = _parts(text, fractions)
    vocabulary = learn_vocabulary([parts[0]], learning.pop("unit"), **learning)
    tokens = {name: _encoded(place, name, part, vocabulary) for name, part in zip(SPLITS, parts, strict=True)}
    splits, begun = {}, 0
    for name, found in tokens.items():
        is_training = name == "train"
        inputs, targets = (
            training_windows(found, window, min(stride, window))
            if is_training
            else evaluation_windows(found, window, context)
        )
        splits[name] = Split(inputs, targets, torch.arange(begun, begun + len(inputs)))
        begun += len(inputs)
    unknown = {name: float((part == vocabulary.unknown).float().mean()) for name, part in tokens.items()}
    notes += [_note(tokens, vocabulary), *_note_on_unknown(unknown, vocabulary)]
    size, bytes_per_token = len(vocabulary), len(parts[0].encode()) / len(tokens["train"])
    spec = DataSpec(TokenSpec(size, window, vocabulary), NextTokenSpec(size, window, vocabulary, bytes_per_token))
    return DataBundle(
        spec=spec,
        splits=splits,
        preprocess=Identity(),
        fingerprint=fingerprint_of(*(part.numpy() for part in tokens.values())),
        preprocessing={"kind": "text", "text": ["text"], **known},
        notes=tuple(notes),
        left_out=tuple(left_out),
        baselines=cache(lambda name: baselines_of(parts, tokens, name, vocabulary)),
    )


def _parts(text: str, fractions: tuple[float, float]) -> tuple[str, str, str]:
    """The three parts of a text, in its order; a part ends with a line where one ends soon after its share."""
    val, test = fractions
    ends = [_end_of_line(text, round(len(text) * share)) for share in (1 - val - test, 1 - test)]
    return text[: ends[0]], text[ends[0] : ends[1]], text[ends[1] :]


def _end_of_line(text: str, place: int) -> int:
    found = text.find("\n", place, place + min(_LINE, len(text) // 50))
    return place if found < 0 else found + 1


def _encoded(place: Path | None, name: str, text: str, vocabulary: Vocabulary) -> torch.Tensor:
    """(M,) int64. Raises DataError for a part of less than two tokens."""
    ids = torch.from_numpy(np.array(vocabulary.encode(text), dtype=np.int64))
    if len(ids) < 2:
        rule = f"too short: the {name} part has {counted(len(ids), vocabulary.unit)}, and at least 2 are required"
        raise DataError(rule, file=place, remedy="Use a longer text.", code="too-few-samples")
    if bool((ids == vocabulary.unknown).all()):
        rule = f"the {name} part has no {vocabulary.unit} that the training part has"
        raise DataError(rule, file=place, remedy="Set data.unit=byte, which knows every text.")
    return ids


def _note(tokens: dict[str, torch.Tensor], vocabulary: Vocabulary) -> str:
    sizes = ", ".join(f"{len(part):,} {name}" for name, part in tokens.items())
    return f"{vocabulary.unit}s: {sizes}; {len(vocabulary):,} different tokens (data.unit, data.vocabulary_size)"


def _note_on_unknown(unknown: dict[str, float], vocabulary: Vocabulary) -> list[str]:
    shares = [f"{100 * share:.2f} % of {name}" for name, share in unknown.items() if share]
    return [f"{vocabulary.unit}s that are not in the vocabulary: {', '.join(shares)}"] if shares else []


def baselines_of(
    parts: tuple[str, str, str], tokens: dict[str, torch.Tensor], name: str, vocabulary: Vocabulary
) -> dict[str, dict[str, float]]:
    """Model -> metric -> value on a part of the text, by models that have read the training part.

    Empty for the training part, and for texts of more than 2,000,000 characters.
    """
    if name == "train" or sum(map(len, parts)) > _MOST_COUNTED:
        return {}
    first, *held_out = tokens[name].tolist()
    bits = witten_bell_bits([*tokens["train"].tolist(), first], held_out, len(vocabulary))
    found = {"5-gram (Witten-Bell)": {"bits_per_token": bits}}
    if vocabulary.unit != "word":
        num_bytes = sum(vocabulary.token_bytes[token] for token in held_out)
        found["5-gram (Witten-Bell)"]["bits_per_byte"] = bits * len(held_out) / max(1, num_bytes)
    found["xz"] = {"bits_per_byte": xz_bits_per_byte(parts[0], parts[SPLITS.index(name)])}
    return found
