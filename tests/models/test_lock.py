from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.core.errors import InputError
from harness.models.lock import (
    NAME,
    Lock,
    LockedModel,
    load_lock,
    mar_name,
    sources,
    to_commit,
    unset,
    write_lock,
)

names = st.from_regex(NAME, fullmatch=True).filter(lambda name: len(name) <= 100)
digests = st.text("0123456789abcdef", min_size=64, max_size=64)


@st.composite
def locked(draw) -> LockedModel:
    version, sha256 = draw(names), draw(digests)
    mar = mar_name(draw(names), version, sha256)
    return LockedModel(version=version, mar=mar, sha256=sha256, size=draw(st.integers(1, 2**40)))


@st.composite
def with_others(draw) -> LockedModel:
    others = draw(st.lists(locked(), max_size=2, unique_by=lambda each: each.version))
    archive = draw(locked())
    beside = tuple(each for each in others if each.version != archive.version)
    return archive.model_copy(update={"others": beside})


@given(models=st.dictionaries(names, with_others() | st.builds(unset, names, names), max_size=4))
def test_what_is_written_is_read_back(tmp_path_factory, models):
    path = tmp_path_factory.mktemp("lock") / "lock.yaml"
    assert write_lock(path, Lock(models=models))
    assert load_lock(path) == Lock(models=models)
    assert not write_lock(path, Lock(models=dict(reversed(models.items()))))


def model(version: str, digit: str) -> LockedModel:
    return LockedModel(version=version, mar=f"{digit}.mar", sha256=digit * 64, size=1)


def test_the_version_that_is_wanted_is_locked_as_built():
    built, committed = Lock(models={"m": model("1", "a")}), Lock(models={"m": model("1", "b")})
    assert to_commit({"m": ["1"]}, built, committed).models["m"] == model("1", "a")


def test_another_version_that_was_built_leaves_the_committed_one_alone():
    built, committed = (
        Lock(models={"m": model("1-random", "a")}),
        Lock(models={"m": model("1", "b")}),
    )
    assert to_commit({"m": ["1"]}, built, committed).models["m"] == model("1", "b")


def test_a_version_that_was_the_models_own_is_kept_beside_the_new_one():
    built, committed = Lock(models={"m": model("2", "b")}), Lock(models={"m": model("1", "a")})
    lock = to_commit({"m": ["2", "1", "0"]}, built, committed)
    assert lock.models["m"] == model("2", "b").model_copy(
        update={"others": (model("1", "a"), unset("m", "0"))}
    )
    assert [each.version for _, each in lock.archives()] == ["2", "1", "0"]
    # And when it comes back: nothing has to be built again.
    assert to_commit({"m": ["1"]}, Lock(), lock).models["m"] == model("1", "a")


def test_two_archives_of_one_version_are_refused(tmp_path):
    path = tmp_path / "lock.yaml"
    others = (model("1", "b"), model("2", "c"))
    write_lock(path, Lock(models={"m": model("3", "a").model_copy(update={"others": others})}))
    path.write_text(path.read_text().replace("version: '3'", "version: '2'"))
    with pytest.raises(InputError, match=r"lock.yaml:\d+: .*two archives of one version"):
        load_lock(path)


def test_what_nobody_built_stays_unset():
    entry = to_commit({"m": ["2"]}, Lock(models={"m": model("2-random", "a")}), Lock()).models["m"]
    assert (entry.mar, entry.sha256, entry.size, entry.unset) == ("m-2-UNSET.mar", "UNSET", 0, True)


def test_a_model_that_is_gone_leaves_the_lock():
    assert to_commit({}, Lock(models={"m": model("1", "a")}), Lock()) == Lock()


@pytest.mark.parametrize(
    ("sha256", "size"), [("UNSET", 1), ("a" * 64, 0), ("a" * 63, 1), ("A" * 64, 1)]
)
def test_a_digest_and_a_size_that_do_not_fit_are_refused(sha256, size):
    with pytest.raises(ValidationError):
        LockedModel(version="1", mar="a.mar", sha256=sha256, size=size)


def test_a_lock_that_is_none_is_named_with_its_line(tmp_path):
    path = tmp_path / "lock.yaml"
    path.write_text(
        "models:\n  m:\n    version: '1'\n    mar: m.mar\n    sha265: UNSET\n    size: 0\n"
    )
    with pytest.raises(
        InputError, match=r"lock.yaml:5: models.m.sha265: unknown key; did you mean sha256\?"
    ):
        load_lock(path)


def test_an_entry_keeps_what_it_was_built_from(tmp_path: Path) -> None:
    path = tmp_path / "lock.yaml"
    lock = Lock(models={"a": model("1", "a"), "b": model("1", "b")})
    write_lock(path, lock, {"a": "0123456789abcdef"})
    assert load_lock(path) == lock
    assert sources(path) == {"a": "0123456789abcdef"}


@pytest.mark.parametrize(("old", "new"), [("size: 1", "size: 2"), ("a" * 64, "a" * 63 + "b")])
def test_an_entry_that_was_changed_by_hand_is_refused(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "lock.yaml"
    write_lock(path, Lock(models={"a": model("1", "a")}), {})
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InputError, match=r"lock\.yaml:6: a is not as"):
        load_lock(path)


def test_a_lock_without_checks_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "lock.yaml"
    write_lock(path, Lock(models={"a": model("1", "a")}))
    assert "check" not in path.read_text()
    assert load_lock(path).models["a"].size == 1
