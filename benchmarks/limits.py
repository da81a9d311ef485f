"""The limits: the fastest bare loops that we can write in PyTorch for what dlexp trains, and nothing else in them.

Data in memory, shuffled once an epoch and cut a whole batch at a time, fused AdamW, nothing read back in a step. After
an epoch they validate, as everybody does, and say nothing. If you find a faster one, put it here: what dlexp reaches is
worth what its limit is worth.

Symbols: N samples, B samples of a batch, C channels, S height and width in pixels.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.random_images import MEAN, STD, pixels
from benchmarks.turns import Turns

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
_EVALUATED = 256  # samples of a forward pass that learns nothing, as dlexp's data.eval_batch_size


@dataclass(frozen=True)
class Work:
    """A network, its data and its number format.

    batches   the training batches (inputs, targets) of an epoch, in an order of their own
    val       inputs and targets of the validation split, ready for the network
    direct    call the optimizer's kernel, not the optimizer
    """

    network: nn.Module
    batches: Callable[[], Iterator[tuple[Tensor, Tensor]]]
    num_batches: int
    val: tuple[Tensor, Tensor]
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    direct: bool = False


class Kernel:
    """AdamW by a call of its kernel, without torch.optim around it, which costs an MLP more than the kernel does."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        self._parameters, self._weights = parameters, [parameter.detach() for parameter in parameters]
        self._moments = [[torch.zeros_like(weight) for weight in self._weights] for _ in range(2)]
        self._updates = [torch.zeros((), device=weight.device) for weight in self._weights]

    def __call__(self) -> None:
        """One update."""
        torch._foreach_add_(self._updates, 1)
        first, second = self._moments
        torch._fused_adamw_(
            self._weights,
            [parameter.grad for parameter in self._parameters if parameter.grad is not None],
            first,
            second,
            [],
            self._updates,
            lr=2e-3,
            beta1=0.9,
            beta2=0.999,
            weight_decay=0.01,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
        )


def train(turns: Turns, work: Work) -> None:
    """Epoch after epoch."""
    parameters = list(work.network.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=2e-3, fused=True)
    step: Callable[[], object] = Kernel(parameters) if work.direct else optimizer.step
    while True:
        work.network.train()
        samples = 0
        for number, (x, y) in enumerate(work.batches(), start=1):
            with work.autocast():
                loss = F.cross_entropy(work.network(x), y)
            loss.backward()
            step()
            for parameter in parameters:  # zero_grad() does this too, between marks for a profiler
                parameter.grad = None
            samples += len(y)
            turns.step(number, work.num_batches, samples)
        validate(work)
        turns.epoch(samples)


def validate(work: Work) -> tuple[float, float]:
    """Mean loss and accuracy over the validation split."""
    work.network.eval()
    loss = hits = 0.0
    with torch.inference_mode():
        for x, y in zip(*(part.split(_EVALUATED) for part in work.val), strict=True):
            with work.autocast():
                logits = work.network(x)
            loss += F.cross_entropy(logits.float(), y, reduction="sum").item()
            hits += (logits.argmax(dim=1) == y).sum().item()
    return loss / len(work.val[1]), hits / len(work.val[1])


def digits(turns: Turns, regular: bool, direct: bool = False, batch: int = 64) -> None:
    """Row (a): MLP 64-128-64-10; with batch normalization and dropout when `regular`."""
    keep_memory()
    x, y, val = digits_data()

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(y))
        return zip(x[order].split(batch), y[order].split(batch), strict=True)

    turns.know(dtype="fp32")
    train(turns, Work(perceptron(regular), batches, -(-len(y) // batch), val, direct=direct))


def digits_data() -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """The split that dlexp trains on: inputs (N, 64) float32, classes (N,), and the same of its validation split."""
    from dlexp.data.columns import tensor_of
    from dlexp.data.sources.sklearn_sets import digits as data
    from dlexp.types import as_tensor

    bundle = data(augment="none")
    chosen = (bundle.splits[name] for name in ("train", "val"))
    (x, y), val = (
        (as_tensor(bundle.preprocess(tensor_of(split.inputs))).flatten(1), tensor_of(split.targets)) for split in chosen
    )
    return x, y, val


def perceptron(regular: bool) -> nn.Sequential:
    """The network of row (a): (B, 64) -> (B, 10)."""
    layers: list[nn.Module] = []
    for before, after in ((64, 128), (128, 64)):
        layers += [nn.Linear(before, after), *([nn.BatchNorm1d(after)] if regular else []), nn.ReLU()]
        layers += [nn.Dropout(0.2)] if regular else []
    return nn.Sequential(*layers, nn.Linear(64, 10))


def images(turns: Turns, model: str, dtype: str, device: str, sizes: Sequence[int], batch: int = 128) -> None:
    """Rows (b) and (c): crop by 4 pixels and flip, in channels_last.

    model  cnn or resnet18
    dtype  bf16 (autocast) or fp32
    sizes  images for training, validation and test
    """
    keep_memory()
    turns.know(dtype=dtype, device=device)
    train(turns, image_work(model, dtype, device, sizes, batch))


def image_work(model: str, dtype: str, device: str, sizes: Sequence[int], batch: int) -> Work:
    """The work of `images`."""
    count, place = sizes[0], torch.device(device)
    x, y = (torch.from_numpy(array).to(place) for array in pixels(sum(sizes)))
    chosen = slice(count, count + sizes[1])
    val = normal(x[chosen]).contiguous(memory_format=torch.channels_last), y[chosen]
    network = {"cnn": convolutions, "resnet18": resnet}[model]().to(place).to(memory_format=torch.channels_last)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for picked in torch.randperm(count, device=place).split(batch):
            yield normal(cropped(x[picked])), y[picked]

    return Work(network, batches, -(-count // batch), val, lambda: autocast(dtype, place))


def autocast(dtype: str, device: torch.device) -> AbstractContextManager[Any]:
    """The context of a forward pass in bf16 or fp32."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if dtype == "bf16" else nullcontext()


def cropped(images: Tensor, pad: int = 4) -> Tensor:
    """Each moved by up to `pad` pixels and mirrored or not: (B, C, S, S) -> the same shape, in one gather."""
    count, _, size, _ = images.shape
    top, left = torch.randint(0, 2 * pad + 1, (2, count), device=images.device)
    windows = F.pad(images, (pad, pad, pad, pad)).unfold(2, size, 1).unfold(3, size, 1)
    moved = windows[torch.arange(count, device=images.device), :, top, left]
    mirrored = torch.rand(count, 1, 1, 1, device=images.device) < 0.5
    return torch.where(mirrored, moved.flip(3), moved)


def normal(images: Tensor) -> Tensor:
    """uint8 (B, C, S, S) -> float32 of mean 0 and deviation 1, in channels_last."""
    return images.to(torch.float32, memory_format=torch.channels_last).sub_(MEAN).mul_(1 / STD)


def convolutions() -> nn.Module:
    """The network of row (b), as `model=simple_cnn`."""
    blocks: list[nn.Module] = []
    for before, after in ((3, 32), (32, 64), (64, 128)):
        blocks += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
    head = [nn.Flatten(), nn.Linear(2048, 512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, 10)]
    return nn.Sequential(*blocks, *head)


def resnet() -> nn.Module:
    """torchvision's ResNet-18 with a 3x3 first layer and no pooling behind it, as `model=resnet18` on small images."""
    import torchvision

    model: nn.Module = torchvision.models.resnet18(num_classes=10)
    model.conv1, model.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    return model


def keep_memory() -> None:
    """Have glibc keep what is freed: else an unlucky process pays thousands of page faults a step."""
    try:
        library = ctypes.CDLL("libc.so.6")
    except OSError:
        return
    library.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
    library.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
