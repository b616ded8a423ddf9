"""Dockerfiles as people write them: stages, here-documents, scripts, settings that RUN writes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.importing.keys import Outcome
from tests.importing.archives import Made
from tests.importing.conftest import import_
from tests.importing.test_sources import row

Write = Callable[[str, str], Path]
UPSTREAM = "FROM pytorch/torchserve:0.12.0-cpu\n"
START = 'CMD ["torchserve", "--start", "--models", "m=m.mar", "--ts-config", "config.properties"]\n'


@pytest.mark.parametrize(
    ("lines", "queue"),
    [
        ("RUN printf '\\njob_queue_size=7' >> config.properties\n", 7),
        ("RUN touch /x && echo job_queue_size=7 >> /home/model-server/config.properties\n", 7),
        ("RUN <<EOF\nset -e\necho job_queue_size=7 >> config.properties\nEOF\n", 7),
        ("COPY <<-EOF /home/model-server/config.properties\n\tjob_queue_size=7\n\tEOF\n", 7),
        ("COPY conf conf\nRUN mv conf/ours.properties config.properties\n", 7),
        ("COPY conf/ours.properties config.properties\n", 7),
        ("WORKDIR conf\nWORKDIR more\nCOPY conf/ours.properties config.properties\n", 7),
        ("ENV F=ours\nCOPY conf/$F.properties ./config.properties\n", 7),
        ("USER root\n", 1000),
    ],
)
def test_the_settings_that_lie_in_the_image_at_its_end(
    write: Write, lines: str, queue: int
) -> None:
    write("conf/ours.properties", "job_queue_size=7\n")

    imported = import_(write("Dockerfile", UPSTREAM + lines + START))

    assert imported.refused == ()
    assert imported.server.job_queue_size == queue
    assert "m" in imported.models


def test_what_a_build_changes_in_a_way_that_cannot_be_read_is_named(write: Write) -> None:
    path = write(
        "Dockerfile",
        f"{UPSTREAM}RUN sed -i s/a/b/ config.properties\n"
        f"RUN python mk.py load_models > x\nRUN chmod a+r config.properties\n{START}",
    )

    lost = [each for each in import_(path).of(Outcome.LOST) if "give the file itself" in each.text]

    assert {(each.key, each.at) for each in lost} == {
        ("sed … config.properties", f"{path}:2"),
        ("RUN", f"{path}:3"),
    }


@pytest.mark.parametrize("lines", ["FROM \n", f'{UPSTREAM}CMD ["sh", "-c"]\n'])
def test_an_instruction_without_its_word_starts_nothing(write: Write, lines: str) -> None:
    assert not import_(write("Dockerfile", lines)).models


ENTRY = """\
#!/bin/bash
if [[ "$1" = "serve" ]]; then
    shift 1
    torchserve --start --ts-config /home/model-server/config.properties --models all
else
    eval "$@"
fi
tail -f /dev/null
"""


@pytest.mark.parametrize(
    ("lines", "models"),
    [
        ('ENTRYPOINT ["/home/entry.sh"]\nCMD ["serve"]\n', ["b", "d", "mnist"]),
        ('ENTRYPOINT ["/home/entry.sh"]\nCMD ["torchserve", "--models", "a=b.mar"]\n', ["a"]),
        ('ENTRYPOINT ["/home/entry.sh"]\nCMD ["./start.sh"]\n', ["c"]),
        ('CMD ["/bin/bash", "/home/entry.sh", "serve"]\n', ["b", "d", "mnist"]),
        ("CMD exec ./start.sh\n", ["c"]),
        ('ENTRYPOINT ["torchserve"]\nCMD ["--models", "a=b.mar"]\n', ["a"]),
        # Upstream's entry point joins the words and splits them again.
        ('CMD ["torchserve ", "--start --models a=b.mar"]\n', ["a"]),
        ('CMD ["torchserve", "--models", "a=b.mar c=d.mar"]\n', ["a", "c"]),
        ("ENV M=a\nCMD torchserve --start --models $M=b.mar\n", ["a"]),
    ],
)
def test_what_the_entry_point_and_the_command_come_to(
    write: Write, tmp_path: Path, lines: str, models: list[str]
) -> None:
    for name in ("mnist", "b", "d"):
        Made(f"{name}.mar", name, "1.0").write(tmp_path / "store")
    write("entry.sh", ENTRY)
    write("start.sh", "#!/bin/sh\ntorchserve --start --models c=b.mar\n")
    copied = "COPY entry.sh /home/\nCOPY start.sh .\n"

    path = write("Dockerfile", UPSTREAM + copied + lines)

    assert list(import_(path, store=tmp_path / "store").models) == models


def test_stages_and_build_arguments(write: Write) -> None:
    write("config.properties", "job_queue_size=7\n")
    path = write(
        "Dockerfile",
        "ARG TAG=0.12.0-cpu\nARG BASE=pytorch/torchserve\nFROM $BASE:$TAG AS Builder\n"
        "COPY config.properties /built/c.properties\nRUN torch-model-archiver --model-name m\n"
        "FROM ${BASE}:${TAG}\nENV A=1 \\\n    B='two words'\n"
        "COPY --from=builder /built/c.properties config.properties\n"
        f"COPY --from=builder /usr/app/model_store model-store\n{START}",
    )

    imported = import_(path)

    assert imported.server.job_queue_size == 7
    assert imported.environment == {"A": "1", "B": "two words"}
    assert "take it out of the image (docker cp)" in row(imported, "COPY /usr/app/model_store")[1]
    assert not [each for each in imported.keys if each.key.startswith("RUN torch-model-archiver")]


def test_system_packages_are_named_without_those_that_the_image_has(write: Write) -> None:
    path = write(
        "Dockerfile",
        f"{UPSTREAM}RUN <<EOF\napt-get update && apt-get install -y --no-install-recommends \\\n"
        "  openjdk-17-jre-headless ffmpeg\nconda install -y -c conda-forge faiss\nEOF\n",
    )

    imported = import_(path)

    assert row(imported, "RUN apt-get install")[1].endswith("if a handler needs them: ffmpeg")
    assert row(imported, "RUN conda install")[1].endswith("faiss")


def test_an_archive_that_the_build_makes_is_named(write: Write) -> None:
    lines = "RUN torch-model-archiver --model-name m --export-path model-store\n"
    imported = import_(write("Dockerfile", UPSTREAM + lines + START))

    assert "--store" in row(imported, "RUN torch-model-archiver")[1]
