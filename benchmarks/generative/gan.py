"""What GANs make: modes of a ring of Gaussians, and digits that a classifier of real ones recognizes.

    python -m benchmarks.generative.gan ring [--models gan wgan_gp hinge_gan] [--seeds 0 1 2 3 4] [--words ...]
    python -m benchmarks.generative.gan digits [--models wgan_gp] [--seeds 0 1 2]

Ring: a mode is covered if a tenth of its share of 2,500 samples is good, within three of its deviations of its center.
Digits: the smallest share of a class in 1,000 samples, by a classifier that is trained on real digits, and the mean
norm of the critic's gradient between data and samples. Weights of the ring are those of the last epoch, at which the
rate is 0, and of digits those of the best one by val/energy_distance, which is blind to fine detail (`--checkpoint`).
Prints Markdown rows as they come; processor seconds are those of the training.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RING = {
    "gan": ("model.latent=8", "optim.lr=2e-3", "scheduler=cosine", "trainer.epochs=120"),
    "wgan_gp": (
        *("model.latent=8", "optim.lr=2e-3", "optim.betas=[0.5,0.9]", "scheduler=cosine", "trainer.epochs=200"),
        *("task.penalty_weight=0.3", "task.critic_steps=1", "optim.phases.discriminator.lr=4e-3"),
    ),
    "hinge_gan": (
        *("model.latent=8", "optim.lr=2e-3", "optim.betas=[0.5,0.9]", "scheduler=cosine", "trainer.epochs=160"),
        *("model.spectral_norm=null", "task.penalty=r1", "task.penalty_weight=0.01"),
        "optim.phases.discriminator.lr=4e-3",
    ),
}
_SAMPLES = {"ring": 2500, "digits": 1000}
_COVERED = 0.1  # of its share of the samples


def trained(words: Sequence[str], folder: Path, checkpoint: str = "best") -> tuple[Any, float]:
    """The experiment of a finished run with its best or last weights, and the processor seconds of its training."""
    import dlexp
    from dlexp.artifacts.runs.run_dir import RunDir
    from dlexp.assemble.experiment import assemble
    from dlexp.config.saved import load_saved
    from dlexp.workflows.run_record.restore import load_eval_weights

    start = time.process_time()
    run = dlexp.train(*words, run_dir=folder, progress=False)
    seconds = time.process_time() - start
    found = RunDir.find(Path(run.path))
    experiment = assemble(load_saved(found / "config.yaml", {}))
    load_eval_weights(found, experiment, checkpoint)
    return experiment, seconds


def samples(experiment: Any, count: int) -> Any:
    """(N, *shape) in the network's numbers, by a seed that no training uses."""
    import torch

    from dlexp.networks.modes import evaluation_mode
    from dlexp.tasks.generative.base import Sampling, noise

    networks, indices = dict(experiment.networks.items()), torch.arange(count)
    with evaluation_mode(experiment.networks), torch.inference_mode():
        latents = noise(experiment.task.noise_shape(networks), 1, indices)
        return experiment.task.decoded(networks, latents, Sampling(1, indices))


def modes(experiment: Any) -> tuple[int, float]:
    """How many modes are covered, and the share of good samples."""
    import numpy as np

    from dlexp.data.tables.original_units import original_columns

    made = samples(experiment, _SAMPLES["ring"]).numpy()
    columns = original_columns(made, experiment.bundle.preprocessing)
    points, known = np.stack(list(columns.values()), axis=1), experiment.bundle.modes
    distances = np.linalg.norm(points[:, None] - known.centers[None], axis=2)
    good = distances.min(1) <= 3 * known.std
    counts = np.bincount(distances.argmin(1)[good], minlength=len(known.centers))
    return int((counts >= _COVERED * len(points) / len(known.centers)).sum()), float(good.mean())


def gradient_norm(experiment: Any) -> float:
    """Mean norm of the critic's gradient between test data and samples."""
    import torch

    from dlexp.losses.adversarial import gradient_norms, points_between

    data = torch.cat([batch.inputs for batch in experiment.split("test")])
    torch.manual_seed(1)
    points = points_between(data, samples(experiment, len(data)).clone())
    return float(gradient_norms(experiment.networks["discriminator"].eval(), points).detach().mean())


def shares(experiment: Any, judge: Any) -> list[float]:
    """The share of each class in the samples, by the classifier `judge`."""
    import torch

    pixels = (samples(experiment, _SAMPLES["digits"]) + 1) / 2 * 16
    with torch.inference_mode():
        chosen = judge.networks["model"].eval()(judge.bundle.preprocess(pixels)).argmax(1)
    return (torch.bincount(chosen, minlength=10) / len(chosen)).tolist()


def main() -> None:
    """Train, judge and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=["ring", "digits"])
    parser.add_argument("--models", nargs="*")
    parser.add_argument("--seeds", type=int, nargs="*", default=[])
    parser.add_argument("--words", nargs="*", default=[], help="more overrides")
    parser.add_argument("--checkpoint", choices=["best", "last"], help="weights; default: last of ring, best of digits")
    asked = parser.parse_args()
    of_ring = asked.data == "ring"
    checkpoint = asked.checkpoint or ("last" if of_ring else "best")
    seeds = asked.seeds or list(range(5 if of_ring else 3))
    judge = None
    if not of_ring:
        with tempfile.TemporaryDirectory() as folder:
            judge, _ = trained(["model=mlp", "data=digits", "seed=0"], Path(folder) / "judge")
    columns = "modes | good samples" if of_ring else "smallest share of a class | norm of the gradient"
    print(f"| model | seed | {columns} | processor s |\n|---|---|---|---|---|", flush=True)
    for model in asked.models or (list(RING) if of_ring else ["wgan_gp"]):
        for seed in seeds:
            words = [f"model={model}", f"data={asked.data}", f"seed={seed}", *(RING.get(model, ()) if of_ring else ())]
            with tempfile.TemporaryDirectory() as folder:
                experiment, spent = trained([*words, *asked.words], Path(folder) / "run", checkpoint)
            if of_ring:
                covered, good = modes(experiment)
                found = f"{covered} of {len(experiment.bundle.modes.centers)} | {good:.1%}"
            else:
                found = f"{min(shares(experiment, judge)):.1%} | {gradient_norm(experiment):.3f}"
            print(f"| {model} | {seed} | {found} | {spent:.0f} |", flush=True)


if __name__ == "__main__":
    main()
