"""Downloads that show progress, resume where they stopped, and appear whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pooch
import requests
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from videoinpaint.errors import CorruptWeightsError, MissingWeightsError
from videoinpaint.files import write_text
from videoinpaint.weights.files import recorded_hash

CHUNK = 1 << 20


class ResumingDownloader:
    """A pooch downloader that keeps what has arrived in ``<name>.part`` and asks the server for the rest.

    Args:
        part: the file that survives an interruption.
        progress: show a bar on the terminal.
        timeout: seconds without data after which it gives up.
    """

    def __init__(self, part: Path, progress: bool = True, timeout: float = 30.0) -> None:
        self.part, self.progress, self.timeout = part, progress, timeout

    def __call__(self, url: str, output_file: Any, pooch: Any) -> None:
        """Download ``url`` and put the whole of it at ``output_file``."""
        have = self.part.stat().st_size if self.part.exists() else 0
        headers = {"Range": f"bytes={have}-"} if have else {}
        with requests.get(url, headers=headers, stream=True, timeout=self.timeout) as response:
            if response.status_code != 416:  # 416: nothing is left to send, the part is already whole
                response.raise_for_status()
                resumed = response.status_code == 206
                self._receive(response, have if resumed else 0)
        self.part.replace(output_file)

    def _receive(self, response: requests.Response, have: int) -> None:
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with self.part.open("ab" if have else "wb") as file, Progress(*columns, disable=not self.progress) as bar:
            task = bar.add_task(self.part.stem, total=total, completed=have)
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                bar.advance(task, len(chunk))


def download(url: str, target: Path, sha256: str | None, remedy: str, *, progress: bool = True) -> Path:
    """Fetch ``url`` to ``target`` and check its hash (or the leading digits that are known of it).

    Where none is known, the hash is recorded in ``<target>.sha256``: trust on first use.

    Raises:
        MissingWeightsError: the network failed (what arrived is kept for the next try), or the server sent a web page.
        CorruptWeightsError: the hash is another; the file is deleted.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    fetched = target.with_name(target.name + ".fetched")
    try:
        pooch.retrieve(url, None, fetched.name, target.parent, downloader=ResumingDownloader(part, progress))
    except (OSError, requests.RequestException) as error:
        raise MissingWeightsError(f"{target.name} could not be downloaded ({error}); again: {remedy}") from error
    if _is_web_page(fetched):
        fetched.unlink()
        raise MissingWeightsError(f"{url} answered with a web page, not with {target.name}; {remedy}")
    actual = pooch.file_hash(str(fetched))
    if sha256 and not actual.startswith(sha256):
        fetched.unlink()
        raise CorruptWeightsError(
            f"{url} sent a file with sha256 {actual}, expected {sha256}: it was deleted, try again"
        )
    if not sha256:
        write_text(recorded_hash(target), f"{actual}  {target.name}\n")
    fetched.replace(target)
    return target


def _is_web_page(path: Path) -> bool:
    """Shared drives answer with a page where a file is over its quota or needs a click; no weight file starts so."""
    with path.open("rb") as file:
        return file.read(256).lstrip().lower().startswith((b"<!doctype html", b"<html"))
