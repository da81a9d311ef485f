"""The masks of a stack's updates; those of the next are drawn by a thread while the present one is computed.

What members draw is a function of their seeds and positions, so it is known before their batches are. A quarter of the
time of an update of small networks goes into it, since each member needs the numbers that it would draw alone.

Symbols: K members.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from dlexp.engine.stacking.dropout import Draw, stacked_masks
from dlexp.runtime.process import available_cores
from dlexp.runtime.seed import seed_generator

Draws = Sequence[Sequence[Draw]]  # of each member


class MaskSource:
    """Draws the masks of one update after the other.

    Args:
        size: K.
        device: Where masks are used. Only those of a CPU with an idle core are drawn ahead.
    """

    def __init__(self, size: int, device: torch.device) -> None:
        self._generators = [torch.Generator(device) for _ in range(size)]
        self._generators_ahead = [torch.Generator(device) for _ in range(size)]
        threads, (cores, _) = torch.get_num_threads(), available_cores({})
        self._thread: ThreadPoolExecutor | None = None
        if device.type == "cpu" and cores > threads:
            # Both numbers of threads are the same: otherwise the thread would take all cores for a comparison.
            self._thread = ThreadPoolExecutor(1, "masks", torch.set_num_threads, (threads,))
        self._ahead: tuple[object, Future[list[list[Tensor]]]] | None = None

    def masks(self, seeds: Sequence[int], draws: Sequence[Draws], next_seeds: Sequence[int]) -> list[list[Tensor]]:
        """The masks of each micro batch of an update, those of `dropout.stacked_masks`.

        Args:
            seeds: The seed of each member in this update.
            draws: What the members draw for each micro batch.
            next_seeds: The seeds of the update that probably follows, with the same draws.
        """
        if not any(own for part in draws for own in part):
            return [[] for _ in draws]
        key = (tuple(seeds), tuple(id(part) for part in draws))
        if self._ahead is not None and self._ahead[0] == key:
            found = self._ahead[1].result()
        else:
            found = _drawn(self._generators, seeds, draws)
        self._ahead = None
        if self._thread is not None:
            job = self._thread.submit(_drawn, self._generators_ahead, next_seeds, draws)
            self._ahead = (tuple(next_seeds), key[1]), job
        return found

    def close(self) -> None:
        """End the thread."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)
        self._thread = self._ahead = None


def _drawn(generators: Sequence[torch.Generator], seeds: Sequence[int], draws: Sequence[Draws]) -> list[list[Tensor]]:
    """The masks of the micro batches of an update, drawn from generators that are seeded first."""
    for generator, seed in zip(generators, seeds, strict=True):
        seed_generator(generator, seed)
    return [stacked_masks(part, generators) for part in draws]
