"""STEP and IGES: tessellated by cascadio (OpenCASCADE) in a process of its own, and brought back to the file's unit.

A process of its own because OpenCASCADE writes to standard output, and may crash on a damaged file.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from ..errors import CloudReadError, install_command
from ..units import unit_of
from .formats import RawCloud, check_bytes, most_inflated
from .meshes import read_scene

# A conversion takes a second or two, most of it to load OpenCASCADE; one that takes a minute holds up a folder or a
# service that waits for it. The limit and the tolerances below are numbers we chose.
_SECONDS = 60
_CONVERT = """
import sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[4]),) * 2)
except (ImportError, ValueError, OSError):
    pass  # not everywhere
import cascadio
with open(sys.argv[1], "rb") as file:
    data = file.read()
glb = cascadio.load(data, file_type=sys.argv[2], tol_linear=0.001, tol_angular=0.1, tol_relative=True)
with open(sys.argv[3], "wb") as file:
    file.write(glb)
"""
_PREFIXES = {"": 1.0, "KILO": 1e3, "DECI": 0.1, "CENTI": 1e-2, "MILLI": 1e-3, "MICRO": 1e-6, "NANO": 1e-9}
# Metres of the units of an IGES file, by its unit flag; and by name where the flag is 3.
_IGES_FLAGS = {
    "1": 0.0254, "2": 1e-3, "4": 0.3048, "5": 1609.344, "6": 1.0, "7": 1e3, "8": 2.54e-5, "9": 1e-6, "10": 1e-2,
    "11": 2.54e-8,
}  # fmt: skip
_IGES_NAMES = {"INCH": 0.0254, "IN": 0.0254, "MM": 1e-3, "FT": 0.3048, "MI": 1609.344, "M": 1.0, "KM": 1e3, "CM": 1e-2}


def read_step(data: bytes) -> RawCloud:
    """STEP: the surface as triangles, in the file's own unit of length."""
    if not data.lstrip().startswith(b"ISO-10303-21"):
        raise CloudReadError("malformed header", expected="ISO-10303-21", found=repr(data[:20]))
    if b"END-ISO-10303-21" not in data[-4096:]:
        raise CloudReadError("the STEP is truncated", expected="END-ISO-10303-21 at the end", hint="export it again")
    return _in_unit(_tessellated(data, "step"), 1.0, _step_unit(data.decode("latin-1")))  # cascadio: in metres


def read_iges(data: bytes) -> RawCloud:
    """IGES: the surface as triangles, in the file's own unit of length."""
    lines = data.decode("latin-1").splitlines()
    if not any(line[72:73] == "T" for line in lines[-3:]):
        raise CloudReadError("no IGES, or a truncated one", expected="a terminate section at the end")
    return _in_unit(_tessellated(data, "iges"), 1e-3, _iges_unit(lines))  # cascadio: in millimetres


def _in_unit(raw: RawCloud, before: float, after: float) -> RawCloud:
    """In a unit of `after` metres what was in one of `before`."""
    return replace(raw, points=raw.points * (before / after), unit=unit_of(1e3 * after))


def _tessellated(data: bytes, kind: str) -> RawCloud:
    """The triangles that cascadio makes, in its unit."""
    if find_spec("cascadio") is None:
        raise CloudReadError(f"{kind.upper()} needs the package cascadio", hint=install_command("scanners"))
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, f"part.{kind}"), Path(folder, "part.glb")
        source.write_bytes(data)
        command = [sys.executable, "-c", _CONVERT, str(source), kind, str(target), str(4 * most_inflated())]
        try:
            done = subprocess.run(command, capture_output=True, cwd=folder, timeout=_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise CloudReadError(f"the {kind.upper()} takes too long", expected=f"at most {_SECONDS} s") from error
        if done.returncode or not target.exists():
            raise CloudReadError(
                f"OpenCASCADE cannot convert the {kind.upper()}",
                found=f"exit code {done.returncode}, {done.stderr.decode('utf-8', 'replace').strip()[-200:]}",
                hint="export it again, or as STL",
            )
        check_bytes(target.stat().st_size, most_inflated(), "tessellation")
        return read_scene(target.read_bytes(), target)


def _step_unit(text: str) -> float:
    """Metres of the unit of length that all of a STEP's geometry is in; millimetres where it names none."""
    entities = dict(re.findall(r"#(\d+)\s*=\s*([^;]*?(?:UNIT|UNIT_ASSIGNED_CONTEXT)\b[^;]*);", text))
    named = {n for body in entities.values() for group in re.findall(_ASSIGNED, body) for n in group.split(",")}
    lengths = (entities.get(name.strip(" \r\n#"), "") for name in named)
    units = {round(_metres(body, entities, 8), 15) for body in lengths if "LENGTH_UNIT" in body}
    if len(units) > 1:
        raise CloudReadError(
            "parts of the STEP are in different units", expected="one unit of length", found=f"{len(units)} units",
            hint="export the assembly in one unit",
        )  # fmt: skip
    return units.pop() if units else 1e-3


_ASSIGNED = r"GLOBAL_UNIT_ASSIGNED_CONTEXT\s*\(\s*\(([^)]*)\)"


def _metres(body: str, entities: dict[str, str], depth: int) -> float:
    """Metres of a unit's entity: an SI unit, or so many of another unit."""
    si = re.search(r"SI_UNIT\s*\(\s*(?:\.(\w+)\.|\$)\s*,\s*\.METRE\.", body)
    if si and (si[1] or "") in _PREFIXES:
        return _PREFIXES[si[1] or ""]
    conversion = re.search(r"CONVERSION_BASED_UNIT\s*\(\s*'[^']*'\s*,\s*#(\d+)", body)
    measure = re.search(r"\(\s*([\d.+E-]+)\s*\)\s*,\s*#(\d+)", entities.get(conversion[1], "") if conversion else "")
    if measure is None or depth == 0 or not float(measure[1]) > 0:
        raise CloudReadError("the STEP's unit of length is unknown", found=body[:200])
    return float(measure[1]) * _metres(entities.get(measure[2], ""), entities, depth - 1)


def _iges_unit(lines: list[str]) -> float:
    """Metres of the unit of an IGES: entries 14 (flag) and 15 (name) of its global section."""
    text = "".join(line[:72].ljust(72) for line in lines if line[72:73] == "G")
    entries: list[str] = []
    mark, at = ",", 0
    while at < len(text) and len(entries) < 15:
        string = re.compile(r"\s*(\d+)H").match(text, at)
        if string:
            entry = text[string.end() : string.end() + int(string[1])]
            at = string.end() + int(string[1])
        else:
            end = text.find(mark, at) if mark in text[at:] else len(text)
            entry, at = text[at:end], end
        entries.append(entry.strip())
        if len(entries) == 1 and len(entry) == 1:
            mark = entry
        at = text.find(mark, at) + 1 or len(text)
    flag, name = (*entries[13:], "", "")[:2]
    unit = _IGES_NAMES.get(name.upper()) if flag == "3" else _IGES_FLAGS.get(flag or "1")
    if unit is None:
        raise CloudReadError("the IGES's unit of length is unknown", found=f"flag {flag[:20]}, {name[:20]}")
    return unit
