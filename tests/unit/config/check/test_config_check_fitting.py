"""Remedies of required keys, of kinds that do not fit and of misspelled kinds are settings that work when pasted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from refusals import refused

from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.errors import ConfigError, Problem


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a table of two classes."""
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{n % 7},{n % 5},{'yes' if n % 2 else 'no'}\n" for n in range(60))
    Path("people.csv").write_text(f"a,b c,income\n{rows}")
    return tmp_path


def problems_of(*words: str, catalog: Catalog | None = None) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        load(list(words), catalog or Catalog())
    return caught.value.problems


def test_a_missing_target_names_the_columns_and_a_setting_that_works(folder: Path) -> None:
    (problem,) = problems_of("data=csv", "data.path=people.csv")
    assert (problem.where, problem.code) == ("data.target", "missing-value")
    assert "a, b c, income" in problem.rule
    assert problem.remedy == "Add data.target=income"
    load(["data=csv", "data.path=people.csv", problem.remedy.removeprefix("Add ")], Catalog())


def test_a_usual_name_of_a_target_is_proposed_before_the_last_column(folder: Path) -> None:
    Path("t.csv").write_text("Label,x\na,1\nb,2\n")
    (problem,) = problems_of("data=csv", "data.path=t.csv")
    assert problem.remedy == "Add data.target=Label"


def test_of_many_columns_some_are_listed(folder: Path) -> None:
    Path("wide.csv").write_text(",".join(f"c{n}" for n in range(300)) + "\n" + ",".join("1" * 300) + "\n")
    (problem,) = problems_of("data=csv", "data.path=wide.csv")
    assert "c0, c1" in problem.rule and "(300 in all)" in problem.rule and "c30" not in problem.rule
    assert problem.remedy == "Add data.target=c299"


def test_a_missing_path_names_a_file_of_the_folder(folder: Path) -> None:
    path, target = problems_of("data=csv")
    assert (path.where, path.code, path.remedy) == ("data.path", "missing-value", "Add data.path=people.csv")
    assert (target.where, target.code) == ("data.target", "missing-value")


def test_a_file_that_is_not_there_is_named_before_its_target(folder: Path) -> None:
    path, _ = problems_of("data=csv", "data.path=peple.csv")
    assert (path.where, path.code, path.remedy) == ("data.path", "not-found", "Did you mean data.path=people.csv?")


TABLES = "model=mlp or model=ft_transformer"
IMAGES = "model=simple_cnn, model=resnet18, model=vit or model=mlp"
PAIRS = "model=seq2seq_lstm, model=seq2seq_gru or model=transformer"
TEXTS = "model=gpt, model=lstm, model=gru or model=tcn"
SERIES = "model=gru, model=tcn, model=transformer_encoder or model=mlp"


@pytest.mark.parametrize(
    ("words", "where", "remedy"),
    [
        ("data=iris loss=mse", "loss", "Use loss=cross_entropy, or other data, such as data=diabetes"),
        ("data=digits loss=mae", "loss", "Use loss=cross_entropy, or other data, such as data=diabetes"),
        ("data=diabetes loss=focal", "loss", "Use loss=mse, or other data, such as data=breast_cancer"),
        (
            "data=iris model=simple_cnn",
            "model",
            f"Use {TABLES}, or other data, such as data=digits",
        ),
        ("data=digits model=lstm", "model", f"Use {IMAGES}, or other data, such as data=docstrings or data=sunspots"),
        ("data=digits model=seq2seq_lstm", "model", f"Use {IMAGES}, or other data, such as data=reverse"),
        ("data=digits model=clip", "model", f"Use {IMAGES}, or other data, such as data=digit_captions"),
        (
            "data=digit_captions model=lstm",
            "model",
            "Use model=clip, or other data, such as data=docstrings or data=sunspots",
        ),
        ("data=digits model=gpt", "model", f"Use {IMAGES}, or other data, such as data=topics"),
        ("data=reverse model=simple_cnn", "model", f"Use {PAIRS}, or other data, such as data=digits"),
        ("data=reverse model=gpt", "model", f"Use {PAIRS}, or other data, such as data=topics"),
        ("data=topics model=transformer", "model", f"Use {TEXTS}, or other data, such as data=reverse"),
        ("data=topics model=vit", "model", f"Use {TEXTS}, or other data, such as data=digits"),
        ("data=sunspots model=simple_cnn", "model", f"Use {SERIES}, or other data, such as data=digits"),
        ("data=sunspots model=transformer", "model", f"Use {SERIES}, or other data, such as data=reverse"),
        (
            "data=iris model=dcgan",
            "model",
            "Use model=gan, model=wgan_gp or model=hinge_gan, or other data, such as data=digits",
        ),
        (
            "data=sunspots model=vae",
            "model",
            "Use model=lstm_autoencoder, or other data, such as data=digits or data=breast_cancer",
        ),
        (
            "data=digits model=lstm_autoencoder",
            "model",
            "Use model=autoencoder or model=vae, or other data, such as data=sunspots",
        ),
        (
            "data=topics model=flow",
            "model",
            "Use model=gpt, or other data, such as data=digits or data=breast_cancer",
        ),
    ],
)
def test_what_does_not_fit_is_answered_with_all_parts_that_do(words: str, where: str, remedy: str) -> None:
    (problem,) = problems_of(*words.split())
    assert (problem.where, problem.code, problem.remedy) == (where, "incompatible-data", remedy)
    kept = [word for word in words.split() if not word.startswith("data=")]
    for setting in re.findall(r"\b(?:loss|model|data)=\w+", remedy):
        others = kept if setting.startswith("data=") else words.split()
        load([*(word for word in others if word.partition("=")[0] != setting.partition("=")[0]), setting], Catalog())


@pytest.mark.parametrize(
    ("data", "task", "fitting"),
    [
        ("sunspots", "classification", "forecasting"),
        ("reverse", "classification", "seq2seq"),
        ("entities", "seq2seq", "tagging"),
        ("sunspots", "tagging", "forecasting"),
        ("tones", "classification", "ctc"),
        ("digit_captions", "classification", "contrastive"),
    ],
)
def test_a_task_that_does_not_fit_is_answered_with_the_one_that_does(data: str, task: str, fitting: str) -> None:
    problems = problems_of(f"data={data}", f"task={task}")
    assert problems[0].where == "task" and f"task={fitting}" in problems[0].remedy
    load([f"data={data}", f"task={fitting}"], Catalog())


def test_a_task_that_reads_no_column_is_refused_by_name_where_the_column_would_be_detected(folder: Path) -> None:
    problems = problems_of("data=csv", "data.path=people.csv", "data.target=income", "task=tagging")
    assert problems[0].where == "task" and "task=classification" in problems[0].remedy


def test_a_remedy_of_task_and_loss_is_given_once() -> None:
    problems = problems_of("data=iris", "task=regression")
    assert [problem.where for problem in problems] == ["task", "loss"]
    assert [bool(problem.remedy) for problem in problems] == [True, False]


@pytest.mark.parametrize("words", ["model=gan data=digits task=regression", "model=vae data=iris task=forecasting"])
@pytest.mark.parametrize("loss", [[], ["loss=mse"]])
def test_a_model_made_for_a_task_is_answered_with_that_task_and_the_remedy_is_enough(
    words: str, loss: list[str]
) -> None:
    problems = problems_of(*words.split(), *loss)
    assert problems[0].where == "task" and not any(problem.remedy for problem in problems[1:])
    settings = re.findall(r"\b(?:task|loss)=\w+", problems[0].remedy)
    config = load([*words.split()[:2], *settings], Catalog())
    assert config.task.option in ("adversarial", "vae") and config.loss.option == "none"


def test_a_table_is_offered_another_reading_of_its_target(folder: Path) -> None:
    problems = problems_of("data=csv", "data.path=people.csv", "data.target=income", "loss=mse")
    assert "data.target_kind=value" in problems[0].remedy


def own_kind(folder: Path, kind: str) -> Catalog:
    (folder / "conf/model").mkdir(parents=True)
    (folder / "conf/model/own.yaml").write_text(f"_target_: dlexp.models.mlp.mlp\n_inputs_: {kind}\n")
    return Catalog((folder / "conf",))


@pytest.mark.parametrize(("kind", "near"), [("imge", "image"), ("images", "image"), ("tabluar", "tabular")])
def test_a_misspelled_kind_is_refused_with_the_nearest(folder: Path, kind: str, near: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(["model=own"], own_kind(folder, kind))
    refused(caught.value, "unknown-value", "model._inputs_", f"_inputs_: {near}")


def test_a_kind_of_the_users_own_is_not_a_misspelling(folder: Path) -> None:
    problems = problems_of("model=own", catalog=own_kind(folder, "graph"))
    assert [problem.code for problem in problems] == ["incompatible-data"]


def test_a_model_can_work_on_several_kinds(folder: Path) -> None:
    config = load(["model=own"], own_kind(folder, "[tabular, image]"))
    assert config.model.option == "own"


def test_a_model_of_several_other_kinds_is_refused(folder: Path) -> None:
    (problem,) = problems_of("model=own", catalog=own_kind(folder, "[tokens, series]"))
    assert problem.code == "incompatible-data"
    assert "sequences of token ids or time series" in problem.rule


def test_a_misspelled_kind_in_a_list_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(["model=own"], own_kind(folder, "[tabular, imge]"))
    refused(caught.value, "unknown-value", "model._inputs_", "_inputs_: image")


@pytest.mark.slow
def test_every_model_that_is_offered_is_built_for_the_data_it_is_offered_for() -> None:
    from dlexp.assemble.experiment import assemble
    from dlexp.config.check.fitting import _MODELS

    data = {
        ("image", "class"): "digits",
        ("image", "captions"): "digit_captions",
        ("tabular", "class"): "iris",
        ("tokens", "class"): "docstrings",
        ("tokens", "tags"): "entities",
        ("tokens", "tokens"): "reverse",
        ("tokens", "next_tokens"): "topics",
        ("series", "forecast"): "sunspots",
        ("series", "value"): "adding",
        ("series", "tokens"): "tones",
    }
    for pair, option in data.items():
        for model in _MODELS[pair]:
            assert assemble(load([f"data={option}", f"model={model}"], Catalog()), ()).networks


@pytest.mark.parametrize(
    ("data", "model", "fitting"),
    [
        ("docstrings", "seq2seq_lstm", "model=lstm"),
        ("docstrings", "transformer", "model=lstm"),
        ("docstrings", "gpt", "model=lstm"),
        ("entities", "gpt", "model=lstm"),
        ("sunspots", "transformer_base", "model=gru"),
        ("topics", "transformer", "model=gpt"),
        ("digits", "gpt", "model=simple_cnn"),
    ],
)
def test_a_model_of_other_targets_is_answered_with_one_that_fits(data: str, model: str, fitting: str) -> None:
    (problem,) = problems_of(f"data={data}", f"model={model}")
    assert (problem.where, problem.code) == ("model", "incompatible-data")
    assert problem.remedy.startswith((f"Use {fitting}, ", f"Use {fitting} or "))
    load([f"data={data}", fitting], Catalog())
    other = problem.remedy.rpartition("such as ")[2].partition(" or ")[0]
    load([other, f"model={model}"], Catalog())


def test_data_of_the_users_own_kind_may_give_a_model_what_it_needs(folder: Path) -> None:
    (folder / "conf/data").mkdir(parents=True)
    own = "_target_: dlexp.data.pairs.exact.reverse\n_inputs_: tokens\n_targets_: translation\n"
    (folder / "conf/data/own.yaml").write_text(f"batch_size: 8\neval_batch_size: 8\n{own}")
    words = ["data=own", "model=transformer", "task=seq2seq", "loss=cross_entropy"]
    assert all(problem.where != "model" for problem in problems_of(*words, catalog=Catalog((folder / "conf",))))


@pytest.mark.parametrize("words", ["model=gan loss=cross_entropy", "model=vae loss=mse", "model=flow loss=focal"])
def test_a_loss_beside_a_task_that_computes_its_own_is_refused_with_none(words: str) -> None:
    (problem,) = problems_of(*words.split())
    assert (problem.where, problem.code, problem.remedy) == ("loss", "cannot-combine", "Set loss=none")
    load([*words.split(), "loss=none"], Catalog())


def test_only_a_loss_that_exists_can_be_monitored() -> None:
    (problem,) = problems_of("model=gan", "trainer.monitor=train/loss")
    assert (problem.code, problem.remedy) == ("unknown-value", "Available: val/energy_distance")
    load(["model=vae", "trainer.monitor=train/loss"], Catalog())


def test_a_metric_of_classes_is_answered_with_those_of_the_task() -> None:
    (problem,) = problems_of("model=vae", "metrics=[accuracy]")
    assert problem.rule == "is a metric of classes"
    assert "reconstruction, kl" in problem.remedy
