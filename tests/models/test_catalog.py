import pytest

from harness.core.errors import InputError
from harness.models.catalog import load_catalog, load_model


def test_the_repositorys_own_models_load(checkout):
    catalog = load_catalog(checkout.models)
    assert list(catalog.models) == ["magika", "mtcnn", "silero_vad", "squeezenet1_1"]
    assert all(model.samples for model in catalog.models.values())


def test_a_model_says_how_it_is_served_and_keeps_defaults_for_the_rest(tiny, edit):
    path = edit("handler: handler.py", "handler: handler.py\nserving: {batchSize: 4}")
    serving = load_model(path).serving
    assert (serving.batch_size, serving.min_workers, serving.response_timeout) == (4, 1, 30)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("handler:", "handlr:", "10: handlr: unknown key; did you mean handler?"),
        ("file: tiny", "fiel: tiny", "9: artifact.torchscript.fiel: unknown key; did you mean"),
        ("torchscript:", "torchscrip:", "8: artifact.torchscrip: unknown key; did you mean torch"),
        ('version: "1"', "version: 1", '2: version: must be text: quote it as "1"'),
        ("name: tiny", "name: -tiny", "1: name: '-tiny' is not a name for a model"),
        ("code: MIT", "code: ''", "5: license.code: may not be empty"),
        (
            "handler:",
            "requirements: r.txt\nhandler:",
            "10: requirements: packages stand",
        ),
        ("file: tiny.pt", "file: ''", "9: artifact.torchscript.file: a path, package"),
        ("file: tiny.pt", "file: 'runs:/0a1b/model'", "MLflow's names are not resolved here: give"),
        (
            "file: tiny.pt",
            r"file: C:\\best.pt",
            "9: artifact.torchscript.file: a path",
        ),
        ("file: tiny.pt", "file: s4://b/tiny.pt", "unknown address s4:// (https, http, s3"),
        ("file: tiny.pt", "file: https://a:b@c/d.pt", "an address with a secret in it"),
        ("file: tiny.pt", "file: https://c/d.pt?token=x", "an address with a secret in it"),
        (
            "handler: handler.py",
            "handler: base_handler\nextraFiles: {../a: b}",
            "a path in the arch",
        ),
        ("handler: handler.py", "handler: a.py\nextraFiles: {MAR-INF/a: b}", "MAR-INF holds the"),
        (
            "file: tiny.pt\nhandler: handler.py",
            "file: tiny.pt2\nhandler: image_classifier",
            "image_classifier loads .pt, .onnx, .so only: rename tiny.pt2, or write a handler",
        ),
        ("reference: ", "serving: {batchSize: -1}\nreference: ", "11: serving.batchSize: -1 is"),
        ("reference: ", "serving: {minWorkers: 2}\nreference: ", "11: serving: minW"),
        ("handler: handler.py\n", "", "1: handler and license are needed"),
        ("file: tiny.pt", "file: a\n  export:\n    file: b", "7: artifact: at most"),
    ],
)
def test_a_mistake_is_named_with_its_line(edit, old, new, says):
    path = edit(old, new)
    with pytest.raises(InputError) as caught:
        load_model(path)
    assert str(path) in str(caught.value)
    assert says in str(caught.value)


def test_the_form_that_a_value_does_not_have_is_no_second_reason(edit):
    path = edit(
        "torchscript:\n    file: tiny.pt", "eager:\n    code: a.py\n    stateDict: runs:/a/b"
    )
    with pytest.raises(InputError, match="MLflow's names are not resolved here") as caught:
        load_model(path)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(("key", "earlier"), [("artifact", "artefact"), ("license", "licence")])
def test_keys_are_read_under_their_earlier_spelling_too(tiny, edit, key, earlier):
    path = tiny.models / "tiny" / "model.yaml"
    expected = load_model(path)

    assert load_model(edit(f"{key}:", f"{earlier}:")) == expected
    with pytest.raises(InputError, match=f"{earlier}: unknown key; did you mean {key}"):
        load_model(edit(f"{earlier}:", f"{earlier}: {{}}\n{key}:"))


def test_a_sample_whose_answer_nobody_knows_is_refused(edit):
    edit("    expect:\n      answer: {length: 5}\n", "")
    path = edit("reference: reference.py\n", "")
    with pytest.raises(
        InputError, match="the correct answer of sample hello is not known: give it"
    ):
        load_model(path)


def test_two_samples_of_one_name_are_refused(edit):
    second = "  - {name: hello, file: hello.txt, contentType: text/plain}\n"
    path = edit("samples:\n", f"samples:\n{second}")
    with pytest.raises(InputError, match="two samples have the same name"):
        load_model(path)


def test_a_name_that_is_not_the_folders_is_refused(edit):
    path = edit("name: tiny", "name: huge")
    with pytest.raises(InputError, match="huge is not the folder's name tiny"):
        load_model(path)


def test_an_adopted_archive_needs_nothing_but_itself(edit, tiny):
    path = edit("handler: handler.py\n", "")
    path.write_text(
        'name: tiny\nversion: "1"\ndescription: old\nartifact: {adopted: {mar: old.mar}}\n'
    )
    assert load_model(path).artifact.adopted.archive == "old.mar"


def test_a_folder_without_models_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no \*/model.yaml"):
        load_catalog(tmp_path)
