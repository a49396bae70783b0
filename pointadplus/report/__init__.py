"""The report: one HTML page that shows scored clouds in 3D and needs no network, and a PDF of a page a scan."""

from .page import write_report
from .pdf import write_pdf

__all__ = ["write_pdf", "write_report"]
