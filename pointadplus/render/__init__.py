"""From a cloud or a mesh to views: cameras, z-buffers, shading, and the point↔pixel map that ties both ends."""

from ..geometry.registration import rotation_from_axis_angle
from ..geometry.spacing import point_spacing
from .best_view import best_view
from .cameras import Cameras, frame_cameras
from .config import RenderConfig
from .contact_sheet import contact_sheet, save_contact_sheet
from .correspondence import (
    facing_weights,
    fill_unseen,
    gather_at_points,
    lift_labels,
    lift_to_points,
    rasterize_labels,
    visible_mean,
)
from .labels import Paint
from .mesh_correspondence import front_vertices, interpolate_on_mesh, mean_at_vertices, visible_vertices
from .mesh_rasterizer import MeshFragments, rasterize_mesh
from .orientation import orient_normals
from .renderer import MultiViewRenderer
from .shading import shade
from .soft import Fragments, rasterize_fragments, soft_composite, soft_images
from .view_sets import view_rotations
from .views import Views

__all__ = [
    "Cameras",
    "Fragments",
    "MeshFragments",
    "MultiViewRenderer",
    "Paint",
    "RenderConfig",
    "Views",
    "best_view",
    "contact_sheet",
    "facing_weights",
    "fill_unseen",
    "frame_cameras",
    "front_vertices",
    "gather_at_points",
    "interpolate_on_mesh",
    "lift_labels",
    "lift_to_points",
    "mean_at_vertices",
    "orient_normals",
    "point_spacing",
    "rasterize_fragments",
    "rasterize_labels",
    "rasterize_mesh",
    "rotation_from_axis_angle",
    "save_contact_sheet",
    "shade",
    "soft_composite",
    "soft_images",
    "view_rotations",
    "visible_mean",
    "visible_vertices",
]
