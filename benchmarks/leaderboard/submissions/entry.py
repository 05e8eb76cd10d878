"""What the policy of a submission is, in one text; and its files' hashes. Nothing of it is loaded or imported here."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from videoinpaint.agents.policies.policy import POLICIES
from videoinpaint.controls import HIGH, LOW, NAMES
from videoinpaint.errors import InputError
from videoinpaint.weights.hashes import sha256

GROUP = "videoinpaint.policies"
FORMS = (
    "builtin:NAME, fixed:HEADS,FUSION,ALPHA,BETA,GAMMA, file:policy.safetensors (as `videoinpaint train` writes), "
    f"file:policy.pt (TorchScript), or package:DISTRIBUTION:ENTRYPOINT (installed, of the group {GROUP})"
)
_KINDS = {".safetensors": "safetensors", ".pt": "torchscript"}
_LARGEST_FILE = 2**30
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_BUILTIN = re.compile(r"[a-z0-9-]{1,40}")
_FIXED = re.compile(r"(\d{1,2}(\.\d{1,9})?,){4}\d{1,2}(\.\d{1,9})?")
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_PACKAGE = re.compile(r"([A-Za-z0-9._-]{1,100}):([A-Za-z0-9._-]{1,100})")


@dataclass(frozen=True)
class Entry:
    """A policy by name.

    Attributes:
        text: as a submission says it.
        kind: builtin, fixed, safetensors, torchscript or package.
        name: of the builtin policy, the file or the entry point; of a fixed one its five controls.
        folder: of the submission.
        distribution: whose entry point it is; "" for others.
        told: the sha256 of its files as the submission gives them, once they were compared.
    """

    text: str
    kind: str
    name: str
    folder: Path
    distribution: str = ""
    told: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_code(self) -> bool:
        """Whether code of whoever submitted it runs, not this package's own with their numbers."""
        return self.kind in ("package", "torchscript")

    def hashes(self) -> dict[str, str]:
        """sha256 by file name, or of an installed distribution's files together; nothing for builtin policies."""
        if self.kind == "package":
            return {self.distribution: _hash_of(_installed(self))}
        return {self.name: sha256(self.folder / self.name)} if self.kind in _KINDS.values() else {}

    def check_hashes(self, told: Mapping[str, str]) -> None:
        """Compare the files with what a submission says of them.

        Raises:
            InputError: a hash is missing, one too many, or another.
        """
        found = self.hashes()
        if found != dict(told):
            names = ", ".join(sorted(name for name in {*found, *told} if found.get(name) != told.get(name)))
            raise InputError(f"the weights {names} are not the files whose sha256 submission.yml gives")

    def job(self, folder: Path) -> dict[str, Any]:
        """What the policy's process is told; a file is copied into its folder."""
        place, name, needs_torch = "", self.name, self.kind != "fixed"
        if self.kind in _KINDS.values():
            copy = folder / f"policy{Path(self.name).suffix}"
            shutil.copyfile(self.folder / self.name, copy)
            copy.chmod(0o644)
            if self.told and sha256(copy) != self.told.get(self.name):
                raise InputError(f"the weights {self.name} changed after they were looked at")
            name = str(copy)
        elif self.kind == "package":
            found = _installed(self)
            place, needs_torch = str(found.locate_file("")), _requires(found, "torch")
        told = {"kind": self.kind, "name": name, "distribution": self.distribution, "place": place}
        return told | {"torch": needs_torch}


def parse_entry(text: Any, folder: Path) -> Entry:
    """What a text of a submission stands for.

    Args:
        text: one of ``FORMS``.
        folder: of the submission.

    Raises:
        InputError: it is none of them, or names a pickle, another place, or what is not there.
    """
    form, _, rest = text.partition(":") if isinstance(text, str) else ("", "", "")
    if form == "builtin" and _BUILTIN.fullmatch(rest):
        if rest not in POLICIES.builtin:
            raise InputError(f"there is no policy builtin:{rest}: use one of {', '.join(POLICIES.builtin)}")
        return Entry(text, "builtin", rest, folder)
    if form == "fixed" and _FIXED.fullmatch(rest):
        _check_controls([float(value) for value in rest.split(",")])
        return Entry(text, "fixed", rest, folder)
    if form == "file":
        return _file(text, rest, folder)
    if form == "package" and (match := _PACKAGE.fullmatch(rest)):
        found = Entry(text, "package", match[2], folder, match[1])
        if not any(point.name == match[2] for point in _installed(found).entry_points.select(group=GROUP)):
            raise InputError(f"{match[1]} has no entry point {match[2]!r} in the group {GROUP}: install one that has")
        return found
    raise InputError(f"policy {str(text)[:100]!r} cannot be run: write {FORMS}")


def _check_controls(values: list[float]) -> None:
    """Raise InputError unless the controls are in their ranges, in natural units."""
    if not all(low <= value <= high for low, value, high in zip(LOW, values, HIGH)):
        told = ", ".join(f"{name} {low:g} to {high:g}" for name, low, high in zip(NAMES, LOW, HIGH))
        raise InputError(f"a fixed policy has controls in these ranges: {told}; got {values}")


def _file(text: str, name: str, folder: Path) -> Entry:
    if not _FILE.fullmatch(name) or Path(name).name != name:
        raise InputError(f"policy {text[:100]!r} leaves the submission's folder: name a file in it")
    return Entry(text, kind_of(folder / name), name, folder)


def kind_of(file: Path) -> str:
    """Whether a file is a policy of ours, in safetensors, or one in TorchScript.

    Raises:
        InputError: it is neither, a pickle, a link, too large, or not there.
    """
    shown = repr(file.name[:100])
    if file.suffix not in _KINDS:
        raise InputError(
            f"policy {shown} is refused: pickles and code are not loaded; save it as safetensors or TorchScript (.pt)"
        )
    if file.is_symlink() or not file.is_file():
        raise InputError(f"policy {shown} is no file in {file.parent}: put it there, not a link")
    if file.stat().st_size > _LARGEST_FILE:
        raise InputError(f"policy {shown} is larger than {_LARGEST_FILE / 2**30:g} GiB")
    if _KINDS[file.suffix] == "torchscript" and not _is_torchscript(file):
        raise InputError(f"policy {shown} is refused: it is a pickle, no TorchScript; save it with torch.jit.save")
    return _KINDS[file.suffix]


def _is_torchscript(file: Path) -> bool:
    """By the names in the archive: TorchScript has code and constants; what torch.save writes has neither."""
    import zipfile

    try:
        with zipfile.ZipFile(file) as archive:
            names = [name.partition("/")[2] for name in archive.namelist()[:100_000]]
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return False  # what is no readable archive is no TorchScript, whatever else it is
    return "constants.pkl" in names and any(name.startswith("code/") for name in names)


def _installed(entry: Entry) -> Distribution:
    try:
        return distribution(entry.distribution)
    except PackageNotFoundError as error:
        raise InputError(f"{entry.text} is not installed: install {entry.distribution} to run it") from error


def _requires(found: Distribution, wanted: str) -> bool:
    """Whether a distribution says that it needs another, itself or through those that it needs and that are here."""
    seen: set[str] = set()
    ahead = [found]
    while ahead:
        for text in ahead.pop().requires or []:
            match = _NAME.match(text)
            name = match[0].lower() if match else ""
            if name == wanted:
                return True
            if name and name not in seen:
                seen.add(name)
                with suppress(PackageNotFoundError):
                    ahead.append(distribution(name))
    return False


def _hash_of(found: Distribution) -> str:
    """Over the names and contents of a distribution's files, except what Python compiles and pip notes down.

    Its entry points count: they say which of its classes a name stands for.

    Raises:
        InputError: its files lie elsewhere, where nothing says which they are.
    """
    origin = json.loads(found.read_text("direct_url.json") or "{}")
    if found.files is None or origin.get("dir_info", {}).get("editable"):
        raise InputError(
            f"which files {found.metadata['Name']} has is not known, as in an editable installation: install a wheel"
        )
    content = hashlib.sha256(f"{found.metadata['Name']}=={found.version}\n".encode())
    for file in sorted(found.files, key=str):
        place = Path(str(file.locate()))
        noted = ".dist-info" in str(file) and file.name != "entry_points.txt"
        if file.suffix != ".pyc" and not noted and place.is_file():
            content.update(f"{file} {sha256(place)}\n".encode())
    return content.hexdigest()
