"""A version in, the champion out: promote it if it passes the gates, or roll back."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gkm.errors import InputError
from pipelines.terminal.command import run, say
from pipelines.terminal.options import CACHE, CACHE_LIMIT, DEFAULT_WORKSPACE, TRACKING_URI, WORKSPACE, node_cache

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from gkm.registry import Promotion
    from gkm.registry.webhook import Webhook


def main(
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="Prepared data set; may be repeated. Left out: the one that the version was trained on, or else "
            "data/sample in the workspace.",
            show_default=False,
        ),
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="Version or alias; left out: the challenger.", show_default=False)
    ] = None,
    gates: Annotated[
        Path | None,
        typer.Option(help="TOML file with limits of your own.", show_default="gkm/registry/gates.toml"),
    ] = None,
    override: Annotated[
        str,
        typer.Option(help="Promote whatever gates fail, for this reason; kept with the model.", show_default=False),
    ] = "",
    roll_back: Annotated[bool, typer.Option("--rollback", help="Make the champion before champion again.")] = False,
    reason: Annotated[str, typer.Option(help="Why you roll back; kept with the model.", show_default=False)] = "",
    again: Annotated[bool, typer.Option("--again", help="Consider a version that was rolled back, too.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Measure and judge; change nothing, but count the look.")
    ] = False,
    webhook: Annotated[
        str | None,
        typer.Option(
            envvar="GKM_PROMOTION_WEBHOOK",
            help="Address that is told of a promotion or a roll-back, by a POST of JSON.",
            show_default=False,
        ),
    ] = None,
    workspace: WORKSPACE = DEFAULT_WORKSPACE,
    cache: CACHE = None,
    cache_limit: CACHE_LIMIT = None,
    tracking_uri: TRACKING_URI = None,
) -> None:
    """Make a version champion if it passes all gates: better on the test photographs, surely and by enough; no worse
    with noise; not too expensive; known where it comes from; whole.

    It is measured against the champion, or the blurred photographs while there is none. The champion before stays as
    "previous". A version that is refused leaves everything as it was, and this command ends with status 2. Every look
    at the same test photographs makes the interval wider.

    Examples:
      python pipelines/promote.py
      python pipelines/promote.py --version 3 --data runs/data/dpd --data runs/data/sample --dry-run
      python pipelines/promote.py --gates gates.toml --webhook https://example.org/hook
      python pipelines/promote.py --override "the only one that fits the phone"
      python pipelines/promote.py --rollback --reason "halos around branches"
    """
    from gkm.registry import REGISTERED_NAME, promote, read_gates, rollback
    from gkm.registry.measuring import own_data
    from gkm.registry.webhook import parse
    from gkm.storage import absolute
    from gkm.tracking import open_tracking
    from pipelines.terminal.lines import announced

    hook, limits = parse(webhook) if webhook else None, read_gates(gates)
    tracking = open_tracking(workspace, tracking_uri)
    if roll_back:
        change = rollback(tracking, reason, dry_run)
        verb = "would be" if dry_run else "is"
        say(f"{REGISTERED_NAME} version {change.champion} {verb} champion again, in place of {change.withdrawn}")
        return _tell(hook, change.event)
    places = data or [own_data(tracking, version or "challenger") or str(workspace / "data" / "sample")]
    with announced("scoring test photographs", aside=True) as watch:
        result = promote(
            tracking,
            [absolute(place) for place in places],
            version=version,
            gates=limits,
            cache=node_cache(cache, cache_limit, workspace),
            dry_run=dry_run,
            again=again,
            override=override,
            watch=watch,
        )
    _show(result)
    if not result.promoted:
        raise InputError(f"{REGISTERED_NAME}: version {result.version} is not promoted: {result.reason}")
    say(f"{'would be promoted' if dry_run else 'promoted'}: {result.reason}")
    if result.evidence:
        say(f"all scores: {tracking.ui_link(result.evidence)}")
    _tell(hook, result.event)


def _show(result: "Promotion") -> None:
    """Both sides' figures and every gate."""
    say(f"{'':24}  {'PSNR':>9}  {'SSIM':>6}")
    for name, scores in ((f"version {result.version}", result.scores), (result.opponent, result.opponent_scores)):
        say(f"{name:24}  {scores['psnr']:6.3f} dB  {scores['ssim']:6.4f}")
    for gate in result.gates:
        say(f"{'pass' if gate.passed else 'FAIL'}  {gate.name}: {gate.figures}")


def _tell(hook: "Webhook | None", event: "Mapping[str, Any] | None") -> None:
    """Post what happened; a webhook that does not answer is said, and no more."""
    if hook is not None and event is not None and (trouble := hook.post(event)) is not None:
        typer.echo(f"note: {trouble}", err=True)


if __name__ == "__main__":
    run(main)
