"""One HTML file that refers to nothing outside itself: no script, font or link."""

from collections.abc import Container, Iterable
from html import escape
from importlib import resources


def page(title: str, parts: Iterable[str]) -> str:
    """A whole page.

    Args:
        title: as text.
        parts: of the body, as HTML.
    """
    style = resources.files(__package__).joinpath("page.css").read_text("utf-8")
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>"
        f"<style>{style}</style></head>\n<body><main>\n{body}\n</main></body></html>\n"
    )


def section(title: str, content: str) -> str:
    """A heading over a card."""
    return f'<h2>{escape(title)}</h2><div class="card">{content}</div>'


def table(
    head: list[str],
    rows: Iterable[Iterable[str]],
    right: Container[int] = (),
    wide: Container[int] = (),
) -> str:
    """A table of HTML cells; ``right`` has the columns of numbers, ``wide`` what a phone hides."""

    def cells(tag: str, row: Iterable[str]) -> str:
        return "".join(
            f'<{tag} class="{"n" * (place in right)} {"wide" * (place in wide)}">{cell}</{tag}>'
            for place, cell in enumerate(row)
        )

    top = f"<thead><tr>{cells('th', head)}</tr></thead>" if head else ""
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table>{top}<tbody>{body}</tbody></table>"
