"""HAR files (HTTP Archive 1.2): what a browser or a proxy recorded.

http://www.softwareishard.com/blog/har-12-spec/
"""

from harness.core.values import items, text
from harness.loadtest.scripts.call import Call
from harness.loadtest.scripts.script import Script

# What a browser adds of itself; a server of models answers the same without.
_OF_BROWSERS = {"host", "origin", "referer", "user-agent", "accept-language", "dnt", "priority"}


def read(document: object) -> Script:
    """Every request of a recording, in its order."""
    script = Script()
    for number, entry in enumerate(items(document, "log", "entries"), start=1):
        method, url = text(entry, "request", "method"), text(entry, "request", "url")
        if not url.startswith(("http://", "https://")):
            script.left_out.append(f"entry {number}: {url[:60] or 'no address'} is not HTTP")
            continue
        call = Call(url)
        _put_data(entry, call, number)
        call.put_method(method)
        call.put_headers(_headers(entry, call))
        script.take(call)
    return script


def _headers(entry: object, call: Call) -> list[tuple[str, str]]:
    left_out = _OF_BROWSERS | ({"content-type"} if "form" in call.keys else set())
    headers = [
        (text(each, "name"), text(each, "value")) for each in items(entry, "request", "headers")
    ]
    return [
        (name, each)
        for name, each in headers
        if name.lower() not in left_out and not name.lower().startswith((":", "sec-"))
    ]


def _put_data(entry: object, call: Call, number: int) -> None:
    content = text(entry, "request", "postData", "text")
    params = items(entry, "request", "postData", "params")
    if params and text(entry, "request", "postData", "mimeType").startswith("multipart/"):
        files = {text(each, "name"): text(each, "fileName") for each in params}
        plain = {text(each, "name"): text(each, "value") for each in params}
        call.keys["form"] = plain | {name: f"@{file}" for name, file in files.items() if file}
        call.left_out += [
            f"entry {number}: put {file} next to the profile" for file in files.values() if file
        ]
    elif content:
        call.put_text(content)
