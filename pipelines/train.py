"""Train one network: settings and a data set in, a tracked run with its best weights out."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.command import progress, run, say
from pipelines.options import CACHE, CACHE_LIMIT, DEFAULT_WORKSPACE, STORAGE, TRACKING_URI, WORKSPACE, node_cache


def main(
    data: Annotated[str, typer.Option(help="Prepared data set (see prepare_data.py).")],
    config: Annotated[Path | None, typer.Option(help="JSON file of settings; left out: the paper's.")] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting; may be repeated.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Ray Train workers; 1 trains in this process.")] = 1,
    gpus: Annotated[bool, typer.Option("--gpus", help="Give each worker a GPU.")] = False,
    ray_address: Annotated[
        str, typer.Option("--ray", envvar="RAY_ADDRESS", help='Ray cluster for several workers; "local" starts one.')
    ] = "local",
    workspace: WORKSPACE = DEFAULT_WORKSPACE,
    cache: CACHE = None,
    cache_limit: CACHE_LIMIT = None,
    storage: STORAGE = None,
    tracking_uri: TRACKING_URI = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and print the settings; train nothing.")] = False,
) -> None:
    """Train one GKMNet and keep its best weights in the tracking store.

    The same settings on the same data resume where they were left, and do nothing once finished.

    Examples:
      python pipelines/train.py --data runs/data/sample --set model.width=8 --set training.epochs=20
      python pipelines/train.py --data runs/data/sample --config my.json --workers 2
    """
    from gkm.config import TrialConfig

    settings = (TrialConfig.from_file(config) if config else TrialConfig()).with_assignments(assignments or [])
    if dry_run:
        say(settings.to_json().rstrip())
        return

    from gkm.storage import absolute, join
    from gkm.study.launch import Launch, train_here, train_on_workers
    from gkm.tracking import open_tracking

    tracking = open_tracking(workspace, tracking_uri, storage)
    trials = absolute(join(storage or workspace, "trials"))
    place = node_cache(cache, cache_limit, workspace, ray_address if workers > 1 else "local")
    launch = Launch(settings, absolute(data), trials, tracking, place)
    epochs = settings.training.epochs
    if workers == 1:
        with progress() as bar:
            task = bar.add_task("training", total=epochs)
            run_id = train_here(
                launch,
                lambda metrics: bar.update(
                    task, completed=metrics["epoch"], description=f"training, {metrics['val/psnr']:.2f} dB"
                ),
            )
    else:
        from gkm.study.session import start_ray
        from gkm.study.workers import WorkerGroup

        say(f"training on {workers} Ray workers; follow the run in {tracking.ui_hint}")
        with start_ray(ray_address, workers + 1):
            run_id = train_on_workers(launch, WorkerGroup(workers, gpus=float(gpus)))
    history = tracking.trial(run_id).history
    first, best = history[0], max(history, key=lambda metrics: metrics["val/psnr"])
    say(f"run {run_id}: {len(history)} validated epochs of {epochs}")
    say(f"training loss {first['train/loss']:.5f} -> {history[-1]['train/loss']:.5f}")
    say(f"validation loss {first['val/loss']:.5f} -> {best['val/loss']:.5f} at epoch {best['epoch']:.0f}")
    say(f"validation PSNR {best['val/psnr']:.2f} dB, SSIM {best['val/ssim']:.4f}")
    say(f"compare runs: {tracking.ui_hint}")


if __name__ == "__main__":
    run(main)
