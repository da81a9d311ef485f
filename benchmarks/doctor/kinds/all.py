"""All kinds of planted faults."""

from __future__ import annotations

from benchmarks.doctor.kinds import data, networks_of_ones_own, training
from benchmarks.doctor.kinds.kind import Kind

KINDS: tuple[Kind, ...] = (*training.KINDS, *networks_of_ones_own.KINDS, *data.KINDS)
