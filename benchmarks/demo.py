"""The demo: train PPO for a few minutes, compare it with the baselines, and leave a folder that shows what happened.

Everything is small, so that it ends within minutes on two CPU cores: short clips of small frames, and as many training
steps as fit into the time that is set aside for them. It shows that the loop closes and learns; it is no benchmark.
"""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from videoinpaint.agents import Policy, make_policy
from videoinpaint.agents.evaluation.episodes import make_evaluation_env
from videoinpaint.agents.ppo.training import TrainConfig, TrainResult, train
from videoinpaint.benchmarks.demo_config import DemoConfig
from videoinpaint.benchmarks.policies.compare import Contestant, play
from videoinpaint.benchmarks.policies.comparison import comparison_table, measured_how, ranked, summaries
from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import envelope, write_json
from videoinpaint.benchmarks.protocol.statistics import significant
from videoinpaint.benchmarks.report import pictures
from videoinpaint.benchmarks.report.page import Picture, write_report
from videoinpaint.benchmarks.report.panels import Pixels
from videoinpaint.checks import real_number, seed_number, whole_number
from videoinpaint.clips import make_clips, make_masks
from videoinpaint.clips.files.video import write_video
from videoinpaint.errors import InputError
from videoinpaint.registration import DEFAULT_ID

MARKER = ".videoinpaint-demo"
TRAINED = "ppo (this run)"
BASELINES = ("trained", "default", "heads8", "heads4", "heuristic", "random")
NUM_ENVS, ROLLOUT = 8, 12
TRIES = 4  # steps that are timed
FEWEST, MOST = 192, 1536
"""Training steps, whatever the time allows."""

SHOWN = (("studio:fast", "studio-fast-000001", "object"), ("studio", "studio-mixed-000004", "stationary"),
         ("studio:hard", "studio-hard-000002", "object"))  # fmt: skip
"""Clips of the video: source, name, holes. Training never draws clips of these names."""
SHOWN_SIZE = (8, 120, 216)
FPS, ROUNDS = 8, 2


def run_demo(config: DemoConfig) -> dict[str, Any]:
    """Train, compare, draw, write.

    Returns:
        what `results.json` holds.

    Raises:
        InputError: the folder holds something else than a demo, or a number is out of range.
    """
    console = Console()
    began = time.monotonic()
    whole_number(config.episodes, "episodes", 2, 10**6)
    real_number(config.seconds, "seconds", 0, 1e9)
    seed_number(config.seed, high=2**32 - 1)
    if config.steps is not None:
        whole_number(config.steps, "steps", 1, 10**9)
    prepare_folder(config.output)
    size = f"{config.num_frames} frames of {config.width}x{config.height}"
    console.rule(f"[bold]1/4[/] PPO learns on {DEFAULT_ID}, {size}")
    result = _train(config, console)
    trained_at = time.monotonic()
    console.rule(f"[bold]2/4[/] the same {config.episodes} held-out episodes for every policy")
    contestants = _contestants(result.policy)
    policies = _compare(config, contestants, console)
    compared_at = time.monotonic()
    console.rule("[bold]3/4[/] before and after")
    shown = _draw(config, make_policy(result.policy))
    console.rule("[bold]4/4[/] results and report")
    seconds = {
        "training": trained_at - began,
        "evaluation": compared_at - trained_at,
        "whole": time.monotonic() - began,
    }
    results = _results(config, result, policies, seconds)
    write_json(config.output / "results.json", results)
    write_report(results, shown, config.output / "report.html")
    _say_goodbye(config, results, console)
    return results


def prepare_folder(folder: Path) -> None:
    """An empty folder for the demo; an earlier demo's files are deleted, anything else is left alone.

    Raises:
        InputError: the folder holds files but no demo.
    """
    if folder.is_dir() and any(folder.iterdir()):
        if not (folder / MARKER).is_file():
            raise InputError(f"{folder} holds something else than a demo: name another folder with --output")
        shutil.rmtree(folder / "training", ignore_errors=True)
        for name in ("before-after.mp4", "results.json", "report.html"):
            (folder / name).unlink(missing_ok=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {error}") from error
    (folder / MARKER).touch()


def _train(config: DemoConfig, console: Console) -> TrainResult:
    steps = config.steps
    if steps is None:
        steps = affordable_steps(config)
        console.print(f"{steps} steps fit into about {config.seconds:.0f} s on this machine")
    folder = config.output / "training"
    console.print(f"watch it: [bold]tensorboard --logdir {escape(str(folder))}[/]")
    return train(
        TrainConfig(
            folder,
            config.env_kwargs(),
            steps=steps,
            num_envs=NUM_ENVS,
            n_steps=ROLLOUT,
            seed=config.seed,
            device=config.device,
            checkpoint_every=0,
            # So few steps must tell an action's effect from the luck of the clip: a near horizon keeps most of it out.
            learning_rate=1e-3,
            gamma=0.3,
            gae_lambda=0.5,
        )
    )


def affordable_steps(config: DemoConfig) -> int:
    """Environment steps that fit into the time set aside, in whole rollouts, by timing a few of them."""
    env = make_evaluation_env(NUM_ENVS, env_kwargs=config.env_kwargs())
    env.reset(seed=0)
    actions = np.zeros((NUM_ENVS, 5), np.float32)
    env.step(actions)  # the first step warms caches up
    began = time.monotonic()
    for _ in range(TRIES):
        env.step(actions)
    each = (time.monotonic() - began) / TRIES / NUM_ENVS
    env.close()
    # Learning itself takes about a tenth as long as stepping.
    steps = int(config.seconds / (1.1 * each))
    rollout = NUM_ENVS * ROLLOUT
    return max(FEWEST, min(MOST, steps)) // rollout * rollout


def _contestants(policy: Path) -> list[Contestant]:
    return [Contestant(TRAINED, policy, trained=True), *(Contestant(name, name) for name in BASELINES)]


def _compare(config: DemoConfig, contestants: Sequence[Contestant], console: Console) -> list[dict[str, Any]]:
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("evaluating", total=len(contestants))
        records = play(contestants, range(config.episodes), DEFAULT_ID, config.env_kwargs(), NUM_ENVS,
                       lambda name: bar.update(task, advance=1, description=f"evaluated {escape(name)}"))  # fmt: skip
    policies = summaries(records, contestants, "random")
    tables.show("", *comparison_table(policies, "random"), verdict(policies))
    return policies


def verdict(policies: Sequence[Mapping[str, Any]]) -> str:
    """What the comparison shows, in sentences, from its numbers."""
    order = ranked(policies)
    best, last = order[0], order[-1]
    mine = next(p for p in policies if p["name"] == TRAINED)
    gain = mine["quality_difference"]
    default = next(p for p in policies if p["name"] == "default")["gflops"]["mean"]
    spent = mine["gflops"]["mean"] / default if default else 1
    share = f", with {spent:.0%} of the computation of the default controls" if default else ""
    sure = "surely" if gain["low"] is not None and significant(gain) else "within the noise of so few episodes"
    return (
        "Quality is the reward of the final repair under fixed weights, so that only a better repair can raise it. "
        f"{best['name']} repairs best here, {last['name']} worst. After this short training PPO repairs "
        f"{'better' if gain['mean'] > 0 else 'worse'} than random controls by {abs(gain['mean']):.4f}, {sure}{share}."
    )


def _draw(config: DemoConfig, policy: Policy) -> list[Picture]:
    """Write the video; give the report's pictures."""
    frames, captions = (
        SHOWN_SIZE[0],
        "Left to right: damaged, repaired by the trained policy, flagged pixels, reference",
    )
    env = gymnasium.make(DEFAULT_ID, num_frames=frames, height=SHOWN_SIZE[1], width=SHOWN_SIZE[2],
                         inpainter=config.inpainter, detector=config.detector, device=config.device)  # fmt: skip
    parts: list[Pixels] = []
    shown: list[Picture] = []
    for order, (source, name, masks) in enumerate(SHOWN):
        clip = make_clips(source).load(name, *SHOWN_SIZE)
        holes = make_masks(masks).sample(np.random.default_rng([config.seed, order]), clip)
        recording = pictures.record(env, policy, clip, holes)
        panels = pictures.before_after(recording, 2)
        parts.append(pictures.back_and_forth(panels, ROUNDS))
        if order == 0:
            caption = f"The loop on clip {name}, frame {frames // 2}; the second row is a close-up of the hole."
            shown.append(Picture(pictures.loop_picture(recording), caption))
        else:
            shown.append(Picture(panels[frames // 2], f"{captions}. Clip {name}, frame {frames // 2}."))
    env.close()
    write_video(config.output / "before-after.mp4", np.concatenate(parts), FPS)
    return shown


def _results(
    config: DemoConfig, result: TrainResult, policies: list[dict[str, Any]], seconds: Mapping[str, float]
) -> dict[str, Any]:
    size = f"{config.num_frames} frames of {config.width}x{config.height}"
    curve = [{"step": row["steps"], "return": row["return"]} for row in result.curve if "return" in row]
    settings = {"env_id": DEFAULT_ID, **config.env_kwargs(), "steps": result.steps, "episodes": config.episodes}
    whole = envelope("demo", settings)
    return whole | {
        "title": "videoinpaint demo",
        "summary": f"PPO learned for {result.steps:,} steps how to steer the repair of small studio clips ({size}) "
        f"and was then compared with the baselines on {config.episodes} episodes it had not seen. A run this short "
        f"shows that the loop closes and learns, not how far it can get. {verdict(policies)}",
        "command": shlex.join(["videoinpaint", *sys.argv[1:]]),
        "versions": whole["software"],
        "seeds": {"training": config.seed} | measured_how(range(config.episodes)),
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        "baseline": "random",
        "training": {"steps": result.steps, "seconds": result.seconds, "curve": curve},
        "policies": policies,
        "files": {
            "training/policy.safetensors": "the trained policy, for --policy and --policies",
            "training/checkpoints/": "what training resumes from",
            "training/tensorboard/": "logs: tensorboard --logdir",
            "before-after.mp4": "three clips repaired by the trained policy",
            "results.json": "every number of this page and every episode",
        },
        "next_steps": next_steps(config.output),
    }


def next_steps(folder: Path) -> list[dict[str, str]]:
    """What to try after the demo."""
    policy = folder / "training"
    return [
        {
            "text": "Train for longer, on clips of the default size:",
            "command": "videoinpaint train --output runs/first --steps 20000",
        },
        {
            "text": "Compare policies on harder clips, with a report like this one:",
            "command": f"videoinpaint evaluate --policies {policy} random --clips studio:hard --report hard.html",
        },
        {
            "text": "Repair a video of your own; white in the mask is what should go:",
            "command": f"videoinpaint inpaint VIDEO.mp4 --mask MASK.png --output repaired.mp4 --policy {policy}",
        },
    ]


def _say_goodbye(config: DemoConfig, results: Mapping[str, Any], console: Console) -> None:
    console.print()
    console.print(
        f"[bold green]Done[/] in {results['seconds']['whole']:.0f} s. In [bold]{escape(str(config.output))}/[/]:"
    )
    for name, what in {"report.html": "open this first", **results["files"]}.items():
        console.print(f"  {name:<28} {what}", markup=False, highlight=False)
    console.print(f"\n{verdict(results['policies'])}", markup=False, highlight=False)
    console.print("\n[bold]What to try next[/]")
    for step in results["next_steps"]:
        console.print(f"  {step['text']}\n    {step['command']}", markup=False, highlight=False, soft_wrap=True)
