"""Is a plan readable by people, by programs and by the tools that draw pictures?"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.zoo import rows
from tests.zoo.emptying import emptied

from .typing_in import typed

pytestmark = pytest.mark.django_db(databases=["default", "target"])


@pytest.fixture(scope="module")
def zoo(django_db_setup: None, django_db_blocker: Any) -> Iterator[rows.Zoo]:
    with django_db_blocker.unblock(), emptied("default"):
        yield rows.populate("default", menageries=2)


def planned(*words: str) -> dict[str, Any]:
    seen = typed("planobjects", *words, "--format", "json")
    assert (seen.code, seen.err) == (0, "")
    found: dict[str, Any] = json.loads(seen.out)
    return found


def test_every_kind_of_key_names_a_row(zoo: rows.Zoo) -> None:
    inhabitants = zoo.inhabitants
    for placed in (
        inhabitants.cage,
        inhabitants.uuid_key,
        inhabitants.char_key,
        inhabitants.dotted_key,
        inhabitants.falsy_key,
        inhabitants.sports_car,
        inhabitants.hidden_from_base,
    ):
        plan = planned(placed.reference)
        by_model = {table["model"]: table for table in plan["tables"]}
        assert plan["objects"] == [placed.reference]
        assert by_model[placed.model._meta.label]["owned"] >= 1

    cage = inhabitants.cage.model
    by_fields = f"zoo.Cage:menagerie={inhabitants.cage.key[0]},number={inhabitants.cage.key[1]}"
    assert cage.__name__ == "Cage"
    assert planned(by_fields)["tables"] == planned(inhabitants.cage.reference)["tables"]


def test_text_json_and_report_say_the_same(zoo: rows.Zoo, tmp_path: Path) -> None:
    report = tmp_path / "plan.json"
    text = typed("planobjects", zoo.root.reference, "--report", str(report))
    plan = planned(zoo.root.reference)

    assert (text.code, text.err) == (0, "")
    assert json.loads(report.read_bytes()) == plan
    lines = text.out.splitlines()
    assert lines[0] == f"Plan for {zoo.root.reference} (follow owned, 'default')"
    shown = {line.split()[0]: line for line in lines[2 : lines.index("", 2)]}
    assert list(shown) == [table["model"] for table in plan["tables"]]
    for table in plan["tables"]:
        words = [f"{table[w]:,} {w}" for w in ("owned", "shared", "external") if table[w]]
        assert shown[table["model"]].split(None, 1)[1] == ", ".join(words)
    owned = sum(table["owned"] for table in plan["tables"])
    shared = sum(table["shared"] for table in plan["tables"])
    assert plan["rows"] == owned + shared
    assert f"{owned + shared:,} rows to take: {owned:,} owned, {shared:,} shared." in lines
    for item in plan["not_taken"]:
        assert f"    {item['rows']:,} × {item['relation']}" in lines
        assert f"  at {item['model']} ({item['reason']}):" in lines


def test_lines_fit_into_eighty_columns(zoo: rows.Zoo) -> None:
    """But for those that name what is longer than that."""
    text = typed("planobjects", zoo.root.reference, zoo.inhabitants.cage.reference)
    long = [line for line in text.out.splitlines() if len(line) > 80]
    assert long == []


def test_why_tells_the_chain(zoo: rows.Zoo) -> None:
    offspring = zoo.inhabitants.offspring.reference
    assert zoo.bystander is not None
    text = typed(
        "planobjects",
        zoo.root.reference,
        "--why",
        offspring,
        zoo.bystander.reference,
        "--why",
        zoo.root.reference,
    )
    plan = planned(
        zoo.root.reference, "--why", offspring, zoo.bystander.reference, zoo.root.reference
    )

    chain = plan["why"][offspring]
    assert chain[0] == f"{zoo.root.reference} is an object of the export"
    assert chain[-1].startswith((f"{offspring} points at it", f"it points at {offspring}"))
    assert plan["why"][zoo.bystander.reference] == []
    assert plan["why"][zoo.root.reference] == chain[:1]
    assert (
        "\n".join(
            [
                "",
                f"Why {offspring}:",
                *(f"  {line}" for line in chain),
                "",
                f"{zoo.bystander.reference} is not taken.",
                "",
                f"Why {zoo.root.reference}:",
                f"  {chain[0]}",
                "",
            ]
        )
        in text.out
    )


def test_why_of_an_external_row(zoo: rows.Zoo) -> None:
    plan = planned(
        zoo.root.reference, "--why", "contenttypes.ContentType:app_label=zoo,model=animal"
    )
    (said,) = plan["why"].values()
    assert (
        re.fullmatch(
            r"contenttypes.ContentType.\d+ is external: only its identity is taken", said[0]
        )
        or said == []
    )


def test_dot_is_a_graph(zoo: rows.Zoo) -> None:
    seen = typed("planobjects", zoo.root.reference, "--format", "dot", "-v0")
    first, settings, *body, last = seen.out.splitlines()
    models = {table["model"] for table in planned(zoo.root.reference)["tables"]}

    assert (seen.code, first, last) == (0, "digraph gestore {", "}")
    assert settings.endswith("];")
    nodes, edges = set(), []
    for line in body:
        if node := re.fullmatch(r'  "([^"]+)" \[label="([^"\\]+)\\n([^"\\]+)"\];', line):
            assert node[1] == node[2]
            nodes.add(node[1])
        else:
            edge = re.fullmatch(r'  "([^"]+)" -> "([^"]+)" \[label="(\w+)"\];', line)
            assert edge is not None, line
            edges.append((edge[1], edge[2]))
    assert nodes == models
    assert edges
    assert {end for edge in edges for end in edge} <= models


def test_mermaid_is_a_flowchart(zoo: rows.Zoo) -> None:
    seen = typed("planobjects", zoo.root.reference, "--format", "mermaid", "-v0")
    first, *body = seen.out.splitlines()
    models = {table["model"] for table in planned(zoo.root.reference)["tables"]}

    assert (seen.code, first) == (0, "flowchart LR")
    nodes, edges = {}, []
    for line in body:
        if node := re.fullmatch(r'  (t\d+)\["([\w.]+)<br/>([\w ,]+)"\]', line):
            nodes[node[1]] = node[2]
        else:
            edge = re.fullmatch(r"  (t\d+) -->\|(\w+)\| (t\d+)", line)
            assert edge is not None, line
            edges.append((edge[1], edge[3]))
    assert set(nodes.values()) == models
    assert len(nodes) == len(models)
    assert edges
    assert {end for edge in edges for end in edge} <= nodes.keys()


def test_policies_and_roots_are_heard(zoo: rows.Zoo) -> None:
    def counts(*words: str) -> dict[str, tuple[int, int, int]]:
        return {
            table["model"]: (table["owned"], table["shared"], table["external"])
            for table in planned(zoo.inhabitants.animal.reference, *words)["tables"]
        }

    alone = counts()
    species = zoo.species.model._meta.label
    assert alone[species][1] > 0
    assert counts("--own", species)[species][0] > 0
    assert counts("--external", species)[species] == (0, 0, sum(alone[species]))
    assert counts("--share", species)[species] == alone[species]
    assert counts("--follow", "connected") != alone
    assert counts("-r", species, "--root", species)[species] == alone[species]
