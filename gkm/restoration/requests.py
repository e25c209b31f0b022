"""What a registered model is given in, arrays or files as base64 text, and the same restored out.

An array, height x width x 3, is one photograph, and gives one. A text is a photograph's file (PNG, JPEG, TIFF), and
gives {"photograph": TEXT}: PNG, or TIFF for TIFF, with the bits, alpha, EXIF data and colour profile of what was given.
Texts come by themselves, in a list, or in a column "photograph" of a table; views in the columns "left" and "right".
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt

from gkm.data.photos import SMALLEST_PIXELS, Upload
from gkm.errors import InputError
from gkm.networks import Network
from gkm.restoration.photograph import Photograph, read_photograph
from gkm.restoration.restoring import restore
from gkm.restoration.writing import default_format, encode

COLUMN = "photograph"
"""Of a table of photographs; also where each restored one is in the answer."""


def answer(network: Network, seen: Any) -> npt.NDArray[np.uint8] | list[dict[str, str]]:
    """The restored photograph for an array, or two by name; a list of restored files for files.

    `seen` is an array, a text, a sequence of texts, or a mapping from names to any of these (a pandas table is one).
    Raises InputError where it is not what the network sees.
    """
    names = list(network.inputs) if len(network.inputs) > 1 else [COLUMN]
    given = _by_name(seen, names)
    values = [np.asarray(given[name]) for name in names]
    if all(value.ndim == 3 for value in values):
        photographs = [Photograph(rgb_HW3=_pixels(value)) for value in values]
        restored: npt.NDArray[np.uint8] = restore(network, *photographs).rgb_HW3.astype(np.uint8, copy=False)
        return restored
    if any(value.ndim > 1 for value in values):
        shapes = " and ".join(str(value.shape) for value in values)
        raise InputError(f"arrays of shape {shapes} are no photograph; give height x width x 3, or files as base64")
    texts = [list(np.atleast_1d(value)) for value in values]
    if len(set(map(len, texts))) > 1:
        raise InputError(f"there are {' and '.join(str(len(column)) for column in texts)} views; give as many of each")
    return [{COLUMN: _restored(network, row, names)} for row in zip(*texts, strict=True)]


def _by_name(seen: Any, names: Sequence[str]) -> Mapping[str, Any]:
    if not (isinstance(seen, Mapping) or hasattr(seen, "columns")):
        if len(names) > 1:
            raise InputError(f"the network sees {' and '.join(names)}; give both by name")
        return {names[0]: seen}
    columns = list(seen)
    if len(names) == 1 and len(columns) == 1:
        return {names[0]: seen[columns[0]]}
    if set(columns) != set(names):
        raise InputError(
            f"the network sees {' and '.join(names)}, but was given {', '.join(columns) or 'nothing'}; give it what "
            "it sees, by name"
        )
    return {name: seen[name] for name in names}


def _pixels(photo_HW3: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """An array of uint8, or of JSON's whole numbers, as uint8."""
    if photo_HW3.shape[2] != 3 or min(photo_HW3.shape[:2]) < SMALLEST_PIXELS:
        raise InputError(
            f"an array of shape {photo_HW3.shape} is no photograph; give height x width x 3, "
            f"at least {SMALLEST_PIXELS} pixels a side"
        )
    if photo_HW3.dtype == object and all(type(value) is int and 0 <= value <= 255 for value in photo_HW3.flat):
        return photo_HW3.astype(np.uint8)
    if photo_HW3.dtype != np.uint8:
        raise InputError(f"an array of {photo_HW3.dtype} is no photograph; give whole numbers from 0 to 255 (uint8)")
    return photo_HW3


def _restored(network: Network, files: Sequence[Any], names: Sequence[str]) -> str:
    seen = [read_photograph(Upload(name, _decoded(file, name))) for file, name in zip(files, names, strict=True)]
    restored, buffer = restore(network, *seen), BytesIO()
    encode(buffer, restored, default_format(restored.kind))
    return base64.b64encode(buffer.getvalue()).decode()


def _decoded(text: Any, name: str) -> bytes:
    if isinstance(text, bytes):
        text = text.decode(errors="replace")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise InputError(f"{name}: is not base64; give the photograph's file as base64 text") from None
