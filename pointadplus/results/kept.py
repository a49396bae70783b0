"""A detection in a file, so that a report can show it later without scoring it again."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..cloud import PointCloud
from ..config import from_table
from ..errors import CloudError
from ..io.atomic import write_whole
from .calibration import Calibration
from .detection import Detection
from .inspection import Inspection
from .section import Section

_LAYER, _SECTION = "layer ", "section "  # before the name of a layer, of a section's tensors
_TENSORS = ("points", "offset", "normals", "colors", "viewpoint", "rows", "eyes", "scan")


def keep_detection(path: Path, detection: Detection) -> None:
    """Write a detection as NPZ, whole or not at all: its cloud, its scores and what is told of it, but no layers other
    than those of an inspection.

    Raises:
        ConfigError: the file cannot be written.
    """
    cloud, cut = detection.cloud, detection.section
    told = {
        "object_score": detection.object_score,
        "seconds": dict(detection.seconds),
        "notes": detection.notes,
        "measurable": detection.measurable,
        "grid": cloud.grid,
        "source_size": cloud.source_size,
        "source": cloud.source,
        "unit": cloud.unit,
        "inspection": None if detection.inspection is None else asdict(detection.inspection),
        "section": None if cut is None else {"place": cut.place, "window": cut.window},
    }
    tensors = {name: value for name in _TENSORS if (value := getattr(cloud, name)) is not None}
    layers = {} if detection.inspection is None else {f"{_LAYER}{name}": map for name, map in detection.layers.items()}
    drawn = {} if cut is None else {f"{_SECTION}{name}": getattr(cut, name) for name in ("nominal", "points")}
    beside = {**tensors, **layers, **drawn, "scores": detection.valid_scores}
    arrays = {name: value.detach().cpu().numpy() for name, value in beside.items()}
    stream = io.BytesIO()
    np.savez(stream, **arrays, told=np.frombuffer(json.dumps(told).encode(), np.uint8))
    write_whole(path, stream.getvalue())


def kept_detection(path: Path, calibration: Calibration | None = None) -> Detection:
    """The detection that `keep_detection` wrote.

    Args:
        path: the file.
        calibration: what its decision rests on.

    Raises:
        CloudError: it is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        told = json.loads(arrays.pop("told").tobytes())
        tensors: dict[str, Any] = {name: torch.from_numpy(array) for name, array in arrays.items()}
        scores = tensors.pop("scores")
        layers = {name.removeprefix(_LAYER): tensors.pop(name) for name in list(tensors) if name.startswith(_LAYER)}
        drawn = {name: tensors.pop(f"{_SECTION}{name}", None) for name in ("nominal", "points")}
        cut = told.get("section")
        section = None if cut is None else Section(tuple(cut["place"]), cut["window"], **drawn)
        grid = None if told["grid"] is None else tuple(told["grid"])
        beside = {name: told[name] for name in ("source_size", "source", "unit")}
        cloud = PointCloud(**tensors, grid=grid, **beside)
        inspection = None if told.get("inspection") is None else from_table(Inspection, told["inspection"])
        return Detection(
            told["object_score"], cloud.to_rows(scores), cloud, layers, told["seconds"], calibration=calibration,
            notes=tuple(told["notes"]), measurable=told["measurable"], inspection=inspection, section=section,
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        found = "no such file" if isinstance(error, FileNotFoundError) else f"{type(error).__name__}: {error}"[:200]
        raise CloudError("nothing that was kept can be read", where=path, found=found) from error
