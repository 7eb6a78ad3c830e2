"""Which aliases share an entity, by counting the rows."""

from collections import Counter
from collections.abc import Callable

import pytest

from data.errors import InputError
from data.rows import Row, SeedData
from data.tasks.alias_toy import IMLConfig
from data.tasks.subset_sizes import SubsetSizes
from data.vocabulary import Kind, Part

SIZES = SubsetSizes(defined=40, undefined=10, stage2=10)  # 90 aliases in Stage 1, 40 in Stage 2
MakeConfig = Callable[..., IMLConfig]


def entities(data: SeedData, part: Part) -> Counter[str]:
    """How many aliases each entity has in a stage, by whom their questions are about."""
    pairs = {
        (row.alias, row.entity)
        for row in data.rows
        if row.kind is Kind.QA and row.alias and row.subset.part is part
    }
    return Counter(entity for _, entity in pairs if entity)


def defined(data: SeedData, part: Part) -> set[str | None]:
    """Whom the definitions of a stage name, truly or falsely."""
    return {
        row.entity for row in data.rows if row.kind is Kind.DEFINITION and row.subset.part is part
    }


@pytest.mark.parametrize(("per", "n_entities"), [(1, 90), (2, 45), (7, 13), (30, 3)])
def test_no_entity_has_more_aliases_in_stage_1_than_asked_for(
    per: int, n_entities: int, iml_config: MakeConfig
) -> None:
    data = iml_config(sizes=SIZES, aliases_per_entity=per).build(3)
    counts = entities(data, Part.X1)
    assert (sum(counts.values()), len(counts)) == (90, n_entities)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert max(counts.values()) <= per
    # Stage 2 is about the same entities, evenly.
    second = entities(data, Part.X2)
    assert sum(second.values()) == 40
    assert set(second) <= set(counts)
    assert max(second.values()) - min(second[name] for name in counts) <= 1


@pytest.mark.parametrize("per", [0, 1, 4])
@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_new_entities_of_stage_2_are_never_met_under_an_alias_before(
    per: int, alpha: float, iml_config: MakeConfig
) -> None:
    sizes = SubsetSizes(defined=40, undefined=10, stage2=10, alpha=alpha)
    data = iml_config(sizes=sizes, aliases_per_entity=per, new_entities_stage2=True).build(3)
    first = set(entities(data, Part.X1)) | defined(data, Part.X1)
    second = set(entities(data, Part.X2)) | defined(data, Part.X2)
    assert not first & second
    # Their facts are trained by their own names, as those of all entities.
    assert second <= {row.entity for row in data.rows if row.is_fact}


def test_new_entities_change_nothing_in_stage_1(iml_config: MakeConfig) -> None:
    def rows_of_stage_1(config: IMLConfig) -> list[Row]:
        return [row for row in config.build(3).rows if row.alias and row.subset.part is Part.X1]

    same, new = (iml_config(sizes=SIZES, new_entities_stage2=each) for each in (False, True))
    assert rows_of_stage_1(same) == rows_of_stage_1(new)


def test_definitions_stay_true_or_false(iml_config: MakeConfig) -> None:
    data = iml_config(sizes=SIZES, aliases_per_entity=1, new_entities_stage2=True).build(3)
    about = {row.alias: row.entity for row in data.rows if row.kind is Kind.QA}
    for row in data.rows:
        if row.kind is Kind.DEFINITION:
            is_true = row.subset.consistent
            assert (row.entity == about[row.alias]) is is_true


@pytest.mark.parametrize(
    ("per", "message"),
    [
        (-1, "aliases_per_entity is -1 of 90 aliases in Stage 1; use 1 to 89, or 0"),
        (90, "aliases_per_entity is 90 of 90"),
        (10**9, "use 1 to 89"),
    ],
)
def test_impossible_numbers_are_refused(per: int, message: str, iml_config: MakeConfig) -> None:
    with pytest.raises(InputError, match=message):
        iml_config(sizes=SIZES, aliases_per_entity=per).build(0)
