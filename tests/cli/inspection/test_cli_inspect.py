"""`dlexp inspect` of runs of several kinds: figures that open, numbers that are right, nothing changed."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn

from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.cli.app import main
from dlexp.types import Batch
from dlexp.workflows.inspect.activations import inspect_activations
from dlexp.workflows.inspect.loaded_run import load_run
from dlexp.workflows.inspect.request import InspectRequest

ALL = ("--filters", "--weights", "--activations", "--embeddings", "--data", "--samples", "60")
TRAINED = {
    "cnn": ("model=simple_cnn", "model.channels=[4,6]", "model.fc=8"),
    "diabetes": ("data=diabetes", "model.hidden=[6]"),
    "iris": ("data=iris", "model.hidden=[5]", "model.activation=sigmoid"),
    "series": ("model=lstm", "data=adding", "model.units=4", "data.num_samples=200"),
}


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["inspect", *words])
    text = capsys.readouterr()
    assert ended.value.code == code, text.err
    return text.out if code == 0 else text.err


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for name, words in TRAINED.items():
        with pytest.raises(SystemExit) as ended:
            main(["train", *words, "trainer.epochs=2", "trainer.device=cpu", "-q", "-o", str(folder / name)])
        assert ended.value.code == 0, name
    return folder


@pytest.mark.pictures
@pytest.mark.parametrize(
    "name", ["cnn", "series", *(pytest.param(name, marks=pytest.mark.exhaustive) for name in ("diabetes", "iris"))]
)
def test_every_figure_is_drawn_and_nothing_else_changes(
    name: str, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = runs / name
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and "inspect" not in path.parts}
    found = json.loads(said(capsys, str(run), *ALL, "--json"))
    assert found["notes"] == []
    stems = {Path(file).stem for file in found["files"]}
    assert stems >= {"filters", "weights", "gradients", "activations", "embeddings", "data_inputs"}
    for file in found["files"]:
        picture = Image.open(io.BytesIO(Path(file).read_bytes())).convert("L")
        assert len(picture.getcolors(1 << 20) or ()) > 10, file
    assert json.loads((run / "inspect" / "inspect.json").read_text()) == found
    assert all(path.read_bytes() == content for path, content in before.items())
    assert "figures" in said(capsys, str(run), *ALL)


def test_initial_weights_are_those_of_the_seed_and_the_best_those_of_the_checkpoint(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = json.loads(said(capsys, str(runs / "iris"), "--weights", "--json"))["weights"]
    assert found["versions"] == ["initial", "best", "last"]
    loaded = load_run(runs / "iris", "best", {}, (), needs_initial=True)
    assert loaded.initial is not None
    saved = torch.load(runs / "iris" / "checkpoints" / "best.pt", weights_only=True)
    weights = saved.get("eval_weights", saved.get("networks"))
    for name, parameter in loaded.experiment.networks.named_parameters():
        assert torch.equal(parameter, weights[name])
    again = load_run(runs / "iris", "best", {}, (), needs_initial=True).initial
    assert again is not None
    for (name, one), (_, other), (_, trained) in zip(
        loaded.initial.named_parameters(),
        again.named_parameters(),
        loaded.experiment.networks.named_parameters(),
        strict=True,
    ):
        assert torch.equal(one, other), name
        assert not torch.equal(one, trained), name
    biases = [name for name in found["parameters"] if name.endswith("bias")]
    assert biases
    assert all(found["parameters"][name]["best"]["gradient"]["not_finite"] == 0 for name in biases)


def test_modes_buffers_hooks_and_randomness_are_left_as_they_were(runs: Path) -> None:
    from dlexp.workflows.inspect.embeddings import inspect_embeddings
    from dlexp.workflows.inspect.features import inspect_features
    from dlexp.workflows.inspect.request import InspectRequest
    from dlexp.workflows.inspect.weights import inspect_weights

    loaded = load_run(runs / "cnn", "best", {}, (), needs_initial=True)
    networks = loaded.experiment.networks
    networks.train()
    next(iter(networks.modules())).eval()  # the modes may differ
    modes = [module.training for module in networks.modules()]
    buffers = {name: buffer.clone() for name, buffer in networks.named_buffers()}
    assert any("running_mean" in name for name in buffers)
    state = torch.get_rng_state()
    request = InspectRequest(("0",), weights=True)
    for inspect in (inspect_features, inspect_activations, inspect_embeddings, inspect_weights):
        inspect(loaded, request)
    assert [module.training for module in networks.modules()] == modes
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in networks.named_buffers())
    assert not any(module._forward_hooks for module in networks.modules())
    assert all(parameter.grad is None for parameter in networks.parameters())
    assert torch.equal(torch.get_rng_state(), state)


def test_outputs_of_recurrent_layers_are_seen(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layers = json.loads(said(capsys, str(runs / "series"), "--activations", "--json"))["activations"]["layers"]
    assert any(layer["kind"] == "LSTM" and layer["std"] > 0 for layer in layers.values())


def test_saturation_and_targets_that_are_no_classes(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layers = json.loads(said(capsys, str(runs / "iris"), "--activations", "--json"))["activations"]["layers"]
    assert [layer["saturated"] is not None for layer in layers.values() if layer["kind"] == "Sigmoid"] == [True]
    data = json.loads(said(capsys, str(runs / "diabetes"), "--data", "--json"))["data"]
    assert data["train"]["targets"]["target"]["not_finite"] == 0
    assert "classes" not in data["train"]
    data = json.loads(said(capsys, str(runs / "iris"), "--data", "--json"))["data"]
    assert sum(sum(split["classes"].values()) for split in data.values()) == 150
    assert data["train"]["imbalance"] >= 1


def test_feature_maps_of_any_layer(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(runs / "cnn")
    words = ("--features", "0", "--features", "12", "--sample", "3", "--split", "train", "--json")
    found = json.loads(said(capsys, run, *words))
    assert found["features"]["0"] == {"shape": [4, 8, 8], "kind": "Conv2d", "sample": 3}
    assert {Path(file).name for file in found["files"]} == {"features_0.png", "features_12.png"}


@pytest.mark.parametrize(
    ("words", "where", "code", "remedy"),
    [
        (("--features", "conv1"), "--features", "not-found", "--features"),
        (("--features", "0", "--sample", "9999"), "--sample", "out-of-range", "--sample 178"),
        ((), "inspect", "missing-value", "--weights"),
        (("--weights", "--split", "vla"), "--split", "unknown-value", "val"),
        (("--activation-functions", "--weights"), "--activation-functions", "cannot-combine", "dlexp inspect"),
    ],
)
def test_mistakes(
    words: tuple[str, ...], where: str, code: str, remedy: str, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["inspect", str(runs / "cnn"), *words, "--json"])
    assert ended.value.code == 2
    (problem,) = json.loads(capsys.readouterr().out)["error"]["problems"]
    assert (problem["where"], problem["code"]) == (where, code)
    assert remedy in problem["remedy"]


def test_an_unknown_layer_is_answered_with_all_layers(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, str(runs / "series"), "--features", "nothing", code=2)
    layers = json.loads(said(capsys, str(runs / "series"), "--activations", "--json"))["activations"]["layers"]
    assert all(name in text for name in layers)


@pytest.mark.pictures
def test_activation_functions_need_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    found = json.loads(said(capsys, "--activation-functions", "--json"))
    assert {"relu", "gelu", "mish", "softmax", "silu"} <= set(found["functions"])
    assert Image.open(io.BytesIO((tmp_path / "activation_functions.png").read_bytes())).width > 1000


def test_looking_at_the_test_split_is_counted_and_the_page_has_the_figures(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunDir.find(runs / "iris")
    said(capsys, str(run.path), "--activations", "--split", "test")
    assert (run / "eval/split_accesses.jsonl").read_text().count('"test"') == 1
    with pytest.raises(SystemExit):
        main(["report", str(run.path)])
    page = (run / "report.html").read_text()
    assert "dead and saturated units" in page


def test_a_run_whose_starting_point_is_gone(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = tmp_path / "start"
    (runs / "iris").rename(start)
    try:
        words = ("data=iris", "model.hidden=[5]", "model.activation=sigmoid", f"init_from={start}")
        with pytest.raises(SystemExit):
            main(["train", *words, "trainer.epochs=1", "-q", "-o", str(tmp_path / "second")])
    finally:
        start.rename(runs / "iris")
    capsys.readouterr()
    found: dict[str, Any] = json.loads(said(capsys, str(tmp_path / "second"), "--weights", "--json"))
    assert found["weights"]["versions"][0] == "best"
    assert "initial weights are unknown" in found["notes"][0]


def test_activations_that_are_functions_are_seen_with_their_dead_units() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(3, 4)
            nn.init.constant_(self.first.bias, -100.0)  # no sample gets over it
            nn.init.zeros_(self.first.weight[0])  # the same for every sample
            nn.init.constant_(self.first.bias[1:3], 0.0)

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.first(values))

    batch = Batch(torch.randn(64, 3, generator=torch.Generator().manual_seed(0)), None, torch.arange(64))
    networks = nn.ModuleDict({"model": Net()})

    def compute(batches: Iterator[Batch]) -> Iterator[Batch]:
        with torch.no_grad():
            for each in batches:
                networks["model"](each.inputs)
                yield each

    experiment = SimpleNamespace(networks=networks)
    loaded: Any = SimpleNamespace(experiment=experiment, batches=lambda split, samples: iter([batch]), compute=compute)
    _, facts = inspect_activations(loaded, InspectRequest((), activations=True))
    assert facts["layers"]["relu after first"]["kind"] == "relu"
    assert (facts["layers"]["relu after first"]["dead_units"], facts["layers"]["relu after first"]["units"]) == (2, 4)
    assert facts["layers"]["first"]["dead_units"] is None
