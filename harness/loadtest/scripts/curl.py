"""curl commands: of a terminal, a README, or as a browser copies them."""

import argparse
from collections.abc import Iterator, Sequence

from harness.loadtest.scripts.call import FORM, Call, header
from harness.loadtest.scripts.command import Parser
from harness.loadtest.scripts.script import Script

_FLAGS = (
    *("-s", "-S", "-v", "-i", "-f", "-L", "-N", "-g", "-#", "-q", "--silent", "--show-error"),
    *("--verbose", "--include", "--fail", "--location", "--compressed", "--no-buffer", "--http1.1"),
    *("--globoff", "--progress-bar", "--fail-with-body", "--no-progress-meter", "--http2"),
)
_WITHOUT_EFFECT = ("-o", "-w", "-D", "--output", "--write-out", "--connect-timeout", "--retry")


def read(words: Sequence[str], stdin: str = "") -> Script:
    """The request of a command.

    Args:
        words: what stands behind ``curl``.
        stdin: what is piped to it; ``@FILE`` is a file's content.
    """
    options, urls, unknown = _parser().read(words)
    options.bodies = [(stdin or "@/dev/stdin") if each == "@-" else each for each in options.bodies]
    options.json = [(stdin or "@/dev/stdin") if each == "@-" else each for each in options.json]
    if options.upload_file in ("-", "."):
        options.upload_file = stdin.removeprefix("@") or "/dev/stdin"
    script = Script(insecure=options.insecure, ca_file=options.cacert, timeout=options.max_time)
    script.users = options.parallel_max
    script.left_out += [f"curl {each}: not carried over" for each in unknown + options.not_carried]
    for url in urls + options.url:
        script.take(_call(url, options))
    return script


def _parser() -> Parser:
    parser = Parser("curl")
    parser.flags(*_FLAGS)
    for name in _WITHOUT_EFFECT:
        parser.add_argument(name, dest="ignored_value")
    parser.add_argument("-X", "--request")
    parser.add_argument("-H", "--header", action="append", default=[])
    parser.add_argument("-A", "--user-agent")
    parser.add_argument("-u", "--user")
    parser.add_argument("-b", "--cookie")
    parser.add_argument("-F", "--form", action="append", default=[])
    parser.add_argument("--form-string", action="append", default=[])
    parser.add_argument("-T", "--upload-file")
    parser.add_argument("-G", "--get", action="store_true")
    parser.add_argument("-I", "--head", action="store_true")
    parser.add_argument("-k", "--insecure", action="store_true")
    parser.add_argument("--cacert")
    parser.add_argument("-m", "--max-time", type=float)
    parser.add_argument("--url", action="append", default=[])
    parser.add_argument("--oauth2-bearer")
    parser.add_argument("--parallel-max", type=int)
    for name in ("--resolve", "-x", "--proxy", "--cert", "--key", "-e", "--referer"):
        parser.add_argument(name, dest="not_carried", action="append", default=[])
    parser.add_argument("--json", action="append", default=[])
    data = ("-d", "--data", "--data-raw", "--data-binary", "--data-ascii", "--data-urlencode")
    parser.add_argument(*data, dest="bodies", action="append", default=[])
    return parser


def _call(url: str, options: argparse.Namespace) -> Call:
    call = Call(url)
    headers = [header(each) for each in options.header]
    if options.user_agent:
        headers.append(("User-Agent", options.user_agent))
    if options.oauth2_bearer:
        headers.append(("Authorization", f"Bearer {options.oauth2_bearer}"))
    if options.user or options.cookie:
        headers.append(("Authorization" if options.user else "Cookie", "left out"))
    if options.form or options.form_string:
        call.put_form(_fields(options))
    elif options.upload_file:
        call.put_file(options.upload_file)
        if url.endswith("/"):  # as curl does
            call.url += options.upload_file.rpartition("/")[2]
    elif options.get and options.bodies:
        call.url += f"{'&' if '?' in url else '?'}{'&'.join(options.bodies)}"
    elif options.bodies or options.json:
        _put_data(call, options, headers)
    call.put_headers(headers)
    method = options.request or ("PUT" if options.upload_file else "HEAD" if options.head else "")
    call.put_method(method.upper())
    return call


def _fields(options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """The fields of a form; ``<FILE`` is a file as ``@FILE`` is."""
    for name, _, content in (each.partition("=") for each in options.form):
        yield name, f"@{content[1:]}" if content[:1] == "<" else content
    for name, _, content in (each.partition("=") for each in options.form_string):
        yield name, content


def _put_data(call: Call, options: argparse.Namespace, headers: list[tuple[str, str]]) -> None:
    data = options.json or options.bodies
    if len(data) == 1 and data[0].startswith("@"):
        call.put_file(data[0][1:])
    else:
        call.put_text("".join(data) if options.json else "&".join(data))
    named = {name.lower() for name, _ in headers}
    if "content-type" not in named:
        headers.append(("Content-Type", "application/json" if options.json else FORM))
