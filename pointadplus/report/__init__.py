"""The report: one HTML page that shows scored clouds in 3D and needs no network; see `write_report`."""

from .page import write_report

__all__ = ["write_report"]
