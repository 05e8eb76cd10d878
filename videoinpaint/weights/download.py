"""Downloads that show progress, resume where they stopped, and appear whole or not at all.

What has arrived is kept in ``<name>.part``, and beside it, in ``<name>.part.json``, how much of it is known to be good:
its length, its hash and the server's name for this version of the file. Nothing else of the part is believed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import requests
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from videoinpaint.errors import CorruptWeightsError, InputError, MissingWeightsError
from videoinpaint.files import locked, read_json, write_json, write_text, writing
from videoinpaint.weights.files import read_as
from videoinpaint.weights.hashes import recorded_hash

CHUNK = 1 << 20
NOTE_EVERY = 16 * CHUNK
"""Bytes after which what has arrived is noted: as much is fetched again after a kill."""
TIMEOUT = 30.0
"""Seconds without data after which it gives up."""


@dataclass(frozen=True)
class Arrived:
    """What of a part is known to be good.

    Attributes:
        url: where it comes from.
        version: the server's ETag, or else the time of the last change; "" where it says neither: never resumed then.
        size: bytes.
        sha256: of these bytes.
    """

    url: str
    version: str = ""
    size: int = 0
    sha256: str = hashlib.sha256().hexdigest()


class Part:
    """The file in which a download grows.

    Args:
        path: of the part.
        url: where the file comes from.
    """

    def __init__(self, path: Path, url: str) -> None:
        self.path, self.note_path, self.url = path, path.with_name(path.name + ".json"), url

    def resume(self) -> tuple[Arrived, Any]:
        """What is good of an earlier try, and its running hash; without anything good the part is discarded."""
        try:
            note = Arrived(**read_json(self.note_path, "a note on a download"))
            with self.path.open("rb") as file:
                digest = hashlib.sha256()
                for _ in range(-(-note.size // CHUNK)):
                    digest.update(file.read(min(CHUNK, note.size - file.tell())))
            good = note.url == self.url and note.version and digest.hexdigest() == note.sha256
        except (InputError, OSError, TypeError, ValueError):
            good = False
        if good and not self.path.is_symlink():
            return note, digest
        self.discard()
        return Arrived(self.url), hashlib.sha256()

    def note(self, version: str, size: int, digest: Any) -> None:
        """Write down how much is good."""
        write_json(self.note_path, asdict(Arrived(self.url, version, size, digest.hexdigest())))

    def discard(self) -> None:
        """Forget it."""
        self.path.unlink(missing_ok=True)
        self.note_path.unlink(missing_ok=True)


def download(url: str, target: Path, sha256: str | None, remedy: str, *, progress: bool = True) -> Path:
    """Fetch ``url`` to ``target``, check its hash (or the leading digits that are known of it) and that it can be read.

    Where no hash is known, the one of a file that could be read is recorded in ``<target>.sha256``: trust on first use.
    One process at a time fetches into a folder; others wait, and take what it has fetched.

    Raises:
        MissingWeightsError: the network failed (what arrived is kept for the next try), or the server sent a web page.
        CorruptWeightsError: the hash is another, or it holds no weights; the file is deleted.
        InputError: the folder cannot be written to.
    """
    part = Part(target.with_name(target.name + ".part"), url)
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(target.parent, f"waiting: another process fetches weights into {target.parent}", wait=True):
            if target.is_file():  # another process was faster
                return target
            try:
                actual = _receive_all(part, progress)
            except requests.RequestException as error:
                raise MissingWeightsError(
                    f"{target.name} could not be downloaded ({error}); again: {remedy}"
                ) from error
            try:
                _check(part.path, target, actual, url, sha256, remedy)
            except (MissingWeightsError, CorruptWeightsError):
                part.discard()
                raise
            if not sha256:
                write_text(recorded_hash(target), f"{actual}  {target.name}\n")
            part.path.replace(target)
            part.discard()
    return target


def _receive_all(part: Part, progress: bool) -> str:
    """Bring a part to its end; returns its hash."""
    have, digest = part.resume()
    headers = {"Accept-Encoding": "identity"}  # else the lengths are those of something compressed
    if have.size:
        # If-Range: a server whose file has changed since sends all of the new one.
        headers |= {"Range": f"bytes={have.size}-", "If-Range": have.version}
    with requests.get(part.url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        ends = response.status_code == requests.codes.requested_range_not_satisfiable
        if not ends:
            response.raise_for_status()
        if have.size and not _goes_on(response, have.size):
            part.discard()
            if ends or response.status_code == requests.codes.partial_content:
                return _receive_all(part, progress)  # this server's ranges lead nowhere: from the beginning
            have, digest = Arrived(part.url), hashlib.sha256()
        return _receive(response, part, have.size, digest, progress)


def _goes_on(response: requests.Response, size: int) -> bool:
    """Whether an answer continues behind the first `size` bytes."""
    start = response.headers.get("Content-Range", f"bytes {size}-").removeprefix("bytes").strip()
    return response.status_code == 206 and start.startswith(f"{size}-")


def _receive(response: requests.Response, part: Part, have: int, digest: Any, progress: bool) -> str:
    length = response.headers.get("Content-Length", "")
    total = have + int(length) if length.isdecimal() else None
    version = response.headers.get("ETag", "")
    version = response.headers.get("Last-Modified", "") if not version or version.startswith("W/") else version
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    noted = have
    with part.path.open("r+b" if have else "wb") as file, Progress(*columns, disable=not progress) as bar:
        file.seek(have)
        file.truncate()
        task = bar.add_task(part.path.stem, total=total, completed=have)
        try:
            for chunk in _chunks(response):
                file.write(chunk)
                digest.update(chunk)
                have += len(chunk)
                bar.advance(task, len(chunk))
                if have - noted >= NOTE_EVERY:
                    file.flush()
                    part.note(version, have, digest)
                    noted = have
        finally:
            file.flush()
            part.note(version, have, digest)
    if total is not None and have != total:
        raise requests.ConnectionError(f"the connection ended after {have} of {total} bytes")
    return digest.hexdigest()


def _chunks(response: requests.Response) -> Iterator[bytes]:
    try:
        yield from response.iter_content(CHUNK)
    except OSError as error:  # requests' own errors are such too; others would be taken for the disk's
        raise requests.ConnectionError(str(error)) from error


def _check(path: Path, target: Path, actual: str, url: str, sha256: str | None, remedy: str) -> None:
    """Raise unless what arrived is the file."""
    if _is_web_page(path):
        raise MissingWeightsError(f"{url} answered with a web page, not with {target.name}; {remedy}")
    if sha256 and not actual.startswith(sha256):
        raise CorruptWeightsError(
            f"{url} sent a file with sha256 {actual}, expected {sha256}: it was deleted, try again"
        )
    try:
        tensors, _ = read_as(path, target.suffix)
    except CorruptWeightsError as error:
        raise CorruptWeightsError(f"what {url} sent was deleted, as it cannot be used: {error}; {remedy}") from error
    if not tensors:
        raise CorruptWeightsError(f"{url} sent a file without tensors: it was deleted; {remedy}")


def _is_web_page(path: Path) -> bool:
    """Shared drives answer with a page where a file is over its quota or needs a click; no weight file starts so."""
    with path.open("rb") as file:
        return file.read(256).lstrip().lower().startswith((b"<!doctype html", b"<html"))
