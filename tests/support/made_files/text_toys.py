"""Small reviews whose class a single word decides, as a table and as a folder."""

from __future__ import annotations

import csv
import random
from pathlib import Path

GOOD = ("great", "superb", "moving", "funny")
BAD = ("awful", "boring", "weak", "dull")
OTHER = ("the", "a", "film", "plot", "actor", "scene", "it", "was", "with", "and", "of", "very", "music", "end")


def reviews(count: int = 120, seed: int = 0) -> list[tuple[str, str, float]]:
    """(text, positive or negative, a score) of unequal texts of 3 to 24 words."""
    rng, found = random.Random(seed), dict[str, tuple[str, float]]()
    while len(found) < count:
        is_good = len(found) % 2 == 0
        words = [rng.choice(OTHER) for _ in range(rng.randint(2, 23))]
        words.insert(rng.randrange(len(words)), rng.choice(GOOD if is_good else BAD))
        score = (8.0 if is_good else 2.0) + round(rng.random(), 2)
        found.setdefault(" ".join(words), ("positive" if is_good else "negative", score))
    return [(text, *rest) for text, rest in found.items()]


def write_reviews(path: Path, rows: list[tuple[str, str, float]], separator: str = ",") -> Path:
    """A CSV file with the columns id, review, stars, score."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerow(["id", "review", "stars", "score"])
        writer.writerows([number, *row] for number, row in enumerate(rows))
    return path


def write_folder(root: Path, rows: list[tuple[str, str, float]]) -> Path:
    """A folder for each class with a .txt file for each text."""
    for number, (text, label, _) in enumerate(rows):
        file = root / label / f"{number}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    return root
