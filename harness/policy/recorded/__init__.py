"""What others say of themselves, recorded so that a check needs no network; and what writes it."""
