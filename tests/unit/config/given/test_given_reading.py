"""A file of --config that is none is refused by what it is, with line and remedy; nothing of it is run."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from refusals import refused

from dlexp.config.files.catalog import Catalog
from dlexp.config.given.overrides import with_files
from dlexp.errors import ConfigError


def given_refused(path: Path, code: str, where: str = "--config", remedy: str = "") -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        with_files([path], [], Catalog())
    refused(caught.value, code, where, remedy)
    return caught.value


@pytest.mark.parametrize(
    ("name", "content", "code", "remedy", "origin"),
    [
        ("a.yaml", "a: [1,\nb: 2\n", "invalid-syntax", "", ":3"),
        ("a.yaml", "optim.lr: a: b\n", "invalid-syntax", "optim.lr: a: b", ":1"),
        ("a.yaml", "seed: 1\noptim:\n\tlr: 1\n", "invalid-syntax", "spaces", ":3"),
        ("a.yaml", "", "missing-value", "KEY: VALUE", ""),
        ("a.yaml", "# only a comment\n", "missing-value", "KEY: VALUE", ""),
        ("a.toml", "[optim]\nlr = 0.1\n", "not-supported", "optim.lr: 0.1", ""),
        ("a.yaml", "[optim]\nlr = 0.1\n", "not-supported", "optim.lr: 0.1", ""),
        ("a.txt", "model=mlp\noptim.lr=0.1\n", "invalid-syntax", "- model=mlp", ":1"),
        ("a.txt", "a,b\n1,2\n", "invalid-syntax", "data.path=", ":1"),
        ("a.csv", "a,b\n1,2\n", "invalid-value", "data=csv", ""),
        ("a.parquet", "PAR1", "invalid-value", "data=parquet", ""),
        ("a.pt", "PK", "invalid-value", "init_from=", ""),
        ("a.yaml", "key    value    from    \nseed  42  conf\n", "not-supported", "dlexp config >", ""),
        ("a.yaml", '[{"key": "seed", "value": 1, "origin": "x"}]', "not-supported", "dlexp config >", ""),
    ],
)
def test_other_contents_are_named(tmp_path: Path, name: str, content: str, code: str, remedy: str, origin: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    error = given_refused(path, code, remedy=remedy)
    assert error.problems[0].origin.endswith(origin)


def test_binary_and_latin_files_are_named(tmp_path: Path) -> None:
    binary, latin = tmp_path / "weights", tmp_path / "latin.yaml"
    binary.write_bytes(b"PK\x03\x04\x00\x80")
    latin.write_bytes("seed: 1\nname: M\u00fcller\n".encode("latin-1"))
    given_refused(binary, "invalid-value", remedy="init_from=")
    given_refused(latin, "invalid-syntax", remedy="iconv")


def test_missing_file_has_its_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "colleague.yaml").write_text("seed: 1")
    given_refused(tmp_path / "coleague.yaml", "not-found", remedy=str(tmp_path / "colleague.yaml"))
    given_refused(tmp_path / "other.yaml", "not-found", remedy="colleague.yaml")
    given_refused(tmp_path / "none/other.yaml", "not-found", remedy="directory")
    given_refused(Path("https://example.org/a.yaml"), "not-found", remedy="Download")
    given_refused(Path("model=mlp"), "not-found", remedy="model=mlp")


def test_directory_of_a_run_has_a_file_to_give(tmp_path: Path) -> None:
    given_refused(tmp_path, "invalid-value", remedy="--config-dir")
    (tmp_path / "config.yaml").write_text("seed: 1")
    given_refused(tmp_path, "invalid-value", remedy=f"--config {tmp_path}/config.yaml")


@pytest.mark.parametrize(
    "content",
    [
        "a: &a [x, x, x, x, x, x, x, x, x]\n"
        + "".join(
            f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdef", "bcdefg", strict=True)
        ),
        "x: " + "[" * 60 + "]" * 60,
    ],
)
def test_bombs_are_refused_before_they_expand(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bomb.yaml"
    path.write_text(content)
    given_refused(path, "too-large", where="bomb.yaml")


def test_large_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_text("#" * 1_000_001)
    given_refused(path, "too-large")


def test_code_of_others_is_not_run(tmp_path: Path) -> None:
    path, mark = tmp_path / "evil.yaml", tmp_path / "mark"
    path.write_text(f'name: !!python/object/apply:os.system ["touch {mark}"]\nmodel: {{_target_: os.system}}\n')
    error = given_refused(path, "untrusted", where="model._target_", remedy="--config-dir")
    assert [problem.code for problem in error.problems] == ["untrusted"] * 2
    assert not mark.exists()


def test_all_problems_of_all_files_are_named_at_once(tmp_path: Path) -> None:
    one, other = tmp_path / "one.yaml", tmp_path / "other.yaml"
    one.write_text("model: resnet81\nlr: 3\nlr: 4\nmodel._target_: x\noptimizer: {lr: 1}\ntrainer: {max_epochs: 3}\n")
    other.write_text("a: b: c")
    with pytest.raises(ConfigError) as caught:
        with_files([one, other, tmp_path / "none.yaml"], ["trainer.epochs=ten"], Catalog())
    found = {(problem.where, problem.origin.rpartition(":")[2]) for problem in caught.value.problems}
    assert {
        ("model", "1"), ("lr", "2"), ("lr", "3"), ("model._target_", "4"), ("optimizer.lr", "5"),
        ("trainer.max_epochs", "6"), ("trainer.epochs", ""), ("--config", "1"), ("--config", ""),
    } <= found  # fmt: skip


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbfseed: 3\r\nname: a\r\n")))
    words = with_files([Path("-")], [], Catalog())
    assert words == ("seed=3", "name=a")
    assert words[1].place == "standard input:2"  # type: ignore[attr-defined]
