"""Pages of the site that no file under docs/ holds: home, contributing, benchmarks, the command line and the API."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from typer.cli import get_docs_for_click

from pointadplus.apps.cli import app

ROOT = Path(__file__).parents[1]
# Files outside docs/ that are pages of the site, and their places there.
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "benchmarks/README.md": "benchmarks.md"}
PLACES = {**PAGES, "benchmarks": "benchmarks.md", "LICENSE": "LICENSE.txt"}
NOT_API = ("__main__", "assets", "cli")
HALLS = ("apps", "learning")  # rooms of several parts, each with a page of its own
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Complete the navigation: guides that mkdocs.yml does not name, and a page of the API for each room."""
    assert config.nav is not None
    sections = {name: pages for section in config.nav for name, pages in section.items()}
    named = {*sections["Guides"], *(page for page in sections.values() if isinstance(page, str))}
    found = sorted(path.name for path in Path(config.docs_dir).glob("*.md"))
    sections["Guides"][-2:-2] = [page for page in found if page not in named]
    sections["API"].extend({module: api_page(module)} for module in rooms())
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages that are made from other files and from the code."""
    texts = {page: with_site_links((ROOT / source).read_text("utf-8"), source) for source, page in PAGES.items()}
    texts |= {PLACES["LICENSE"]: (ROOT / "LICENSE").read_text("utf-8"), "cli.md": command_line()}
    texts |= {api_page(module): f"# {module}\n\n::: {module}\n" for module in rooms()}
    for place, text in texts.items():
        files.append(File.generated(config, place, content=text))
    return files


def with_site_links(text: str, source: str) -> str:
    """Links of a file of the repository, as they are on the site."""

    def moved(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[1]))
        return PLACES.get(target, target.removeprefix("docs/"))

    return _LINK.sub(moved, text)


def command_line() -> str:
    """What typer says of each command."""
    command: Any = typer.main.get_command(app)
    context = typer.Context(command, info_name="pointadplus")
    return get_docs_for_click(obj=command, ctx=context, name="pointadplus", title="Command line")


def rooms() -> list[str]:
    """The public modules and packages of pointadplus, and baselines."""
    found = [f"pointadplus.{name}" for name in modules_in("") if name not in HALLS]
    found += [f"pointadplus.{hall}.{name}" for hall in HALLS for name in modules_in(hall)]
    return [*sorted(found), "baselines"]


def modules_in(hall: str) -> list[str]:
    """Public modules and packages in a folder of pointadplus."""
    paths = (ROOT / "pointadplus" / hall).iterdir()
    modules = [path.stem for path in paths if path.suffix == ".py" or (path / "__init__.py").is_file()]
    return [name for name in modules if not name.startswith("_") and name not in NOT_API]


def api_page(module: str) -> str:
    return f"api/{module.removeprefix('pointadplus.')}.md"
