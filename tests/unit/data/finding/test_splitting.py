"""Sharing out scenes among splits."""

import pytest

from gkm.data.finding.splitting import Shares, share_out
from gkm.errors import InputError


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 10, 500])
def test_every_scene_gets_a_split_and_no_split_is_empty_if_there_are_enough(count):
    splits = list(share_out(f"scene {number}" for number in range(count)).values())
    assert len(splits) == count
    if count >= 3:
        assert set(splits) == {"train", "validation", "test"}
    assert splits.count("train") >= splits.count("validation")


def test_order_does_not_matter_and_proportions_are_those_asked_for():
    scenes = [f"scene {number}" for number in range(100)]
    assert share_out(scenes) == share_out(reversed(scenes))
    assert list(share_out(scenes).values()).count("train") == 70
    assert list(share_out(scenes, Shares.parse("1/0/1")).values()).count("validation") == 0


@pytest.mark.parametrize("text", ["exam", "70/30", "0/0/0", "-1/1/1", "a/b/c"])
def test_what_is_no_share_is_refused(text):
    with pytest.raises(InputError, match=f"--split {text}: is no way to share out; give parts such as 70/15/15"):
        Shares.parse(text)
