"""What is printed to be typed: a shell and the grammar of overrides give back exactly what was meant."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.config.overrides import parse
from dlexp.config.quoted_keys import parse_override
from dlexp.config.saved import load_saved, to_yaml
from dlexp.config.schema.fields import Field
from dlexp.config.text_values import plain_reading, typed_value
from dlexp.data.tables.features.problems import check_names, not_found
from dlexp.errors import DataError
from dlexp.findings import dropping
from dlexp.text.quoting import command, listed, setting, shell_word

HOSTILE = [
    *("2024", "1e3", "007", "-0", "+5", ".5", "1_000", "0x1f", "1,200", "3,5", "12:30", "2024-01-01", "inf", "NaN"),
    *("true", "No", "null", "NULL", "~", "", " ", " lead", "trail ", "Zip, Code", "a=b", "[a]", "{x}", "(x)", "[]"),
    *("$HOME", "${HOME}", "\\${x}", "a\\\\${b}\\", "$(id)", "`id`", "!", "!!", "a!b", "%", "%1", "~/x", "=ls", "-x"),
    *("it's", 'say "x"', "'", '"', "''", '""', "\\", "a\\", 'a\\"b', "\\'", "\\\\", "C:\\x", "#c", "a#b", "*", "?"),
    *("a;b", "a&b", "a|b", "<>", "^", "@", "a@b", "a\tb", "a\nb", "a\r\n", "\x1b[31mred", "\x07", "\u202egnp", "\xa0"),
    *(
        "é",
        "größe",
        "日本",
        "😀",
        "\u00ad",
        "\udcff",
        "x" * 300,
        "glob(*)",
        "choice(1,2)",
        "a b",
        "--json",
        "data.drop=1",
    ),
]
SHELLS = [shell for shell in ("bash", "zsh") if shutil.which(shell)]


def split(line: str, shell: str) -> list[str]:
    """The words that a shell makes of a line."""
    found = subprocess.run([shell, "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True).stdout
    return found.decode("utf-8", "surrogateescape").split("\0")[:-1]


def value_of(word: str) -> Any:
    """The value of an override, as a configuration holds it in the end."""
    value = parse_override(word).value()
    return OmegaConf.to_container(OmegaConf.create({"key": value}), resolve=True)["key"]  # type: ignore[index, call-overload]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_and_the_grammar_give_back_every_name(shell: str) -> None:
    words = [setting("key", content) for name in HOSTILE for content in (name, [name], ["x", name, 3, None])]
    given = [content for name in HOSTILE for content in (name, [name], ["x", name, 3, None])]
    assert [value_of(word) for word in split(" ".join(words), shell)] == given


@pytest.mark.parametrize("shell", SHELLS)
def test_a_command_is_split_into_its_words(shell: str) -> None:
    names = [name for name in HOSTILE if name]
    assert split(command(*names), shell) == ["dlexp", *names]
    assert split(command("evaluate", Path("-x")), shell) == ["dlexp", "evaluate", "./-x"]


def test_what_is_printed_is_one_line_that_moves_no_cursor() -> None:
    for name in HOSTILE:
        assert setting("key", name).isprintable()
    assert shell_word("plain-word_1.csv") == "plain-word_1.csv"
    assert setting("data.columns", {"city": "drop"}) == "'data.columns={city:drop}'"
    assert setting("optim.lr", 1e-05) == "optim.lr=1e-05"
    assert setting("data.in_memory", None) == "data.in_memory=null"
    assert setting("model.x", {"a b": [True]}) == "'model.x={\"a b\":[true]}'"


def test_a_column_of_several_is_corrected_among_them() -> None:
    names = [name for name in HOSTILE if len(name) > 3]
    targets, kinds = [], []
    for name in names:
        error = not_found(Path("t.csv"), ("first", name), ["first", f"{name}_"], f"{name}_")
        other = not_found(Path("t.csv"), ("first", name), [], f"{name}_", {"first": "drop", f"{name}_": "date"})
        assert error is not None and other is not None
        targets.append(error.remedy.partition(" mean ")[2].removesuffix("?"))
        kinds.append(other.remedy.partition(" mean ")[2].removesuffix("?"))
    assert [value_of(word) for word in split(" ".join(targets), "bash")] == [["first", name] for name in names]
    assert [value_of(word) for word in split(" ".join(kinds), "bash")] == [{"first": "drop", n: "date"} for n in names]


def test_names_that_would_read_as_several_stand_in_quotes() -> None:
    assert listed(["a", "Zip, Code", "", "b "]) == 'a, "Zip, Code", "", "b "'


@pytest.mark.parametrize(
    ("word", "remedy"),
    [
        ("data.missing_values=[it's]", [["it's"]]),
        ("data.missing_values=['a, b]", [["a", "b"]]),
        ("data.missing_values=[nope,Zip", [["nope", "Zip"]]),
    ],
)
def test_a_list_that_cannot_be_parsed_stays_one(word: str, remedy: list[list[str]]) -> None:
    (problem,) = parse([word], Catalog(()))[1]
    assert (problem.where, problem.code) == ("data.missing_values", "invalid-syntax")
    typed = problem.remedy.partition(": ")[2]
    typed = typed or problem.remedy.removeprefix("Type ")
    assert [value_of(each) for each in split(typed, "bash")] == remedy


@pytest.mark.parametrize("shell", SHELLS)
def test_every_remedy_about_a_column_can_be_typed(shell: str) -> None:
    """The messages for columns with hostile names end in a word that names exactly that column."""
    names = [name for name in HOSTILE if name]
    remedies = []
    for name in names:
        with pytest.raises(DataError) as refused:
            check_names(Path("t.csv"), (name,), [f"{name}_"])
        remedies.append(refused.value.remedy)
    typed = [remedy.removeprefix("Did you mean ").removesuffix("?") for remedy in remedies]
    known = [(name, word) for name, word, remedy in zip(names, typed, remedies, strict=True) if "Did you" in remedy]
    assert len(known) > 70  # a name of one letter is near to nothing
    assert [value_of(word) for word in split(" ".join(word for _, word in known), shell)] == [name for name, _ in known]
    (word,) = split(dropping(HOSTILE, {"old": "number"}), shell)
    assert value_of(word) == {"old": "number"} | dict.fromkeys(HOSTILE, "drop")


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("{Größe: drop, it's: number}", None),
        ("{Größe: drop, 'a, b': number,1e3:date}", {"Größe": "drop", "a, b": "number", "1e3": "date"}),
        ("{1e3:drop}", {"1e3": "drop"}),
        ('{"": "drop", null: date}', {"": "drop", "null": "date"}),
        ("{a:{b:c}, '#':d}", None),
    ],
)
def test_names_of_a_mapping_have_any_letters(typed: str, names: dict[str, str] | None) -> None:
    if names is None:
        assert parse([f"data.columns={typed}"], Catalog(()))[1]
    else:
        (override,) = parse([f"data.columns={typed}"], Catalog(()))[0].values
        assert typed_value(override, Field("map[str]")) == names


@pytest.mark.parametrize(
    ("typed", "field", "value"),
    [
        *((text, "str", text) for text in ("2024", "1e3", "007", "true", "False", "-0", "1_000", "1.50", "nan", "no")),
        ("[2024,1e3,007,true,null,a b,'3']", "list[str]", ["2024", "1e3", "007", "true", "null", "a b", "3"]),
        ("[ 7 ,{a:1}]", "list[item]", ["7", {"a": 1}]),
        ("null", "str", None),
        ("'null'", "str", "null"),
        ("2024", "path", "2024"),
        ("2024", "int", 2024),
        ("[1e3]", "list[float]", [1000.0]),
    ],
)
def test_what_is_no_text_is_the_text_as_typed_where_a_text_is_wanted(typed: str, field: str, value: Any) -> None:
    override = parse_override(f"key={typed}")
    assert typed_value(override, Field(field, nullable=True)) == value


def test_null_is_a_text_where_nothing_else_is_allowed() -> None:
    override = parse_override("key=null")
    assert typed_value(override, Field("str")) == "null"


def test_a_file_says_texts_too_and_a_saved_run_keeps_them(tmp_path: Path) -> None:
    folder = tmp_path / "experiment"
    folder.mkdir()
    text = "# @package _global_\ndata:\n  path: 2024\n  target: 1e3\n  columns: {a b: drop, 2024: date}\n"
    text += "  missing_values: [2024, 007, no, 12:30, 2024-01-01, ~]\n"
    (folder / "e.yaml").write_text(text)
    words = [
        "data=csv",
        "experiment=e",
        "data.target_kind=class",
        "task=classification",
        "data.separator=2",
    ]
    config = load(words, Catalog((tmp_path,)))
    data = config.data.arguments
    assert (data["target"], data["missing_values"]) == ("1e3", ["2024", "007", "no", "12:30", "2024-01-01", "~"])
    assert Path(str(data["path"])) == tmp_path.resolve() / "2024"
    assert data["separator"] == "2" and data["columns"] == {"a b": "drop", "2024": "date"}
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    assert load_saved(tmp_path / "config.yaml").data.arguments == data


def test_a_dollar_with_braces_is_a_text_to_the_end(tmp_path: Path) -> None:
    (word,) = split(setting("data.target", "${HOME}"), "bash")
    line = ["data=csv", "data.path=t.csv", "data.target_kind=class", "task=classification", word]
    config = load(line, Catalog())
    assert config.data.arguments["target"] == "${HOME}"
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    assert load_saved(tmp_path / "config.yaml").data.arguments["target"] == "${HOME}"


def test_words_that_are_read_without_a_configuration_are_read_alike() -> None:
    assert [plain_reading(f"data.path={text}") for text in ("2024", "007", "'a, b'", "a=é", "x(1)")] == [
        *("2024", "007", "a, b", "a=é", "x(1)")
    ]


def test_mistakes_are_answered_with_words_that_can_be_typed() -> None:
    typed = "data.target=Zip, Code"
    problem = parse([typed], Catalog())[1][0]
    assert split(problem.remedy.rpartition("write ")[2], "bash") == ['data.target="Zip, Code"']
    for word in ("data.target=größe", "data.target=a&b", "data.target=[größe,a b]"):
        assert parse([word], Catalog())[1] == []  # they need no quotes
    for word in ("data.target=a(b", "data.target={x}!"):
        problem = parse([word], Catalog())[1][0]
        (remedy,) = split(problem.remedy.partition(": ")[2], "bash")
        assert value_of(remedy) == word.partition("=")[2]
    problem = parse(["modle=it's"], Catalog())[1][0]
    assert split(problem.remedy.partition(": ")[2], "bash")[0].startswith("modle=")
