from harness.loadtest.report import Report


def render(report: Report) -> str:
    return report.model_dump_json()
