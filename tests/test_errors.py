"""Errors say where, what, what was expected, what was found and what to do."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest

from pointadplus import errors
from pointadplus.errors import CloudReadError, PointADPlusError, install_command

LEAVES = [value for _, value in inspect.getmembers(errors, inspect.isclass) if value is not PointADPlusError]


def test_the_message_holds_every_part_in_order() -> None:
    error = CloudReadError("is cut short", where="a.ply", expected="9 rows", found="3 rows", hint="copy it again")
    assert str(error) == "a.ply: is cut short; expected: 9 rows; found: 3 rows; hint: copy it again"
    assert (error.where, error.expected, error.found, error.hint) == ("a.ply", "9 rows", "3 rows", "copy it again")


def test_absent_parts_leave_no_trace_and_zero_is_a_part() -> None:
    assert str(PointADPlusError("wrong")) == "wrong"
    assert str(PointADPlusError("wrong", found=0)) == "wrong; found: 0"


@pytest.mark.parametrize("leaf", LEAVES)
def test_one_base_catches_all(leaf: type[PointADPlusError]) -> None:
    with pytest.raises(PointADPlusError):
        raise leaf("wrong")
    assert leaf.__doc__


def test_an_extra_is_installed_from_where_the_package_came(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Installed:
        def __init__(self, text: str | None) -> None:
            self.text = text

        def read_text(self, name: str) -> str | None:
            return self.text

    clone = tmp_path / "a clone"
    clone.mkdir()
    gone = tmp_path / "gone"
    for text, expected in (
        (json.dumps({"url": clone.as_uri(), "dir_info": {"editable": True}}), f"pip install '{clone}[serve]'"),
        (json.dumps({"url": gone.as_uri(), "dir_info": {}}), "in the clone: pip install '.[serve]'"),
        (json.dumps({"url": "https://example.org/x.git", "vcs_info": {}}), "in the clone: pip install '.[serve]'"),
        ("not JSON", "in the clone: pip install '.[serve]'"),
        (None, "in the clone: pip install '.[serve]'"),
    ):
        monkeypatch.setattr("importlib.metadata.distribution", lambda name, text=text: Installed(text))
        assert install_command("serve") == expected
    assert install_command() == "in the clone: pip install '.'"
