"""Scripts of the shell: what they start, and the files of settings that they write."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.errors import HarnessError
from harness.importing import shell
from harness.importing.keys import Outcome
from tests.importing.conftest import import_
from tests.importing.test_sources import row

Write = Callable[[str, str], Path]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("cat > f <<EOF\na=$N\nb=2\nEOF\n", "a=1\nb=2\n"),
        ("cat <<'EOF' > f && torchserve --start\na=$N\nEOF\n", "a=$N\n"),
        ("cat > f <<-END\n\ta=${M:-3}\n\tEND\n", "a=3\n"),
        ("echo \"a=$N\" > f\necho 'b=$N' >> f", "a=1\nb=$N\n"),
        ("printf '\\na=%s\\n' 7 >> f", "\na=7\n"),
        ("echo -e 'a=1\\nb=2' | tee f", "a=1\nb=2\n"),
        ("echo a=1 2>&1 >f # b=2 > f", "a=1\n"),
    ],
)
def test_what_is_written_into_a_file_is_followed(text: str, written: str) -> None:
    script = shell.read(f"export N=1\n{text}")

    texts = [each.text or "" for each in script.writes if each.target == "f"]

    assert "".join(texts) == written


def test_what_only_running_tells_is_unknown() -> None:
    script = shell.read("python conf.py > f; sed -i s/a/b/ f; cp other f; D=$(date); echo $D")

    assert [(each.text, each.source) for each in script.writes] == [
        (None, ""),
        (None, ""),
        (None, "other"),
    ]
    assert script.commands[-1].words == ("echo", "$D")


@pytest.mark.parametrize(
    "line",
    [
        "exec torchserve --start --models a=b.mar --ncs 2>&1 | tee /tmp/log",
        "if [ -d /m ]; then torchserve --start --models a=b.mar; fi",
        'O="--models a=b.mar"\ntorchserve --start $O',
        'eval "torchserve --start --models a=b.mar"',
        'su user -c "torchserve --start --models a=b.mar"',
        "gosu 1000 torchserve --start --models a=b.mar &",
        "conda run -n ts torchserve --start --models a=b.mar",
        "bash -lc 'torchserve --start --models a=b.mar'",
    ],
)
def test_torchserve_is_found_behind_what_starts_it(write: Write, line: str) -> None:
    imported = import_(write("start.sh", f"#!/bin/bash\nset -e\n{line}\n"))

    assert list(imported.models) == ["a"]
    assert imported.models["a"].entry.mar_name == "b.mar"


SCRIPT = """\
#!/bin/bash
HERE=$( cd -- "$( dirname -- "${BASH_SOURCE[0]}" )" && pwd )
cat << EOF > "${HERE}/config.properties"
inference_address=http://0.0.0.0:$PORT
job_queue_size=9
EOF
echo "number_of_gpu=1" >> ${HERE}/config.properties
export OMP_NUM_THREADS=2 PRIVATE
torchserve --ts-config ${HERE}/config.properties --model-store /m --models a=b.mar &
"""


def test_a_command_that_is_only_printed_starts_nothing(write: Write) -> None:
    path = write("pack.sh", 'echo "torchserve --start --models a=b.mar"\nexport A=1\n')

    assert import_(path).models == {}


def test_a_file_that_the_script_writes_is_what_it_starts_with(write: Write) -> None:
    path = write("start.sh", SCRIPT)

    imported = import_(path, "PORT=8080")

    assert imported.refused == ()
    assert (imported.server.job_queue_size, imported.server.number_of_gpu) == (9, 1)
    assert imported.environment == {"OMP_NUM_THREADS": "2", "PORT": "8080"}
    assert next(each.at for each in imported.keys if each.key == "job_queue_size") == f"{path}:5"


def test_a_variable_that_nobody_knows_is_asked_for(write: Write) -> None:
    [question] = import_(write("start.sh", SCRIPT)).questions

    assert "inference_address holds $PORT" in question.message
    assert "add PORT=VALUE as a source" in question.message


@pytest.mark.parametrize("text", ["${QUEUE}", "$QUEUE", "{{ queue }}", "%QUEUE%"])
def test_a_template_is_not_taken_for_what_it_becomes(write: Write, text: str) -> None:
    path = write("config.properties", f"job_queue_size={text}\n")

    [question] = import_(path).questions

    assert "give the file as it is then" in question.message
    if "$" in text:
        assert import_(path, "QUEUE=3").server.job_queue_size == 3


def test_a_file_of_the_sources_counts_before_one_that_is_written(write: Write) -> None:
    path = write("start.sh", "echo job_queue_size=1 > /c.cfg\ntorchserve --ts-config /c.cfg\n")
    config = write("config.properties", "job_queue_size=2\n")

    assert import_(path).server.job_queue_size == 1
    assert import_(path, config).server.job_queue_size == 2


def test_words_that_are_not_here_are_said(write: Write) -> None:
    outcome, text = row(import_("torchserve --start"), "torchserve")

    assert outcome is Outcome.LOST
    assert "it refuses to start without --model-store" in text


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('job_queue_size="7"', "has quotes, which are part of its value"),
        ('model_store="/models"', "has quotes, which are part of its value"),
        ('inference_address: "http://0.0.0.0:8080"', "has quotes, which are part of its value"),
    ],
)
def test_quotes_are_part_of_a_value(write: Write, line: str, problem: str) -> None:
    path = write("config.properties", f"{line}\nload_models=a.mar\n")

    assert problem in str(import_(path).problems)


@pytest.mark.parametrize("second", [" b.mar", '"b.mar"'])
def test_a_space_or_a_quote_is_part_of_an_archives_name(write: Write, second: str) -> None:
    imported = import_(write("config.properties", f"load_models=a.mar,{second}\n"))

    assert list(imported.models) == ["a"]
    [lost] = imported.of(Outcome.LOST)
    assert lost.text.startswith(f"TorchServe looks for {second}, spaces and quotes included")


STARTERS = {
    "ts.service": "[Service]\nEnvironment=A=1\nEnvironmentFile=ts.env\n"
    "ExecStart=/v/bin/torchserve --start \\\n  --models a=b.mar\n",
    "supervisord.conf": "[program:ts]\ncommand=torchserve --models a=b.mar\n"
    'environment=A="1",B="2"\n',
    "Makefile": "export A = 1\nNAME ?= a\nrun: x\n\t@B=2 torchserve --models $(NAME)=b.mar\n",
    "run.bat": "@echo off\nset A=1\nset B=2\ntorchserve --start ^\n --models a=b.mar\n",
}


@pytest.mark.parametrize("name", STARTERS)
def test_what_starts_it_besides_the_shell(write: Write, name: str) -> None:
    write("ts.env", "B=2\n")

    imported = import_(write(name, STARTERS[name]))

    assert list(imported.models) == ["a"]
    assert imported.models["a"].entry.mar_name == "b.mar"
    assert imported.environment == {"A": "1", "B": "2"}


def test_a_file_of_variables_that_is_not_here_is_said(write: Write) -> None:
    script = "source venv/bin/activate\n. ./gone.env\ntorchserve --models a=b.mar\n"

    outcome, text = row(import_(write("start.sh", script)), "source")

    assert outcome is Outcome.LOST
    assert "./gone.env is not here" in text


@pytest.mark.parametrize("name", ["deploy.sh", "notes.txt"])
def test_a_file_of_nothing_that_is_known_is_refused(write: Write, name: str) -> None:
    with pytest.raises(HarnessError):
        import_(write(name, "kubectl apply -f - <<EOF\nkind: Deployment\nEOF\n"))
