"""Formats that are not read, and which free tool makes of them one that is."""

from __future__ import annotations

_TOOLS = {
    "CloudCompare (free) opens it and saves PLY or E57": "bin fls pn pov icm sbf psz dp rdbx shp",
    "MeshLab (free) opens it and saves PLY": "wrl vrml x3d x3dv dae ctm aln apts gts tri vmi nxs nxz",
    "Blender (free) opens it and exports PLY or GLB": "fbx blend 3ds abc usd usda usdc usdz",
    "FreeCAD (free) opens it and exports STEP or STL": "brep brp fcstd dxf ifc",
    "ParaView (free) opens it: extract the surface, and save it as VTP or PLY": "vtu vts vtr vti pvd case foam exo",
    "export it as STEP where it was made": "sldprt sldasm catpart catproduct ipt iam prt x_t x_b jt sat 3dm",
    "rename it to .xyz: it is a table of text": "xyzrgb xyzn xyzrgbn pwn neu",
    "if it is a table of text, rename it to .txt": "dat out prn res tab log",
    "LibreOffice (free) opens it and saves CSV": "xls xlsx ods",
    "in Python: numpy.save('scan.npy', scipy.io.loadmat('scan.mat')['points'])": "mat",
    "in Python: numpy.save('scan.npy', h5py.File('scan.h5')['points'][:])": "h5 hdf5",
    "opening it runs code that it holds: save the points as NPY where it was made": "pkl pickle pt pth",
    "RealSense Viewer (free) plays a camera's recording and exports PLY": "bag",
    "Zivid Studio (free) opens it and saves PLY": "zdf",
    "PhoXi Control (free) opens it and saves PLY": "praw",
    "ZEISS INSPECT (free) opens it and exports STL or PLY": "g3d ginspect",
    "Gwyddion (free) opens it and saves heights as text: put XRes= and YRes= above them": (
        "gwy plux sur sdf x3p al3d vk3 vk4 vk6 zon opd"
    ),
    "a depth image is read where it is named, with its camera as JSON beside it": "png",
    "save the depths as PNG, TIFF or NPY, with the camera as JSON beside them": "exr pfm",
    "a photograph is no scan": "jpg jpeg bmp gif webp heic",
    "unpack it first": "zip gz 7z rar tar tgz bz2 xz zst",
}
_BY_SUFFIX = {suffix: tool for tool, suffixes in _TOOLS.items() for suffix in suffixes.split()}
_ANY = "CloudCompare and MeshLab (both free) read most formats of clouds and meshes, and save PLY"


def conversion_hint(*suffixes: str) -> str:
    """Which free tool makes a readable file of one of these kinds; the first that is known counts.

    Args:
        suffixes: such as `.fls`, with or without the dot, in any case.
    """
    return next((tool for suffix in suffixes if (tool := _BY_SUFFIX.get(suffix.lower().lstrip(".")))), _ANY)
