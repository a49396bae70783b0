"""From a cloud to views: cameras, a z-buffer of splats, shading, and the point↔pixel map that ties both ends."""

from .cameras import Cameras, frame_cameras, view_rotations
from .contact_sheet import contact_sheet, save_contact_sheet
from .correspondence import (
    fill_unseen,
    gather_at_points,
    lift_to_points,
    rasterize_labels,
    visible_mean,
    visible_points,
)
from .rasterizer import rasterize
from .renderer import MultiViewRenderer, RenderConfig, Views, point_spacing
from .shading import shade

__all__ = [
    "Cameras",
    "MultiViewRenderer",
    "RenderConfig",
    "Views",
    "contact_sheet",
    "fill_unseen",
    "frame_cameras",
    "gather_at_points",
    "lift_to_points",
    "point_spacing",
    "rasterize",
    "rasterize_labels",
    "save_contact_sheet",
    "shade",
    "view_rotations",
    "visible_mean",
    "visible_points",
]
