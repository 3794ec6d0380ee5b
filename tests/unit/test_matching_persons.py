"""Who is one person: each rule alone, what speaks against it, decisions, and that order does not matter."""

from __future__ import annotations

from decimal import Decimal
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.matching.persons import Assignment, Decided, Known, Pair, Record, Refusal, find_persons
from transforms.matching.rules import (
    EMAIL,
    LOYALTY_CARD,
    NAME,
    NAME_AND_POSTCODE,
    PENALTIES,
    PHONE,
    POS_ID,
    RULES,
    THRESHOLD,
)

A, B, C, D = (Record("crm", letter) for letter in "ABCD")
Values = dict[str, str]


def known(**records: Values) -> dict[Record, Known]:
    """Records by letter, as old as their place, each with one value per kind."""
    return {
        Record("crm", letter): Known((age, 0), {kind: frozenset([value]) for kind, value in values.items()})
        for age, (letter, values) in enumerate(records.items())
    }


def pairs_of(records: dict[Record, Known]) -> list[Pair]:
    """Every two records that have a value in common, as the select finds them."""
    return [
        Pair(*sorted((left, right)), rule)
        for left, right in combinations(records, 2)
        for rule in (POS_ID, EMAIL, LOYALTY_CARD, PHONE, NAME_AND_POSTCODE)
        if records[left].values.get(rule, frozenset()) & records[right].values.get(rule, frozenset())
    ]


def found(*decisions: Decided, **records: Values) -> tuple[dict[str, str], list[Refusal]]:
    """The person of each record, by letters, and the refusals."""
    given_ones = known(**records)
    assignments, refusals = find_persons(given_ones, pairs_of(given_ones), decisions)
    return {a.record.source_customer_id: a.person.source_customer_id for a in assignments}, refusals


def joined(**records: Values) -> Assignment:
    given_ones = known(**records)
    assignments, _ = find_persons(given_ones, pairs_of(given_ones), [])
    return next(assignment for assignment in assignments if assignment.record == B)


@pytest.mark.parametrize("rule", [POS_ID, EMAIL, PHONE, LOYALTY_CARD, NAME_AND_POSTCODE])
def test_each_rule_alone_joins_with_its_score(rule: str) -> None:
    one = joined(A={rule: "x"}, B={rule: "x"})

    assert (one.person, one.rule, one.score) == (A, rule, RULES[rule].score)
    assert one.evidence == {"with": "crm:A", "agree": [rule], "differ": [], "rules_version": 1}


def test_the_surest_of_several_rules_is_the_rule() -> None:
    one = joined(A={PHONE: "x", EMAIL: "y"}, B={PHONE: "x", EMAIL: "y"})

    assert (one.rule, one.score, one.evidence["agree"]) == (EMAIL, Decimal("0.950"), [EMAIL, PHONE])


def test_what_differs_is_taken_off() -> None:
    one = joined(A={EMAIL: "y", LOYALTY_CARD: "1"}, B={EMAIL: "y", LOYALTY_CARD: "2"})

    assert (one.score, one.evidence["differ"]) == (Decimal("0.850"), [LOYALTY_CARD])


def test_same_phone_with_other_card_and_other_name_is_refused_with_its_reason() -> None:
    persons, refusals = found(
        A={PHONE: "x", LOYALTY_CARD: "1", NAME: "ana ruiz"}, B={PHONE: "x", LOYALTY_CARD: "2", NAME: "leo gil"}
    )

    assert persons == {"A": "A", "B": "B"}
    assert refusals == [Refusal(A, B, PHONE, Decimal("0.600"), "different name and loyalty card")]


@pytest.mark.parametrize("contradiction", [NAME, LOYALTY_CARD, POS_ID, EMAIL, PHONE])
def test_name_and_postcode_join_nobody_whom_anything_contradicts(contradiction: str) -> None:
    persons, _ = found(A={NAME_AND_POSTCODE: "x", contradiction: "1"}, B={NAME_AND_POSTCODE: "x", contradiction: "2"})

    assert persons == {"A": "A", "B": "B"}


def test_part_of_a_name_contradicts_nothing() -> None:
    assert joined(A={PHONE: "x", NAME: "ana maria ruiz"}, B={PHONE: "x", NAME: "ruiz"}).score == Decimal("0.900")


def test_a_third_record_does_not_join_two_that_contradict() -> None:
    """B has no name of its own: with Ana by e-mail, so no longer with Leo by phone."""
    persons, refusals = found(
        A={EMAIL: "y", NAME: "ana ruiz"}, B={EMAIL: "y", PHONE: "x"}, C={PHONE: "x", NAME: "leo gil"}
    )

    assert persons == {"A": "A", "B": "A", "C": "C"}
    assert [(refusal.left, refusal.right, refusal.reason) for refusal in refusals] == [(B, C, "different name")]


def test_a_person_that_grew_may_agree_with_what_it_contradicted() -> None:
    """A and B differ in e-mail; C has the e-mail of A and the phone of B."""
    persons, _ = found(
        A={NAME_AND_POSTCODE: "n", EMAIL: "1"},
        B={NAME_AND_POSTCODE: "n", EMAIL: "2", PHONE: "b"},
        C={EMAIL: "1", PHONE: "b"},
    )

    assert set(persons.values()) == {"A"}


def test_a_person_is_named_by_its_oldest_record() -> None:
    persons, _ = found(C={EMAIL: "1"}, A={EMAIL: "1", PHONE: "2"}, B={PHONE: "2"})

    assert set(persons.values()) == {"C"}


def test_decision_to_part_wins_over_the_surest_rule() -> None:
    persons, refusals = found(Decided(7, False, A, (B,)), A={POS_ID: "x"}, B={POS_ID: "x"})

    assert persons == {"A": "A", "B": "B"}
    assert [refusal.reason for refusal in refusals] == ["decision 7 keeps them apart"]


def test_decision_to_part_holds_also_through_a_third() -> None:
    persons, _ = found(
        Decided(7, False, A, (B,)), A={EMAIL: "x"}, B={EMAIL: "x", PHONE: "p"}, C={PHONE: "p", EMAIL: "x"}
    )

    assert persons["A"] != persons["B"]


def test_decision_to_join_wins_over_what_contradicts() -> None:
    persons, _ = found(Decided(7, True, A, (B,)), A={NAME: "ana ruiz"}, B={NAME: "leo gil"})

    assert persons == {"A": "A", "B": "A"}


def test_decisions_about_records_nobody_knows_are_left_out() -> None:
    assert found(Decided(7, True, A, (D,)), A={NAME: "ana ruiz"})[0] == {"A": "A"}


def test_threshold_and_penalties_are_of_one_scale() -> None:
    assert all(0 < THRESHOLD <= rule.score <= 1 for rule in RULES.values())
    assert all(0 < penalty < THRESHOLD for penalty in PENALTIES.values())


people = st.dictionaries(
    st.sampled_from("ABCDEF"),
    st.fixed_dictionaries(
        {},
        optional={
            kind: st.sampled_from(["1", "2", "3"]) for kind in (EMAIL, PHONE, LOYALTY_CARD, POS_ID, NAME_AND_POSTCODE)
        },
    ),
    min_size=2,
)


@given(people, st.randoms())
def test_order_of_pairs_and_records_does_not_matter(records: dict[str, Values], chance: object) -> None:
    given_ones = known(**records)
    pairs = pairs_of(given_ones)
    mixed = list(given_ones.items())
    chance.shuffle(mixed)  # type: ignore[attr-defined]
    other = [Pair(pair.right, pair.left, pair.rule) for pair in pairs]
    chance.shuffle(other)  # type: ignore[attr-defined]

    assert find_persons(given_ones, pairs, []) == find_persons(dict(mixed), other, [])


@given(people)
def test_every_record_has_one_person_and_every_person_its_own_record(records: dict[str, Values]) -> None:
    persons, _ = found(**records)

    assert set(persons) == set(records)
    assert all(persons[person] == person for person in persons.values())
