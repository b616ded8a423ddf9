"""The miniature's chart in a chart repository on this machine, taken from there by its release."""

import contextlib
import json
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

from harness import tools
from harness.core import command
from harness.render import remote_charts
from tests.support.miniature import Miniature

RELEASE = "apps/base/helmrelease.yaml"
_SOURCE = """\
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata:
  name: published
  namespace: flux-system
spec:
  interval: 12h
  url: {url}
"""
_IN_GIT = """\
      chart: ./apps/chart
      sourceRef:
        kind: GitRepository
        name: release
"""
_PUBLISHED = """\
      chart: web
      version: 0.1.0
      sourceRef:
        kind: HelmRepository
        name: published
"""
_SCHEMA = {"properties": {"replicas": {"type": "integer"}}}


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextlib.contextmanager
def repository(miniature: Miniature) -> Iterator[str]:
    """The URL of a chart repository that holds the miniature's chart."""
    folder = miniature.root.parent / "published"
    folder.mkdir()
    helm = tools.find(miniature.repository, "helm")
    chart = miniature.root / "apps" / "chart"
    (chart / "values.schema.json").write_text(json.dumps(_SCHEMA))
    command.run([helm, "package", chart, "--destination", folder], timeout=30)
    command.run([helm, "repo", "index", folder], timeout=30)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def publish(miniature: Miniature, url: str) -> None:
    """Take the chart of the miniature's release from a URL; keep what is fetched apart."""
    tools_folder = miniature.root / "build" / "tools"
    shared = tools_folder.resolve()
    tools_folder.unlink()
    tools_folder.mkdir()
    for name in ("bin", "schemas"):
        (tools_folder / name).symlink_to(shared / name)
    shutil.rmtree(miniature.root / "apps" / "chart")
    miniature.write("clusters/demo/published.yaml", _SOURCE.format(url=url))
    miniature.edit("clusters/demo/kustomization.yaml", "  - site", "  - published.yaml\n  - site")
    miniature.edit(RELEASE, _IN_GIT, _PUBLISHED)


def fetch(miniature: Miniature) -> list[str | None]:
    """Why each chart cannot be fetched, or None if it was."""
    charts = miniature.render().remote_charts
    return [remote_charts.fetch(miniature.repository, each) for each in charts]
