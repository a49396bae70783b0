"""What a registry would get: it builds, its page reads as it should, and nothing that runs is missing from it."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from email.message import Message
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("dist")
    run("build", "--no-isolation", "--outdir", str(folder), str(ROOT))
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def wheel(built: list[Path]) -> zipfile.ZipFile:
    return zipfile.ZipFile(next(path for path in built if path.suffix == ".whl"))


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return message_from_string(wheel.read(name).decode("utf-8"))


def run(module: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_twine_finds_nothing_wrong(built: list[Path]) -> None:
    assert run("twine", "check", "--strict", *map(str, built)).count("PASSED") == len(built) == 2


def test_links_of_the_page_hold_outside_the_repository(metadata: Message) -> None:
    page = str(metadata.get_payload())
    links = re.findall(r"\]\(([^)\s]+)\)", page)
    assert len(links) > 10 and all(re.match(r"https?://|#", link) for link in links)
    places = [re.sub(r"#.*", "", link) for link in links if "github" in link]
    for place in places:
        file = ROOT / re.split(r"/(?:blob/)?main/", place)[1]
        assert file.exists(), place
    pictures = re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", page)
    assert pictures and all("raw" in picture for picture in pictures)


def test_the_project_says_where_it_lives_and_what_it_runs_on(metadata: Message) -> None:
    urls = dict(str(value).split(", ", 1) for value in metadata.get_all("Project-URL", []))
    assert urls.keys() == {"Homepage", "Documentation", "Changelog", "Issues"}
    versions = {f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 14)}
    assert versions <= set(metadata.get_all("Classifier", [])) and metadata["Requires-Python"] == ">=3.10"


def test_a_plain_install_brings_what_is_imported_and_no_more(metadata: Message) -> None:
    plain = [Requirement(str(text)) for text in metadata.get_all("Requires-Dist", [])]
    names = {
        canonicalize_name(each.name) for each in plain if each.marker is None or each.marker.evaluate({"extra": ""})
    }
    assert "open3d" not in names and {"open-clip-torch", "torch", "torch-geometric"} <= names
    extras = set(metadata.get_all("Provides-Extra", []))
    assert {"nominal", "numba", "plot", "ray", "scanners", "serve", "tiff", "train"} <= extras


def test_the_wheel_holds_what_runs(wheel: zipfile.ZipFile) -> None:
    held = set(wheel.namelist())
    for folder in ("pointadplus", "baselines"):
        files = [path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        assert {path.relative_to(ROOT).as_posix() for path in files} <= held
    assert {name.split("/")[0] for name in held} == {"pointadplus", "baselines", "pointadplus-0.1.0.dist-info"}


def test_the_source_archive_holds_the_tests(built: list[Path]) -> None:
    with tarfile.open(next(path for path in built if path.name.endswith(".tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "Makefile", "tests/test_distribution.py", "benchmarks/speed.py"} <= names
    assert any(name.startswith("findings/") for name in names)
