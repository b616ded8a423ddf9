"""Test plans of JMeter (.jmx): thread groups, HTTP samplers, header managers and timers."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote_plus
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from harness.loadtest.scripts.call import FORM, Call
from harness.loadtest.scripts.script import Script, ramps

_REFERENCE = re.compile(
    r"\$\{(?:__P(?:roperty)?\(([\w.-]+)(?:,[^,)]*)??(?:,([^)]*))?\)|([\w.-]+))\}"
)
_NUMBER = re.compile(r"\d{1,18}(?:\.\d+)?")  # JMeter's are longs
_FOREVER = ("LoopController.loops", "-1")
_KNOWN = {
    *("TestPlan", "ThreadGroup", "HTTPSamplerProxy", "HeaderManager", "ConstantTimer"),
    *("Arguments", "ConfigTestElement", "hashTree", "ResultCollector", "ResponseAssertion"),
}


def read(text: str) -> Script:
    """The requests of a plan, and the load of its first thread group.

    Raises:
        ElementTree.ParseError: it is not XML.
    """
    root = ElementTree.fromstring(text)  # noqa: S314 - expat itself bounds what entities expand to
    return _Plan(root).script


class _Plan:
    def __init__(self, root: Element) -> None:
        self.script = Script()
        self._unset: set[str] = set()
        self._variables = {
            self._property(each, "Argument.name"): self._property(each, "Argument.value")
            for holder in root.iter()
            if holder.tag in ("Arguments", "TestPlan")
            for each in holder.iter("elementProp")
            if each.get("elementType") == "Argument"
        }
        elements = [each for each in root.iter() if each.get("enabled") != "false"]
        self._defaults = next((each for each in elements if each.tag == "ConfigTestElement"), None)
        samplers = sum(each.tag == "HTTPSamplerProxy" for each in elements)
        for group in [each for each in elements if each.tag == "ThreadGroup"][:1]:
            self._put_load(group, samplers)
        for tree in root.findall("hashTree"):
            self._walk(tree, {})
        self.script.left_out += [
            f"${{{name}}} has no value in the plan, and goes out as it is written"
            for name in sorted(self._unset)
        ]

    def _walk(self, tree: Element, headers: dict[str, str]) -> None:
        """A tree: its header managers hold for what is next to them and below."""
        children = [each for each in tree if each.get("enabled") != "false"]
        headers = {**headers, **dict(self._headers(children))}
        for place, each in enumerate(children):
            below = children[place + 1] if children[place + 1 : place + 2] else None
            if each.tag == "HTTPSamplerProxy":
                self._take(each, below if below is not None else tree, headers)
            elif each.tag == "ConstantTimer":
                pause = self._number(each, "ConstantTimer.delay") / 1000
                self.script.think = (pause, pause)
            elif each.tag == "hashTree":
                self._walk(each, headers)
            elif each.get("testclass") and each.tag not in _KNOWN:
                name = each.get("testname") or each.tag
                self.script.left_out.append(f"{each.tag} {name!r}: not carried over")

    def _take(self, sampler: Element, below: Element, headers: dict[str, str]) -> None:
        call = self._call(sampler, self._defaults)
        sent = {**headers, **dict(self._headers(list(below)))}
        if "form" in call.keys:  # its type names the boundary
            sent = {name: each for name, each in sent.items() if name.lower() != "content-type"}
        call.put_headers([*self._types(call), *sent.items()])
        self.script.take(call)

    def _property(self, element: Element, name: str) -> str:
        """A property, with the plan's own variables in it."""
        prop = next((each for each in element.iter() if each.get("name") == name), None)
        return self._resolve(prop.text or "") if prop is not None else ""

    def _resolve(self, text: str) -> str:
        def resolve(match: re.Match[str]) -> str:
            name = match[1] or match[3]
            known = match[2] or getattr(self, "_variables", {}).get(name)
            if known is None:
                self._unset.add(name)
                return match[0]
            return str(known)

        return _REFERENCE.sub(resolve, text)

    def _number(self, element: Element, name: str) -> float:
        text = self._property(element, name)
        if _NUMBER.fullmatch(text or "0"):
            return float(text or 0)
        if (name, text) == _FOREVER:
            return 0.0
        self.script.left_out.append(f"{name}: {text} is not a number of JMeter's")
        return 0.0

    def _headers(self, elements: list[Element]) -> Iterator[tuple[str, str]]:
        for manager in elements:
            if manager.tag == "HeaderManager":
                for each in manager.iter("elementProp"):
                    if name := self._property(each, "Header.name"):
                        yield name, self._property(each, "Header.value")

    def _put_load(self, group: Element, samplers: int) -> None:
        script = self.script
        users = int(self._number(group, "ThreadGroup.num_threads")) or 1
        climb = self._number(group, "ThreadGroup.ramp_time")
        loops = self._number(group, "LoopController.loops")
        duration = self._number(group, "ThreadGroup.duration")
        script.users = users
        if duration:
            script.seconds = duration
            if climb >= 1:
                script.stages = ramps(0, users, duration, users / climb)
        elif loops > 0:
            script.requests = int(users * loops * samplers)

    def _call(self, sampler: Element, defaults: Element | None) -> Call:
        def option(name: str) -> str:
            setting = self._property(sampler, f"HTTPSampler.{name}")
            return setting or (self._property(defaults, f"HTTPSampler.{name}") if defaults else "")

        host, port, path = option("domain"), option("port"), option("path")
        if "://" not in path:
            where = f"{option('protocol') or 'http'}://{host}{':' + port if port else ''}"
            path = f"{where if host else ''}/{path.lstrip('/')}"
        call = Call(path)
        arguments = [
            (self._property(each, "Argument.name"), self._property(each, "Argument.value"))
            for each in sampler.iter("elementProp")
            if each.get("elementType") == "HTTPArgument"
        ]
        uploads = [
            [self._property(each, f"File.{key}") for key in ("path", "paramname", "mimetype")]
            for each in sampler.iter("elementProp")
            if each.get("elementType") == "HTTPFileArg"
        ]
        self._put_body(call, arguments, uploads, option("method") or "GET")
        call.put_method((option("method") or "GET").upper())
        return call

    @staticmethod
    def _put_body(
        call: Call, arguments: list[tuple[str, str]], uploads: list[list[str]], method: str
    ) -> None:
        if uploads and not uploads[0][1]:
            call.put_file(uploads[0][0])
        elif uploads:
            files = {
                name: f"@{path}{';type=' + kind if kind else ''}" for path, name, kind in uploads
            }
            call.keys["form"] = {**dict(arguments), **files}
        elif len(arguments) == 1 and not arguments[0][0]:
            call.put_text(arguments[0][1])
        elif arguments:
            query = "&".join(f"{name}={quote_plus(content)}" for name, content in arguments)
            if method.upper() == "POST":
                call.keys["body"] = query
            else:
                call.url += f"?{query}"

    @staticmethod
    def _types(call: Call) -> list[tuple[str, str]]:
        body = call.keys.get("body")
        is_form = isinstance(body, str) and "=" in body and not body.lstrip().startswith(("{", "["))
        return [("Content-Type", FORM)] if is_form else []


def is_plan(path: Path, text: str) -> bool:
    """Whether a file is a test plan."""
    is_xml = text.lstrip()[:1] == "<"
    return path.suffix == ".jmx" or (is_xml and "<jmeterTestPlan" in text[:2000])
