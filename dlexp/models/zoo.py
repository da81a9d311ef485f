"""All networks of torchvision and timm by name, with pretrained weights from a cache or a download.

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

_FOR_SOME = {  # arguments for a single output and without warnings
    "googlenet": {"aux_logits": False, "init_weights": True, "transform_input": False},
    "inception_v3": {"aux_logits": False, "init_weights": True, "transform_input": False},
}


_SIDES = {"inception_v3": 299}  # side in pixels of the published network, if not 224


def torchvision(
    *,
    input_shape: tuple[int, ...],
    num_outputs: int,
    name: str,
    pretrained: bool = False,
    resize: int | None = None,
) -> nn.Module:
    """The classification network `torchvision.models.<name>`: (B, C, H, W) -> (B, O).

    The first convolution is replaced for C channels, the last layer for O outputs. With pretrained weights, the new
    first convolution has the sum of the old channels, scaled, so that gray images have the same outputs as color
    copies.

    Args:
        input_shape: (C, H, W).
        num_outputs: O.
        name: Name in torchvision.models.
        pretrained: Whether to load the default weights of torchvision, from the directory of torch.hub or a download.
        resize: Side in pixels to which images are scaled (bilinear) before the network; None: not scaled. Networks
            such as vit_b_16 only support one size, 224.

    Raises ConfigError for an unknown name, and for weights that are not available.
    """
    import torchvision.models as zoo

    channels, _, _ = image_shape(name, input_shape)
    known = zoo.list_models(module=zoo)
    if name not in known:
        near = get_close_matches(name, known, n=1)
        remedy = f"Did you mean {setting('model.name', near[0])}?" if near else "See torchvision.models."
        raise ConfigError.one(
            "model.name", name, "unknown classification network of torchvision", remedy, code="unknown-value"
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
                f"the weights do not match {name}: {problem}",
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

    Args:
        input_shape: (C, H, W).
        num_outputs: O.
        name: Name in timm.
        pretrained: Whether to load the default weights of timm, from the cache of huggingface_hub or a download.
        resize: Side in pixels to which images are scaled (bilinear) before the network; None: not scaled.

    Raises ConfigError without timm, for an unknown name, and for weights that are not available.
    """
    channels, _, _ = image_shape(name, input_shape)
    try:
        import timm as zoo
    except ImportError as error:
        raise ConfigError.one(
            "model",
            "timm",
            "requires the package timm",
            "Install it: pip install 'dlexp[timm]'",
            code="missing-package",
        ) from error
    if not zoo.is_model(name):
        near = get_close_matches(name, zoo.list_models(), n=1)
        remedy = f"Did you mean {setting('model.name', near[0])}?" if near else "See timm.list_models()"
        raise ConfigError.one("model.name", name, "unknown network of timm", remedy, code="unknown-value")
    try:
        model: nn.Module = zoo.create_model(name, pretrained=pretrained, num_classes=num_outputs, in_chans=channels)
    except (OSError, RuntimeError) as error:
        if not pretrained:
            raise
        source = zoo.get_pretrained_cfg(name)
        where = getattr(source, "hf_hub_id", None) or getattr(source, "url", None) or name
        rule = f"weights of {name} ({where}) not found in the cache, and not downloaded: {_first_line(error)}"
        remedy = f"Copy {where} to the cache at HF_HOME, or remove model.pretrained."
        raise ConfigError.one("model.pretrained", "true", rule, remedy, code="not-found") from error
    *_, side = getattr(model, "pretrained_cfg", {}).get("input_size") or (224,)
    return _resized(model, resize, int(side))


def _pretrained_state(name: str, url: str) -> dict[str, Any]:
    """Return the weights at `url`, from the directory of torch.hub if they are there. Raises ConfigError on failure."""
    file, remedy = cached_file(url)
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        digest = file.stem.rpartition("-")[2]
        try:
            torch.hub.download_url_to_file(url, str(file), digest, progress=False)
        except (OSError, RuntimeError) as error:
            rule = f"weights of {name} not found at {file}, and not downloaded: {_first_line(error)}"
            raise ConfigError.one("model.pretrained", "true", rule, remedy, code="not-found") from error
    return read_cached(file, ("model.pretrained", "true"), remedy)


def cached_file(url: str) -> tuple[Path, str]:
    """The file of published weights in the directory of torch.hub, there or not, and how to get it there."""
    file = Path(torch.hub.get_dir(), "checkpoints", url.rpartition("/")[2])
    return file, f"Download {url} elsewhere and copy it there, or set TORCH_HOME to another directory."


def read_cached(file: Path, given: tuple[str, str], remedy: str) -> dict[str, Any]:
    """The weights in a file, read without running code. Raises ConfigError of the key and value `given`."""
    try:
        check_regular(file)
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        rule = f"corrupted weights: {file} {why_not_loaded(error)}"
        raise ConfigError.one(*given, rule, f"Delete the file. {remedy}", code="corrupted") from error
    return state


def _replace_head(model: nn.Module, num_outputs: int) -> None:
    """Replace the last layer by a new one with `num_outputs` outputs."""
    layers = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    linear = [(n, m) for n, m in layers if isinstance(m, nn.Linear)]
    name, old = (linear or layers)[-1]
    if isinstance(old, nn.Linear):
        _put(model, name, nn.Linear(old.in_features, num_outputs, bias=old.bias is not None))
    else:  # SqueezeNet ends in a 1x1 convolution
        _put(model, name, nn.Conv2d(old.in_channels, num_outputs, 1))


def _fit_channels(model: nn.Module, channels: int, keep: bool) -> None:
    """Replace the first convolution by one for `channels`; `keep` its weights, summed over channels."""
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
    """Return `model` with images scaled to `side` pixels first; `usual_side` is stored for error messages."""
    model.usual_side = usual_side  # type: ignore[assignment]
    if side is None:
        return model
    return nn.Sequential(nn.Upsample(size=(side, side), mode="bilinear", align_corners=False), model)


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
