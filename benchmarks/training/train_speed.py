"""How close does dlexp come to the best bare loop? Ratios of samples a second, both sides in turn.

    python -m benchmarks.training.train_speed [--rows a b c lstm encoder gpt dcgan diffusion ...] [--rounds 5]

An epoch's fixed cost and the memory are read off the processes of the same rows. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.harness.driver import Measured, System, measure, ratios, summary, table

ROWS = ("a", "a-regular", "b", "c", "lstm", "encoder", "gpt", "dcgan", "diffusion", "evaluate", "predict")
_ANSWERING = ("evaluate", "predict")  # rows in which nothing is trained
_HERE = "benchmarks.training"
_SEQUENCES = {"lstm": (4096, 512, 10), "encoder": (4096, 512, 10), "gpt": (512, 64, 10)}
SIZES = {
    "b": (10_000, 1000, 10),
    "c": (512, 256, 9232),
    **_SEQUENCES,
    "dcgan": (2560, 512),
    **dict.fromkeys(_ANSWERING, (10, 1024, 10)),
}  # train, val, test
_DIGITS = ("data=digits", "data.augment=none", "data.batch_size=64", "model=mlp", "model.hidden=[128,64]")
_COLUMNS = ("row", "system", "of", "ratio (min-max)", "of processor time", "n", "left out", "facts")
_FIXED = ("validation, metrics, log", "checkpoint, new order", "share of the epoch")


def digits(row: str, epochs: int) -> list[System]:
    """Row (a), plain or with batch normalization and dropout."""
    regular = row == "a-regular"
    words = _DIGITS if regular else (*_DIGITS, "model.norm=none", "model.dropout=0")
    size = {"warm_up": max(1, epochs // 2), "epochs": epochs}
    systems = [
        System("limit", f"{_HERE}.limits.digits:digits", {"regular": regular}, **size),
        System("dlexp", f"{_HERE}.dlexp_side:train", {"words": words}, **size),
        System("dlexp, one graph", f"{_HERE}.dlexp_side:train", {"words": (*words, "trainer.compile=step")}, **size),
        System(
            "limit, bare kernel",
            f"{_HERE}.limits.digits:digits",
            {"regular": regular, "direct": True},
            **size,
        ),
    ]
    if regular:
        return systems
    peers = [
        System(name, f"{_HERE}.peers:{function}", {"row": "a", "fast": fast, "dtype": "fp32"}, **size)
        for name, function, fast in (
            ("accelerate, same loader", "accelerate", True),
            ("lightning, same loader", "lightning", True),
            ("lightning, defaults", "lightning", False),
        )
    ]
    return [*systems, System("limit by hand", f"{_HERE}.limits.digits_by_hand:digits", {}, **size), *peers]


def images(row: str, model: str, dtype: str, device: str) -> list[System]:
    """Rows (b) and (c)."""
    limit = {"model": model, "device": device, "sizes": SIZES[row]}
    other = {"bf16": "fp32", "fp32": "bf16"}[dtype]
    words = _image_words(row, {"cnn": "simple_cnn"}.get(model, model), dtype, device)
    peer = {"row": row, "dtype": dtype}
    return [
        System("limit", f"{_HERE}.limits.images:images", {**limit, "dtype": dtype}),
        System("dlexp", f"{_HERE}.dlexp_side:train", {"words": words}),
        System(f"limit in {other}", f"{_HERE}.limits.images:images", {**limit, "dtype": other}),
        System("accelerate, same loader", f"{_HERE}.peers:accelerate", {**peer, "fast": True}),
        System("lightning, same loader", f"{_HERE}.peers:lightning", {**peer, "fast": True}),
    ]


def sequences(row: str) -> list[System]:
    """Rows (lstm), (encoder) and (gpt)."""
    model = {"encoder": "transformer_encoder"}.get(row, row)
    data = ("data=random_text",) if row == "gpt" else ("data=random_sequences", "data.batch_size=64")
    words = (*data, f"model={model}", "trainer.device=cpu", "trainer.precision=fp32")
    target = f"{_HERE}.limits." + ("sequences:sequences" if row == "lstm" else f"transformers:{row}")
    systems = [
        System("limit", target, {"sizes": SIZES[row]}),
        System("dlexp", f"{_HERE}.dlexp_side:train", {"words": words}),
    ]
    if row == "lstm":
        systems.append(System("limit, layer by layer", target, {"sizes": SIZES[row], "layer_by_layer": True}))
    return systems


def adversarial(dtype: str, device: str) -> list[System]:
    """Row (dcgan): both networks, on images of 28x28 pixels that are drawn once."""
    train, val = SIZES["dcgan"]
    count = train + val + 64  # the last ones are for testing
    words = (
        *("model=dcgan", "data=synthetic_images", "data.image_size=28", "data.channels=1", f"data.num_samples={count}"),
        *(f"data.val_fraction={val / count}", f"data.test_fraction={64 / count}", f"trainer.precision={dtype}"),
        f"trainer.device={device}",
    )
    limit = {"dtype": dtype, "device": device, "sizes": (train, val)}
    return [
        System("limit", f"{_HERE}.limits.gan:dcgan", limit),
        System("dlexp", f"{_HERE}.dlexp_side:train", {"words": words}),
    ]


def diffusion() -> list[System]:
    """Row (diffusion): a U-Net on digits, in fp32."""
    words = ("model=diffusion", "data=digits", "trainer.device=cpu", "trainer.precision=fp32")
    return [
        System("limit", f"{_HERE}.limits.diffusion:digits", {}),
        System("dlexp", f"{_HERE}.dlexp_side:train", {"words": words}),
    ]


def answers(row: str, dtype: str, device: str) -> list[System]:
    """`evaluate` and `predict` on (c): the limit has its batch norms folded and its weights in bf16."""
    limit = {"dtype": dtype, "device": device, "sizes": SIZES[row], "batch": 128}
    words = _image_words(row, "resnet18", dtype, device)
    target = f"{_HERE}.limits.inference:evaluate"
    return [
        System("limit", target, {**limit, "fold": True}),
        System("dlexp", f"{_HERE}.dlexp_side:{row}", {"words": words}),
        System("limit, not folded", target, {**limit, "fold": False}),
        System("limit, batches of 32", target, {**limit, "fold": True, "batch": 32}),
    ]


def report(row: str, found: Sequence[Measured]) -> list[list[str]]:
    """The lines of a row: every system against the first, which is the limit."""
    lines = []
    limit = found[0]
    for one in found:
        facts = ", ".join(str(value) for key, value in one.facts.items() if key in ("dtype", "machine"))
        if one.missing or one is limit:
            lines.append(
                [row, one.system.name, "", "left out: " + one.missing if one.missing else "1", "-", "-", "-", facts]
            )
            continue
        for span in ("steps", "epochs") if limit.segments[0].spans["steps"]["times"] else ("epochs",):
            wall, cpu = (ratios(one, limit, span, clock) for clock in ("wall", "cpu"))
            lines.append([row, one.system.name, span, str(wall), str(cpu), str(wall.n), str(wall.left_out), facts])
    return lines


def fixed(row: str, one: Measured) -> list[str]:
    """What an epoch costs beside its updates, in updates; the update behind a checkpoint is not counted as its cost."""
    costs: dict[str, list[float]] = {"ending": [], "opening": [], "share": []}
    for segment in one.segments:
        spans = segment.spans
        a_sample = spans["steps"]["wall"] / spans["steps"]["samples"]
        step = a_sample * spans["opening"]["samples"] / spans["opening"]["times"]
        ending = spans["ending"]["wall"] / spans["ending"]["times"]
        opening = spans["opening"]["wall"] / spans["opening"]["times"] - step
        epoch = spans["epochs"]["wall"] / spans["epochs"]["times"]
        costs["ending"].append(ending / step)
        costs["opening"].append(opening / step)
        costs["share"].append((ending + opening) / epoch)
    return [row, one.system.name, *(str(summary(values)) for values in costs.values()), str(len(one.segments))]


def _image_words(row: str, model: str, dtype: str, device: str) -> list[str]:
    words = ["data=random_images", "data.batch_size=128", f"model={model}", f"trainer.precision={dtype}"]
    return [*words, f"trainer.device={device}", f"data.counts={list(SIZES[row])}"]


def _systems(row: str, dtype: str, device: str, digit_epochs: int) -> list[System]:
    if row in ("a", "a-regular"):
        return digits(row, digit_epochs)
    if row in _SEQUENCES:
        return sequences(row)
    if row in _ANSWERING:
        return answers(row, dtype, device)
    if row == "dcgan":
        return adversarial(dtype, device)
    if row == "diffusion":
        return diffusion()
    return images(row, {"b": "cnn", "c": "resnet18"}[row], dtype, device)


def _precision(wanted: str, device: str) -> str:
    """The number format that dlexp would choose for a network with convolutions."""
    import torch

    from dlexp.networks.arithmetic import Arithmetic
    from dlexp.runtime.precision import choose_precision

    convolved = Arithmetic(total=10**9, convolutions=10**9)
    return choose_precision(wanted, torch.device(device), convolved).name


def main() -> None:
    """Print the tables."""
    options = _options()
    dtype = _precision(options.precision, options.device)
    found: dict[str, list[Measured]] = {}
    texts = []
    for row in options.rows:
        systems = _systems(row, dtype, options.device, options.digit_epochs)
        chosen = [one for one in systems if one is systems[0] or not options.only or one.name in options.only]
        found[row] = measure(chosen, options.rounds, options.threads)
        foreign = summary([segment.foreign for one in found[row] for segment in one.segments])
        texts.append(f"{table(_COLUMNS, report(row, found[row]))}\n\nCores that others used meanwhile: {foreign}\n")
        print(texts[-1], flush=True)
    trained = [(row, one) for row in found for one in found[row] if row not in _ANSWERING and one.segments]
    if trained:
        columns = ("row", "system", *_FIXED, "n", "memory")
        lines = [[*fixed(row, one), f"{memory(one) / memory(found[row][0]):.2f}"] for row, one in trained]
        texts.append(
            f"What an epoch costs beside its updates, in updates; memory over the limit's\n\n{table(columns, lines)}"
        )
        print(texts[-1], flush=True)
    if options.markdown:
        options.markdown.write_text("\n".join(texts) + "\n")
    if options.json:
        rows = {row: [asdict(one) for one in ones] for row, ones in found.items()}
        machine = {"processor": platform.processor(), "system": platform.platform(), "cores": os.cpu_count()}
        content = {"machine": machine, "threads": options.threads, "precision": dtype, "rows": rows}
        options.json.write_text(json.dumps(content, indent=1) + "\n")


def memory(one: Measured) -> int:
    """The most resident memory that a system has had, in bytes."""
    return max(segment.peak for segment in one.segments)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"), help="but not of (a)")
    parser.add_argument("--device", default="cpu", help="but not of (a)")
    parser.add_argument("--digit-epochs", type=int, default=80, help="epochs of a segment of (a)")
    parser.add_argument("--only", nargs="+", metavar="SYSTEM", help="leave the other systems out; the limit stays")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every segment, and the machine")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="the tables, which are also printed")
    return parser.parse_args()


if __name__ == "__main__":
    main()
