"""A browser for the tests of pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser import Browser


@pytest.fixture(scope="module", params=["--enable-unsafe-swiftshader", "--disable-3d-apis"])
def tab(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Browser]:
    """With WebGL, and without."""
    with Browser(tmp_path_factory.mktemp("profile"), request.param) as browser:
        yield browser
