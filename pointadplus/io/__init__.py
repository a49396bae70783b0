"""Reading and writing clouds, and objects of other libraries in and out.

`read_cloud`, `write_cloud`; `from_object`, `to_open3d`, `to_trimesh`.

A reader of `tables`, `pcd`, `ply` or `meshes` turns bytes into the `RawCloud` of `formats`; `reading` guards it, and
`sampling` makes a `PointCloud` of what it found.
"""

from .exchange import to_open3d, to_trimesh
from .objects import from_object
from .reading import READABLE, read_cloud
from .writing import WRITABLE, write_cloud

__all__ = ["READABLE", "WRITABLE", "from_object", "read_cloud", "to_open3d", "to_trimesh", "write_cloud"]
