"""The form of a text: a pattern, and what to say to whoever wrote something else.

    Digest = Annotated[str, Form("sha256:[0-9a-f]{64}", "sha256: and 64 digits of 0-9, a-f")]

A person who reads "should match pattern '^[a-z]{2}…$'" has to understand the pattern first.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

if TYPE_CHECKING:
    from pydantic_core import CoreSchema


@dataclass(frozen=True, slots=True)
class Form:
    """What a text has to look like; as the annotation of a field, what pydantic holds it to.

    Attributes:
        pattern: the whole text matches it.
        says: the form in words, with an example where that says more.
        longest: how many characters it may have; None: as many as it likes.
    """

    pattern: str
    says: str
    longest: int | None = None

    def fits(self, written: str) -> bool:
        return re.fullmatch(self.pattern, written, re.ASCII) is not None

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> "CoreSchema":
        from pydantic_core import core_schema  # whoever renders need not pay for it

        text = core_schema.str_schema(
            pattern=f"^({self.pattern})$", strict=True, max_length=self.longest
        )
        return core_schema.custom_error_schema(text, "form", custom_error_message=self.says)


Region = Annotated[str, Form(r"[a-z]{2}(-[a-z]+)+-\d", "a region, as eu-central-1")]
Sha256 = Annotated[str, Form(r"[0-9a-f]{64}", "a SHA-256: 64 digits of 0-9, a-f")]
