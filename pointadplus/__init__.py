"""Zero-shot detection and localisation of anomalies in point clouds and meshes: PointAD+.

    from pointadplus import ZeroShotDetector
    detection = ZeroShotDetector().score("scan.ply")

The names below are the public surface; each is imported when it is first used, so that `import pointadplus` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cloud import PointCloud
    from .errors import PointADPlusError
    from .io import TriangleMesh, read_cloud, read_mesh, write_cloud
    from .report import write_report
    from .results.calibration import Calibration
    from .results.detection import Detection
    from .results.detector import AnomalyDetector
    from .results.regions import Region
    from .results.snapshot import best_view
    from .zero_shot.detector import ZeroShotDetector
    from .zero_shot.words import named_regions

__version__ = "0.1.0"
_HOMES = {
    "AnomalyDetector": "results.detector",
    "Calibration": "results.calibration",
    "Detection": "results.detection",
    "PointADPlusError": "errors",
    "PointCloud": "cloud",
    "Region": "results.regions",
    "TriangleMesh": "io",
    "ZeroShotDetector": "zero_shot.detector",
    "best_view": "results.snapshot",
    "named_regions": "zero_shot.words",
    "read_cloud": "io",
    "read_mesh": "io",
    "write_cloud": "io",
    "write_report": "report",
}
__all__ = [
    "AnomalyDetector",
    "Calibration",
    "Detection",
    "PointADPlusError",
    "PointCloud",
    "Region",
    "TriangleMesh",
    "ZeroShotDetector",
    "__version__",
    "best_view",
    "named_regions",
    "read_cloud",
    "read_mesh",
    "write_cloud",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
