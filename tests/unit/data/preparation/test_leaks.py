"""Which leaks are allowed, as a user writes it."""

import pytest

from gkm.data.dataset.manifest import LEAKS
from gkm.data.preparation.leaks import parse_leaks
from gkm.errors import InputError


@pytest.mark.parametrize(
    ("text", "leaks"),
    [("", ()), ("all", LEAKS), ("near", ("near",)), ("near, exact", ("exact", "near")), ("scene,", ("scene",))],
)
def test_kinds_are_named_in_any_order(text, leaks):
    assert parse_leaks(text) == leaks


def test_unknown_kind_is_named():
    with pytest.raises(
        InputError, match="--allow-duplicates exact,nearly: nearly is not known; give scene, exact, nea"
    ):
        parse_leaks("exact,nearly")
