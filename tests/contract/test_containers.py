"""The Dockerfile and the dev container, read as Docker reads them: there is no Docker where the tests run."""

from __future__ import annotations

import fnmatch
import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEYWORDS = {"ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "FROM", "RUN", "USER", "WORKDIR"}


def instructions() -> list[tuple[str, str]]:
    """(keyword, argument) of each instruction, without comments, with continued lines joined."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in joined.splitlines() if line.strip()]


def commands_of_the_readme() -> list[str]:
    found = re.findall(r"^ {4}(make \w+)", (ROOT / "README.md").read_text(), re.M)
    assert found == ["make train", "make test"]
    return found


def ignored() -> list[str]:
    return (ROOT / ".dockerignore").read_text().split()


def test_every_instruction_is_one() -> None:
    found = instructions()
    assert len(found) > 15
    assert {keyword for keyword, _ in found} <= KEYWORDS
    assert found[0][0] == "FROM"
    stages = [argument.split(" AS ") for keyword, argument in found if keyword == "FROM"]
    names = [name for _, name in stages]
    for number, (base, _) in enumerate(stages):
        assert base in names[:number] or re.fullmatch(r"python:3\.\d+-slim", base), base
    version = re.fullmatch(r"python:3\.(\d+)-slim", stages[0][0])
    assert version is not None
    assert f"Python :: 3.{version[1]}" in (ROOT / "pyproject.toml").read_text()


def test_everything_that_is_copied_exists_and_is_not_ignored() -> None:
    copied = [argument.split() for keyword, argument in instructions() if keyword == "COPY"]
    assert len(copied) >= 4
    for *sources, _ in copied:
        for source in sources:
            assert (ROOT / source).exists(), source
            assert not any(fnmatch.fnmatch(source, pattern) for pattern in ignored()), source


def test_what_a_setup_makes_stays_outside() -> None:
    assert {".git", ".venv", "outputs", "build", "dist"} <= set(ignored())


def test_the_images_are_set_up_by_the_commands_of_the_readme() -> None:
    ran = " && ".join(argument for keyword, argument in instructions() if keyword == "RUN")
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert container["postCreateCommand"].split(" && ") == commands_of_the_readme()
    for command in (*commands_of_the_readme(), "make setup"):
        assert command in ran
        assert re.search(rf"^{command.split()[1]}:", (ROOT / "Makefile").read_text(), re.M)
    target = container["build"]["target"]
    assert any(argument.endswith(f" AS {target}") for keyword, argument in instructions() if keyword == "FROM")
    assert (ROOT / ".devcontainer" / container["build"]["dockerfile"]).is_file()


def test_the_program_runs_as_a_user_and_installs_little() -> None:
    users = [argument for keyword, argument in instructions() if keyword == "USER"]
    assert users == ["user"]
    (packages,) = (
        argument for keyword, argument in instructions() if keyword == "RUN" and "apt-get install" in argument
    )
    assert "--no-install-recommends" in packages
    assert "rm -rf /var/lib/apt/lists/*" in packages
    assert all("sudo" not in argument for _, argument in instructions())


def test_every_argument_is_documented_and_used() -> None:
    page = (ROOT / "docs/guides/install.md").read_text()
    arguments = [argument.partition("=")[0] for keyword, argument in instructions() if keyword == "ARG"]
    assert arguments == ["CPU_WHEELS", "GPUS"]
    others = " ".join(argument for keyword, argument in instructions() if keyword != "ARG")
    for name in arguments:
        assert f"--build-arg {name}=" in page
        assert f"${name}" in others
