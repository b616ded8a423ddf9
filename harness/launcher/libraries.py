"""The Java libraries that run in place of those in TorchServe's JAR, which nobody maintains.

The environment's own folder has the files that jars.lock pins, put there by its set-up as the
wheels are. The class path names them first: what stands there is loaded from nowhere else.
"""

import os
import sys
from pathlib import Path

FOLDER = Path(sys.prefix, "share/torchserve/jars")
# The JAR has older files under these names. Netty refuses a native library that it finds twice, and
# would go on without one, slower; the first found is the newer.
_NETTY = "netty.native.detectNativeLibraryDuplicates=false"
# protobuf warns, outside the log's format, of each generated class of TorchServe's that is in use:
# they come from a generator with a known flaw, which no library fixes. Decision 13 weighs it.
_PROTOBUF = "com.google.protobuf.use_unsafe_pre22_gencode=true"
OPTIONS = (f"-Dio.{_NETTY}", f"-Dio.grpc.netty.shaded.io.{_NETTY}", f"-D{_PROTOBUF}")
"""For the JVM that runs with them."""


def class_path(folder: Path, torchserve: Path) -> str:
    """``folder`` first, then the JAR in TorchServe's package folder; ``folder`` may not exist."""
    return os.pathsep.join((f"{folder}/*", f"{torchserve}/frontend/*"))


def count(folder: Path) -> int:
    """How many of them there are; 0 where TorchServe runs what is in its own JAR."""
    return len(list(folder.glob("*.jar")))


def summary(folder: Path, number: int) -> str:
    """What runs with that many libraries in ``folder``, in a line for a person."""
    if number:
        return f"{number} Java libraries of {folder} run in place of those in TorchServe's JAR"
    return (
        "TorchServe runs the Java libraries in its own JAR, which nobody maintains: "
        f"{folder} has none (`make jars` fetches them)"
    )
