"""The reviewer's report: published beside measured, every claim judged, deviations and benchmarks in numbers."""

from reproduce.report.content import Given
from reproduce.report.writing import HTML, MARKDOWN, report_digest, write_report

__all__ = ["HTML", "MARKDOWN", "Given", "report_digest", "write_report"]
