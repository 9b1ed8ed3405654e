"""Files that people bring: in a form, or part by part before the job that uses them."""

from gateway.uploads.judge import FileKind
from gateway.uploads.request import IncomingFile, Uploads, uploading

__all__ = ["FileKind", "IncomingFile", "Uploads", "uploading"]
