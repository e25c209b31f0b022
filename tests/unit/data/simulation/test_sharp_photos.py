"""Sharp photographs that are taken again by a simulated lens."""

import pickle

import numpy as np
import pytest
import tifffile
from PIL import Image

from gkm.data.dataset.manifest import read_manifest
from gkm.data.dataset.pair import Pair
from gkm.data.preparation.preparation import prepare
from gkm.data.preparation.sources import choose_source, sharp_source
from gkm.data.simulation.depth import read_map
from gkm.data.simulation.optics import Optics
from gkm.errors import InputError


@pytest.fixture
def photos(tmp_path, scene_photos):
    """Four sharp photographs, one of them in a folder of its own."""
    folder = tmp_path / "photos"
    for number, name in enumerate(("a.png", "b.png", "c.png", "trip/d.png")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene_photos(number)[1]).save(folder / name)
    return folder


def _error(pair: Pair) -> float:
    return float(np.square(pair.blurred_HW3.astype(float) - pair.sharp_HW3).mean())


def test_each_focus_is_a_shot_and_a_scene_stays_in_one_split(photos):
    source = sharp_source(photos, Optics(focus_metres=(1, 4)))
    assert len(source.items) == 8
    assert {item.scene for item in source.items} == {"a", "b", "c", "trip/d"}
    assert len({(item.scene, item.split) for item in source.items}) == 4
    assert sorted(item.name for item in source.items)[-2:] == ["d-1", "d-2"]
    assert source.counts() == "4 train, 2 validation, 2 test pairs"
    assert "4 sharp photographs with smooth depths, each focused at 1, 4 m" in source.notes()


def test_wider_apertures_blur_more_and_noise_adds_to_it(photos):
    def error(**settings):
        item = sharp_source(photos, Optics(focus_metres=(8,), sensor_width_mm=4, **settings)).items[0]
        return _error(item.load())

    assert 0 < error(f_number=8) < error(f_number=2)
    noise = error(f_number=200, noise_sigma_8bit=4) - error(f_number=200)
    assert noise == pytest.approx(16, rel=0.15)


def test_a_shot_is_the_same_every_time_and_everywhere(photos):
    item = sharp_source(photos, Optics(noise_sigma_8bit=2)).items[0]
    again = pickle.loads(pickle.dumps(item)).load()
    assert np.array_equal(item.load().blurred_HW3, again.blurred_HW3)
    other = sharp_source(photos, Optics(noise_sigma_8bit=2, seed=1)).items[0].load()
    assert not np.array_equal(other.blurred_HW3, again.blurred_HW3)


def test_depth_map_decides_what_is_sharp(tmp_path, scene_photos):
    (tmp_path / "photos").mkdir()
    (tmp_path / "maps").mkdir()
    Image.fromarray(scene_photos(0)[1]).save(tmp_path / "photos" / "a.png")
    np.save(tmp_path / "maps" / "a.npy", np.where(np.arange(128) < 64, 2.0, 8.0) * np.ones((96, 1)))
    optics = Optics(focus_metres=(2,), sensor_width_mm=4)
    pair = sharp_source(tmp_path / "photos", optics, depth_maps=tmp_path / "maps").items[0].load()
    assert np.array_equal(pair.blurred_HW3[:, :64], pair.sharp_HW3[:, :64])
    assert not np.array_equal(pair.blurred_HW3[:, 64:], pair.sharp_HW3[:, 64:])


def test_folders_of_splits_are_respected(tmp_path, scene_photos):
    for number, split in enumerate(("train", "val", "test")):
        (tmp_path / split).mkdir()
        Image.fromarray(scene_photos(number)[1]).save(tmp_path / split / "a.png")
    source = sharp_source(tmp_path, Optics(focus_metres=(1,)))
    assert [(item.split, item.scene) for item in source.items] == [
        ("train", "train/a"),
        ("validation", "val/a"),
        ("test", "test/a"),
    ]


def test_lens_is_recorded_in_the_manifest(photos, tmp_path):
    source = choose_source(photos, sharp_only=True, lens=["f_number=4", "focus_metres=1.5", "point_spread=gaussian"])
    prepare(source, tmp_path / "data")
    recorded = read_manifest(tmp_path / "data").source
    assert (recorded["kind"], recorded["depth"]) == ("simulated", "smooth depths")
    assert recorded["optics"]["f_number"] == 4
    assert recorded["optics"]["focus_metres"] == [1.5]
    assert recorded["optics"]["point_spread"] == "gaussian"


@pytest.mark.parametrize(
    ("lens", "reason"),
    [
        (["aperture=2"], "--set aperture: is no setting of the lens; known are f_number, focus_metres"),
        (["f_number"], "--set f_number: needs the form key=value"),
        (["f_number=0"], "--set f_number: Input should be greater than 0"),
        (["focus_metres=0.01"], "a focus of 0.01 m must lie beyond the focal length, 50 mm"),
        (["near_metres=9"], "near_metres = 9 must be below far_metres = 8"),
        (["point_spread=square"], "--set point_spread: "),
        (["noise_sigma_8bit=NaN"], "--set noise_sigma_8bit: "),
    ],
)
def test_impossible_lens_is_refused(photos, lens, reason):
    with pytest.raises(InputError, match=reason):
        choose_source(photos, sharp_only=True, lens=lens)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"lens": ["f_number=2"]}, "--set: is for a simulated lens; pass --sharp-only"),
        ({"depth": "maps"}, "--depth: is for a simulated lens"),
        ({"sharp_only": True, "layout": "dpd"}, "--layout: is for pairs"),
        ({"sharp_only": True, "views": True}, "--views: is for pairs"),
        ({"sharp_only": True, "depth": "gone"}, "gone: there is no such folder"),
    ],
)
def test_options_that_do_not_go_together_are_refused(photos, options, reason):
    with pytest.raises(InputError, match=reason):
        choose_source(photos, **options)


def test_missing_or_unfit_depth_map_is_named(photos, tmp_path):
    maps = tmp_path / "maps"
    (maps / "trip").mkdir(parents=True)
    for name in ("a", "b", "trip/d"):
        np.save(maps / f"{name}.npy", np.ones((96, 128)))
    with pytest.raises(InputError, match=r"photos/c\.png: has no depth map .*maps/c"):
        sharp_source(photos, Optics(), depth_maps=maps)
    np.save(maps / "c.npy", np.ones((48, 64)))
    item = next(item for item in sharp_source(photos, Optics(), depth_maps=maps).items if item.scene == "c")
    with pytest.raises(InputError, match=r"c\.npy: is 64x48 pixels, but its photograph .* is 128x96; scale"):
        item.load()


def test_depth_maps_of_all_kinds_are_metres(tmp_path, png_bytes):
    metres = np.random.default_rng(0).uniform(0.5, 9, (20, 24))
    holes = metres.copy()
    holes[5, 5:7], holes[6, 6] = 0, np.nan
    np.save(tmp_path / "a.npy", holes)
    tifffile.imwrite(tmp_path / "a.tif", holes.astype(np.float32))
    millimetres = np.rint(np.nan_to_num(holes) * 1000).astype(np.uint16)
    tifffile.imwrite(tmp_path / "b.tif", millimetres)
    (tmp_path / "a.png").write_bytes(png_bytes(millimetres[:, :, None], 0))
    for path in tmp_path.iterdir():
        read = read_map(path)
        known = np.isfinite(holes) & (holes > 0)
        assert np.abs(read[known] - metres[known]).max() < 0.002, path
        assert read[5, 5] == pytest.approx(max(metres[5, 4], metres[5, 7]), abs=0.002), "holes are background"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.npy", b"", "cannot be read as a depth map"),
        ("a.npy", b"\x93NUMPY\x01\x00", "cannot be read as a depth map"),
        ("a.tif", b"II*\0", "cannot be read as a depth map"),
        ("negative.npy", np.full((20, 20), -1.0), "holds negative depths"),
        ("unknown.npy", np.zeros((20, 20)), "holds no known depth"),
        ("cube.npy", np.ones((20, 20, 3)), "depth maps are height x width"),
        ("objects.npy", np.array([None]), "cannot be read as a depth map"),
        ("shallow.png", np.ones((20, 20), np.uint8), "has 8 bits; depth maps as PNG hold millimetres in 16 bits"),
    ],
)
def test_hostile_depth_map_is_refused(tmp_path, name, content, reason):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif path.suffix == ".npy":
        np.save(path, content, allow_pickle=True)
    else:
        Image.fromarray(content).save(path)
    with pytest.raises(InputError, match=reason):
        read_map(path)
