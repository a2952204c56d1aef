"""The documentation texts: how they are read, and how much of the API they cover."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from codegen import emit_inputs, history, layout, names, schema
from codegen.refusals import SchemaError
from codegen.schema import Api, Record, closure, refs
from codegen.texts import Texts
from tests.api.from_schema import ABSENT, SPECS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def _load(folder: Path, api: Api | None, **files: str) -> Texts:
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text)
    return Texts.load(folder, api)


def test_a_field_has_its_own_text_or_the_common_one(tmp_path: Path, api: Api) -> None:
    texts = _load(
        tmp_path,
        api,
        common='[fields]\nid = "Identifier."\n',
        tree='[Tree]\nid = "Identifier of the tree."\n',
    )
    found = {
        name: texts.field(record, record.properties[0])
        for name in ("Tree", "Stand", "TreeWhereInput")
        if isinstance(record := api.types[name], Record)
    }
    assert found == {
        "Tree": "Identifier of the tree.",
        "Stand": "Identifier.",
        "TreeWhereInput": "",
    }


def test_files_may_share_a_table(tmp_path: Path, api: Api) -> None:
    texts = _load(
        tmp_path,
        api,
        one='[operations]\nmove-tree = "Move a tree."\n',
        two='[operations]\nfell-tree = "Fell a tree."\n',
    )
    said = [
        texts.operation(one) for one in api.operations if one.path in ("/move-tree", "/fell-tree")
    ]
    assert sorted(said) == ["Fell a tree.", "Move a tree."]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('[Bush]\nid = "Text."', "[Bush]: the API has no schema of this name"),
        ('[TreeStatus]\nid = "Text."', "[TreeStatus]: the API has no schema of this name"),
        ('[Tree]\nleaf = "Text."', "[Tree] leaf: the API has no such field"),
        ('[fields]\nleaf = "Text."', "[fields] leaf: the API has no such field"),
        (
            '[operations]\nburn-tree = "Text."',
            "[operations] burn-tree: the API has no such operation",
        ),
        ('id = "Text."', "`id` is in no table"),
        ("[Tree]\nid = 1", "[Tree] id: write whole sentences"),
        ("[Tree.id]\na = 1", "[Tree] id: write whole sentences"),
        ('[Tree]\nid = ""', "[Tree] id: write whole sentences"),
        ('[Tree]\nid = "no end"', "[Tree] id: write whole sentences"),
        ('[Tree]\nid = "Two\\nlines."', "[Tree] id: write whole sentences"),
        ("[Tree]\nid = 'A \\ in it.'", "[Tree] id: write whole sentences"),
        ('[Tree]\nid = \'A """ in it.\'', "[Tree] id: write whole sentences"),
        ("[Tree", "it cannot be read as TOML"),
    ],
)
def test_faults_are_named_with_their_file(tmp_path: Path, api: Api, text: str, fault: str) -> None:
    with pytest.raises(SchemaError, match=re.escape(f"{tmp_path.name}/bad.toml: {fault}")):
        _load(tmp_path, api, bad=text)


def test_a_second_text_for_the_same_field_is_refused(tmp_path: Path, api: Api) -> None:
    text = '[Tree]\nid = "Identifier."\n'
    with pytest.raises(SchemaError, match=r"two\.toml: \[Tree\] id: another file also has a text"):
        _load(tmp_path, api, one=text, two=text)


def test_an_older_schema_may_lack_what_the_texts_describe(tmp_path: Path) -> None:
    _load(tmp_path, None, one='[Bush]\nid = "Text."\n')


# Coverage of the real API

_CORE_NAME = re.compile(
    r"(Vm|Host|Cluster|Disk|VmDisk|VmNic|VmVolume|VmSnapshot|VmTemplate|VmFolder|VmPlacementGroup"
    r"|Vlan|Vds|Nic|Alert|Task|Label|User|Datacenter|ElfImage|ContentLibraryImage"
    r"|ContentLibraryVmTemplate|Iscsi\w+|Nvmf\w+|Nfs\w+|Consistency\w+|SnapshotPlan|UploadTask"
    r"|GpuDevice)((Create|Creation|Update|Updation)\w*)?"
)
# Words that add no information to a name.
_EMPTY = {"a", "an", "the", "of", "is", "this", "that", "its", "value", "field", "s"}


@pytest.fixture(scope="module")
def real() -> Api:
    if not SPECS.is_dir():
        pytest.skip(ABSENT)
    return schema.load(SPECS / "latest.json")


@pytest.fixture(scope="module")
def texts(real: Api) -> Texts:
    return Texts.load(history.FILE.parent / "texts", real)


def _documented(api: Api) -> Iterator[Record]:
    """Return the records of answers and arguments, without filters."""
    reached = {
        *layout.models(api),
        *closure(api, (ref for one in api.operations for ref in refs(one.arguments))),
    }
    for name in sorted(reached):
        record = api.types[name]
        if isinstance(record, Record) and not emit_inputs.is_filter(name):
            yield record


def _core(api: Api) -> set[str]:
    """Return the records whose fields must all be documented, with their nested records."""
    found: set[str] = set()
    for record in _documented(api):
        if _CORE_NAME.fullmatch(record.name):
            found |= closure(api, iter([record.name]))
    return found


def _missing(api: Api, texts: Texts) -> tuple[list[str], list[str], int]:
    """Return the fields without a text.

    Returns:
        The core fields without a text, the other fields without a text, and the number of all other
        fields.
    """
    core, lacking, others, count = _core(api), list[str](), list[str](), 0
    for record in _documented(api):
        for prop in record.properties:
            place = f"{record.name}.{prop.wire}"
            count += record.name not in core
            if not texts.field(record, prop):
                (lacking if record.name in core else others).append(place)
    return lacking, others, count


def test_every_field_of_the_main_resources_is_documented(real: Api, texts: Texts) -> None:
    assert _missing(real, texts)[0] == []


def test_nearly_every_other_field_is_documented(real: Api, texts: Texts) -> None:
    _, others, count = _missing(real, texts)
    assert len(others) <= 0.15 * count, others


def test_every_operation_is_documented(real: Api, texts: Texts) -> None:
    assert [one.path for one in real.operations if not texts.operation(one)] == []


def test_no_text_only_repeats_a_name(real: Api, texts: Texts) -> None:
    said = [
        (prop.wire, texts.field(record, prop))
        for record in _documented(real)
        for prop in record.properties
    ]
    said += [(one.id, texts.operation(one)) for one in real.operations]
    assert [(name, text) for name, text in said if text and _repeats(name, text)] == []


def _repeats(name: str, text: str) -> bool:
    """Return whether a text only repeats the words of the name."""
    own = {word.rstrip("s") for word in names.snake(name).split("_")}
    words = {word.rstrip("s") for word in re.findall(r"[a-z]+", text.lower())}
    return not words - own - _EMPTY


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("name", "The name."),
        ("vm_disks", "VM disks."),
        ("entityAsyncStatus", "Entity async status."),
    ],
)
def test_a_repeated_name_is_noticed(name: str, text: str) -> None:
    assert _repeats(name, text)
    assert not _repeats(name, f"{text} None while unknown.")
