"""Train one network: settings and a data set in, a tracked run with its best weights out."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.terminal.command import run, say
from pipelines.terminal.options import (
    CACHE,
    CACHE_LIMIT,
    DEFAULT_WORKSPACE,
    PATIENCE,
    STORAGE,
    TRACKING_URI,
    WORKERS,
    WORKSPACE,
    node_cache,
    there,
    worker_group,
)

if TYPE_CHECKING:
    from gkm.config import TrialConfig
    from gkm.study.execution.workers import WorkerGroup
    from gkm.study.single.initial import Initial
    from gkm.study.single.launch import Launch
    from gkm.tracking import Tracking, TrialRecord


def main(
    data: Annotated[str | None, typer.Option(help="Prepared data set, as `gkm prepare` makes it.")] = None,
    config: Annotated[Path | None, typer.Option(help="JSON file of settings; left out: the paper's.")] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting; may be repeated.")
    ] = None,
    from_run: Annotated[
        str | None, typer.Option(help="Train again what a run was trained with: its id, or how that begins.")
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            metavar="WEIGHTS",
            help="Begin with a trained network: a folder of weights, or a registered version or alias. Its settings "
            "of the network hold unless others are given.",
        ),
    ] = None,
    workers: WORKERS = "1",
    patience: PATIENCE = 15.0,
    cpus: Annotated[
        int | None, typer.Option(min=1, show_default="all, or 1 a worker", help="Threads, and cores of each worker.")
    ] = None,
    gpus: Annotated[bool, typer.Option("--gpus", help="Give each worker a GPU.")] = False,
    ray_address: Annotated[
        str, typer.Option("--ray", envvar="RAY_ADDRESS", help='Ray cluster for several workers; "local" starts one.')
    ] = "local",
    workspace: WORKSPACE = DEFAULT_WORKSPACE,
    cache: CACHE = None,
    cache_limit: CACHE_LIMIT = None,
    storage: STORAGE = None,
    tracking_uri: TRACKING_URI = None,
    register: Annotated[bool, typer.Option("--register", help="Register the best weights as challenger.")] = False,
    profile: Annotated[
        bool, typer.Option("--profile", help="Say where the time and memory of a step go; keep a Chrome trace of some.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and print the settings; train nothing.")] = False,
) -> None:
    """Train one network and keep its best weights in the tracking store.

    The same settings on the same data resume where they were left, within an epoch too, and train nothing once
    finished. Ctrl-C and SIGTERM leave a checkpoint of the last step; the second time they end at once.

    Examples:
      python pipelines/train.py --data runs/data/sample --set model.width=8 --set training.epochs=20
      python pipelines/train.py --data runs/data/sample --config my.json --workers 2
      python pipelines/train.py --data runs/data/dpd --workers 1:4 --gpus --patience 60 --ray auto
      python pipelines/train.py --data runs/data/mine --init champion --set optim.learning_rate=1e-5
      python pipelines/train.py --data runs/data/sample --set training.epochs=20 --register
      python pipelines/train.py --data runs/data/sample --set model.width=8 --set training.epochs=2 --profile
      python pipelines/train.py --from-run 3f2a
    """
    from gkm.errors import InputError

    if profile:
        _hush_profiler()
    if from_run and (config or assignments or init):
        raise InputError("--from-run takes all settings from that run; leave --config, --set and --init out")
    if not (data or from_run or dry_run):
        raise InputError("there is nothing to train on; give a prepared data set with --data")
    group = worker_group(workers, float(cpus or 1), float(gpus), patience)

    from gkm.storage import absolute, join
    from gkm.study.single.launch import Launch
    from gkm.study.single.repeating import compared, data_of, find_run
    from gkm.tracking import open_tracking

    tracking = open_tracking(workspace, tracking_uri, storage)
    folder = absolute(join(storage or workspace, "trials"))
    first, initial = None, _initial(tracking, init) if init else None
    settings = _settings(config, assignments or [], initial)
    if from_run:
        tracking.must_exist()
        first = find_run(tracking, from_run)
        settings, data = first.config, data_of(tracking, first, absolute(data) if data else None)
        initial = _initial_of(first, folder)
    if dry_run:
        say(settings.to_json().rstrip())
        return
    place = node_cache(cache, cache_limit, workspace, ray_address if group.workers > 1 else "local")
    launch = Launch(settings, absolute(data or ""), folder, tracking, place, initial=initial, profiled=profile)
    several = group if group.workers > 1 else None
    launch.check(several)
    if first:
        launch = launch.repeat(first.run_id)
    if cpus and several is None:
        _use_threads(cpus)
    record = _trained(launch, several, ray_address)
    _show(record, settings.training.epochs)
    _compare(record, launch)
    if profile:
        _show_profile(launch)
    if first:
        say(compared(record, first, "val/psnr"))
    _register(record, launch, workspace, wanted=register)
    say(f"look at the run: {tracking.ui_link(record.run_id)}")


def _initial(tracking: "Tracking", selector: str) -> "Initial":
    """The network to begin with."""
    from gkm.errors import InputError
    from gkm.registry import load
    from gkm.study.single.initial import Initial

    try:
        loaded = load(tracking, selector)
    except InputError as error:
        if Path(selector).is_dir() or selector.startswith("s3://"):
            raise
        raise InputError(f"--init {selector}: is no folder of weights, and no registered model ({error})") from None
    return Initial(loaded.model, loaded.name)


def _initial_of(record: "TrialRecord", folder: str) -> "Initial | None":
    """What the run of `record` began with, if it was not random: its trial keeps a copy in `folder`."""
    from gkm.storage import join
    from gkm.study.single.initial import INIT, read_initial

    return read_initial(join(folder, record.trial_id), record.tags[INIT]) if INIT in record.tags else None


def _settings(config: Path | None, assignments: list[str], initial: "Initial | None") -> "TrialConfig":
    """All settings; those of the network are `initial`'s where nothing else is said."""
    from gkm.config import TrialConfig

    settings = TrialConfig.from_file(config) if config else TrialConfig()
    if initial is not None and config is None:
        settings = settings.model_copy(update={"model": initial.network.config})
    return settings.with_assignments(assignments)


def _use_threads(count: int) -> None:
    import torch

    torch.set_num_threads(count)


def _trained(launch: "Launch", group: "WorkerGroup | None", ray_address: str) -> "TrialRecord":
    from gkm.study.single.display import TrainingDisplay
    from gkm.study.single.launch import train

    launch.check_free()
    if (known := launch.find_finished()) is not None:
        run, best = known.run_id, _best(known)["val/psnr"]
        say(f"run {run} has been trained already ({best:.2f} dB); repeat it with --from-run {run}")
        return known
    with TrainingDisplay(launch.config.training.epochs) as display:
        return launch.tracking.trial(train(launch, group, display, ray_address))


def _register(record: "TrialRecord", launch: "Launch", workspace: Path, *, wanted: bool) -> None:
    """Register the best weights where that is wanted; else say how."""
    if not wanted:
        say("register these weights as challenger: the same command with --register")
        return
    from gkm.registry.challengers import register_run
    from gkm.registry.versions import CHALLENGER, REGISTERED_NAME

    described = f"Trained by itself: {_best(record)['val/psnr']:.2f} dB in validation."
    version = register_run(launch.tracking, record.run_id, tags={}, summary=described)
    say(f"registered: {REGISTERED_NAME} version {version}, alias {CHALLENGER}")
    say(f"promote it, if it passes the gates: {there(f'gkm promote --version {version}', workspace)}")
    say(f"deblur a photo of yours: {there('gkm deblur PHOTO --out restored', workspace)}")


def _hush_profiler() -> None:
    """Keep what PyTorch's profiler says of its own work off the screen; before PyTorch is imported."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def _show_weights(record: "TrialRecord", launch: "Launch") -> None:
    """Where the best weights lie, if that is where they still are."""
    from gkm.storage import exists, join
    from gkm.training.checkpoint import WEIGHTS_NAME
    from gkm.training.store import best_place

    epoch = record.history[-1].get("best/epoch", _best(record)["epoch"])
    weights = best_place(launch.place, int(epoch))
    if exists(join(weights, WEIGHTS_NAME)):
        say(f"weights, fit for --init and for --model of other commands: {weights}")


def _show_profile(launch: "Launch") -> None:
    from gkm.storage import join
    from gkm.training.store import TRACE_NAME, read_profile

    found = read_profile(launch.place)
    if found is None:
        say("no steps were profiled: too few were left to train; use --from-run, or more training.epochs")
        return
    say(found[1])
    say(f"trace, for https://ui.perfetto.dev or chrome://tracing: {join(launch.place, TRACE_NAME)}")


def _best(record: "TrialRecord") -> dict[str, float]:
    return max(record.history, key=lambda metrics: metrics["val/psnr"])


def _show(record: "TrialRecord", epochs: int) -> None:
    begin, best = record.history[0], _best(record)
    say(f"run {record.run_id}: {len(record.history)} validated epochs of {epochs}")
    say(f"training loss {begin['train/loss']:.5f} -> {record.history[-1]['train/loss']:.5f}")
    say(f"validation loss {begin['val/loss']:.5f} -> {best['val/loss']:.5f} at epoch {best['epoch']:.0f}")
    say(f"validation PSNR {best['val/psnr']:.2f} dB, SSIM {best['val/ssim']:.4f}")


def _compare(record: "TrialRecord", launch: "Launch") -> None:
    """Say what the training gained over the blurred photographs, or that it lost, and where its weights are."""
    blurred = launch.blurred["psnr"]
    gain = _best(record)["val/psnr"] - blurred
    say(f"the blurred photographs have {blurred:.2f} dB: a gain of {gain:+.2f} dB")
    if gain <= 0:
        done = "make photographs worse than they were" if gain else "leave photographs as they were"
        say(f"these weights {done}: train longer, or lower optim.learning_rate")
    _show_weights(record, launch)


if __name__ == "__main__":
    run(main)
