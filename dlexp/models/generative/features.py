"""What a network sees in images: the outputs of some of its layers, by which images are compared.

Symbols: B batch, C channels, H and W height and width in pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from dlexp.errors import ConfigError
from dlexp.models.zoo import cached_file, read_cached
from dlexp.networks.weight_checks import weights_problem
from dlexp.runtime.seed import generator
from dlexp.text.nearest import nearest_name, shortened

__all__ = ["FeatureNetwork", "random_features", "vgg19_features"]

KEY = "task.features"
_GRAY = (0.299, 0.587, 0.114)  # share of red, green and blue in brightness (ITU-R BT.601)
_USUAL = 5  # layers that are compared where none are named
_LISTED = 12
_ACTIVATIONS = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish),
    *(nn.Softplus, nn.Tanh, nn.Sigmoid),
)
_RANDOM = ((32, 32), (64, 64), (128, 128), (128, 128))  # channels of the convolutions in front of each pooling
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
# Those of Gatys et al.: the first activation behind each pooling; and of the content, conv4_2.
_VGG_STYLE, _VGG_CONTENT = ("1", "6", "11", "20", "29"), ("22",)


class _Found(Exception):
    """Raised where no layer behind is needed."""


class FeatureNetwork(nn.Module):
    """Outputs of layers of a network that is not trained.

    Args:
        network: Any network of images.
        channels: Of the images that it reads, 1 or 3.
        prepare: Images (B, channels, H, W) in [0, 1] -> what the network reads.
        style: Names of the layers by which styles are compared; () for those that `usual_layers` finds.
        content: Names of the layers by which contents are compared; () for one behind the middle of those of the style.

    The layers behind the last one that is needed do not run, so that images may have another size than those that the
    network was trained on.
    """

    def __init__(
        self,
        network: nn.Module,
        channels: int,
        prepare: Callable[[Tensor], Tensor],
        style: Sequence[str] = (),
        content: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.network, self.channels, self.prepare = network.eval().requires_grad_(False), channels, prepare
        self.usual_style, self.usual_content = tuple(style), tuple(content)

    def train(self, mode: bool = True) -> FeatureNetwork:
        """Stay in evaluation mode."""
        return super().train(False)

    def find_layers(self, images: Tensor) -> None:
        """Find the usual layers by what `images` (B, C, H, W) in [0, 1] become, where none were given.

        Raises ConfigError for a network without maps of features.
        """
        if self.usual_style:
            return
        found = usual_layers(self.network, self._read(images))
        if not found:
            rule = "has no activation or convolution that puts out maps (B, C, H, W)"
            remedy = "Name the run of a convolutional network."
            raise ConfigError.one(KEY, type(self.network).__name__, rule, remedy, code="incompatible-data")
        self.usual_style = tuple(found)
        self.usual_content = self.usual_content or (found[min(len(found) - 1, (len(found) + 1) // 2)],)

    def check(self, key: str, layers: Sequence[str]) -> None:
        """Raise ConfigError for names that are no layers of the network."""
        known = [name for name, _ in self.network.named_modules() if name]
        for name in layers:
            if name not in known:
                near = nearest_name(name, known)
                remedy = f"Did you mean {near}?" if near else f"Available: {shortened(known)}"
                rule = "unknown layer of the network of task.features"
                raise ConfigError.one(key, name, rule, remedy, code="unknown-value")

    def forward(self, images: Tensor, layers: Sequence[str]) -> list[Tensor]:
        """Images (B, C, H, W) in [0, 1] -> the output (B, C', H', W') of each of `layers`, in their order."""
        found: dict[str, Tensor] = {}
        wanted = dict.fromkeys(layers)

        def keep(name: str) -> Callable[[nn.Module, object, Tensor], None]:
            def hook(module: nn.Module, given: object, output: Tensor) -> None:
                found[name] = output.clone()  # the layer behind may work in place
                if len(found) == len(wanted):
                    raise _Found

            return hook

        handles = [self.network.get_submodule(name).register_forward_hook(keep(name)) for name in wanted]
        try:
            self.network(self._read(images))
        except _Found:
            pass
        finally:
            for handle in handles:
                handle.remove()
        return [found[name] for name in layers]

    def _read(self, images: Tensor) -> Tensor:
        """What the network reads: in its number of channels, and prepared as its images were."""
        if images.shape[1] == 3 and self.channels == 1:
            images = torch.tensordot(images, images.new_tensor(_GRAY), dims=([1], [0])).unsqueeze(1)
        elif images.shape[1] == 1 and self.channels == 3:
            images = images.expand(-1, 3, -1, -1)
        return self.prepare(images)


def usual_layers(network: nn.Module, inputs: Tensor) -> list[str]:
    """Up to five layers from front to back: of each size of the maps the first activation, or else convolution.

    Args:
        network: In evaluation mode.
        inputs: (B, C, H, W) as the network reads them; it may fail behind the maps, such as at a layer for one size.
    """
    for kinds in (_ACTIVATIONS, (nn.Conv2d,)):
        seen: dict[str, tuple[int, ...]] = {}

        def hook(name: str, seen: dict[str, tuple[int, ...]] = seen) -> Callable[[nn.Module, object, object], None]:
            def note(module: nn.Module, given: object, output: object) -> None:
                if isinstance(output, Tensor) and output.dim() == 4 and name not in seen:
                    seen[name] = tuple(output.shape[2:])

            return note

        modules = [(name, module) for name, module in network.named_modules() if isinstance(module, kinds)]
        handles = [module.register_forward_hook(hook(name)) for name, module in modules]
        try:
            with torch.no_grad():
                network(inputs)
        except (RuntimeError, ValueError):  # a layer of one size, behind the maps
            pass
        finally:
            for handle in handles:
                handle.remove()
        sizes = {size for size in seen.values() if min(size) > 1}
        first = [next(name for name, size in seen.items() if size == one) for one in sorted(sizes, reverse=True)]
        if first:
            return _filled(first, [name for name, size in seen.items() if size in sizes])
    return []


def _filled(first: list[str], names: list[str]) -> list[str]:
    """`first`, and more of `names` evenly where there are fewer than five, in the order of `names`."""
    others = [name for name in names if name not in first]
    missing = min(_USUAL - len(first), len(others))
    more = [others[(n + 1) * len(others) // missing - 1] for n in range(missing)] if missing > 0 else []
    return [name for name in names if name in {*first[:_USUAL], *more}]


def random_features(channels: int) -> FeatureNetwork:
    """A network of convolutions with random weights, the same ones in every run.

    Its layers tell colors, edges and textures apart, though it has learned nothing: K. He, Y. Wang and J. Hopcroft, "A
    powerful generative model using random weights for the deep image representation", NeurIPS 2016, arXiv:1606.04801.

    Args:
        channels: Of the images.
    """
    drawn, layers, style, width = generator(0, "features"), list[nn.Module](), list[str](), channels
    for number, block in enumerate(_RANDOM):
        if number:
            layers.append(nn.AvgPool2d(2, ceil_mode=True))
        for place, wide in enumerate(block):
            layer = nn.Conv2d(width, wide, 3, padding=1, padding_mode="reflect" if not number else "zeros", bias=False)
            with torch.no_grad():
                layer.weight.normal_(0, (2 / (9 * width)) ** 0.5, generator=drawn)
            layers += [layer, nn.ReLU()]
            width = wide
            if not place:
                style.append(str(len(layers) - 1))
    return FeatureNetwork(nn.Sequential(*layers), channels, _centered, style, style[2:3])


def vgg19_features() -> FeatureNetwork:
    """The convolutions of VGG-19 with the weights of torchvision for ImageNet, where the cache has them.

    Raises ConfigError where it has none, or other ones: nothing is downloaded.
    """
    import torchvision.models as zoo

    file, remedy = cached_file(zoo.VGG19_Weights.DEFAULT.url)
    if not file.is_file():
        rule = f"weights not found at {file}"
        other = f"{remedy} Or set task.features=random"
        raise ConfigError.one(KEY, "vgg19", rule, other, code="not-found")
    state = read_cached(file, (KEY, "vgg19"), remedy)
    network = zoo.vgg.make_layers(zoo.vgg.cfgs["E"])
    own = {name.removeprefix("features."): value for name, value in state.items() if name.startswith("features.")}
    problem = weights_problem(network.state_dict(), own)
    try:
        network.load_state_dict(own)
    except RuntimeError as error:
        problem = str(error).splitlines()[-1].strip()
    if problem:
        rule = f"the weights in {file} do not match VGG-19: {problem}"
        raise ConfigError.one(KEY, "vgg19", rule, f"Delete the file. {remedy}", code="incompatible-weights")
    return FeatureNetwork(network, 3, _as_imagenet, _VGG_STYLE, _VGG_CONTENT)


def named_features(name: str, channels: int) -> FeatureNetwork:
    """The network of task.features=random or vgg19."""
    made: Mapping[str, Callable[[], FeatureNetwork]] = {
        "random": lambda: random_features(channels),
        "vgg19": vgg19_features,
    }
    return made[name]()


def _centered(images: Tensor) -> Tensor:
    return 2 * images - 1


def _as_imagenet(images: Tensor) -> Tensor:
    mean, deviation = (images.new_tensor(numbers)[:, None, None] for numbers in (_MEAN, _DEVIATION))
    return (images - mean) / deviation
