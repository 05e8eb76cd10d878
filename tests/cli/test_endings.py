"""How a repair ends that does not end well: what is left, what is said, and how the next one begins."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from videoinpaint.cli import main, output
from videoinpaint.clips.files.video import read_video, write_video
from videoinpaint.errors import InputError
from videoinpaint.files import locked

Fails = Callable[..., str]
CHEAP = ("--inpainter", "telea", "--detector", "none", "--device", "cpu")
COMMAND = [sys.executable, "-c", "import sys; from videoinpaint.cli import main; sys.exit(main())"]


def parts(folder: Path) -> list[Path]:
    return list(folder.glob("*.part*"))


@pytest.fixture
def words(video: Path, mask: Path, tmp_path: Path) -> list[str]:
    """Of a repair."""
    return ["inpaint", *map(str, (video, "--mask", mask, "--output", tmp_path / "out.mp4", *CHEAP))]


def stopped(words: list[str]) -> subprocess.Popen[str]:
    """The command, stopped (as by Ctrl-Z) after it has written some frames."""
    code = """if True:
        import os, signal, sys
        from videoinpaint.cli import main
        from videoinpaint.clips.files.video import VideoWriter
        write, written = VideoWriter.write, []
        def stops(self, *arguments):
            write(self, *arguments)
            written.append(arguments)
            if len(written) == 3:
                os.kill(os.getpid(), signal.SIGSTOP)
        VideoWriter.write = stops
        sys.exit(main())
    """
    # Under `nohup` a hang-up is ignored, and children inherit that.
    usual = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        process = subprocess.Popen([sys.executable, "-c", code, *words], stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGHUP, usual)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    assert process.poll() is None, process.communicate()
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_clean_up(number: int, words: list[str], tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_bytes(b"older")
    process = stopped(words)
    assert parts(tmp_path)
    process.send_signal(number)
    process.send_signal(signal.SIGCONT)
    shown = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + number
    assert shown.splitlines()[-1] == "error: interrupted"
    assert "Traceback" not in shown
    assert not parts(tmp_path)
    assert (tmp_path / "out.mp4").read_bytes() == b"older"


def test_what_a_killed_run_left_is_removed_by_the_next(words: list[str], tmp_path: Path) -> None:
    process = stopped(words)
    assert main(words) == 0
    assert len(parts(tmp_path)) == 1  # the other still runs: its file is its own
    process.kill()
    process.communicate()
    assert len(parts(tmp_path)) == 1
    assert main(words) == 0
    assert not parts(tmp_path)


def limited() -> None:
    """No file above 20 kB, as on a disk that is full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


def test_a_full_disk_is_one_line(mask: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 48, 64, 3)).astype(np.uint8)  # hard to compress
    write_video(tmp_path / "in.mkv", noise, 25, lossless=True)
    (tmp_path / "new").mkdir()
    words = ["inpaint", tmp_path / "in.mkv", "--mask", mask, "--output", tmp_path / "new" / "out.mp4", *CHEAP]
    command = [*COMMAND, *map(str, words)]
    ended = subprocess.run(command, capture_output=True, text=True, preexec_fn=limited, check=False)
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.splitlines()[-1].startswith(f"error: cannot write {tmp_path / 'new' / 'out.mp4'}: ")
    assert "Traceback" not in ended.stderr
    assert not list((tmp_path / "new").iterdir())


def test_places_that_take_no_file_are_named_before_the_work(
    video: Path, mask: Path, tmp_path: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    def line(target: Path, *words: str | Path) -> str:
        return fails("inpaint", video, "--mask", mask, "--output", target, *CHEAP, *words)

    assert "is a folder" in line(tmp_path)
    assert "make the folder" in line(mask / "out.mp4")
    assert "too long" in line(tmp_path / ("x" * 300 + ".mp4"))
    assert "names no file" in fails("inpaint", "~nouser-at-all/a.mp4", "--mask", mask, "--output", tmp_path / "o.mp4")
    monkeypatch.setitem(output._LEAST_BYTES, False, 1e15)
    assert "MB are free" in line(tmp_path / "out.mp4")
    monkeypatch.undo()
    if os.geteuid():  # the superuser may write everywhere
        (tmp_path / "locked").mkdir(mode=0o500)
        assert "Permission denied" in line(tmp_path / "locked" / "out.mp4")
        assert "Permission denied" in line(
            tmp_path / "out.mp4", "--propagator", "flow", "--save-masks", tmp_path / "locked" / "found"
        )
    assert not parts(tmp_path)


def test_all_pictures_are_looked_at_before_the_work(
    frames: NDArray[np.uint8], mask: Path, tmp_path: Path, fails: Fails
) -> None:
    for folder in ("frames", "masks"):
        (tmp_path / folder).mkdir()
        for index, frame in enumerate(frames):
            Image.fromarray(frame).save(tmp_path / folder / f"{index}.png")
            if folder == "masks":
                (tmp_path / folder / f"{index}.png").write_bytes(mask.read_bytes())

    def line() -> str:
        return fails(
            "inpaint", tmp_path / "frames", "--mask", tmp_path / "masks", "--output", tmp_path / "o.mp4", *CHEAP
        )

    whole = mask.read_bytes()
    (tmp_path / "masks" / "5.png").write_bytes(whole[:-40])
    assert "5.png" in line()
    Image.fromarray(np.zeros((48, 63), np.uint8)).save(tmp_path / "masks" / "5.png")
    assert "5.png has size 63x48, those before it 64x48" in line()
    (tmp_path / "masks" / "5.png").write_bytes(whole)
    Image.fromarray(frames[0][:-1]).save(tmp_path / "frames" / "4.png")
    assert "4.png has size 64x47, those before it 64x48" in line()


def test_progress_is_told_without_a_terminal(
    video: Path, mask: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output, "PAUSE", 0.0)
    assert main([str(w) for w in ("inpaint", video, "--mask", mask, "--output", tmp_path / "o.mp4", *CHEAP)]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == [f"repairing: {done} of 6 frames" for done in range(1, 6)]


def test_masks_of_an_interrupted_run_do_not_block_the_next(
    video: Path, mask: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["inpaint", video, "--mask", mask, "--output", tmp_path / "out.mkv", "--lossless", "--propagator", "flow"]
    words += ["--save-masks", tmp_path / "found", *CHEAP]

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("videoinpaint.clips.files.video.VideoWriter.write", interrupted)
        assert main([str(word) for word in words]) == 130
    assert len(list((tmp_path / "found").glob("*.png"))) == 6
    assert main([str(word) for word in words]) == 0
    assert len(list((tmp_path / "found").iterdir())) == len(read_video(tmp_path / "out.mkv")[0]) == 6
    assert main([str(word) for word in words]) == 2
    assert "exists already" in capsys.readouterr().err


def test_a_second_run_of_the_same_output_is_refused_at_once(
    video: Path, mask: Path, tmp_path: Path, fails: Fails
) -> None:
    windows = tmp_path / "out.mp4.windows"
    words = ["inpaint", video, "--mask", mask, "--output", tmp_path / "out.mp4", "--resume", *CHEAP]
    windows.mkdir()
    with locked(windows, "held by the first run"):
        assert "another repair of" in fails(*words)
        assert windows.is_dir()
    assert not (tmp_path / "out.mp4").exists()
    assert "random policy" in fails(*words, "--policy", "random")
    assert not windows.exists()  # it held nothing
    assert main([str(word) for word in words]) == 0
    assert not windows.exists()


@pytest.mark.parametrize("words", [[], ["--version"], ["inpaint", "--help"]])
def test_a_reader_who_has_gone_ends_the_command_quietly(words: list[str]) -> None:
    for buffered in ("", "1"):
        read, write = os.pipe()
        os.close(read)
        ended = subprocess.run(
            [*COMMAND, *words], stdout=write, stderr=subprocess.PIPE, text=True, check=False,
            env=os.environ | {"PYTHONUNBUFFERED": buffered},
        )  # fmt: skip
        os.close(write)
        assert (ended.returncode, ended.stderr) == (141, "")


@pytest.mark.parametrize(
    "moment",
    ["videoinpaint.controls", "numpy", "gymnasium", "videoinpaint.registration", "tyro", "torch"],
)
@pytest.mark.parametrize("name", ["videoinpaint", "videoinpaint.exe/__main__.py", "other.py"])
def test_an_interruption_while_loading_is_one_line(
    moment: str, name: str, video: Path, mask: Path, tmp_path: Path
) -> None:
    script = tmp_path / name
    words = ["inpaint", str(video), "--mask", str(mask), "--output", str(tmp_path / "out.mp4")]
    script.parent.mkdir(exist_ok=True)
    script.write_text(
        f"""if True:
        import os, signal, sys
        signal.signal(signal.SIGINT, signal.default_int_handler)
        pressed = []
        def press(event, arguments):
            if event == "import" and arguments[0] == {moment!r} and not pressed:
                pressed.append(True)
                os.kill(os.getpid(), signal.SIGINT)
        sys.addaudithook(press)
        from videoinpaint.cli import main
        sys.exit(main({words!r}))
        """
    )
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert ended.stdout == ""
    assert not (tmp_path / "out.mp4").exists()
    if name == "other.py" and moment not in ("tyro", "torch"):  # somebody else's program, not yet in the command line
        assert "KeyboardInterrupt" in ended.stderr
    else:
        assert (ended.returncode, ended.stderr) == (130, "error: interrupted\n")


@pytest.mark.parametrize("module", ["videoinpaint", "other"])
def test_an_interruption_while_the_module_loads_is_one_line(module: str, tmp_path: Path) -> None:
    """As above, of ``python -m videoinpaint``; another program's module handles it as it likes."""
    (tmp_path / "other.py").write_text("import videoinpaint")
    (tmp_path / "sitecustomize.py").write_text(
        """if True:
        import os, signal, sys
        signal.signal(signal.SIGINT, signal.default_int_handler)
        pressed = []
        def press(event, arguments):
            if event == "import" and arguments[0] == "videoinpaint.controls" and not pressed:
                pressed.append(True)
                os.kill(os.getpid(), signal.SIGINT)
        sys.addaudithook(press)
        """
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", module, "weights", "list"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path})
    assert ended.stdout == ""
    if module == "videoinpaint":
        assert (ended.returncode, ended.stderr) == (130, "error: interrupted\n")
    else:
        assert "KeyboardInterrupt" in ended.stderr


def test_an_interruption_before_the_work_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    importing = (
        "import os, signal, sys; import videoinpaint.cli as cli;"
        "signal.signal(signal.SIGINT, signal.default_int_handler);"
        "cli.import_module = lambda name: os.kill(os.getpid(), signal.SIGINT); sys.exit(cli.main(['weights', 'list']))"
    )
    ended = subprocess.run([sys.executable, "-c", importing], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "error: interrupted\n")

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tyro.cli", interrupted)
    assert main(["weights", "list"]) == 130
    assert capsys.readouterr().err == "error: interrupted\n"


def test_a_folder_of_unfinished_masks_is_replaced_only_if_it_holds_nothing_else(tmp_path):
    folder = tmp_path / "found"
    output.save_masks(np.zeros((2, 8, 8)), folder)
    output.check_masks_folder(folder)
    (folder / "notes.txt").touch()
    with pytest.raises(InputError, match="found exists already"):
        output.check_masks_folder(folder)
