"""Reading and writing clouds, and objects of other libraries in and out.

`read_cloud`, `read_mesh`, `write_cloud`; `from_object`, `to_open3d`, `to_trimesh`; `as_cloud` and `as_mesh`, for
whatever a user has.

A reader of `tables`, `pcd`, `ply`, `meshes`, `scanners`, `ptx`, `threemf`, `cad`, `vtk`, `vtp` or `depth` turns bytes
into the `RawCloud` of `formats`; `reading` guards it, and `sampling` makes a `PointCloud` of what it found.
"""

from .exchange import to_open3d, to_trimesh
from .objects import from_object
from .reading import READABLE, as_cloud, read_cloud, read_labelled
from .triangle_mesh import TriangleMesh, as_mesh, read_mesh
from .vertices import VertexCloud
from .writing import WRITABLE, write_cloud

__all__ = [
    "READABLE",
    "WRITABLE",
    "TriangleMesh",
    "VertexCloud",
    "as_cloud",
    "as_mesh",
    "from_object",
    "read_cloud",
    "read_labelled",
    "read_mesh",
    "to_open3d",
    "to_trimesh",
    "write_cloud",
]
