"""Files of a synthetic data set: each layout's names, units and formats, as `pointadplus.data` reads them."""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image

from ...cloud import PointCloud
from ...data.background import foreground
from ...data.eyecandies import FOCAL, EyecandiesSample
from ...errors import CloudWriteError, ConfigError, DatasetError, install_command
from ...io import write_cloud
from .depth_scan import DepthCamera, DepthScan, scan_on_table
from .paint import COLOR_KINDS
from .scan import ScanArtifacts
from .specimens import Specimen, make_specimen, scan_cloud

MIN_PIXELS = 8  # of a defect, on the object as the loader cuts it out
POSES, OBJECTS = 4, 32  # tried for an organised scan that shows the defect
METRES = 0.08  # diagonal of an object on a table
_SEEDS = 2**63


@dataclass(frozen=True)
class Item:
    """One object to be made and written.

    Attributes:
        family: its shape family, and so its category.
        split: "train", all healthy, or "test".
        number: counted from 0 among the family's training, normal or damaged objects.
        first: number of normal test objects, which come before the damaged ones where both are counted in one row.
        seed: of everything that is random, in [0, 2⁶³).
        kinds: of defects, in the order in which they are tried; none: healthy.
        painted: whether it has colours: the points' own, or those of the picture.
    """

    family: str
    split: Literal["train", "test"]
    number: int
    first: int
    seed: int
    kinds: tuple[str, ...]
    painted: bool = False

    @property
    def row(self) -> int:
        """Its number among all objects of its family and split."""
        return self.number + (self.first if self.kinds else 0)


@dataclass(frozen=True)
class Sizes:
    """Lowest and highest number of a cloud's points, and the side of an organised scan in pixels."""

    points: tuple[int, int]
    image_size: int


def write_anomaly_shapenet(root: Path, item: Item, sizes: Sizes) -> None:
    """`<family>/{train,test}/<family>_<kind><i>.pcd`, whole objects of diagonal 2, and `GT/*.txt` of `x,y,z,label`."""
    cloud, labels, kind = _cloud(item, sizes, diagonal=2.0, one_sided=0.0)
    word = "template" if item.split == "train" else kind if item.kinds else "positive"
    stem = f"{item.family}_{word}{item.number}"
    _write_pcd(root / item.family / item.split / f"{stem}.pcd", cloud)
    if item.kinds:
        _write_labels(root / item.family / "GT" / f"{stem}.txt", cloud.points, labels, ",")


def write_real3d_ad(root: Path, item: Item, sizes: Sizes) -> None:
    """`<family>/{train,test}/<id>_<kind>.pcd` in millimetres, whole prototypes and one-sided test scans; `gt/*.txt`."""
    train = item.split == "train"
    cloud, labels, kind = _cloud(item, sizes, diagonal=35.0, one_sided=0.0 if train else 1.0)
    stem = f"{item.row + 1}_{'template' if train else kind}"
    _write_pcd(root / item.family / item.split / f"{stem}.pcd", cloud)
    if item.kinds:
        _write_labels(root / item.family / "gt" / f"{stem}.txt", cloud.points, labels, " ")


def write_folder(root: Path, item: Item, sizes: Sizes) -> None:
    """`<family>/{train,good,bad}/<kind>_<i>.pcd`, in millimetres, and `masks/*.txt`; a family is a set of its own."""
    cloud, labels, kind = _cloud(item, sizes, diagonal=100.0, one_sided=None)
    below = "train" if item.split == "train" else "bad" if item.kinds else "good"
    stem = f"{kind}_{item.number:03d}"
    _write_pcd(root / item.family / below / f"{stem}.pcd", cloud)
    if item.kinds:
        text = "\n".join("01"[int(label)] for label in labels.tolist())
        write_bytes(root / item.family / "masks" / f"{stem}.txt", f"{text}\n".encode())


def write_mvtec_3d_ad(root: Path, item: Item, sizes: Sizes) -> None:
    """`<family>/{train,test}/<kind>/{xyz,rgb,gt}/<number>.{tiff,png,png}`, xyz in metres and 0 without a return."""
    try:
        import tifffile  # pyright: ignore[reportMissingImports] - optional
    except ImportError as error:
        raise ConfigError("TIFF needs the package tifffile", hint=install_command("tiff")) from error
    camera = DepthCamera(sizes.image_size, 1.4 * sizes.image_size, (0.0, 12.0), METRES, gaps=True)
    scan, kind = _scan(item, sizes, camera, unit=1.0)
    folder, name = root / item.family / item.split / kind, f"{item.number:03d}"
    buffer = io.BytesIO()
    xyz = torch.nan_to_num(scan.points(), nan=0.0).float().numpy()
    tifffile.imwrite(buffer, xyz, photometric="rgb", metadata=None, software=False)
    write_bytes(folder / "xyz" / f"{name}.tiff", buffer.getvalue())
    write_png(folder / "rgb" / f"{name}.png", scan.rgb)
    write_png(folder / "gt" / f"{name}.png", _mask(scan))


# What Eyecandies has masks of its own for; any other kind is in the mask of all alone, and read as `bad`.
EYECANDIES_KINDS = {
    "bulge": "bumps",
    "dent": "dents",
    "roughness": "normals",
    **dict.fromkeys(COLOR_KINDS, "colors"),
}


def write_eyecandies(root: Path, item: Item, sizes: Sizes) -> None:
    """`<family>/{train,test_public}/data/<number>_{depth,image_4,mask,<kind>_mask}.png` and `_info_depth.yaml`."""
    unit = EyecandiesSample.unit
    camera = DepthCamera(sizes.image_size, FOCAL, (25.0, 40.0), METRES * unit, gaps=False)
    scan, kind = _scan(item, sizes, camera, unit)
    train = item.split == "train"
    folder = root / item.family / ("train" if train else "test_public") / "data"
    number = f"{item.row:03d}" if train else f"{item.row:02d}"
    low, high = round(0.99 * float(scan.depth.min()), 4), round(1.01 * float(scan.depth.max()), 4)
    values = ((scan.depth - low) / (high - low) * 65535).round().numpy().astype(np.uint16)
    write_png(folder / f"{number}_depth.png", values)
    text = f"normalization:\n  max: {high}\n  min: {low}\n"
    write_bytes(folder / f"{number}_info_depth.yaml", text.encode())
    write_png(folder / f"{number}_image_4.png", scan.rgb)
    write_png(folder / f"{number}_mask.png", _mask(scan))
    for name in ("bumps", "dents", "colors", "normals"):
        shown = name == EYECANDIES_KINDS.get(kind)
        write_png(folder / f"{number}_{name}_mask.png", _mask(scan) if shown else np.zeros_like(_mask(scan)))


LAYOUTS: dict[str, Callable[[Path, Item, Sizes], None]] = {
    "anomaly-shapenet": write_anomaly_shapenet,
    "real3d-ad": write_real3d_ad,
    "folder": write_folder,
    "mvtec-3d-ad": write_mvtec_3d_ad,
    "eyecandies": write_eyecandies,
}


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, and the folders that it lies in.

    Raises:
        DatasetError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise DatasetError(
            "the file cannot be written", where=path, expected="a writable path", found=error.strerror or error
        ) from error


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write (H, W) uint8 or uint16, or (H, W, 3) uint8, as PNG; see `write_bytes`."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    write_bytes(path, buffer.getvalue())


def _cloud(item: Item, sizes: Sizes, diagonal: float, one_sided: float | None) -> tuple[PointCloud, torch.Tensor, str]:
    """A scan, its labels and the kind; `one_sided` replaces the default share of scans from one side."""
    specimen = make_specimen(item.seed, item.family, sizes.points, item.kinds, item.painted)
    artifacts = ScanArtifacts() if one_sided is None else replace(ScanArtifacts(), one_sided=one_sided)
    cloud, labels = scan_cloud(specimen, (item.seed + 1) % _SEEDS, artifacts)
    return replace(cloud, points=cloud.points * diagonal), labels, specimen.kind


def _scan(item: Item, sizes: Sizes, camera: DepthCamera, unit: float) -> tuple[DepthScan, str]:
    """A shot of the object; if it is damaged, one whose mask falls on what the loader keeps of it.

    Raises:
        ConfigError: none of many does.
    """
    count = sizes.image_size**2  # of which about two fall into each pixel that shows the object
    for attempt in range(OBJECTS):
        seed = (item.seed + 2 * attempt) % _SEEDS
        specimen = make_specimen(seed, item.family, (count, count), item.kinds, item.painted)
        generator = torch.Generator().manual_seed((seed + 1) % _SEEDS)
        for _ in range(POSES if item.kinds else 1):
            scan = scan_on_table(specimen, generator, camera)
            if not item.kinds or _shows(scan, specimen, unit):
                return scan, specimen.kind
    raise ConfigError(
        "no scan shows the defect",
        where=f"{item.family} {item.number}",
        expected=f"{MIN_PIXELS} pixels of it on the object",
        found=f"{OBJECTS} objects in {POSES} poses without",
        hint="use a larger image_size or other kinds",
    )


def _shows(scan: DepthScan, specimen: Specimen, unit: float) -> bool:
    if int(scan.mask.sum()) < MIN_PIXELS:
        return False
    cloud = scan.cloud()
    rows = cloud.valid_rows()[foreground(cloud, unit)]
    return int(scan.mask.flatten()[rows].sum()) >= MIN_PIXELS


def _mask(scan: DepthScan) -> np.ndarray:
    return scan.mask.numpy().astype(np.uint8) * 255


def _write_pcd(path: Path, cloud: PointCloud) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_cloud(path, cloud)
    except (OSError, CloudWriteError) as error:
        raise DatasetError("the file cannot be written", where=path, expected="a writable path", found=error) from error


def _write_labels(path: Path, points: torch.Tensor, labels: torch.Tensor, mark: str) -> None:
    buffer = io.BytesIO()
    np.savetxt(buffer, np.column_stack([points.numpy(), labels.numpy()]), fmt=["%.9g"] * 3 + ["%d"], delimiter=mark)
    write_bytes(path, buffer.getvalue())
