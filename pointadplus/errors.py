"""The errors of the package: each says where, what was expected, what was found and what to do."""

from __future__ import annotations


class PointADPlusError(Exception):
    """Base of every error that the package raises on purpose.

    Args:
        what: what went wrong, in one sentence.
        where: the file, argument or field concerned.
        expected: what would have been accepted.
        found: what was there instead.
        hint: what the caller can do about it.
    """

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        expected: object = None,
        found: object = None,
        hint: str | None = None,
    ) -> None:
        self.what, self.where, self.expected, self.found, self.hint = what, where, expected, found, hint
        lines = [what if where is None else f"{where}: {what}"]
        if expected is not None:
            lines.append(f"expected: {expected}")
        if found is not None:
            lines.append(f"found: {found}")
        if hint is not None:
            lines.append(f"hint: {hint}")
        super().__init__("; ".join(lines))


class CloudError(PointADPlusError):
    """A cloud in memory that cannot be used: wrong shape, no finite point, mismatched attributes."""


class CloudReadError(CloudError):
    """A file that cannot be read as a cloud: missing, truncated, malformed, empty, absurd."""


class CloudWriteError(CloudError):
    """A cloud that cannot be written: unknown extension, unwritable path."""


class WeightsError(PointADPlusError):
    """Weights that cannot be found, are unsafe to load, or do not fit the model."""


class ConfigError(PointADPlusError):
    """An option that is unknown or out of range."""


class DatasetError(PointADPlusError):
    """A data set folder whose layout or labels are not what its name promises."""


def install_command(extra: str = "") -> str:
    """The command that installs this package once more, with an extra: from where it came, for no registry has it."""
    import json
    from importlib.metadata import PackageNotFoundError, distribution
    from pathlib import Path
    from urllib.parse import unquote, urlsplit

    brackets = f"[{extra}]" if extra else ""
    try:
        url = urlsplit(json.loads(distribution("pointadplus").read_text("direct_url.json") or "{}").get("url", ""))
    except (PackageNotFoundError, ValueError):
        url = urlsplit("")
    place = unquote(url.path)
    if url.scheme == "file" and Path(place).exists():
        return f"pip install '{place}{brackets}'"
    return f"in the clone: pip install '.{brackets}'"
