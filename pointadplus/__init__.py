"""Zero-shot detection and localisation of anomalies in point clouds and meshes: PointAD+.

    from pointadplus import ZeroShotDetector
    detection = ZeroShotDetector().score("scan.ply")

The names below are the public surface; each is imported when it is first used, so that `import pointadplus` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .calibration import Calibration
    from .cloud import PointCloud
    from .detection import AnomalyDetector, Detection
    from .detector import ZeroShotDetector
    from .errors import PointADPlusError
    from .explanation import best_view
    from .io import read_cloud, write_cloud
    from .mesh import TriangleMesh, read_mesh
    from .regions import Region

__version__ = "0.1.0"
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
    "read_cloud",
    "read_mesh",
    "write_cloud",
]

_HOMES = {
    "AnomalyDetector": "detection",
    "Calibration": "calibration",
    "Detection": "detection",
    "PointADPlusError": "errors",
    "PointCloud": "cloud",
    "Region": "regions",
    "TriangleMesh": "mesh",
    "ZeroShotDetector": "detector",
    "best_view": "explanation",
    "read_cloud": "io",
    "read_mesh": "mesh",
    "write_cloud": "io",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
