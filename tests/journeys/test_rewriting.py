"""Keys that hide in values, and models that were called otherwise: do they arrive right?"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from django.db import models

import gestore
from gestore import Strategy
from tests.journeys import archives
from tests.journeys.trips import dump, export, load
from tests.zoo import compare, rows
from tests.zoo import models as zoo
from tests.zoo.inserting import Inserter, Placed, inserting

pytestmark = pytest.mark.django_db(databases=["default", "target"], transaction=True)


def target(model: type[models.Model]) -> models.QuerySet[Any]:
    return model._default_manager.using("target")


# Rewriters ------------------------------------------------------------------------------------

# What `keys.new` said, by what was asked: None only while nothing is drawn yet.
heard: dict[tuple[str, Any], list[Any]] = {}


def new(keys: Any, model: str, key: Any) -> Any:
    said = keys.new(model, key)
    heard.setdefault((model, key), []).append(said)
    return said


def rewrite_list(value: list[int], keys: Any) -> list[Any]:
    return [new(keys, "zoo.Animal", key) for key in value]


def rewrite_document(value: Any, keys: Any) -> Any:
    if not isinstance(value, dict) or "tag" not in value:
        return value
    return value | {"tag": new(keys, "zoo.tag", value["tag"])}


def rewrite_text(value: str, keys: Any) -> str:
    word, _, key = value.partition("#")
    return f"{word}#{new(keys, 'zoo.Animal', int(key))}" if key.isdigit() else value


def rewrite_path(value: str, keys: Any) -> str:
    folder, key, name = value.split("/")
    return f"{folder}/{new(keys, 'zoo.Menagerie', int(key))}/{name}"


REWRITERS = {
    "zoo.SoftReference.animal_ids": rewrite_list,
    "zoo.Documents.document": "tests.journeys.test_rewriting.rewrite_document",
    "zoo.Texts.long": rewrite_text,
    "zoo.Files.attachment": rewrite_path,
}


@pytest.fixture(autouse=True)
def nothing_heard() -> Iterator[None]:
    heard.clear()
    yield
    heard.clear()


def _home(inserter: Inserter, name: str) -> tuple[Placed, Placed]:
    """A menagerie with an animal, under the keys that the other site's have too."""
    home = inserter.put(zoo.Menagerie, id=5, name=name)
    enclosure = inserter.put(zoo.Enclosure, id=5, menagerie=home, name=name)
    inserter.put(zoo.Species, id=5, code="lion")
    animal = inserter.put(zoo.Animal, id=5, enclosure=enclosure, species="lion", name=name)
    return home, animal


@pytest.fixture
def archive(tmp_path: Path) -> str:
    """A menagerie that hides its keys in values; here is another one under the same keys."""
    with inserting("default") as inserter:
        home, animal = _home(inserter, "ours")
        tag = inserter.put(zoo.Tag, id=1_234, label="ours")
        inserter.put(zoo.Menagerie.tags.through, menagerie=home, tag=tag)
        inserter.put(zoo.SoftReference, id=50, menagerie=home, animal_ids=[animal.key, 987_654])
        for number, document in enumerate(({"tag": tag.key, "kept": 1}, None, "null"), start=50):
            inserter.put(zoo.Documents, id=number, menagerie=home, document=document)
        for number, text in enumerate((f"see #{animal.key}", "see none", None), start=50):
            inserter.put(zoo.Texts, id=number, menagerie=home, long=text)
        inserter.put(zoo.Files, id=50, menagerie=home, attachment=f"menageries/{home.key}/plan.pdf")
    path = str(tmp_path / "home.json")
    export(home, path)
    with inserting("target") as inserter:
        _home(inserter, "theirs")
    return path


def _hidden() -> dict[str, list[Any]]:
    return {
        "list": list(target(zoo.SoftReference).values_list("animal_ids", flat=True)),
        "document": list(target(zoo.Documents).order_by("pk").values_list("document", flat=True)),
        "text": list(target(zoo.Texts).order_by("pk").values_list("long", flat=True)),
        "path": list(target(zoo.Files).values_list("attachment", flat=True)),
    }


def test_rewriters_put_new_keys_into_values(archive: str, settings: Any) -> None:
    settings.GESTORE = {"REWRITERS": REWRITERS}
    report = load(archive, on_conflict=Strategy.REMAP, verify=True)
    home = target(zoo.Menagerie).get(name="ours").pk
    animal = target(zoo.Animal).get(name="ours").pk
    assert 5 not in (home, animal)
    expected = {
        "list": [[animal, 987_654]],
        "document": [{"tag": 1_234, "kept": 1}, None, "null"],
        "text": [f"see #{animal}", "see none", None],
        "path": [f"menageries/{home}/plan.pdf"],
    }
    assert _hidden() == expected
    assert [f for f in report.findings if f.code == "hidden-key"] == []
    # While checking, a key that is not drawn is None; one that stays, or is unknown, is itself.
    assert heard["zoo.Animal", 5][0] == 5 or heard["zoo.Animal", 5][0] is None
    assert heard["zoo.Animal", 5][-1] == animal
    assert set(heard["zoo.Animal", 5]) <= {5, None, animal}
    assert None in heard["zoo.Menagerie", 5]
    assert set(heard["zoo.tag", 1_234]) == {1_234}
    assert set(heard["zoo.Animal", 987_654]) == {987_654}
    # Again: the rows are known by the record, and their values are what they are to be.
    assert load(archive, on_conflict=Strategy.REMAP).loaded_count == 0
    assert _hidden() == expected
    gestore.undo_import(report.number, database="target")
    assert target(zoo.SoftReference).count() == 0


def test_without_new_keys_rewriters_change_nothing(archive: str, settings: Any) -> None:
    settings.GESTORE = {"REWRITERS": REWRITERS}
    for model in (zoo.Animal, zoo.Enclosure, zoo.Species, zoo.Menagerie):
        target(model).all().delete()
    load(archive, verify=True)
    assert compare.difference(dump("default"), dump("target")) == []


def test_rewriter_of_kept_rows_says_the_row_here(archive: str, settings: Any) -> None:
    settings.GESTORE = {"REWRITERS": REWRITERS}
    with inserting("target") as inserter:
        inserter.put(zoo.Tag, id=77, label="ours")
    load(archive, on_conflict=Strategy.KEEP)
    assert _hidden()["document"][0] == {"tag": 77, "kept": 1}


def test_rewriter_that_fails_is_named(archive: str, settings: Any) -> None:
    def rewrite(value: Any, keys: Any) -> Any:
        raise KeyError("animal")

    settings.GESTORE = {"REWRITERS": {"zoo.Texts.long": rewrite}}
    before = dump("target")
    with pytest.raises(gestore.GestoreError) as error:
        load(archive, on_conflict=Strategy.REMAP)
    assert "zoo.Texts.long" in error.value.message
    assert "zoo.Texts.50" in error.value.message
    assert "KeyError" in error.value.message
    assert compare.difference(before, dump("target")) == []


# Columns that look as if they held keys -----------------------------------------------------------


def test_hidden_keys_are_told_of_and_nothing_else_is(tmp_path: Path) -> None:
    with inserting("default") as inserter:
        home, animal = _home(inserter, "ours")
        inserter.put(zoo.SoftReference, id=50, menagerie=home, user_id=animal.key,
                     animal_ids=[animal.key])  # fmt: skip
        # No relation, and equal to no changed key.
        inserter.put(zoo.SoftReference, id=51, menagerie=home, user_id=987_654, animal_ids=[])
        documents: list[Any] = [
            {"animal_id": 5},
            {"deep": [{"animal_ids": [5, 6]}, {"animal_id": 5}]},
            {"id": 5},
            {"count": 5, "animal": 5, "valid": 5, "animal_id": "5", "other_id": 987_654},
            [5, 5],
            5,
            {"animal_id": True, "owner_id": None, "a_id": 5.0},
        ]
        for number, document in enumerate(documents, start=50):
            inserter.put(zoo.Documents, id=number, menagerie=home, document=document)
        inserter.put(zoo.Integers, id=50, menagerie=home, normal=5, yes=True)
        inserter.put(zoo.Texts, id=50, menagerie=home, long="5")
    archive = str(tmp_path / "home.json")
    export(home, archive)
    with inserting("target") as inserter:
        _home(inserter, "theirs")
    report = load(archive, on_conflict=Strategy.REMAP)
    told = {f.subject: f for f in report.findings if f.code == "hidden-key"}
    assert {subject: finding.message.split()[0] for subject, finding in told.items()} == {
        "zoo.SoftReference.user_id": "1",
        "zoo.SoftReference.animal_ids[]": "1",
        "zoo.Documents.document.animal_id": "1",
        "zoo.Documents.document.deep.animal_ids[]": "1",
        "zoo.Documents.document.deep.animal_id": "1",
        "zoo.Documents.document.id": "1",
    }
    deep = told["zoo.Documents.document.deep.animal_ids[]"]
    assert deep.severity is gestore.Severity.WARNING
    assert '{"zoo.Documents.document": …}' in deep.hint
    assert '{"zoo.SoftReference.animal_ids": …}' in told["zoo.SoftReference.animal_ids[]"].hint
    # Where no key changed there is nothing to say.
    gestore.undo_import(report.number, database="target")
    for model in (zoo.Animal, zoo.Enclosure, zoo.Species, zoo.Menagerie):
        target(model).all().delete()
    assert [f.code for f in load(archive).findings] == []


# Names of other days ------------------------------------------------------------------------------

RENAMES = {
    "zoo.Paddock": "zoo.Enclosure",
    "zoo.Beast": "zoo.Animal",
    "zoo.Beast.pen": "enclosure",
    "zoo.Beast.title": "name",
    "zoo.Sticker": "zoo.Ribbon",
    "zoo.Sticker.place": "number",
    "stable.Loose": "zoo.LooseLink",
    "stable.Loose.beast": "animal",
}


class OldNames:
    """The names of other days, by those of today."""

    def __init__(self, renames: Mapping[str, str]) -> None:
        self._labels = {new.lower(): old for old, new in renames.items() if old.count(".") == 1}
        self._fields: dict[str, dict[str, str]] = {}
        for old, new in renames.items():
            if old.count(".") == 2:
                label, _, name = old.rpartition(".")
                self._fields.setdefault(label.lower(), {})[new] = name

    def label(self, name: str) -> str:
        return self._labels.get(name.lower(), name)

    def model(self, name: str) -> str:
        return self.label(name).lower()

    def fields(self, old_model: str, found: Mapping[str, Any]) -> dict[str, Any]:
        names = self._fields.get(old_model, {})
        return {names.get(name, name): value for name, value in found.items()}


def aged(path: str, renames: Mapping[str, str] = RENAMES) -> None:
    """The archive as it was when models and fields had their old names."""
    whole, names = archives.document(path), OldNames(renames)
    for row in whole["objects"]:
        row["model"] = names.model(row["model"])
        row["fields"] = names.fields(row["model"], row["fields"])
        if "dangling" in row:
            row["dangling"] = list(names.fields(row["model"], dict.fromkeys(row["dangling"])))
    for name, entry in list(whole["tables"].items()):
        old = names.model(name)
        entry["columns"] = names.fields(old, entry["columns"])
        whole["tables"] |= {old: entry | {k: names.label(name) for k in ("label",) if k in entry}}
        if old != name:
            del whole["tables"][name]
    whole["policies"] = {names.model(label): word for label, word in whole["policies"].items()}
    for row in whole["external"]:
        if row["model"] == "contenttypes.contenttype":
            row["natural_key"][:] = names.model(".".join(row["natural_key"])).split(".")
    counts = whole["closing"]["rows_by_model"]
    whole["closing"]["rows_by_model"] = {names.model(name): n for name, n in counts.items()}
    Path(path).write_text(json.dumps(whole))


def test_renamed_models_and_fields_arrive_under_their_names_here(
    tmp_path: Path, settings: Any
) -> None:
    there = rows.populate("default", menageries=1, dangling=True, chain=1)
    archive = str(tmp_path / "zoo.json")
    export(there.root, archive)
    aged(archive)
    text = archives.text_of(archive)
    assert '"zoo.beast"' in text and '"stable.loose"' in text
    with pytest.raises(gestore.Refused) as refusal:
        load(archive)
    assert {f.code for f in refusal.value.findings} >= {"unknown-model"}
    settings.GESTORE = {"RENAMES": RENAMES}
    report = load(archive, verify=True)
    assert compare.difference(dump("default"), dump("target")) == []
    assert {f.code for f in report.findings} == {"archive-edited"}
    # What it is called now is what is recorded.
    assert "zoo.Animal" in report.loaded_by_model
    assert load(archive).loaded_count == 0
    gestore.undo_import(report.number, database="target")
    assert sum(map(len, dump("target").values())) == 0


def test_renamed_generic_target_follows_a_new_key(tmp_path: Path, settings: Any) -> None:
    with inserting("default") as inserter:
        home, animal = _home(inserter, "ours")
        inserter.put(zoo.Ribbon, id=50, menagerie=home, kind=inserter.content_type(zoo.Animal),
                     number=animal.key)  # fmt: skip
    archive = str(tmp_path / "home.json")
    export(home, archive)
    aged(archive)
    settings.GESTORE = {"RENAMES": RENAMES}
    with inserting("target") as inserter:
        _home(inserter, "theirs")
    load(archive, on_conflict=Strategy.REMAP, strategies={"zoo.Species": Strategy.KEEP})
    ribbon = target(zoo.Ribbon).get()
    assert ribbon.number == target(zoo.Animal).get(name="ours").pk != animal.key
    assert (ribbon.kind.app_label, ribbon.kind.model) == ("zoo", "animal")


def test_renamed_policy_still_holds(tmp_path: Path, settings: Any) -> None:
    shop = rows.customers("default", count=1, orders=1)
    archive = str(tmp_path / "customer.json")
    export(shop.customer, archive, policies={"zoo.Product": gestore.Policy.SHARE})
    renames = {"zoo.Article": "zoo.Product", "zoo.Article.sku": "code"}
    aged(archive, renames)
    settings.GESTORE = {"RENAMES": renames}
    with inserting("target") as inserter:
        for number, product in enumerate(shop.products, start=70):
            inserter.put(zoo.Product, id=number, code=f"shop 1, product {product.key - 1}", price=1)
    report = load(archive)
    assert "zoo.Product" not in report.loaded_by_model
    lines = target(zoo.OrderLine).order_by("pk").values_list("product", flat=True)
    assert list(lines) == [70, 71]
