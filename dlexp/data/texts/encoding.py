"""Texts as token ids, with a vocabulary of the training split alone.

Symbols: N texts of a source, M tokens of all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dlexp.data.bundle import SPLITS, DataBundle, Split
from dlexp.data.columns import Dense, Ragged
from dlexp.data.preprocess import Identity
from dlexp.data.splitting import Rows
from dlexp.data.targets import target_unit
from dlexp.data.texts.missing_text import BadText, without_bad
from dlexp.errors import ConfigError, DataError
from dlexp.findings import counted
from dlexp.sequence_specs import TokenSpec
from dlexp.spec_base import TargetSpec
from dlexp.specs import ClassSpec, DataSpec, ValueSpec
from dlexp.text.vocabulary import PLURALS, SPECIAL, Vocabulary, learn_vocabulary

_LONGEST = 512  # tokens of a text that are read at most with data.max_length=auto
_MANY_UNKNOWN = 0.01  # share of the tokens of a held-out split from which unknown ones are told


@dataclass(frozen=True)
class TextOptions:
    """How texts become tokens; the keys of data.* of the same names."""

    unit: str
    vocabulary_size: int
    min_count: int
    lowercase: bool
    max_length: int | str
    on_bad: str
    bucket: bool


@dataclass(frozen=True)
class LabeledTexts:
    """The texts of a source and their targets.

    texts    N texts
    targets  (N,) class numbers, or (N, O) values
    classes  names of the classes, () for values
    values   names of the values
    bad      makes the error of unusable texts
    notes    messages to the user
    others   files that are no texts of a class, which are not read
    unusable texts that were left out already, each with the reason
    facts    what a run keeps of the source, for its preprocessing
    together the setting that keeps equal texts in one split, "" for none
    """

    texts: Sequence[str]
    targets: NDArray[Any]
    classes: tuple[str, ...]
    values: tuple[str, ...]
    bad: BadText
    notes: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    unusable: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    together: str = ""


def build_texts(given: LabeledTexts, rows: tuple[Rows, Rows, Rows], options: TextOptions) -> DataBundle:
    """The bundle of texts.

    Args:
        given: Texts and targets.
        rows: Numbers of the texts in train, val and test.
        options: How they become tokens.

    Raises:
        DataError: A text has no known token, or the training split has no token at all.
        ConfigError: Subwords need the package tokenizers, which is not installed.
    """
    vocabulary = _learned(given, rows[0], options)
    lengths, ids = _encoded(given.texts, vocabulary)
    rows, left_out, notes = without_bad(given.bad, rows, _unknown(lengths, ids), options.on_bad, vocabulary.unit)
    longest = _greatest_length(lengths, rows[0], options.max_length)
    notes = (
        *given.notes,
        *notes,
        *_cut_note(lengths, rows, longest),
        *_unknown_note(lengths, ids, rows, vocabulary),
        *_copies_note(given, rows),
    )
    targets: TargetSpec = ClassSpec(given.classes)
    if not given.classes:
        targets = ValueSpec(given.values, *target_unit(given.targets, rows[0], given.values))
    return DataBundle(
        spec=DataSpec(TokenSpec(len(vocabulary), longest, vocabulary), targets),
        splits={
            name: Split(
                _column(ids, lengths, part, longest),
                Dense(torch.from_numpy(given.targets[part])),
                torch.from_numpy(part),
            )
            for name, part in zip(SPLITS, rows, strict=True)
        },
        preprocess=Identity(),
        fingerprint=_fingerprint(given),
        preprocessing={"kind": "text", **given.facts},
        notes=notes,
        left_out=(*given.others, *given.unusable, *left_out),
        damaged=(*given.unusable, *left_out),
        named=given.bad.named,
        target=given.values[0] if len(given.values) == 1 else "",
        texts=partial(_texts_at, tuple(given.texts)),
        bucket=options.bucket,
    )


def encoded_texts(texts: Sequence[str], spec: TokenSpec) -> Ragged:
    """Texts as a trained run reads them. Raises TypeError for a run of other tokens than those of texts."""
    if spec.vocabulary is None:
        raise TypeError("these token ids are no texts")
    lengths, ids = _encoded(texts, spec.vocabulary)
    return _column(ids, lengths, np.arange(len(texts)), spec.max_length)


def _texts_at(texts: Sequence[str], rows: NDArray[np.int64]) -> list[str]:
    return [texts[row] for row in rows.tolist()]


def _learned(given: LabeledTexts, train: Rows, options: TextOptions) -> Vocabulary:
    texts = (given.texts[row] for row in train.tolist())
    wanted = options.unit, options.vocabulary_size, options.min_count, options.lowercase
    try:
        found = learn_vocabulary(texts, *wanted)
    except ImportError as error:
        rule = "requires the package tokenizers"
        remedy = "Install it: pip install 'dlexp[text]'"
        raise ConfigError.one("data.unit", options.unit, rule, remedy, code="missing-package") from error
    if len(found) > len(SPECIAL):
        return found
    rule = (
        f"no {options.unit} occurs {options.min_count} times in the training split, so that there is none to learn of"
    )
    remedy = "Set data.min_count=1" if options.min_count > 1 else "Add texts, or set data.unit=character"
    raise DataError(rule, file=given.bad.file, remedy=remedy, code="too-few-samples")


def _encoded(texts: Sequence[str], vocabulary: Vocabulary) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """((N,) tokens of each text, (M,) their ids)."""
    found = [vocabulary.encode(text) for text in texts]
    lengths = np.fromiter(map(len, found), dtype=np.int64, count=len(found))
    return lengths, np.fromiter((one for ids in found for one in ids), dtype=np.int64, count=int(lengths.sum()))


def _unknown(lengths: NDArray[np.int64], ids: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(N,) whether a text has no known token."""
    return np.asarray(_sums(ids != 0, lengths) == 0)


def _sums(values: NDArray[Any], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sum of the values of each text."""
    totals = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
    ends = np.cumsum(lengths)
    found: NDArray[np.int64] = totals[ends] - totals[ends - lengths]
    return found


def _greatest_length(lengths: NDArray[np.int64], train: Rows, wanted: int | str) -> int:
    if not isinstance(wanted, str):
        return wanted
    return min(_LONGEST, int(lengths[train].max()))


def _column(ids: NDArray[np.int64], lengths: NDArray[np.int64], rows: Rows, longest: int) -> Ragged:
    """The first `longest` tokens of some texts."""
    starts = (np.cumsum(lengths) - lengths)[rows]
    kept = np.minimum(lengths[rows], longest)
    offsets = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
    places = np.arange(int(offsets[-1])) - np.repeat(offsets[:-1], kept) + np.repeat(starts, kept)
    return Ragged(torch.from_numpy(ids[places]), torch.from_numpy(offsets))


def _cut_note(lengths: NDArray[np.int64], rows: Sequence[Rows], longest: int) -> list[str]:
    used = lengths[np.concatenate(rows)]
    cut = used > longest
    if not cut.any():
        return []
    lost, total = int((used[cut] - longest).sum()), int(used.sum())
    what = counted(int(cut.sum()), "text is cut", "texts are cut")
    share = f"{lost:,} of {total:,} tokens ({_percent(lost / total)}) are not read"
    return [f"{what} after {longest:,} tokens: {share}. To read all, set data.max_length={int(used.max())}"]


def _unknown_note(
    lengths: NDArray[np.int64], ids: NDArray[np.int64], rows: Sequence[Rows], vocabulary: Vocabulary
) -> list[str]:
    unknown = _sums(ids == vocabulary.unknown, lengths)
    shares = {name: unknown[part].sum() / max(1, lengths[part].sum()) for name, part in zip(SPLITS, rows, strict=True)}
    if max(shares["val"], shares["test"]) < _MANY_UNKNOWN:
        return []
    what = PLURALS[vocabulary.unit]
    return [
        f"{what} that the vocabulary does not have: " + ", ".join(f"{_percent(s)} of {n}" for n, s in shares.items())
    ]


def _percent(share: float) -> str:
    return "< 0.1 %" if 0 < share < 0.001 else f"{share:.1%}".replace("%", " %")


def _copies_note(given: LabeledTexts, rows: Sequence[Rows]) -> list[str]:
    """A message about held-out texts that the training split has too."""
    texts = given.texts
    trained = {texts[row] for row in rows[0].tolist()}
    found = {
        name: sum(texts[row] in trained for row in part.tolist())
        for name, part in zip(SPLITS[1:], rows[1:], strict=True)
    }
    if not any(found.values()):
        return []
    each = " and ".join(f"{number:,} of {len(part):,} texts of {name}"
                        for (name, number), part in zip(found.items(), rows[1:], strict=True))  # fmt: skip
    remedy = "Remove the copies" + (f", or keep them in one split: {given.together}" if given.together else "")
    return [f"{each} are in the training split too, which makes their figures too good. {remedy}"]


def _fingerprint(given: LabeledTexts) -> str:
    """SHA-256 over texts, targets and the version of what they were read from."""
    digest = hashlib.sha256(f"{given.facts.get('python', '')}{given.classes}".encode())
    for text in given.texts:
        data = text.encode(errors="surrogatepass")
        digest.update(b"%d " % len(data) + data)
    digest.update(f"{given.targets.shape}{given.targets.dtype}".encode())
    digest.update(np.ascontiguousarray(given.targets).tobytes())
    return digest.hexdigest()
