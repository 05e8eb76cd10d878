"""What pip installs: all files, all requirements, bounds that are tested, and an environment that runs without more."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from functools import lru_cache
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
SOURCES = ("envs", "agents", "inpainters", "detectors", "benchmarks", "videoinpaint")
EXTRAS = ("human", "cutie", "ovis", "ray")
"""Of the package itself; the others are for its developers."""
# Import names of optional packages that may be absent, and what carries them.
OPTIONAL = {"cutie": "rf-cutie", "omegaconf": "omegaconf", "pygame": "pygame", "ray": "ray"}


def declared(*extras: str) -> dict[str, Requirement]:
    """Requirements by canonical name: those of the package, and those of its extras."""
    texts = [*PROJECT["dependencies"], *(text for name in extras for text in PROJECT["optional-dependencies"][name])]
    return {canonicalize_name(requirement.name): requirement for requirement in map(Requirement, texts)}


def pins(name: str) -> dict[str, Version]:
    """Name -> version of a file in ``requirements``, which holds exact versions alone."""
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    return {name: Version(version) for name, version in pairs}


@lru_cache
def imported() -> list[tuple[str, Path]]:
    """Every top-level name that the installed packages import from elsewhere, and where."""
    found = []
    for path in (path for source in SOURCES for path in (ROOT / source).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            else:
                continue
            tops = {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"videoinpaint"}
            found += [(top, path) for top in tops]
    return found


def test_every_import_is_declared():
    carriers, known = packages_distributions(), declared(*EXTRAS)
    missing = {}
    for name, path in imported():
        candidates = carriers.get(name) or [OPTIONAL.get(name, name)]
        if not any(canonicalize_name(candidate) in known for candidate in candidates):
            missing[name] = path.relative_to(ROOT)
    assert missing == {}


def test_every_requirement_is_used():
    """TensorBoard and SB3's other needs aside, what nothing imports is not installed."""
    carriers = packages_distributions()
    used = {canonicalize_name(c) for name, _ in imported() for c in carriers.get(name, [OPTIONAL.get(name, name)])}
    assert set(declared(*EXTRAS)) - used <= {"tensorboard"}  # written through torch.utils.tensorboard


def test_the_lowest_versions_are_the_lower_bounds():
    bounds = {}
    for name, requirement in declared(*PROJECT["optional-dependencies"]).items():
        (lower,) = [spec.version for spec in requirement.specifier if spec.operator == ">="]
        bounds[name] = Version(lower)
    assert pins("lowest.txt") == bounds


def test_a_package_has_one_bound_in_all_extras():
    bounds: dict[str, set[str]] = {}
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    for requirement in map(Requirement, chain.from_iterable(groups)):
        bounds.setdefault(requirement.name, set()).add(str(requirement.specifier))
    assert {name: found for name, found in bounds.items() if len(found) > 1} == {}


def test_pinned_versions_lie_within_the_bounds():
    pinned = pins("constraints.txt")
    for name, requirement in declared(*PROJECT["optional-dependencies"]).items():
        assert pinned[name] in requirement.specifier, name


def test_names_that_stable_baselines3_keeps_private_stand_beside_its_bound():
    """Who uses one more of them sees here that the upper bound's comment, which is to be looked through, lacks it."""
    import stable_baselines3 as sb3

    comment = re.search(
        r"Names that it keeps private(.*?)\"stable-baselines3", (ROOT / "pyproject.toml").read_text(), re.S
    )
    bases = ("base_class", "on_policy_algorithm", "policies", "buffers", "vec_env/base_vec_env")
    theirs = set().union(*(private_names(Path(sb3.__file__).parent / f"common/{name}.py") for name in bases))
    ours: set[str] = set()
    for path in [*(ROOT / "agents").rglob("*.py"), *(ROOT / "envs").rglob("*.py")]:
        if "stable_baselines3" in path.read_text():
            ours |= private_names(path)
    assert comment is not None
    assert ours & theirs <= set(re.findall(r"_\w+", comment[1]))


def private_names(path: Path) -> set[str]:
    """Private attributes and methods that a file reads, writes or defines."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    found = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    found |= {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    return {name for name in found if re.match(r"_[a-z]", name)}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that is built from the source archive, unpacked; so both archives are complete or it fails."""
    folder = tmp_path_factory.mktemp("build")
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if files.returncode:
        pytest.skip("not a git checkout")
    for name in filter(None, files.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / "source" / name)
    archive = build("sdist", folder / "source", folder)
    with tarfile.open(archive) as file:
        file.extractall(folder / "sdist", filter="data")
    (unpacked,) = (folder / "sdist").iterdir()
    with zipfile.ZipFile(build("wheel", unpacked, folder)) as file:
        file.extractall(folder / "wheel")
    return folder / "wheel"


def build(kind: str, source: Path, output: Path) -> Path:
    code = f"from setuptools import build_meta; print(build_meta.build_{kind}({str(output)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return output / done.stdout.splitlines()[-1]


def test_the_wheel_holds_every_file_of_the_package(wheel):
    places = PYPROJECT["tool"]["setuptools"]["package-dir"]
    listed = subprocess.run(["git", "ls-files", *SOURCES], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            room = next(package for package, folder in places.items() if folder == name.split("/")[0])
            assert (wheel / room.replace(".", "/") / name.partition("/")[2]).is_file(), name


def test_the_wheel_claims_one_name_and_carries_both_licences(wheel):
    (info,) = wheel.glob("*.dist-info")
    assert {path.name for path in wheel.iterdir()} == {"videoinpaint", info.name}
    assert {path.name for path in (info / "licenses").rglob("*") if path.is_file()} == {"LICENSE", "LICENSE.alexnet"}


def test_an_environment_runs_from_the_wheel_without_the_network_or_further_packages(wheel, tmp_path):
    script = shutil.copy(ROOT / "tests/installed.py", tmp_path)
    command = [sys.executable, "-I", script, str(wheel)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "VideoInpaint-v0 ran" in done.stdout
