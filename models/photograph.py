"""A photograph from a request: decoded, upright, RGB."""

import io

from batch_handler import BadInputError
from PIL import Image, ImageOps, UnidentifiedImageError

SHORTEST = 32  # pixels a side: less shows nothing that these models know
LONGEST = 8_192  # pixels a side: what a camera makes, not what exhausts a worker's memory


def decode(body: bytes, longest: int = LONGEST) -> Image.Image:
    """The picture, turned as a person would see it.

    Raises:
        BadInputError: it is none, or a side is shorter or longer than a model can use.
    """
    try:
        with Image.open(io.BytesIO(body)) as image:
            if min(image.size) < SHORTEST or max(image.size) > longest:
                size = f"{image.width}×{image.height} pixels"
                raise BadInputError(f"{size}: send {SHORTEST} to {longest} a side")
            return ImageOps.exif_transpose(image).convert("RGB")
    except UnidentifiedImageError as error:
        raise BadInputError("not a picture that can be read") from error
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadInputError(f"a picture that cannot be read: {error}") from error
