"""Variational autoencoding: a bound on the likelihood of the inputs, and latents whose prior is a standard normal.

Sources: Kingma and Welling, arXiv:1312.6114; beta: Higgins et al., ICLR 2017; free bits: Kingma et al.,
arXiv:1606.04934; the importance-weighted bound: Burda et al., arXiv:1509.00519.

Symbols: B samples in a batch, N samples that are made, Z latent numbers, C classes, K draws of the latents of a sample.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from dlexp.errors import ConfigError
from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.generative.latents import KL_OF_LATENTS, LATENTS, LatentUse
from dlexp.metrics.generative.sample_means import SampleMeans
from dlexp.metrics.generative.sample_values import SampleValues
from dlexp.metrics.reports.generative import latent_report, sample_report
from dlexp.metrics.reports.prediction_columns import PredictionColumns
from dlexp.metrics.reports.report import Report
from dlexp.metrics.states import MetricState, StateGroup
from dlexp.runtime.seed import generator
from dlexp.specs import ClassSpec, DataSpec
from dlexp.tasks.base import Networks, Phase
from dlexp.tasks.generative.base import ExportedPart, GenerativeTask, Sampling, class_weights, means
from dlexp.tasks.generative.lazy_values import LazyValues
from dlexp.tasks.generative.output_distributions import (
    BERNOULLI,
    Bernoulli,
    Gaussian,
    LearnedDeviation,
    OutputDistribution,
)
from dlexp.tasks.generative.output_distributions import likelihood_name as name_of
from dlexp.types import Batch, LossOutput, Prediction, as_tensor

__all__ = ["VariationalAutoencoding"]


@runtime_checkable
class Variational(Protocol):
    """A network with the halves of a variational autoencoder; `classes` are weights (B, C), None where C is 0."""

    latent: int
    num_classes: int

    def encode(self, inputs: Tensor, classes: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, *shape) -> mean and log variance, (B, Z) each."""

    def decode(self, latents: Tensor, classes: Tensor | None = None) -> Tensor:
        """(B, Z) -> (B, *shape)."""


@dataclass(frozen=True)
class _Posterior:
    """The distribution of the latents of each sample: mean and log variance, (B, Z)."""

    mean: Tensor
    log_variance: Tensor

    def drawn(self, noise: Tensor) -> Tensor:
        """Latents (B, Z) of standard normal numbers (B, Z)."""
        return self.mean + (0.5 * self.log_variance).exp() * noise

    def kl(self) -> Tensor:
        """Kullback-Leibler divergence from a standard normal in nats, of each latent: (B, Z)."""
        return 0.5 * (self.mean.square() + self.log_variance.exp() - 1 - self.log_variance)


class VariationalAutoencoding(GenerativeTask):
    """Minimizes reconstruction + beta * KL, in nats: sums over a sample's numbers, a mean over the samples.

    So neither the batch nor the number of pixels changes what a rate does to a sample. In evaluation `loss` is the
    negative bound itself, without beta, warm-up and free bits: epochs and runs with other settings compare.

    Args:
        spec: Of the data.
        loss: None of its own: loss=none.
        likelihood: bernoulli (images in [0, 1]), gaussian, or auto, which is the first where it can be.
        variance: Of a gaussian likelihood; None learns it, the same for all numbers.
        beta: Weight of the KL.
        kl_warmup_epochs: Epochs over which that weight grows from 0, in steps of an epoch.
        free_bits: Nats of KL of each latent, on average over a batch, below which it costs nothing.
        importance_samples: K of the importance-weighted bound `iwae`.
    """

    metrics = {"loss": "min", "reconstruction": "min", "kl": "min", "collapsed_latents": "min"}
    extra_metrics = {"iwae": "min"}
    values = ("loss", "reconstruction", "kl", "iwae")

    def __init__(
        self,
        *,
        spec: DataSpec,
        loss: nn.Module,
        likelihood: str = "auto",
        variance: float | None = None,
        beta: float = 1.0,
        kl_warmup_epochs: int = 0,
        free_bits: float = 0.0,
        importance_samples: int = 64,
    ) -> None:
        """Raises ValueError for a likelihood that the inputs do not have."""
        del loss  # the bound is the loss
        super().__init__(spec=spec)
        self._likelihood_name = name_of(likelihood, spec)
        if variance is not None and self._likelihood_name == BERNOULLI:
            raise ValueError("task.variance has no effect on a bernoulli likelihood. Set task.likelihood=gaussian")
        self._variance, self._beta, self._warmup = variance, beta, kl_warmup_epochs
        self._free_bits, self._draws = free_bits, importance_samples
        self._weight = beta if kl_warmup_epochs == 0 else 0.0
        if self._has_learned_variance:
            self.phases = {"train": Phase(("model", "likelihood"))}

    @property
    def score(self) -> str:
        """The negative bound on the likelihood."""
        return "loss"

    def own_networks(self) -> Networks:
        """The deviation of a gaussian likelihood, where it is learned."""
        return {"likelihood": LearnedDeviation()} if self._has_learned_variance else {}

    def begin_phase(self, epoch: int, step: int) -> None:
        """The weight of the KL: of epoch e of W epochs of warm-up (e - 1) / W of beta."""
        self._weight = self._beta * min(1.0, epoch / self._warmup) if self._warmup else self._beta

    def options(self, networks: Networks) -> frozenset[str]:
        """Classes, where the model is conditional."""
        return frozenset({"classes"}) if _checked(networks).num_classes else frozenset()

    def noise_shape(self, networks: Networks) -> tuple[int, ...]:
        """(Z,)."""
        return (_checked(networks).latent,)

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        """The mean over the samples of reconstruction + weight * KL, with one draw of the latents of each."""
        network, inputs = _checked(networks), as_tensor(batch.inputs)
        classes = self._conditions(network, batch)
        posterior = _Posterior(*network.encode(inputs, classes))
        latents = posterior.drawn(torch.randn_like(posterior.mean))
        surprise = self._likelihood(networks).surprise(network.decode(latents, classes), inputs)
        divergence = posterior.kl()
        of_latents = divergence.mean(0).clamp(min=self._free_bits) if self._free_bits else divergence.mean(0)
        parts = means({"reconstruction": surprise, "kl": divergence.sum(1)})
        return LossOutput(surprise.mean() + self._weight * of_latents.sum(), parts)

    def predict(self, networks: Networks, batch: Batch) -> Prediction:
        """Reconstructions by the mean of the latents; of each sample the bound with one draw, and its parts in nats.

        A draw is a function of the sample's numbers alone, so that neither batch nor order changes it. Where a
        conditional model is not given classes, each counts by its share of the training samples.
        """
        network = _checked(networks)
        if network.num_classes and batch.targets is None:
            return self._without_classes(networks, batch)
        return self._predicted(networks, batch, self._conditions(network, batch))

    def encoded(self, networks: Networks, batch: Batch) -> Tensor:
        """(B, Z): the means."""
        network = _checked(networks)
        return network.encode(as_tensor(batch.inputs), self._conditions(network, batch))[0]

    def decoded(self, networks: Networks, latents: Tensor, sampling: Sampling) -> Tensor:
        """(N, Z) -> (N, *shape): expected inputs, in the range of the data.

        Samples without a class get one each of a conditional model, drawn by (seed, index) as often as in training.
        """
        network = _checked(networks)
        classes = None
        if network.num_classes:
            drawn = self._drawn_classes(sampling).to(latents)
            given = drawn if sampling.classes is None else sampling.classes.to(latents)
            classes = torch.where(given.any(dim=1, keepdim=True), given, drawn)
        return self._likelihood(networks).mean(network.decode(latents, classes))

    def exported(self, networks: Networks) -> ExportedPart:
        """The decoder: of latents, standard normal for new samples, and class weights where it knows classes."""
        network = _checked(networks)
        shapes = {"latents": (network.latent,)} | ({"classes": (network.num_classes,)} if network.num_classes else {})
        what = "expected inputs of latents, which are standard normal for new samples"
        return ExportedPart(_Decoder(network, self._likelihood(networks)), shapes, what)

    def baselines(self, training: Iterable[Batch], split: Iterable[Batch]) -> Mapping[str, Mapping[str, float]]:
        """What the likelihood reaches without a network."""
        found = Gaussian(torch.zeros(1)) if self._likelihood_name != BERNOULLI else Bernoulli()
        return found.baselines(training, split)

    def metric_state(self, names: Sequence[str] = ()) -> MetricState:
        """Means over the samples, and the latents that carry nothing."""
        return StateGroup(SampleMeans(("reconstruction", "kl", *names)), LatentUse())

    def report_state(self) -> MetricState:
        """The metrics with the importance-weighted bound, and the values and latents of every sample."""
        return StateGroup(self.metric_state(("iwae",)), SampleValues(self.values, LATENTS))

    def report(self, spec: DataSpec, state: MetricState, resampling: Resampling | None = None) -> Report:
        """The values of each sample with intervals of their means, and what each latent carries."""
        made = sample_report(spec, state.part(SampleValues), state.compute(), resampling, has_reconstructions=True)
        return latent_report(made, state.part(LatentUse))

    def prediction_columns(self, spec: DataSpec, prediction: Prediction) -> PredictionColumns:
        """The bound and its parts of each sample, and its latents z0, z1, ..."""
        values = {name: prediction.extra[name].double().cpu().tolist() for name in ("loss", "reconstruction", "kl")}
        latents = prediction.extra[LATENTS].double().cpu().T.tolist()
        return PredictionColumns({**values, **{f"z{n}": column for n, column in enumerate(latents)}})

    @property
    def _has_learned_variance(self) -> bool:
        return self._likelihood_name != BERNOULLI and self._variance is None

    def _likelihood(self, networks: Networks) -> OutputDistribution:
        if self._likelihood_name == BERNOULLI:
            return Bernoulli()
        if self._variance is None:
            return Gaussian(next(networks["likelihood"].parameters()))
        device = next(networks["model"].parameters()).device
        return Gaussian(torch.full((1,), 0.5 * log(self._variance), device=device))

    def _conditions(self, network: Variational, batch: Batch) -> Tensor | None:
        """(B, C) where the model is conditional."""
        return class_weights(batch, self.num_classes) if network.num_classes else None

    def _predicted(self, networks: Networks, batch: Batch, classes: Tensor | None) -> Prediction:
        network, inputs = _checked(networks), as_tensor(batch.inputs)
        likelihood = self._likelihood(networks)
        posterior = _Posterior(*network.encode(inputs, classes))
        noise = _noise_of(inputs, (self._draws, network.latent))
        outputs = network.decode(posterior.drawn(noise[:, 0]), classes)
        surprise, divergence = likelihood.surprise(outputs, inputs), posterior.kl()
        bound = surprise + divergence.sum(1)
        known = {"loss": bound, "reconstruction": surprise, "kl": divergence.sum(1)}
        known |= {LATENTS: posterior.mean, KL_OF_LATENTS: divergence}

        def importance_weighted() -> Tensor:
            return _iwae(network, likelihood, (inputs, classes), posterior, noise)

        expected = likelihood.mean(network.decode(posterior.mean, classes))
        targets = None if batch.targets is None else as_tensor(batch.targets)
        return Prediction(
            expected, targets, bound.mean(), batch.indices, LazyValues(known, {"iwae": importance_weighted})
        )

    def _without_classes(self, networks: Networks, batch: Batch) -> Prediction:
        """The bound of the mixture of all classes; what else there is of each sample is that of its likeliest class."""
        shares, found = self._class_shares(), []
        for number, share in enumerate(shares.tolist()):
            classes = torch.zeros(len(batch), len(shares), device=batch.indices.device)
            classes[:, number] = 1.0
            found.append((self._predicted(networks, batch, classes), log(share) if share else -torch.inf))
        likelihoods = torch.stack([share - one.extra["loss"] for one, share in found])
        chosen, rows = likelihoods.argmax(0), torch.arange(len(batch), device=batch.indices.device)
        bound = -likelihoods.logsumexp(0)
        names = ("reconstruction", "kl", LATENTS, KL_OF_LATENTS)
        extra = {name: torch.stack([one.extra[name] for one, _ in found])[chosen, rows] for name in names}
        outputs = torch.stack([one.outputs for one, _ in found])[chosen, rows]
        return Prediction(outputs, None, bound.mean(), batch.indices, {**extra, "loss": bound})

    def _class_shares(self) -> Tensor:
        """(C,) of the training samples; equal where they are not counted."""
        targets = self.spec.targets
        counts = targets.counts if isinstance(targets, ClassSpec) and any(targets.counts) else [1] * self.num_classes
        return torch.tensor(counts, dtype=torch.float64) / sum(counts)

    def _drawn_classes(self, sampling: Sampling) -> Tensor:
        """(N, C), 1 at a class drawn by (seed, index)."""
        shares, drawn = self._class_shares(), torch.zeros(len(sampling.indices), self.num_classes)
        for row, index in enumerate(sampling.indices.tolist()):
            source = generator(sampling.seed, "class of a sample", index)
            drawn[row, torch.multinomial(shares, 1, generator=source)] = 1.0
        return drawn


class _Decoder(nn.Module):
    """The half of a network that makes samples: (N, Z), (N, C) -> expected inputs (N, *shape)."""

    def __init__(self, network: Variational, likelihood: OutputDistribution) -> None:
        super().__init__()
        self.network = cast(nn.Module, network)
        self._likelihood = likelihood

    def forward(self, latents: Tensor, classes: Tensor | None = None) -> Tensor:
        """(N, Z), (N, C) -> (N, *shape)."""
        return self._likelihood.mean(cast(Variational, self.network).decode(latents, classes))


def _iwae(
    network: Variational,
    likelihood: OutputDistribution,
    given: tuple[Tensor, Tensor | None],
    posterior: _Posterior,
    noise: Tensor,
) -> Tensor:
    """-log of the mean of p(x|z) p(z) / q(z|x) over K draws of z, in nats, (B,): at least -log p(x) in expectation.

    Args:
        network: Its decoder is used.
        likelihood: Of its outputs.
        given: Inputs (B, *shape) and weights of classes (B, C).
        posterior: q.
        noise: (B, K, Z).
    """
    inputs, classes = given
    weights = []
    for number in range(noise.shape[1]):
        own = noise[:, number]
        latents = posterior.drawn(own)
        surprise = likelihood.surprise(network.decode(latents, classes), inputs)
        # log p(z) - log q(z|x): the constants of both normal distributions are the same.
        ratio = 0.5 * (own.square() + posterior.log_variance - latents.square()).sum(1)
        weights.append(ratio - surprise)
    return log(len(weights)) - torch.stack(weights).logsumexp(0)


def _noise_of(inputs: Tensor, shape: Sequence[int]) -> Tensor:
    """(B, *shape) standard normal numbers, those of each sample a function of its numbers."""
    rows = inputs.detach().float().cpu().contiguous().flatten(1).numpy()
    digests = [hashlib.blake2b(row.tobytes(), digest_size=8).hexdigest() for row in rows]
    drawn = [torch.randn(tuple(shape), generator=generator(0, "latents", digest)) for digest in digests]
    return torch.stack(drawn).to(inputs.device) if drawn else torch.zeros(0, *shape, device=inputs.device)


def _checked(networks: Networks) -> Variational:
    network = networks["model"]
    if isinstance(network, Variational):
        return network
    rule = f"requires a model with a distribution of latents, and {type(network).__name__} has none"
    raise ConfigError.one("task", "vae", rule, "Use model=vae", code="incompatible-data")
