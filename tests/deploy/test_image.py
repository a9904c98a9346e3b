"""The Dockerfile: it copies what there is, runs as nobody in particular, and is checked where it
serves.
"""

import re
import tomllib
from fnmatch import fnmatch

from tests.deploy.files import OURS, ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
INSTRUCTIONS = re.sub(
    r"\\\n", " ", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE)
).splitlines()


FROM_NPM = {"topology/page/package.json", "topology/page/package-lock.json"}


def test_the_packages_of_the_wheel_are_copied() -> None:
    """And nothing else but what the build reads, and what the page takes from npm; the context
    holds all of it.
    """
    ours = [line for line in INSTRUCTIONS if line.startswith("COPY ") and "--from=" not in line]
    copied = {word for line in ours for word in line.split()[1:-1] if word not in FROM_NPM}
    sources = {word for word in copied if not word.startswith(("--", "/"))}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    assert sources == {
        "pyproject.toml",
        "hatch_build.py",
        "uv.lock",
        "README.md",
        "LICENSE",
        "docs",
        *packages,
    }
    ignoring = (ROOT / ".dockerignore").read_text().split("\n")
    admitted = {line.removeprefix("!") for line in ignoring if line.startswith("!")}
    assert admitted == sources
    assert any(fnmatch("schemas/__pycache__", line) for line in ignoring)


def test_bases_are_pinned_and_alike() -> None:
    """The environment is made by the Python that runs it."""
    assert re.findall(r"^ARG PYTHON=(.*)$", DOCKERFILE, re.MULTILINE) == ["3.11.14-slim-bookworm"]
    bases = [line.split()[1] for line in INSTRUCTIONS if line.startswith("FROM ")]
    assert bases == ["node:22.21.1-bookworm-slim", *["python:${PYTHON}"] * 2]
    (made,) = re.findall(r"^UV_VERSION := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert f"uv=={made}" in DOCKERFILE


def test_the_page_has_its_charts() -> None:
    """The same files as in the Makefile, into the folder that the wheel takes along."""
    made = (ROOT / "Makefile").read_text()
    for file in ("dist/uPlot.esm.js", "dist/uPlot.min.css", "LICENSE"):
        assert f"node_modules/uplot/{file}" in DOCKERFILE
        assert f"node_modules/uplot/{file}" in made
    assert "COPY --from=page /page/vendor topology/page/static/vendor" in INSTRUCTIONS
    assert all(file in DOCKERFILE for file in FROM_NPM)


def test_it_does_not_run_as_root() -> None:
    """By number, so that a cluster that refuses root can tell; it is the owner of what compose lets
    it write.
    """
    last = [line for line in INSTRUCTIONS if line.startswith("USER ")][-1]
    assert last == "USER 10001:10001"
    assert INSTRUCTIONS.index(last) < INSTRUCTIONS.index('ENTRYPOINT ["sentinel"]')
    for service in OURS.values():
        assert "/var/lib/sentinel:uid=10001,gid=10001,mode=700" in service["tmpfs"]
    assert "WORKDIR /var/lib/sentinel" in INSTRUCTIONS


def test_the_image_is_named_after_the_version() -> None:
    """Another version is another image, so that `up` builds it."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {service["image"] for service in OURS.values()} == {f"llm-sentinel:{version}"}


def test_health_is_asked_where_it_is_served() -> None:
    """The port of the environment, of the check, and of what is exposed is one."""
    (port,) = re.findall(r"SENTINEL_WORKER__HEALTH_PORT=(\d+)", DOCKERFILE)
    assert f"EXPOSE {port}" in INSTRUCTIONS
    assert f"http://127.0.0.1:{port}/live" in DOCKERFILE
    for service in OURS.values():
        assert service["environment"]["SENTINEL_WORKER__HEALTH_PORT"] == port
