"""A kind of data of the user's own: accepted where a component reads it, refused in one sentence where none does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from refusals import refused

from dlexp.assemble.data_facts import describe_data
from dlexp.assemble.experiment import assemble
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.config.schema.run import RunConfig
from dlexp.errors import ConfigError, DlexpError
from dlexp.specs import DataSpec
from dlexp.tasks.base import forward
from dlexp.types import as_tensor
from dlexp.workflows.reporter import Silent
from dlexp.workflows.run_record.data import spec_of
from dlexp.workflows.run_record.restore import RestoreOptions, restore_run
from dlexp.workflows.train.train import Request, train

CODE = '''
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from dlexp.data.bundle import SPLITS, DataBundle, Split
from dlexp.data.preprocess import Identity
from dlexp.data.splitting import split_rows
from dlexp.spec_base import InputSpec
from dlexp.specs import ClassSpec, DataSpec


@dataclass(frozen=True)
class GraphSpec(InputSpec):
    """Graphs of a fixed number of nodes."""

    num_nodes: int
    num_node_features: int

    kind: ClassVar[str] = "graph"

    def blank(self):
        nodes = torch.zeros(1, self.num_nodes, self.num_node_features)
        return {"nodes": nodes, "edges": torch.zeros(1, self.num_nodes, self.num_nodes)}

    def model_arguments(self):
        return {"num_node_features": self.num_node_features}


def graphs(*, val_fraction=0.2, test_fraction=0.2, split_seed=0):
    """Forty random graphs of two classes."""
    draw = torch.Generator().manual_seed(0)
    nodes = torch.randn(40, 4, 3, generator=draw)
    edges = torch.rand(40, 4, 4, generator=draw)
    labels = (nodes.sum((1, 2)) > 0).long()
    splits = {}
    for name, rows in zip(SPLITS, split_rows(40, (val_fraction, test_fraction, split_seed))):
        rows = torch.from_numpy(rows)
        splits[name] = Split.in_memory({"nodes": nodes[rows], "edges": edges[rows]}, labels[rows], rows)
    return DataBundle(DataSpec(GraphSpec(4, 3), ClassSpec(("low", "high"))), splits, Identity(), "graphs", {})


class GraphNet(nn.Module):
    """One round of messages."""

    def __init__(self, num_node_features, num_outputs, width=8):
        super().__init__()
        self.first, self.last = nn.Linear(num_node_features, width), nn.Linear(width, num_outputs)

    def forward(self, nodes, edges):
        return self.last((edges @ self.first(nodes)).relu().mean(dim=1))
'''
DATA = """defaults: [_base, _self_, {override /task@_global_.task: classification}]
_target_: own_graphs.graphs
_inputs_: graph
_targets_: class
batch_size: 8
"""
IMAGES, GRAPHS = "images (channels, height, width)", "data of kind 'graph'"
WORDS = ["data=graphs", "trainer.epochs=1", "trainer.device=cpu"]


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    (tmp_path / "own_graphs.py").write_text(CODE)
    for group, name, text in (
        ("data", "graphs", DATA),
        ("model", "graph_net", "_target_: own_graphs.GraphNet\n_inputs_: graph\n"),
        ("model", "eager", "_target_: own_graphs.GraphNet\n"),
    ):
        (tmp_path / "conf" / group).mkdir(parents=True, exist_ok=True)
        (tmp_path / "conf" / group / f"{name}.yaml").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return Catalog((tmp_path / "conf",))


def configured(catalog: Catalog, *words: str) -> RunConfig:
    return load([*WORDS, *words], catalog)


@pytest.mark.parametrize("model", ["graph_net", "eager"])
def test_a_model_reads_a_kind_of_the_users_own(catalog: Catalog, model: str) -> None:
    experiment = assemble(configured(catalog, f"model={model}"), ("own_graphs",))
    assert experiment.bundle.spec.inputs.kind == "graph"
    assert "data of kind 'graph'" in experiment.interpretation
    (batch, *_) = experiment.split("val")
    prediction = experiment.task.predict(dict(experiment.networks.items()), batch)
    assert prediction.outputs.shape == (len(batch), 2)


def test_a_run_on_it_is_trained_and_put_together_again(catalog: Catalog) -> None:
    request = Request((), ("dlexp",), Path("run"), ("own_graphs",))
    train(configured(catalog, "model=graph_net"), request, Silent())
    stored = restore_run(Path("run"), RestoreOptions(trusted=("own_graphs",)))
    inputs = stored.experiment.bundle.spec.inputs.blank()
    batch = stored.unlabeled(stored.preprocess(inputs))
    assert len(batch) == 1 and as_tensor(batch.targets).tolist() == [0]
    outputs = stored.experiment.task.predict(dict(stored.experiment.networks.items()), batch).outputs
    assert torch.isfinite(outputs).all()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["model=simple_cnn"], "requires images (channels, height, width); data=graphs has data of kind 'graph'"),
        (
            ["model=graph_net", "data=iris"],
            "requires data of kind 'graph'; data=iris has tables (rows of numbers)",
        ),
    ],
)
def test_a_kind_that_a_model_does_not_read_is_refused_in_one_sentence(
    catalog: Catalog, words: list[str], sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        configured(catalog, *words)
    (problem,) = caught.value.problems
    assert problem.rule == sentence


def test_a_model_that_names_an_argument_of_another_kind_of_data_is_refused(catalog: Catalog) -> None:
    with pytest.raises(ConfigError) as caught:
        assemble(configured(catalog, "model=mlp"), ("own_graphs",))
    refused(caught.value, "invalid-value", "model")


class Mute(torch.nn.Module):
    def forward(self, inputs: torch.Tensor) -> None: ...


def test_an_output_that_is_no_tensor_is_named() -> None:
    with pytest.raises(TypeError, match="must be a tensor, got None"):
        forward(Mute(), torch.zeros(1))


def test_data_that_are_not_what_their_option_says_are_refused(catalog: Catalog, tmp_path: Path) -> None:
    text = DATA.replace("_inputs_: graph\n", "")
    (tmp_path / "conf" / "data" / "graphs.yaml").write_text(text)
    with pytest.raises(ConfigError, match="requires images"):
        assemble(configured(Catalog((tmp_path / "conf",)), "model=simple_cnn"), ("own_graphs",))


@pytest.mark.parametrize("value", ["[a b]", "3", "a b", "''"])
def test_what_is_no_name_of_a_kind_is_refused(tmp_path: Path, value: str) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "own.yaml").write_text(f"defaults: [mlp, _self_]\n_inputs_: {value}\n")
    with pytest.raises(ConfigError, match=r"must name a kind of data in model/own\.yaml, such as image, tabular"):
        load(["model=own"], Catalog((tmp_path,)))


def test_a_kind_whose_package_is_not_trusted_is_refused(catalog: Catalog) -> None:
    config = configured(catalog, "model=graph_net")
    values = describe_data(assemble(configured(catalog, "model=graph_net"), ("own_graphs",)).bundle)["spec"]
    assert isinstance(spec_of(values, config, ()), DataSpec)  # it was imported before
    unknown = {**values, "inputs": {**values["inputs"], "kind": "hypergraph"}}
    with pytest.raises(DlexpError, match="unknown kind 'hypergraph'"):
        spec_of(unknown, config, ())
