"""The whole zoos of torchvision and timm, by name, with pretrained weights where a cache or a network has them.

Symbols: B batch, C channels, H and W height and width in pixels, O outputs.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dlexp.artifacts.checkpoints.load_failure import why_not_loaded
from dlexp.artifacts.files.reading import check_regular
from dlexp.errors import ConfigError
from dlexp.models.layers import hookable, image_shape
from dlexp.networks.weight_checks import weights_problem
from dlexp.text.quoting import setting

__all__ = ["timm", "torchvision"]

_FOR_SOME = {  # arguments that keep these networks to one output and quiet
    "googlenet": {"aux_logits": False, "init_weights": True, "transform_input": False},
    "inception_v3": {"aux_logits": False, "init_weights": True, "transform_input": False},
}


_SIDES = {"inception_v3": 299}  # pixels, where the published network reads others than 224


def torchvision(
    *,
    input_shape: tuple[int, ...],
    num_outputs: int,
    name: str,
    pretrained: bool = False,
    resize: int | None = None,
) -> nn.Module:
    """The classification network `torchvision.models.<name>`: (B, C, H, W) -> (B, O).

    The first convolution is fitted to C channels and the last layer to O outputs; with pretrained weights the first
    reads the sum (or the mean times three) of what it read, so that grey images look as their colour copies did.

    pretrained  the newest weights that torchvision names, from torch.hub's folder, or downloaded to there
    resize      side in pixels to which images are scaled (bilinear) in front of the network; None leaves them.
                Networks such as vit_b_16 read one size only, 224
    Raises ConfigError for a name that is none, and for weights that are neither in the folder nor to be had.
    """
    import torchvision.models as zoo

    channels, _, _ = image_shape(name, input_shape)
    known = zoo.list_models(module=zoo)
    if name not in known:
        near = get_close_matches(name, known, n=1)
        remedy = f"did you mean {setting('model.name', near[0])}?" if near else "see torchvision.models"
        raise ConfigError.one(
            "model.name", name, "is no classification network of torchvision", remedy, code="unknown-value"
        )
    make, options = zoo.get_model_builder(name), _FOR_SOME.get(name, {})
    if pretrained:
        weights: Any = zoo.get_model_weights(name).DEFAULT
        options = {**options, "aux_logits": True} if "aux_logits" in options else options
        model: nn.Module = make(num_classes=len(weights.meta["categories"]), **options)
        state = _pretrained_state(name, weights.url)
        if problem := weights_problem(model.state_dict(), state):
            raise ConfigError.one(
                "model.pretrained",
                "true",
                f"the weights of {name} cannot be used: {problem}",
                code="incompatible-weights",
            )
        model.load_state_dict(state)
        if "aux_logits" in options:
            model.aux_logits = False  # type: ignore[assignment]
            for auxiliary in ("AuxLogits", "aux1", "aux2"):
                setattr(model, auxiliary, None)
        _replace_head(model, num_outputs)
    else:
        model = make(num_classes=num_outputs, **options)
    _fit_channels(model, channels, pretrained)
    return _resized(hookable(model), resize, _SIDES.get(name, 224))


def timm(
    *,
    input_shape: tuple[int, ...],
    num_outputs: int,
    name: str,
    pretrained: bool = False,
    resize: int | None = None,
) -> nn.Module:
    """The network that `timm.create_model(name)` builds: (B, C, H, W) -> (B, O).

    pretrained  the weights that timm names, from the cache of huggingface_hub, or downloaded to there
    resize      side in pixels to which images are scaled (bilinear) in front of the network; None leaves them
    Raises ConfigError without timm, for a name that is none, and for weights that are not to be had.
    """
    channels, _, _ = image_shape(name, input_shape)
    try:
        import timm as zoo
    except ImportError as error:
        raise ConfigError.one(
            "model", "timm", "needs the package timm", "pip install 'dlexp[timm]'", code="missing-package"
        ) from error
    if not zoo.is_model(name):
        near = get_close_matches(name, zoo.list_models(), n=1)
        remedy = f"did you mean {setting('model.name', near[0])}?" if near else "see timm.list_models()"
        raise ConfigError.one("model.name", name, "is no network of timm", remedy, code="unknown-value")
    try:
        model: nn.Module = zoo.create_model(name, pretrained=pretrained, num_classes=num_outputs, in_chans=channels)
    except (OSError, RuntimeError) as error:
        if not pretrained:
            raise
        source = zoo.get_pretrained_cfg(name)
        where = getattr(source, "hf_hub_id", None) or getattr(source, "url", None) or name
        rule = f"the weights of {name} ({where}) are not in the cache and not to be had: {_first_line(error)}"
        remedy = f"put {where} in the cache that HF_HOME names, or leave out model.pretrained"
        raise ConfigError.one("model.pretrained", "true", rule, remedy, code="not-found") from error
    *_, side = getattr(model, "pretrained_cfg", {}).get("input_size") or (224,)
    return _resized(model, resize, int(side))


def _pretrained_state(name: str, url: str) -> dict[str, Any]:
    """The weights behind `url`, by name, from torch.hub's folder. Raises ConfigError where they are not to be had."""
    file = Path(torch.hub.get_dir(), "checkpoints", url.rpartition("/")[2])
    remedy = f"download {url} where there is a network and put it there (TORCH_HOME names another folder)"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        digest = file.stem.rpartition("-")[2]
        try:
            torch.hub.download_url_to_file(url, str(file), digest, progress=False)
        except (OSError, RuntimeError) as error:
            rule = f"the weights of {name} are not at {file}, and no network has them: {_first_line(error)}"
            raise ConfigError.one("model.pretrained", "true", rule, remedy, code="not-found") from error
    try:
        check_regular(file)
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        rule = f"{file} holds no weights: it {why_not_loaded(error)}"
        raise ConfigError.one(
            "model.pretrained", "true", rule, f"delete it, then {remedy}", code="corrupted"
        ) from error
    return state


def _replace_head(model: nn.Module, num_outputs: int) -> None:
    """Put a new last layer, with `num_outputs` outputs, in the place of the old one."""
    layers = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    linear = [(n, m) for n, m in layers if isinstance(m, nn.Linear)]
    name, old = (linear or layers)[-1]
    if isinstance(old, nn.Linear):
        _put(model, name, nn.Linear(old.in_features, num_outputs, bias=old.bias is not None))
    else:  # SqueezeNet ends in a 1x1 convolution
        _put(model, name, nn.Conv2d(old.in_channels, num_outputs, 1))


def _fit_channels(model: nn.Module, channels: int, keep: bool) -> None:
    """Fit the first convolution to the images' channels; `keep` what it has learned of colours."""
    name, old = next((n, m) for n, m in model.named_modules() if isinstance(m, nn.Conv2d))
    if old.in_channels == channels:
        return
    bias = old.bias is not None
    new = nn.Conv2d(channels, old.out_channels, old.kernel_size, old.stride, old.padding, bias=bias)  # type: ignore[arg-type]
    if keep:
        with torch.no_grad():
            new.weight.copy_(old.weight.sum(1, keepdim=True).expand_as(new.weight) / channels)
            if new.bias is not None and old.bias is not None:
                new.bias.copy_(old.bias)
    _put(model, name, new)


def _put(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, module)


def _resized(model: nn.Module, side: int | None, usual_side: int) -> nn.Module:
    """`model` behind a change to `side` pixels; `usual_side` stays with it, for the message when images do not fit."""
    model.usual_side = usual_side  # type: ignore[assignment]
    if side is None:
        return model
    return nn.Sequential(nn.Upsample(size=(side, side), mode="bilinear", align_corners=False), model)


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
