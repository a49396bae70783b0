"""The report: one HTML page that shows scored clouds in 3D, a PDF of a page a scan, and sheets of views; no network."""

from .page import write_report
from .pdf import write_pdf
from .sheet import save_detection_sheet

__all__ = ["save_detection_sheet", "write_pdf", "write_report"]
