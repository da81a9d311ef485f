"""The limit of benchmarks/commands/tune.py: a plain Optuna script, as one would write it by hand, in one process.

    python -m benchmarks.commands.plain_tune TRIALS EPOCHS [wide [SAMPLER_SEED]]

The training is that of `dlexp tune model=mlp data=digits`: the same network, optimizer, schedule, batches, shifted
images and a validation after each epoch. What it lacks is what a study of dlexp has: isolation, files, logs.
`wide` searches learning rate, weight decay, dropout and label smoothing of a small network (128 and 64 units) in place
of the learning rate of the default one, and minimizes the validation error in place of the loss.
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


def suggested(trial: optuna.Trial, wide: bool) -> tuple[float, float, float, float]:
    """(learning rate, weight decay, dropout, label smoothing); the defaults of dlexp but for what is searched."""
    rate = trial.suggest_float("lr", 1e-4, 1e-1, log=True)
    if not wide:
        return rate, 1e-2, 0.2, 0.0
    decay = trial.suggest_float("weight_decay", 1e-6, 1e-1, log=True)
    return rate, decay, trial.suggest_float("dropout", 0.0, 0.5), trial.suggest_float("smoothing", 0.0, 0.2)


def main() -> None:
    """Search; print the best value."""
    trials, epochs, wide = int(sys.argv[1]), int(sys.argv[2]), "wide" in sys.argv[3:4]
    sampler_seed, (first, second) = int(sys.argv[4]) if len(sys.argv) > 4 else 0, (128, 64) if wide else (512, 256)
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
        rate, decay, dropout, smoothing = suggested(trial, wide)
        network = nn.Sequential(
            nn.Flatten(),
            *(nn.Linear(64, first), nn.BatchNorm1d(first), nn.ReLU(), nn.Dropout(dropout)),
            *(nn.Linear(first, second), nn.BatchNorm1d(second), nn.ReLU(), nn.Dropout(dropout)),
            nn.Linear(second, 10),
        )
        optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay)
        steps = epochs * -(-len(x) // BATCH)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        best = float("inf")
        for epoch in range(epochs):
            network.train()
            for picked in torch.randperm(len(x)).split(BATCH):
                outputs = network((shifted(x[picked]) - mean) / std)
                loss = F.cross_entropy(outputs, y[picked], label_smoothing=smoothing)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
            network.eval()
            with torch.no_grad():
                outputs = network(x_val)
            # Losses with other label smoothing cannot be compared, accuracies can.
            value = (outputs.argmax(1) != y_val).float().mean() if wide else F.cross_entropy(outputs, y_val)
            best = min(best, value.item())
            trial.report(best, epoch)
        return best

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=sampler_seed), pruner=optuna.pruners.NopPruner()
    )
    study.optimize(objective, n_trials=trials)
    print(study.best_value)


def shifted(images: Tensor) -> Tensor:
    """Each image moved by up to one pixel: (B, 1, 8, 8) -> the same shape."""
    windows = F.pad(images, (1, 1, 1, 1)).unfold(2, 8, 1).unfold(3, 8, 1)
    top, left = torch.randint(0, 3, (2, len(images)))
    return windows[torch.arange(len(images)), :, top, left]


if __name__ == "__main__":
    main()
