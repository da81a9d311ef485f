"""The features before the last linear layer, in two dimensions.

Symbols: N samples, F features.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dlexp.errors import ConfigError
from dlexp.networks.inspection.components import neighbor_agreement, principal_components
from dlexp.networks.inspection.outputs import layers_of, recording
from dlexp.specs import ClassSpec, ValueSpec
from dlexp.types import Batch, Sequences, as_tensor
from dlexp.workflows.inspect.loaded_run import LoadedRun
from dlexp.workflows.inspect.request import InspectRequest

Figures = tuple[dict[str, Callable[[], bytes]], dict[str, Any]]
_MAX_PERPLEXITY = 30
_LEAST = 8  # samples of t-SNE


def inspect_embeddings(loaded: LoadedRun, request: InspectRequest) -> Figures:
    """A figure with PCA and t-SNE, and the numbers that say how much of the features it shows.

    Raises ConfigError if the network has no linear layer that is called, or its features are not finite.
    """
    layers = {name: m for name, m in layers_of(loaded.experiment.networks).items() if isinstance(m, nn.Linear)}
    taken: dict[str, Tensor] = {}
    parts: dict[str, list[Tensor]] = {}
    batches: list[Batch] = []
    with recording(layers, lambda name, _, given: taken.__setitem__(name, given), inputs=True):
        for batch in loaded.compute(loaded.batches(request.split, request.samples)):
            for name, given in taken.items():
                parts.setdefault(name, []).append(_of_samples(given, batch))
            taken.clear()
            batches.append(batch)
    fitting = [name for name, found in parts.items() if all(map(len, found))]
    if not fitting:
        rule, remedy = "has no linear layer that is called once for each sample", "Use --features LAYER"
        raise ConfigError.one("--embeddings", loaded.experiment.config.model.option, rule, remedy, code="not-supported")
    layer = fitting[-1]
    features = torch.cat(parts[layer])
    if not bool(torch.isfinite(features).all()):
        rule = f"the features before {layer} are not finite"
        raise ConfigError.one("--embeddings", "", rule, "Use another checkpoint.", code="diverged")
    targets, names = _targets(loaded, batches)
    projected, shares = principal_components(features)
    panels = {f"PCA: {100 * sum(shares):.0f} % of the variance": projected.numpy()}
    if len(features) >= _LEAST:
        panels["t-SNE: distances between groups mean nothing"] = _tsne(features, loaded.experiment.config.seed)
    agreement = None
    if names and targets is not None and len(features) > 1:
        agreement = neighbor_agreement(features, torch.from_numpy(targets))
    facts = {
        "layer": layer,
        "features": features.shape[1],
        "samples": len(features),
        "variance_of_components": shares,
        "nearest_neighbor_of_same_class": agreement,
    }
    title = f"{features.shape[1]} features before {layer}, {len(features)} samples of {request.split}"
    if agreement is not None:
        title += f"; the nearest neighbor is of the same class for {100 * agreement:.0f} %"

    def draw() -> bytes:
        from dlexp.report.figures.inspection.scatter import scatter_png

        return scatter_png(title, panels, targets, names)

    return {"embeddings": draw}, facts


def _of_samples(given: Tensor, batch: Batch) -> Tensor:
    """(N, F): of sequences the mean over their own positions; (0,) if the rows are not samples."""
    if given.dim() < 2 or len(given) != len(batch):
        return torch.empty(0)
    given = given.double().cpu()
    if given.dim() == 2:
        return given
    if isinstance(batch.inputs, Sequences) and given.dim() == 3 and given.shape[1] == batch.inputs.mask.shape[1]:
        mask = batch.inputs.mask.cpu().unsqueeze(2).double()
        return (given * mask).sum(dim=1) / mask.sum(dim=1).clamp_min(1.0)
    return given.flatten(1, -2).mean(dim=1)


def _targets(loaded: LoadedRun, batches: list[Batch]) -> tuple[NDArray[np.float64] | None, tuple[str, ...]]:
    """Class numbers and names, or the first target value; None for targets of another kind."""
    spec = loaded.experiment.bundle.spec.targets
    if isinstance(spec, ClassSpec):
        return np.concatenate([as_tensor(batch.targets).cpu().numpy() for batch in batches]), tuple(spec.names)
    if isinstance(spec, ValueSpec):
        values = [as_tensor(batch.targets).reshape(len(batch), -1)[:, 0].double().cpu().numpy() for batch in batches]
        return np.concatenate(values), ()
    return None, ()


def _tsne(features: Tensor, seed: int) -> NDArray[np.float64]:
    """(N, 2), of scikit-learn, started from the principal components."""
    from sklearn.manifold import TSNE

    perplexity = min(_MAX_PERPLEXITY, (len(features) - 1) / 3)
    start, _ = principal_components(features)
    start = start / (start[:, 0].std() or 1.0) * 1e-4
    made = TSNE(perplexity=perplexity, init=start.numpy(), random_state=seed % (1 << 32), n_jobs=1)
    found: NDArray[np.float64] = made.fit_transform(features.numpy()).astype(np.float64)
    return found
