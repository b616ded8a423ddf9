"""Words in messages that depend on a number."""


def amount(number: int, one: str, more: str = "") -> str:
    """A number of things: ``1 file``, ``1,200 files``, ``1 object differs``.

    Args:
        number: how many there are.
        one: what follows 1.
        more: what follows every other number; by default ``one`` with an s.
    """
    return f"{number:,} {one if number == 1 else more or f'{one}s'}"
