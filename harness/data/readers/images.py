"""PNG images to pixels."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError


def decode_png(content: bytes, mode: str, size: int) -> npt.NDArray[np.uint8]:
    """Pixels of a square image, uint8 [size, size] in mode "L" (grey) and [size, size, 3] in mode "RGB".

    Raises `ValueError` when the content is empty, no PNG, damaged, or of another size.
    """
    try:
        with _open(content) as image:
            if image.size != (size, size):
                raise ValueError(f"it has {image.size[0]} x {image.size[1]} pixels where {size} x {size} are expected")
            image.verify()  # the checksums, which decoding leaves out
        with _open(content) as image:
            return np.array(image.convert(mode))
    except UnidentifiedImageError as error:
        raise ValueError("it is not a PNG image" if content else "it is empty") from error
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(str(error)) from error


def decode_grey(content: bytes, side: int) -> npt.NDArray[np.uint8]:
    """Pixels of a PNG or JPEG image of any size in grey, resized, uint8 [side, side].

    Raises `ValueError` when the content is neither, damaged, or of more pixels than Pillow takes for harmless.
    """
    try:
        with Image.open(io.BytesIO(content), formats=["PNG", "JPEG"]) as image:
            image.load()
            return np.array(image.convert("L").resize((side, side), Image.Resampling.BOX))
    except UnidentifiedImageError as error:
        raise ValueError("it is no PNG or JPEG image" if content else "it is empty") from error
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(str(error)) from error


def _open(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content), formats=["PNG"])
