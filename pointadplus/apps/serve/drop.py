"""The page at `/`: a file is dropped on it, and its report opens."""

from __future__ import annotations

import html
from importlib.resources import files
from string import Template

from ...io import READABLE
from ...report.page import csp_hash, viewer_hashes


def drop_page(*, comparing: bool) -> bytes:
    """The page, self-contained; its policy lets its own script and the report's run, and nothing else.

    A report that opens from it is of a blob, and so stands under this page's policy and its own.

    Args:
        comparing: whether the service has a nominal.
    """
    here = files("pointadplus") / "apps" / "serve"
    style, script = ((here / name).read_text("utf-8") for name in ("drop.css", "drop.js"))
    viewer_style, *viewer_scripts = viewer_hashes()
    page = Template((here / "drop.html").read_text("utf-8")).substitute(
        style=style,
        script=script,
        styles=" ".join(f"'{each}'" for each in (csp_hash(style), viewer_style)),
        scripts=" ".join(f"'{each}'" for each in (csp_hash(script), *viewer_scripts)),
        ways="" if comparing else "hidden",
        comparing="checked" if comparing else "",
        scoring="" if comparing else "checked",
        accept=html.escape(",".join(READABLE)),
    )
    return page.encode("utf-8")
