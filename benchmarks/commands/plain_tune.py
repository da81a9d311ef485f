"""The limit of benchmarks/commands/tune.py: a plain Optuna script, as one would write it by hand, in one process.

    python -m benchmarks.commands.plain_tune TRIALS EPOCHS

The training is that of `dlexp tune model=mlp data=digits`: the same network, optimizer, schedule, batches, shifted
images and a validation after each epoch. What it lacks is what a study of dlexp has: isolation, files, logs.
"""

from __future__ import annotations

import sys

import optuna
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

BATCH = 64


def main() -> None:
    """Search the learning rate; print the best value."""
    trials, epochs = int(sys.argv[1]), int(sys.argv[2])
    images, classes = load_digits(return_X_y=True)
    rest, _, rest_y, _ = train_test_split(images, classes, test_size=0.2, stratify=classes, random_state=0)
    train, val, train_y, val_y = train_test_split(rest, rest_y, test_size=0.125, stratify=rest_y, random_state=0)
    x = torch.tensor(train, dtype=torch.float32).view(-1, 1, 8, 8)
    mean, std = x.mean(), x.std()
    y = torch.tensor(train_y)
    x_val = (torch.tensor(val, dtype=torch.float32).view(-1, 1, 8, 8) - mean) / std
    y_val = torch.tensor(val_y)

    def objective(trial: optuna.Trial) -> float:
        torch.manual_seed(42)
        network = nn.Sequential(
            nn.Flatten(),
            *(nn.Linear(64, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Dropout(0.2)),
            *(nn.Linear(512, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Dropout(0.2)),
            nn.Linear(256, 10),
        )
        optimizer = torch.optim.AdamW(network.parameters(), lr=trial.suggest_float("lr", 1e-4, 1e-1, log=True))
        steps = epochs * -(-len(x) // BATCH)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        best = float("inf")
        for epoch in range(epochs):
            network.train()
            for picked in torch.randperm(len(x)).split(BATCH):
                loss = F.cross_entropy(network((shifted(x[picked]) - mean) / std), y[picked])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
            network.eval()
            with torch.no_grad():
                best = min(best, F.cross_entropy(network(x_val), y_val).item())
            trial.report(best, epoch)
        return best

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0), pruner=optuna.pruners.NopPruner())
    study.optimize(objective, n_trials=trials)
    print(study.best_value)


def shifted(images: Tensor) -> Tensor:
    """Each image moved by up to one pixel: (B, 1, 8, 8) -> the same shape."""
    windows = F.pad(images, (1, 1, 1, 1)).unfold(2, 8, 1).unfold(3, 8, 1)
    top, left = torch.randint(0, 3, (2, len(images)))
    return windows[torch.arange(len(images)), :, top, left]


if __name__ == "__main__":
    main()
