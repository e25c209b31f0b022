"""A folder of photographs or a list of pairs in; the pairs of blurred and sharp photographs in it out.

The only place that knows how data sets lay out their folders.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gkm import storage
from gkm.data.finding import labels, pair_list
from gkm.data.finding.partners import Rule, match
from gkm.data.finding.photo_tree import Tree, photo_tree
from gkm.data.finding.splitting import SPLIT_WORDS, Shares, share_out
from gkm.data.finding.views import with_views
from gkm.data.photos import SPLITS, PhotoPair, Split
from gkm.errors import InputError

_DPD: dict[str, Split] = {"train_c": "train", "val_c": "validation", "test_c": "test"}
_BLURRED = ("source", "inputC", "input", "blurred", "blur", "defocused", "lq")
_SHARP = ("target", "sharp", "gt", "GT", "ground_truth", "groundtruth", "all_in_focus", "hq")
_CUHK_NAMES = ("out_of_focus", "motion")


@dataclass(frozen=True, kw_only=True)
class Found:
    """The pairs of a source, train first, and how they were recognised."""

    layout: str
    why: str
    pairs: tuple[PhotoPair, ...]
    left_out: tuple[str, ...] = ()
    """What the source holds besides and the data set will not."""


@dataclass(frozen=True)
class _Sides:
    """Two folders of partners; without a split of their own, theirs are shared out."""

    blurred: str
    sharp: str
    split: Split | None
    by_order: bool = False


def find_pairs(
    source: str | Path,
    layout: str = "auto",
    *,
    sharp: str | Path | None = None,
    shares: Shares | None = None,
    views: bool = False,
) -> Found:
    """All pairs of a folder or of a CSV file.

    Args:
        layout: one of `LAYOUTS`, or "auto" to recognise it.
        sharp: the folder of the sharp partners, if `source` holds nothing but blurred photographs.
        shares: how pairs are shared out among the splits where the layout has none; left out: 70 / 15 / 15.
        views: whether DPD's dual-pixel views are wanted, too.

    Raises InputError if nothing is recognised, or a partner is missing.
    """
    found = _find(storage.path(source), layout, sharp, shares)
    if not views:
        return found
    if found.layout != "dpd":
        raise InputError(
            f"--views: {source} has the layout {found.layout}, and only dpd has dual-pixel views; leave it out"
        )
    return replace(found, pairs=with_views(found.pairs), left_out=())


def _find(source: Path, layout: str, sharp: str | Path | None, shares: Shares | None) -> Found:
    if layout not in ("auto", *LAYOUTS):
        raise InputError(f"--layout {layout}: is not known; use auto, {', '.join(LAYOUTS)}")
    if sharp is not None:
        return _between(source, storage.path(sharp), shares)
    if layout in ("auto", "csv") and source.suffix.lower() == ".csv" and not storage.is_folder(source):
        return _from_list(source, shares)
    if not storage.is_folder(source):
        reason = "is a file" if source.exists() else "there is no such folder"
        raise InputError(f"{source}: {reason}; give a folder with pairs of photographs, or a CSV file that lists them")
    tree = photo_tree(source)
    for name in LAYOUTS if layout == "auto" else (layout,):
        if found := LAYOUTS[name](source, tree, shares):
            return found
    raise InputError(f"{source}: {_nothing_recognised(layout, source, tree)}")


def _dpd(source: Path, tree: Tree, shares: Shares | None) -> Found | None:
    """DPD as its authors publish it: {train,val,test}_c/{source,target}, views of the dual pixels beside them."""
    there = [name for name in _DPD if name in tree]
    if not there:
        return None
    sides = [_Sides(f"{name}/source", f"{name}/target", _DPD[name], by_order=True) for name in there]
    views = tuple(name for name in tree if name[:-2] in ("train", "val", "test") and name[-2:] in ("_l", "_r"))
    left_out = (f"dual-pixel views ({', '.join(views)})",) if views else ()
    return _paired("dpd", f"{', '.join(there)} with source and target", source, tree, sides, shares, left_out)


def _rtf(source: Path, tree: Tree, shares: Shares | None) -> Found | None:
    """RTF (D'Andrès et al.): image/0/image_NN and GT/sharp_NN; the other folders of image hold noisier copies."""
    blurred = next((name for name in ("image/0", "image") if tree.get(name)), None)
    if blurred is None or not tree.get("GT") or _starts(tree[blurred], _CUHK_NAMES):
        return None
    noisier = tuple(name for name in tree if name.startswith("image/") and name != blurred)
    left_out = (f"copies with added noise ({', '.join(noisier)})",) if noisier else ()
    sides = [_Sides(blurred, "GT", "test")]
    return _paired("rtf", f"{blurred} and GT, a test set alone", source, tree, sides, shares, left_out)


def _cuhk(source: Path, tree: Tree, shares: Shares | None) -> Found | None:
    """CUHK-BD (Shi et al.): blurred photographs and masks of where they are blurred, nothing to compare with."""
    folder = next(
        (name for name in ("image", "") if _starts(tree.get(name, ()), _CUHK_NAMES[: 2 if name else 1])), None
    )
    if folder is None:
        return None
    place = source / folder
    raise InputError(
        f"{source}: is CUHK-BD, blurred photographs without sharp partners, so nothing can be learnt from it or scored "
        f"on it; restore its photographs with gkm deblur {place}/*.jpg --out restored"
    )


def _parallel(source: Path, tree: Tree, shares: Shares | None) -> Found | None:
    """Two folders of partners, with folders of splits above or below them, or none."""
    sides = [
        _Sides(f"{above}{blurred}{below}".strip("/"), f"{above}{sharp}{below}".strip("/"), split)
        for above, below, split in _places(tree)
        for blurred in _BLURRED
        for sharp in _SHARP
        if f"{above}{blurred}{below}" in tree and f"{above}{sharp}{below}" in tree
    ]
    if not sides:
        return None
    for one, other in itertools.pairwise(sides):
        if one.blurred == other.blurred or one.sharp == other.sharp:
            raise InputError(
                f"{source}: {one.blurred}, {one.sharp}, {other.blurred} and {other.sharp} could all be partners; "
                "give the folders themselves with --source BLURRED --sharp SHARP"
            )
    if any(side.split for side in sides):
        sides = [side for side in sides if side.split]
    return _paired("parallel", " and ".join(f"{s.blurred} | {s.sharp}" for s in sides), source, tree, sides, shares)


def _csv(source: Path, tree: Tree, shares: Shares | None) -> Found | None:
    """A list of pairs within the folder."""
    return _from_list(source / "pairs.csv", shares) if (source / "pairs.csv").is_file() else None


LAYOUTS: dict[str, Callable[[Path, Tree, Shares | None], Found | None]] = {
    "csv": _csv,
    "dpd": _dpd,
    "cuhk": _cuhk,
    "rtf": _rtf,
    "parallel": _parallel,
}
"""In the order in which they are tried."""


def _from_list(file: Path, shares: Shares | None) -> Found:
    rows = pair_list.read(file)
    splits = {row.scene: row.split for row in rows if row.split}
    shared = share_out(sorted({row.scene for row in rows} - splits.keys()), shares)
    pairs = [
        PhotoPair(
            split=row.split or splits.get(row.scene) or shared[row.scene],
            scene=row.scene,
            scene_is_named=row.scene_is_named,
            name=row.name,
            blurred=row.blurred,
            sharp=row.sharp,
            label=row.label,
        )
        for row in rows
    ]
    why = f"{len(rows)} lines of {file.name}" + (_shared_out(shares) if shared else "")
    return Found(layout="csv", why=why, pairs=_sorted(pairs))


def _between(blurred: Path, sharp: Path, shares: Shares | None) -> Found:
    """Any two folders of partners, wherever they lie."""
    for folder in (blurred, sharp):
        if not storage.is_folder(folder):
            raise InputError(f"{folder}: there is no such folder; give one of blurred and one of sharp photographs")
    matches, rule = match(photo_tree(blurred)[""], photo_tree(sharp)[""], str(blurred), str(sharp))
    splits = share_out([found.stem for found in matches], shares)
    pairs = [
        PhotoPair(
            split=splits[found.stem],
            scene=found.stem,
            name=found.stem,
            blurred=blurred / found.blurred,
            sharp=sharp / found.sharp,
        )
        for found in matches
    ]
    if not pairs:
        raise InputError(f"{blurred}: holds no photographs; give a folder of blurred ones")
    why = f"two folders, {_rule(rule)}{_shared_out(shares)}"
    return Found(layout="parallel", why=why, pairs=labels.kept(_sorted(pairs), [blurred, blurred.parent]))


def _paired(
    layout: str,
    why: str,
    source: Path,
    tree: Tree,
    sides: Sequence[_Sides],
    shares: Shares | None,
    left_out: tuple[str, ...] = (),
) -> Found:
    """The partners in all `sides`; every pair is a scene of its own."""
    rules: set[Rule] = set()
    unsplit: list[PhotoPair] = []
    pairs: list[PhotoPair] = []
    for side in sides:
        for folder in (side.blurred, side.sharp):
            if folder not in tree:
                raise InputError(
                    f"{source / folder}: there is no such folder; "
                    f"blurred photographs belong into {side.blurred}, sharp ones into {side.sharp}"
                )
        folders = str(source / side.blurred), str(source / side.sharp)
        matches, rule = match(tree[side.blurred], tree[side.sharp], *folders, by_order=side.by_order)
        rules.add(rule)
        for found in matches:
            pair = PhotoPair(
                split=side.split or "train",
                scene=found.stem,
                name=found.stem,
                blurred=source / side.blurred / found.blurred,
                sharp=source / side.sharp / found.sharp,
            )
            (pairs if side.split else unsplit).append(pair)
    shared = share_out([pair.scene for pair in unsplit], shares)
    pairs += [replace(pair, split=shared[pair.scene]) for pair in unsplit]
    if not pairs:
        blurred, sharp = sides[0].blurred, sides[0].sharp
        raise InputError(
            f"{source}: holds no pairs of photographs; blurred ones belong into {blurred}, sharp ones of the same "
            f"names into {sharp}"
        )
    why = f"{why}, {', '.join(_rule(rule) for rule in sorted(rules))}" + (_shared_out(shares) if unsplit else "")
    places = [source, *(source / side.blurred for side in sides), *((source / side.blurred).parent for side in sides)]
    return Found(layout=layout, why=why, pairs=labels.kept(_sorted(pairs), places), left_out=left_out)


def _places(tree: Tree) -> Iterator[tuple[str, str, Split | None]]:
    """(folders above, folders below, split) in which sides are looked for."""
    yield "", "", None
    for name, split in SPLIT_WORDS.items():
        yield f"{name}/", "", split
        yield "", f"/{name}", split


def _sorted(pairs: Sequence[PhotoPair]) -> tuple[PhotoPair, ...]:
    return tuple(sorted(pairs, key=lambda pair: (SPLITS.index(pair.split), pair.scene, pair.name)))


def _starts(names: Sequence[str], words: tuple[str, ...]) -> bool:
    return any(name.startswith(words) for name in names)


def _rule(rule: Rule) -> str:
    return {
        "name": "partners by name",
        "number": "partners by number",
        "order": "partners by sorted order, as their names differ",
    }[rule]


def _shared_out(shares: Shares | None) -> str:
    return f", shared out {shares or Shares()}"


def _nothing_recognised(layout: str, source: Path, tree: Tree) -> str:
    inner = next((name for name in tree if name and any(f"{name}/{split}" in tree for split in _DPD)), None)
    if inner:
        return f"holds no pairs of photographs itself; give {source / inner}"
    if layout != "auto":
        shape = (LAYOUTS[layout].__doc__ or "").splitlines()[0]
        return f"is not in the layout {layout} ({shape.rstrip('.')}); leave out --layout to have it recognised"
    return (
        "holds no pairs of photographs in a layout that is known; blurred ones belong into {train,val,test}_c/source, "
        "sharp ones of the same names into {train,val,test}_c/target, or list them in a CSV file"
    )
