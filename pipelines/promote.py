"""The challenger in, the champion out: promote it if it is better on the test photographs, or roll back."""

from typing import Annotated

import typer

from pipelines.terminal.command import progress, run, say
from pipelines.terminal.options import CACHE, CACHE_LIMIT, DEFAULT_WORKSPACE, TRACKING_URI, WORKSPACE, node_cache


def main(
    data: Annotated[
        str | None, typer.Option(help="Prepared data set; left out: data/sample in the workspace.", show_default=False)
    ] = None,
    roll_back: Annotated[bool, typer.Option("--rollback", help="Make the champion before champion again.")] = False,
    reason: Annotated[str, typer.Option(help="Why you roll back; kept with the model.", show_default=False)] = "",
    again: Annotated[bool, typer.Option("--again", help="Consider a challenger that was rolled back, too.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure and report; change nothing.")] = False,
    workspace: WORKSPACE = DEFAULT_WORKSPACE,
    cache: CACHE = None,
    cache_limit: CACHE_LIMIT = None,
    tracking_uri: TRACKING_URI = None,
) -> None:
    """Promote the challenger if its mean PSNR on the test photographs is higher than the champion's.

    While there is no champion it has to beat the blurred photographs. The champion before stays as "previous". A
    challenger that is refused leaves everything as it was, and this command ends with status 2.

    Examples:
      python pipelines/promote.py
      python pipelines/promote.py --data runs/data/dpd --dry-run
      python pipelines/promote.py --rollback --reason "halos around branches"
    """
    from gkm.errors import InputError
    from gkm.registry import REGISTERED_NAME, promote, rollback
    from gkm.storage import absolute
    from gkm.tracking import open_tracking

    tracking = open_tracking(workspace, tracking_uri)
    if roll_back:
        change = rollback(tracking, reason, dry_run)
        verb = "would be" if dry_run else "is"
        say(f"{REGISTERED_NAME} version {change.champion} {verb} champion again, in place of {change.withdrawn}")
        return
    with progress() as bar:
        result = promote(
            tracking,
            absolute(data or workspace / "data" / "sample"),
            cache=node_cache(cache, cache_limit, workspace),
            dry_run=dry_run,
            again=again,
            watch=lambda label, photos: bar.track(photos, description=f"scoring {label}"),
        )
    say(f"{'':24}  {'PSNR':>9}  {'SSIM':>6}")
    challenger = f"version {result.version} (challenger)"
    for name, scores in ((challenger, result.scores), (result.opponent, result.opponent_scores)):
        say(f"{name:24}  {scores['psnr']:6.3f} dB  {scores['ssim']:6.4f}")
    if not result.promoted:
        raise InputError(f"{REGISTERED_NAME}: the challenger is not promoted: {result.reason}")
    say(f"{'would be promoted' if dry_run else 'promoted'}: {result.reason}")


if __name__ == "__main__":
    run(main)
