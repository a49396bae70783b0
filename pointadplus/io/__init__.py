"""Reading and writing clouds: `read_cloud`, `write_cloud` and `from_object`.

A reader of `tables`, `pcd`, `ply` or `meshes` turns bytes into the `RawCloud` of `formats`; `reading` guards it, and
`sampling` makes a `PointCloud` of what it found.
"""

from .objects import from_object
from .reading import READABLE, read_cloud
from .writing import WRITABLE, write_cloud

__all__ = ["READABLE", "WRITABLE", "from_object", "read_cloud", "write_cloud"]
