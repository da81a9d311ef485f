"""`run.explain()`: what outputs depend on, as tables and arrays, of data that was handed over too."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import dlexp


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dlexp.Run:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({name: rng.normal(size=200) for name in "abc"})
    frame["y"] = np.where(frame["b"] > 0, "yes", "no")
    place = tmp_path_factory.mktemp("explained") / "run"
    words = ("model=mlp", "model.hidden=[8]", "trainer.epochs=15", "optim.lr=0.02", "trainer.device=cpu")
    return dlexp.train(*words, data=frame, target="y", run_dir=place, progress=False)


def test_attributions_are_shaped_like_the_inputs(run: dlexp.Run) -> None:
    found = run.explain(method="integrated_gradients", split="test", checks=0, count=20)
    assert found.attributions.shape == (20, 3) and len(found.samples) == 20
    assert {"row", "true", "predicted", "score"} <= set(found.samples.columns)
    assert np.abs(found.attributions).mean(0).argmax() == 1  # b alone decides
    assert found.path == run.path / "explain" / "integrated_gradients" and found.failures == ()
    assert found.picture.png.startswith(b"\x89PNG")
    assert found._repr_html_().startswith("<div>") and "20 samples of test" in repr(found)
    again = run.explain(rows=found.samples["row"][:2].tolist(), method="integrated_gradients", split="test", checks=0)
    assert np.array_equal(again.attributions, found.attributions[:2])


def test_importances_are_a_table(run: dlexp.Run) -> None:
    found = run.explain(method="permutation")
    assert found.importances.index[0] == "b" and set(found.importances.index[:3]) == set("abc")
    assert (found.importances["low"] <= found.importances["increase"]).all()
    assert found.samples.empty and found.attributions.size == 0
    assert found.picture.path.name == "importances.png" and "3 columns of val" in repr(found)


@pytest.mark.parametrize(
    ("arguments", "where", "says"),
    [
        ({"method": "lime"}, "method", "occlusion"),
        ({"output": "maybe"}, "output", "yes"),
        ({"rows": ["first"]}, "rows", "rows=[12, 40]"),
        ({"rows": 10**6}, "rows", "is no sample of the val split"),
        ({"checks": 1}, "checks", "at least 2"),
        ({"overrides": 3}, "overrides", "overrides"),
    ],
)
def test_wrong_arguments_are_named_as_in_python(
    run: dlexp.Run, arguments: dict[str, object], where: str, says: str
) -> None:
    with pytest.raises(dlexp.ConfigError) as caught:
        run.explain(**arguments)  # type: ignore[arg-type]
    assert caught.value.problems[0].where.startswith(where)
    assert says in str(caught.value) and "--" not in str(caught.value)


def test_a_method_that_does_not_fit_names_one_that_does(run: dlexp.Run) -> None:
    with pytest.raises(dlexp.DlexpError, match='method="'):
        run.explain(method="gradcam")
