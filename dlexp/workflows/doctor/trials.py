"""Twins of a run: trained in memory for some updates, with one thing changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path

from dlexp.data.bundle import DataBundle
from dlexp.diagnosis.case import NetworkChange, NetworkMeasure, Start, Twin
from dlexp.errors import DlexpError
from dlexp.findings import counted
from dlexp.workflows.doctor.examined import Examined
from dlexp.workflows.doctor.trial_configs import Configure


class Trials:
    """Trains twins; see `diagnosis.case.Twins`.

    Attributes:
        updates: Updates of a twin for which nothing else is asked.
        left_out: Twins that were not trained, since the time was used up.
    """

    def __init__(
        self,
        configure: Configure,
        trusted: Sequence[str],
        bundle: DataBundle,
        *,
        updates: int,
        stored: Path | None = None,
        measured: Sequence[NetworkMeasure | None] = (),
        say: Callable[[str], None] = lambda text: None,
        seconds: float = inf,
    ) -> None:
        """
        Args:
            configure: Returns the configuration with further overrides.
            trusted: Trusted packages.
            bundle: The data, used where no word changes them.
            updates: Updates of a twin for which nothing else is asked.
            stored: The checkpoint that twins from the stored state start with.
            measured: The run itself at its start, None if that is unknown, and at its end.
            say: Receives what is being trained.
            seconds: After which no more twins are trained.
        """
        self.updates = updates
        self._configure, self._trusted, self._bundle, self._stored = configure, tuple(trusted), bundle, stored
        self._say, self._left, self.left_out = say, seconds, 0
        self._knows_start = bool(measured) and measured[0] is not None
        self._watches_units = any(one.dead for found in measured if found is not None for one in found.activations)
        self._made: dict[tuple[tuple[str, ...], int, str], Twin] = {}

    def __call__(
        self, *words: str, start: Start = "initial", updates: int | None = None, change: NetworkChange | None = None
    ) -> Twin:
        """Train with `words` as further overrides, from the initial or the stored weights, with a fresh optimizer."""
        given, where = tuple(words), "" if start == "initial" else " from the stored weights"
        if start == "stored":
            if self._stored is None:
                return Twin(given, problem="no weights are stored")
            given = (*given, f"init_from={self._stored}")
        key = (given, updates or self.updates, "" if change is None else change.name)
        if key not in self._made:
            if self._left <= 0:
                self.left_out += 1
                return Twin(given, problem="the time for trials is used up")
            begun = time.perf_counter()
            what = " ".join(words) or ("without a change" if change is None else change.name)
            self._say(f"trial {what}{where}: {counted(key[1], 'update')}")
            self._made[key] = self._train(given, key[1], change)
            self._left -= time.perf_counter() - begun
        return self._made[key]

    def _train(self, words: tuple[str, ...], updates: int, change: NetworkChange | None) -> Twin:
        try:
            config = self._configure(words)
            bundle = None if any(_changes_data(word) for word in words) else self._bundle
            examined = Examined.prepared(config, self._trusted, bundle, change)
            needs_start = not self._knows_start and not words and change is None
            before = examined.outcome(watches_units=False) if needs_start else None
            trace = examined.train(updates)
            return Twin(words, trace, before, examined.outcome(watches_units=self._watches_units))
        except DlexpError as error:  # the change does not fit this run: the rule looks for other evidence
            return Twin(words, problem=str(error))
        except Exception as error:  # code of one's own that a change or another value of its key does not fit
            if change is None and not any(word.startswith("model.") for word in words):
                raise
            return Twin(words, problem=f"{type(error).__name__}: {error}")


def _changes_data(word: str) -> bool:
    return word.lstrip("+~").startswith(("data=", "data."))
