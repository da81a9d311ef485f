"""An update traced and compiled ahead of time, to a library that loads without tracing and without a compiler."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dlexp.engine.one_graph.draws import DrawOutside, move_draws_out

_OPTIONS: dict[str, Any] = {
    "emulate_precision_casts": True,  # round to bf16 wherever eager code does
    "max_autotune": False,  # no kernels that depend on timings
}


@dataclass(frozen=True)
class Library:
    """A compiled update.

    path   the shared library
    draws  the random numbers that it takes, behind its other inputs
    """

    path: Path
    draws: tuple[DrawOutside, ...]


def compile_update(function: Callable[..., list[Tensor]], inputs: Sequence[Tensor], folder: Path) -> Library:
    """Trace `function`, which changes and reads `inputs` in place, and compile what it computes into `folder`.

    Raises Untraceable, and whatever the tracer or the compiler raises.
    """
    from torch._inductor import aot_compile
    from torch.fx.experimental.proxy_tensor import make_fx

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        level = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            traced = make_fx(function, tracing_mode="real")(*inputs)
            for node in reversed(traced.graph.nodes):
                if getattr(node.target, "namespace", "") == "profiler":
                    traced.graph.erase_node(node)
            draws = move_draws_out(traced.graph)
            traced.graph.lint()
            traced.recompile()
            for node in traced.graph.nodes:
                node.meta.clear()  # each has a fake tensor of a mode of its own, which the compiler refuses
            # Clones: some inputs are views of one tensor, which the compiler would take for one input.
            examples = [tensor.detach().clone() for tensor in inputs] + [draw() for draw in draws]
            with torch.no_grad():
                path = aot_compile(
                    traced, tuple(examples), options={**_OPTIONS, "aot_inductor.output_path": str(folder / "update.so")}
                )
        finally:
            logging.disable(level)
    return Library(Path(str(path)), tuple(draws))


def load(library: Library, device: torch.device) -> Callable[[list[Tensor]], list[Tensor]]:
    """The function of a compiled update: inputs, draws included -> what the traced function returned."""
    runners: Any = torch._C._aoti
    if device.type == "cuda":
        runner = runners.AOTIModelContainerRunnerCuda(str(library.path), 1, str(device))
    else:
        runner = runners.AOTIModelContainerRunnerCpu(str(library.path), 1)
    run: Callable[[list[Tensor]], list[Tensor]] = runner.run
    return run
