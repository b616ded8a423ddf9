"""What a load test leaves behind; ``docs/report.md`` describes every key."""

from typing import Literal

from pydantic import BaseModel


class Report(BaseModel):
    """A whole report."""

    verdict: Literal["pass", "fail", "invalid"]
