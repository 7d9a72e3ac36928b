"""The reviewer's report: published beside measured, every claim judged, deviations and benchmarks in numbers."""

from reproduce.report.given import Given
from reproduce.report.writing import HTML, MARKDOWN, write_report

__all__ = ["HTML", "MARKDOWN", "Given", "write_report"]
