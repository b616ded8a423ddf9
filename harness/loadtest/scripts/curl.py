"""curl commands: of a terminal, a README, or as a browser copies them."""

import argparse
from collections.abc import Sequence

from harness.loadtest.scripts.call import FORM, Call, header
from harness.loadtest.scripts.command import Parser
from harness.loadtest.scripts.script import Script

_FLAGS = (
    *("-s", "-S", "-v", "-i", "-f", "-L", "-N", "-g", "-#", "-q", "--silent", "--show-error"),
    *("--verbose", "--include", "--fail", "--location", "--compressed", "--no-buffer", "--http1.1"),
    *("--globoff", "--progress-bar", "--fail-with-body", "--no-progress-meter", "--http2"),
)
_WITHOUT_EFFECT = ("-o", "-w", "-D", "--output", "--write-out", "--connect-timeout", "--retry")


def read(words: Sequence[str]) -> Script:
    """The request of a command; ``words`` begin behind ``curl``."""
    options, urls, unknown = _parser().read(words)
    script = Script(insecure=options.insecure, ca_file=options.cacert, timeout=options.max_time)
    script.left_out += [f"curl {each}: not carried over" for each in unknown]
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
    parser.add_argument("--json", action="append", default=[])
    data = ("-d", "--data", "--data-raw", "--data-binary", "--data-ascii", "--data-urlencode")
    parser.add_argument(*data, dest="data", action="append", default=[])
    return parser


def _call(url: str, options: argparse.Namespace) -> Call:
    call = Call(url)
    headers = [header(each) for each in options.header]
    if options.user_agent:
        headers.append(("User-Agent", options.user_agent))
    if options.user or options.cookie:
        headers.append(("Authorization" if options.user else "Cookie", "left out"))
    if options.form or options.form_string:
        call.keys["form"] = _form(options)
    elif options.upload_file:
        call.put_file(options.upload_file)
        if url.endswith("/"):  # as curl does
            call.url += options.upload_file.rpartition("/")[2]
    elif options.get and options.data:
        call.url += f"{'&' if '?' in url else '?'}{'&'.join(options.data)}"
    elif options.data or options.json:
        _put_data(call, options, headers)
    call.put_headers(headers)
    method = options.request or ("PUT" if options.upload_file else "HEAD" if options.head else "")
    if method.upper() != ("POST" if call.has_body else "GET") and method:
        call.keys["method"] = method.upper()
    return call


def _form(options: argparse.Namespace) -> dict[str, str]:
    """The fields; ``<FILE`` is a file as ``@FILE`` is."""
    fields = dict(each.partition("=")[::2] for each in options.form)
    files = {name: f"@{each[1:]}" if each[:1] == "<" else each for name, each in fields.items()}
    return files | dict(each.partition("=")[::2] for each in options.form_string)


def _put_data(call: Call, options: argparse.Namespace, headers: list[tuple[str, str]]) -> None:
    data = options.json or options.data
    if len(data) == 1 and data[0].startswith("@"):
        call.put_file(data[0][1:])
    else:
        call.put_text("".join(data) if options.json else "&".join(data))
    named = {name.lower() for name, _ in headers}
    if "content-type" not in named:
        headers.append(("Content-Type", "application/json" if options.json else FORM))
