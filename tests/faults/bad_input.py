"""What the tests of bad input share: how an outcome is judged and counted, and what is generated."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants

from dlexp.config.check.suggest import all_paths
from dlexp.config.check.validate import rules
from dlexp.config.files.catalog import Catalog
from dlexp.config.schema.fields import Field
from dlexp.config.schema.names import GROUPS
from dlexp.config.schema.run import SECTIONS
from dlexp.errors import DlexpError, exit_code_of

DOCUMENTED_CODES = (1, 2, 3, 4, 5, 6, 75, 130, 143)  # docs/reference/errors.md
# Hypothesis would also draw from the constants of whatever modules are loaded, and so from the order of the tests.
if hasattr(providers, "_get_local_constants"):
    mock.patch.object(providers, "_get_local_constants", Constants).start()
# Inputs that each test generates at least; their sum is held by a test.
WANTED = {"words": 800, "runs": 250, "yaml": 250, "listed": 3000, "saved": 400, "csv": 5400}


# Each run of the tests looks at an eighth of them, `make test-exhaustive` at all.
part = pytest.mark.parametrize(
    "part", [8, pytest.param(1, marks=[pytest.mark.slow, pytest.mark.exhaustive])], ids=["an eighth", "all"]
)


def fuzz(name: str, part: int) -> settings:
    """Settings of a test over WANTED[name] / part inputs: no time counts, and every run generates the same inputs.

    The first input that fails is told as it was generated: making it smaller took over an hour once.
    """
    return settings(
        max_examples=WANTED[name] // part,
        phases=[Phase.generate],
        derandomize=True,
        database=None,
        deadline=None,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )


class Judge:
    """Runs what is tested, lets nothing but a documented refusal pass, and counts."""

    def __init__(self, name: str, part: int) -> None:
        self.name, self.wanted = name, WANTED[name] // part
        self.outcomes: Counter[str] = Counter()

    def __call__(self, attempt: Callable[[], Any]) -> Any:
        """The result of `attempt`, None when it was refused with a message and a documented exit code."""
        try:
            result = attempt()
        except DlexpError as error:
            assert exit_code_of(error) in DOCUMENTED_CODES
            assert str(error).strip()
            self.outcomes[type(error).__name__] += 1
            return None
        self.outcomes["accepted"] += 1
        return result

    @property
    def total(self) -> int:
        """Inputs judged so far."""
        return self.outcomes.total()

    def counts(self) -> str:
        """The counts, for the test's output; asserts that there were enough of them, of either kind."""
        assert self.total >= self.wanted, f"{self.total} inputs"
        refused = self.total - self.outcomes["accepted"]
        assert min(refused, self.outcomes["accepted"]) > 0.02 * self.total, self.outcomes  # it looks at both sides
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.outcomes.items()))
        return f"{self.name}: {self.total} generated inputs ({kinds})"


CATALOG = Catalog()
PATHS = sorted(all_paths(CATALOG))
OPTIONS = sorted(f"{group}={option}" for group in GROUPS for option in CATALOG.options(group))
ENVIRONMENT = "DLEXP_FUZZ"

text = st.text(max_size=12)
plain_text = st.text(string.ascii_letters + string.digits + "_-./", min_size=1, max_size=10)
whole_numbers = st.one_of(
    st.integers(-3, 300), st.sampled_from([2**31, 2**63, 2**64, -(2**63) - 1, 10**30, 10**400, -(10**400)])
)
numbers = st.one_of(st.floats().map(repr), whole_numbers.map(str), st.floats(0, 1).map(repr))
odd_scalars = st.sampled_from(
    [
        *("", "null", "~", "None", "true", "True", "yes", "off", "nan", "inf", "-inf", ".nan", ".inf", "1e400", "-0"),
        *("0x10", "010", "1_000", "12:30:00", "2020-01-01", "1e-5", "1.", ".5", "+1", "'", '"', "''", '"a', "'a'"),
        *("\\", "\\,", "a\\", "$", "${", "}", "${}", "?", "???", "*", "&a", "!!int 1", "@", ":", "=", "a=b", "#", "|"),
        *("\n", "\t", "\u0000", "\ufeff", "\u2028", "é", "漢", "😀", "..", "../x", "/", "auto", "none"),
        *("[", "]", "[]", "{}", "{", "[,]", "{a}", "{a:}", "[1", "(", "()", "a,b", ",", "a,", "val/loss", "class"),
    ]
)
references = st.one_of(
    st.sampled_from(PATHS).map(lambda path: f"${{{path}}}"),
    st.sampled_from(GROUPS).map(lambda group: f"${{{group}}}"),
    plain_text.map(lambda word: f"${{{word}}}"),
    text.map(lambda word: f"${{{word}}}"),
    st.sampled_from(
        [
            *("${.lr}", "${..seed}", "${....seed}", "${oc.env:HOME_OF_NOBODY}", f"${{oc.env:{ENVIRONMENT}}}"),
            *(
                f"x-${{oc.env:{ENVIRONMENT}}}",
                f"${{oc.decode:${{oc.env:{ENVIRONMENT}}}}}",
                "${oc.env:}",
                "${oc.env:a,1}",
            ),
            *(
                "${oc.env:a,null}",
                "${oc.decode:1}",
                "${now:%Y}",
                "${hydra:run}",
                "${oc.create:{a:1}}",
                "${oc.dict.keys:model}",
            ),
            *(
                "${oc.select:seed}",
                "${${seed}}",
                "${seed}${seed}",
                "${model.hidden[0]}",
                "${model.hidden.9}",
                "\\${seed}",
            ),
            *("${a.b.c}", "${seed.x}", "${choices}", "${oc.deprecated:seed}", "${env:HOME}", "${ seed }", "${seed"),
        ]
    ),
)
quoted = st.builds(lambda mark, inner: f"{mark}{inner}{mark}", st.sampled_from("'\""), text)
scalars = st.one_of(numbers, odd_scalars, plain_text, references, quoted, text)
nested = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: f"[{','.join(items)}]"),
        st.dictionaries(plain_text, inner, max_size=3).map(
            lambda items: "{" + ",".join(f"{key}:{value}" for key, value in items.items()) + "}"
        ),
    ),
    max_leaves=6,
)
deep = st.builds(lambda left, depth, right, inner: left * depth + inner + right * depth, *(
    st.sampled_from(["[", "{a:", "int(", "${"]), st.integers(1, 120), st.sampled_from(["]", "}", ")"]), numbers
))  # fmt: skip
functions = st.builds(
    lambda name, arguments: f"{name}({','.join(arguments)})",
    st.sampled_from(
        ["choice", "range", "interval", "glob", "sort", "shuffle", "tag", "int", "float", "str", "bool", "json_str",
         "extend_list", "log", "eval"]
    ),
    st.lists(scalars, max_size=3),
)  # fmt: skip
values = st.one_of(scalars, nested, functions, deep)

odd_keys = st.one_of(
    text,
    plain_text,
    st.sampled_from(PATHS).map(lambda path: f"{path}.0"),
    st.sampled_from(PATHS).map(lambda path: f"{path}.x"),
    st.sampled_from(PATHS).map(lambda path: f"{path}[0]"),
    st.sampled_from(PATHS).map(str.upper),
    st.sampled_from(
        [
            *("model._target_", "data._targets_", "task._metrics_", "model._search_", "defaults", "choices", "hydra"),
            *("hydra.run.dir", "model.", ".model", "a..b", "model..hidden", "model.hidden.-1", "model.hidden.99"),
            *("model@data", "model@_global_", "model@:x", "data.0", "seed.seed", "trainer", "regularization"),
            *("regularization.early_stopping", "_target_", "search.space.seed", "search", "experiment", "_self_"),
        ]
    ),
    st.integers(20, 400).map(lambda depth: ".".join("a" * depth)),
)
keys = st.one_of(st.sampled_from(PATHS), st.sampled_from(PATHS), odd_keys, st.sampled_from([*GROUPS, *SECTIONS]))
assignments = st.builds(
    lambda sign, key, value: f"{sign}{key}={value}", st.sampled_from(["", "", "", "", "+", "++", "~"]), keys, values
)
# Words that compose, so that what follows is reached: an option of a group, a value that its key may well take.
likely = st.one_of(
    st.sampled_from(OPTIONS),
    st.builds(lambda key, value: f"{key}={value}", st.sampled_from(PATHS), st.one_of(numbers, references)),
    st.sampled_from(["data.path=t.csv", "data.target=y", "trainer.epochs=1", "name=a b", "init_from=none"]),
)
words = st.lists(st.one_of(assignments, likely, likely, text, st.sampled_from(PATHS)), max_size=5)


_SMALL = st.one_of(st.integers(1, 40), st.just(10**13))  # nothing in between: what fits in memory would be allocated
_SAMPLES = {
    "int": st.one_of(st.integers(0, 50), st.sampled_from([2**31, 2**63 - 1])).map(str),
    "float": st.one_of(st.floats(0, 1), st.floats(0, 1e300), st.sampled_from([1e-300, 0.5, 0.1, 5e-324])).map(repr),
    "bool": st.sampled_from(["true", "false"]),
    "str": st.sampled_from(["auto", "none", "a"]),
    "path": st.sampled_from(["t.csv", "none"]),
    "list[float]": st.lists(st.floats(0, 1), min_size=1, max_size=3).map(str),
    "list[int]": st.lists(st.integers(0, 3), max_size=3).map(str),
    "list[str]": st.just("[a]"),
    "list[map]": st.sampled_from(["[]", "[{match: '*', lr_factor: 0.5}]", "[{match: a.*}]", "[{lr_factor: 2}]", "[1]"]),
    "list[item]": st.sampled_from(
        ["[]", "[crop]", "[{rotate: 5}]", "[{color: {hue: 1}}]", "[a]", "[{a: 1}]", "strong"]
    ),
    "map": st.sampled_from(["{}", "{train: {lr: 0.1}}", "{critic: {lr: 0.1}}", "{a: 1}"]),
}


def _assignment(path: str, field: Field) -> st.SearchStrategy[str]:
    """`path=value` with a value of the key's type, most often one that its rule allows."""
    if path in ("model.hidden", "model.channels"):
        return st.lists(_SMALL, max_size=3).map(lambda sizes: f"{path}={sizes}")
    if path in ("model.fc", "data.pad"):
        return _SMALL.map(lambda size: f"{path}={size}")
    samples = st.sampled_from([str(choice) for choice in field.choices]) if field.choices else _SAMPLES[field.type]
    samples = st.one_of(samples, samples, st.just("null")) if field.nullable else samples
    return samples.map(lambda value: f"{path}={value}")


def _runnable() -> st.SearchStrategy[list[str]]:
    """Words most of which compose and run: small data, a small model, and values over the range of every key."""
    choices = st.tuples(
        st.sampled_from(["data=iris", "data=wine", "data=diabetes", "data=breast_cancer"]),
        st.sampled_from([f"optim={option}" for option in CATALOG.options("optim")]),
        st.sampled_from([f"scheduler={option}" for option in CATALOG.options("scheduler")]),
        st.sampled_from([f"regularization={option}" for option in CATALOG.options("regularization")]),
    )

    def assignments(chosen: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
        options = {"model": "mlp", "task": "classification", "loss": "cross_entropy"} | dict(
            word.split("=") for word in chosen
        )
        known = [(path, field) for path, field in rules(options, CATALOG).items() if path != "trainer.device"]
        picks = st.sampled_from(known).flatmap(lambda pair: _assignment(*pair))
        return st.lists(picks, max_size=3).map(lambda words: [*chosen, *words])

    return choices.flatmap(assignments)


runnable = _runnable()
