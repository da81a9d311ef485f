from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from typed_specs import table_of

from dlexp.assemble.experiment import assemble
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.data.columns import tensor_of
from dlexp.models.ft_transformer import Block, FeatureTokens, ft_transformer
from dlexp.models.tabular import Columns, neural_ode, tabular_mlp, wide_deep

CATEGORICAL = ((1, 3), (5, 2))  # features 1 to 3 and 5 to 6 of seven; 0 and 4 are numbers
MAKES = (tabular_mlp, wide_deep, neural_ode, ft_transformer)


def rows(codes: list[tuple[int | None, int | None]]) -> torch.Tensor:
    x = torch.zeros(len(codes), 7)
    x[:, 0], x[:, 4] = torch.arange(1.0, len(codes) + 1), -1.0
    for row, (first, second) in enumerate(codes):
        if first is not None:
            x[row, 1 + first] = 1
        if second is not None:
            x[row, 5 + second] = 1
    return x


def test_columns_are_numbers_then_embeddings_of_the_codes() -> None:
    columns = Columns(7, CATEGORICAL, None)
    first, second = columns.embeddings
    assert isinstance(first, nn.Linear) and isinstance(second, nn.Linear)
    assert (first.weight.shape, second.weight.shape) == ((2, 3), (1, 2))
    x = rows([(2, 0), (0, None)])
    out = columns(x)
    assert columns.num_outputs == out.shape[1] == 5
    torch.testing.assert_close(out[:, :2], x[:, [0, 4]])
    torch.testing.assert_close(out[:, 2:4], F.embedding(torch.tensor([2, 0]), first.weight.T))
    torch.testing.assert_close(out[:, 4], torch.stack([second.weight[0, 0], torch.tensor(0.0)]))  # unknown: zero


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("categorical", [(), CATEGORICAL, ((0, 7),)])
def test_outputs_and_gradients_with_and_without_categories(make: Any, categorical: Any) -> None:
    torch.manual_seed(0)
    network = make(input_shape=(7,), num_outputs=1, categorical=categorical)
    out = network(rows([(0, 0), (1, 1), (2, None), (None, 0)]))
    assert out.shape == (4, 1)
    out.square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("make", MAKES)
def test_images_are_refused_by_networks_for_tables(make: Any) -> None:
    with pytest.raises(ValueError, match=r" \(1, 8, 8\)"):
        make(input_shape=(1, 8, 8), num_outputs=2)


def test_the_wide_part_sees_pairs_of_categories() -> None:
    network = wide_deep(input_shape=(7,), num_outputs=1, categorical=CATEGORICAL, hidden=(4,)).eval()
    wide = network.get_submodule("wide")
    assert isinstance(wide, nn.Sequential)
    crossed = wide[0](rows([(2, 1), (None, 1)]))
    assert crossed.shape == (2, 7 + 3 * 2)
    assert crossed[0, 7:].tolist() == [0, 0, 0, 0, 0, 1]
    assert crossed[1, 7:].tolist() == [0] * 6
    x = rows([(0, 0), (1, 1)])
    torch.testing.assert_close(network(x), wide(x) + network.get_submodule("deep")(x))
    plain = wide_deep(input_shape=(7,), num_outputs=1, categorical=CATEGORICAL, crosses=False).get_submodule("wide")
    assert isinstance(plain, nn.Sequential)
    assert plain[1].in_features == 7


def test_a_token_for_each_column_and_one_for_the_answer() -> None:
    tokens = FeatureTokens(7, CATEGORICAL, 4)
    x = rows([(2, None)])
    found = tokens(x)[0]
    expected = [  # numbers and categories in the order of the features
        x[0, 0] * tokens.weight[0] + tokens.bias[0],
        tokens.weight[1 + 2] + tokens.bias[1],
        x[0, 4] * tokens.weight[4] + tokens.bias[2],
        tokens.bias[3],
        tokens.cls,
    ]
    torch.testing.assert_close(found, torch.stack(expected))


def test_a_block_is_the_formula_of_the_paper() -> None:
    torch.manual_seed(0)
    block = Block(8, 2, 5, (0.0, 0.0), is_first=False).double()
    x = torch.randn(3, 4, 8, dtype=torch.float64)
    q, k, v = block.queries_keys_values(block.norm(x)).chunk(3, -1)
    heads = []
    for part in (slice(0, 4), slice(4, 8)):
        weights = (q[..., part] @ k[..., part].transpose(1, 2) / 4**0.5).softmax(-1)
        heads.append(weights @ v[..., part])
    y = x + block.out(torch.cat(heads, -1))
    a, b = block.ffn_in(block.ffn_norm(y)).chunk(2, -1)
    torch.testing.assert_close(block(x), y + block.ffn_out(a * b.relu()))
    assert isinstance(Block(8, 2, 5, (0.0, 0.0), is_first=True).norm, nn.Identity)
    with pytest.raises(ValueError, match=r"token=10.* heads=4"):
        ft_transformer(input_shape=(7,), num_outputs=1, token=10, heads=4)


def test_the_flow_follows_its_field() -> None:
    """dx/dt = a x has the solution x(1) = e^a x(0); four steps of order 4 come within 1e-4."""
    network = neural_ode(input_shape=(2,), num_outputs=2, state=2)
    flow = network[2]

    class Growth(nn.Module):
        def forward(self, x_and_t: torch.Tensor) -> torch.Tensor:
            return 0.7 * x_and_t[:, :2]

    flow.field = Growth()
    x = torch.tensor([[1.0, -2.0]])
    torch.testing.assert_close(flow(x), x * torch.tensor(0.7).exp(), atol=1e-4, rtol=0)


def test_a_table_tells_the_networks_its_categories(tmp_path: Path) -> None:
    colors, sizes = ("red", "green", "blue", ""), ("s", "l")
    lines = [f"{i % 7},{colors[i % 4]},{i * 0.5},{sizes[i % 2]},{'yes' if i % 4 == 0 else 'no'}" for i in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["a,color,b,size,bought", *lines]))
    words = [f"data.path={tmp_path / 't.csv'}", "data.target=bought", "data=csv", "trainer.device=cpu"]
    experiment = assemble(load([*words, "model=tabular_mlp"], Catalog()))
    assert table_of(experiment.bundle.spec).categorical == ((1, 3), (5, 2))
    (columns,) = (m for m in experiment.networks.modules() if isinstance(m, Columns))
    assert columns.blocks == ((1, 3), (5, 2))
    assert columns.get_buffer("numbers").tolist() == [0, 4]
    values = tensor_of(experiment.bundle.splits["train"].inputs)
    assert set(values[:, 1:4].sum(1).tolist()) == {0.0, 1.0}  # a missing color is none of them
    assert set(values[:, 5:7].sum(1).tolist()) == {1.0}
