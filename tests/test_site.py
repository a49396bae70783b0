"""The documentation site builds without a warning, and holds what its readers look for."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from pointadplus.apps.cli import app

pytest.importorskip("mkdocs", reason="the site needs mkdocs, of the extra docs")
pytest.importorskip("mkdocstrings", reason="the site needs mkdocstrings, of the extra docs")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr
    return folder


def page(site: Path, name: str) -> str:
    return (site / name).read_text("utf-8")


def plain(text: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", text))


def test_home_is_the_readme_with_links_that_lead_to_pages(site: Path) -> None:
    text = page(site, "index.html")
    assert "finds and locates anomalies in point clouds, zero-shot" in plain(text).lower()
    for target in ("embedded-weights.html#healthy-objects", "benchmarks.html", "contributing.html", "LICENSE.txt"):
        assert f'href="{target}"' in text, target


def test_every_guide_is_in_the_navigation(site: Path) -> None:
    home = page(site, "index.html")
    for guide in (ROOT / "docs").glob("*.md"):
        assert f'href="{guide.stem}.html"' in home, guide.name


def test_every_link_leads_somewhere(site: Path) -> None:
    anchors = {path: set(re.findall(r'\bid="([^"]+)"', path.read_text("utf-8"))) for path in site.rglob("*.html")}
    for path in anchors.keys() - {site / "404.html"}:
        for link in re.findall(r'<a [^>]*?href="([^"]+)"', path.read_text("utf-8")):
            target, _, anchor = html.unescape(link).partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            place = (path.parent / target).resolve() if target else path
            assert place.exists(), f"{path.name}: {link}"
            assert not anchor or place not in anchors or anchor in anchors[place], f"{path.name}: {link}"


def test_every_command_and_option_is_explained(site: Path) -> None:
    text = page(site, "cli.html")
    shown = plain(text)

    def visit(command: Any, anchor: str) -> None:
        for name, inner in getattr(command, "commands", {}).items():
            assert f'id="{anchor}-{name}"' in text, name
            for parameter in inner.params:
                assert all(option in shown for option in parameter.opts if option.startswith("--")), parameter.opts
            visit(inner, f"{anchor}-{name}")

    visit(typer.main.get_command(app), "pointadplus")


def test_every_room_has_a_page_of_its_public_names(site: Path) -> None:
    for room in (ROOT / "pointadplus").iterdir():
        if room.stem not in ("apps", "learning", "assets") and not room.name.startswith(("_", "py.")):
            assert (site / "api" / f"{room.stem}.html").exists(), room.name
    for part in ("apps.batch", "apps.estimator", "apps.serve", "learning.synthesis", "learning.protocols"):
        assert (site / "api" / f"{part}.html").exists(), part
    for name in ("results.detection.Detection.regions", "render.MultiViewRenderer", "geometry.symmetry_descriptors"):
        assert f'id="pointadplus.{name}"' in page(site, f"api/{name.split('.')[0]}.html"), name
    assert 'id="baselines.surface_deviation.SurfaceDeviation"' in page(site, "api/baselines.html")
    assert "pointadplus.results.detection._" not in page(site, "api/results.html")


def test_shapes_read_as_they_are_written(site: Path) -> None:
    assert 'point_scores: Float[Tensor, "m"]' in plain(page(site, "api/results.html"))
    assert 'Float[Tensor, "v 3 3"]' in plain(page(site, "api/render.html"))


def test_no_page_loads_anything_from_the_network(site: Path) -> None:
    for path in site.rglob("*.html"):
        loaded = re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="(https?:[^"]*)"', path.read_text("utf-8"))
        assert not loaded, path.name
