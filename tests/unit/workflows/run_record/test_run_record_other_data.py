"""`dlexp evaluate` on other data reads them as the run reads its own: its answers are those of `dlexp predict`."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from refusals import refused

from dlexp.cli.app import main
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.errors import DataError
from dlexp.workflows.evaluate.evaluate import evaluate_run
from dlexp.workflows.reporter import Silent
from dlexp.workflows.train.train import Request, train

CATALOG = Catalog(())


def trained(*words: str) -> Path:
    words = (*words, "trainer.epochs=6", "optim.lr=0.02", "model.hidden=[8]")
    return Path(train(load(words, CATALOG), Request(words, ("dlexp",), Path("r")), Silent())["run"])


def predicted(capsys: pytest.CaptureFixture[str], *words: str) -> pd.DataFrame:
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["predict", *words])
    return pd.read_csv(io.StringIO(capsys.readouterr().out)).set_index("row")


def table(path: str, cities: str, shift: float, seed: int) -> pd.DataFrame:
    """The answer is yes in the cities B and D; a few numbers and cities are missing."""
    rng = np.random.default_rng(seed)
    city = rng.choice(list(cities), 90)
    frame = pd.DataFrame(
        {"x": rng.normal(shift, 1, 90), "city": city, "y": np.where(np.isin(city, ["B", "D"]), "yes", "no")}
    )
    frame.loc[[3, 4], "x"] = np.nan
    frame.loc[[5], "city"] = None
    frame.to_csv(path, index=False)
    return frame


def test_categories_and_numbers_of_another_table_are_encoded_as_in_training(capsys: pytest.CaptureFixture[str]) -> None:
    table("a.csv", "ABC", 0, 0)
    run = trained("data=csv", "data.path=a.csv", "data.target=y", "model=mlp")
    for number, (cities, shift) in enumerate((("BCD", 0.0), ("ABC", 50.0), ("B", 0.0)), start=1):
        frame = table("b.csv", cities, shift, number)
        answers = predicted(capsys, str(run), "b.csv")
        if cities == "B":  # a column of one value, and of one class
            frame.loc[:30, "y"] = "no"
            frame.to_csv("b.csv", index=False)
        content = evaluate_run(run, "test", "best", {"data.path": "b.csv"}, ())
        found = pd.read_csv(run / "eval/test/predictions.csv").set_index("row")
        assert (found["predicted"] == answers["predicted"].loc[found.index]).all()
        assert found["confidence"].to_numpy() == pytest.approx(
            answers["confidence"].loc[found.index].to_numpy(), rel=1e-6
        )
        assert (found["true"] == frame.loc[found.index, "y"]).all()
        assert content["metrics"]["accuracy"] == pytest.approx((found["true"] == found["predicted"]).mean())


def test_columns_that_the_run_lacks_are_refused() -> None:
    frame = table("a.csv", "ABC", 0, 0)
    run = trained("data=csv", "data.path=a.csv", "data.target=y", "model=mlp")
    frame.assign(z=frame["x"] ** 2).to_csv("b.csv", index=False)
    with pytest.raises(DataError) as error:
        evaluate_run(run, "test", "best", {"data.path": "b.csv"}, ())
    refused(error.value, "incompatible-data", "'z'", "data.columns={z:drop}")
    evaluate_run(run, "test", "best", {"data.path": "b.csv", "data.columns": {"z": "drop"}}, ())
    frame.drop(columns="x").assign(x2=1.5 * frame["x"]).to_csv("b.csv", index=False)
    with pytest.raises(DataError) as error:
        evaluate_run(run, "test", "best", {"data.path": "b.csv"}, ())
    refused(error.value, "incompatible-data", "'x2'")
    frame.drop(columns="x").to_csv("b.csv", index=False)
    with pytest.raises(DataError, match="'x'"):
        evaluate_run(run, "test", "best", {"data.path": "b.csv"}, ())


@pytest.mark.parametrize("kind", ["table", "images"])
def test_arrays_are_on_the_scale_of_training(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 3)) if kind == "table" else rng.integers(0, 120, (90, 4, 4), dtype=np.uint8)
    y = x.reshape(90, -1)[:, 0] * 2.0 + 7
    np.savez("a.npz", x=x, y=y)
    run = trained("data=arrays", "data.path=a.npz", "model=mlp", "data.target_kind=value")
    other = x * 3 + 20 if kind == "table" else x + np.uint8(100)
    np.savez("b.npz", x=other, y=y * 9)
    np.save("b.npy", other)
    answers = predicted(capsys, str(run), "b.npy")
    evaluate_run(run, "test", "best", {"data.path": "b.npz"}, ())
    found = pd.read_csv(run / "eval/test/predictions.csv").set_index("row")
    column = next(name for name in answers if name not in ("input", "error"))
    assert found["predicted y"].to_numpy() == pytest.approx(answers[column].loc[found.index].to_numpy(), rel=1e-4)
    assert found["true y"].to_numpy() == pytest.approx(y[found.index] * 9, rel=1e-6)
