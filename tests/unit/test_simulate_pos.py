"""The POS exports: Square's layout with its dirt, overlapping windows, late rows, and totals to check by."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from datetime import date, timedelta
from pathlib import Path

import pytest

from panpan.simulate.big_export import big_export
from panpan.simulate.catalogue import START
from panpan.simulate.faults import FILE_FAULTS, Faults
from panpan.simulate.pos import Totals, added_up, export_text, export_window, exported_totals, write_exports
from panpan.simulate.spoil import spoil
from panpan.simulate.square_csv import HEADER_33, HEADER_35, money
from panpan.simulate.world import World, days

UNTIL = date(2026, 3, 15)
FIRST_DAYS = date(2025, 11, 9)

Row = dict[str, str]


@pytest.fixture(scope="module")
def world() -> World:
    return World(until=UNTIL)


@pytest.fixture(scope="module")
def rows(world: World) -> list[Row]:
    """Every row of all exports, each receipt once."""
    by_receipt: dict[str, list[Row]] = {}
    for day in days(START, UNTIL):
        for transaction, members in receipts_of(export_text(world, day)).items():
            by_receipt[transaction] = members
    return [row for members in by_receipt.values() for row in members]


def receipts_of(text: str) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in csv.DictReader(io.StringIO(text, newline="")):
        found[row["Transaction ID"]].append(row)
    return found


def cents(text: str) -> int:
    return int(text.replace("€", "").replace(",", "").replace(".", ""))


def totals_read(rows: list[Row]) -> Totals:
    return Totals(
        receipts=len({row["Transaction ID"] for row in rows}),
        refunds=len({row["Transaction ID"] for row in rows if row["Event Type"] == "Refund"}),
        lines=len(rows),
        gross=sum(cents(row["Gross Sales"]) for row in rows),
        discounts=sum(cents(row["Discounts"]) for row in rows),
        net=sum(cents(row["Net Sales"]) for row in rows),
        tax=sum(cents(row["Tax"]) for row in rows),
    )


def test_files_are_the_same_bytes_for_another_last_day(tmp_path: Path) -> None:
    write_exports(tmp_path / "short", START, date(2025, 10, 8), World(until=date(2025, 10, 8)))
    write_exports(tmp_path / "long", START, date(2025, 10, 10), World(until=date(2026, 1, 31)))

    for path in (tmp_path / "short").iterdir():
        assert path.read_bytes() == (tmp_path / "long" / path.name).read_bytes()


def test_a_second_run_writes_nothing(tmp_path: Path, world: World) -> None:
    first = write_exports(tmp_path, START, FIRST_DAYS, world)

    assert len(first) == 40
    assert write_exports(tmp_path, START, FIRST_DAYS, world) == []
    assert sorted(tmp_path.iterdir()) == sorted(first)


def test_monday_goes_back_over_sunday(world: World) -> None:
    assert export_window(world, date(2025, 10, 6)) == (date(2025, 10, 5), date(2025, 10, 6))


def test_the_file_name_ends_with_the_day_after_the_last(tmp_path: Path, world: World) -> None:
    assert write_exports(tmp_path, START, START, world)[0].name == "items-2025-10-01-2025-10-02.csv"


@pytest.mark.parametrize(
    ("day", "header"), [(date(2026, 2, 28), HEADER_35), (date(2026, 3, 1), HEADER_33)], ids=["35", "33"]
)
def test_both_layouts_occur(world: World, day: date, header: str) -> None:
    first, *others = export_text(world, day).split("\n")

    assert first == header
    assert len(header.split(",")) == (35 if header == HEADER_35 else 33)
    assert all(len(cells) == len(header.split(",")) for cells in csv.reader(others) if cells)


def test_the_35_columns_are_squares_own() -> None:
    assert HEADER_35.split(",")[27:30] == ["Itemization Type", "Commission", "Employee"]


def test_cells_are_quoted_as_the_real_export_does(world: World) -> None:
    text = export_text(world, date(2025, 11, 1))

    assert "\r" not in text
    assert not text.startswith("\ufeff")
    assert ',"",' in text
    assert ",," not in text.replace(',"",', "")
    assert '"Loaf, seeds & nuts"' in text
    assert '"12"" focaccia"' in text
    assert ",Croissant," in text


def test_money_is_written_with_the_sign_before_the_euro() -> None:
    assert [money(700), money(-700), money(0), money(115000)] == ["€7.00", "-€7.00", "€0.00", '"€1,150.00"']


def test_newest_row_first(world: World) -> None:
    text = export_text(world, date(2025, 11, 5))
    moments = [(row["Date"], row["Time"]) for row in csv.DictReader(io.StringIO(text))]

    assert moments == sorted(moments, reverse=True)


def test_totals_are_what_the_files_hold(world: World, rows: list[Row]) -> None:
    assert totals_read(rows) == added_up(exported_totals(world, START, UNTIL).values())


def test_totals_by_store_are_what_the_files_hold(world: World, rows: list[Row]) -> None:
    norte = [total for (_, store), total in exported_totals(world, START, UNTIL).items() if store == "norte"]

    assert totals_read([row for row in rows if row["Location"] == "PanPan Norte"]) == added_up(norte)


def test_gross_and_discount_make_net_and_tax_is_on_top(rows: list[Row]) -> None:
    for row in rows:
        net = cents(row["Net Sales"])
        assert cents(row["Gross Sales"]) + cents(row["Discounts"]) == net
        assert cents(row["Tax"]) == (abs(net) * 10 + 50) // 100 * (1 if net >= 0 else -1)
        assert float(row["Qty"]) == int(row["Count"])


def test_refunds_share_the_payment_of_their_sale_and_name_no_customer(rows: list[Row]) -> None:
    sales = {row["Payment ID"]: row for row in rows if row["Event Type"] == "Payment"}
    refunds = [row for row in rows if row["Event Type"] == "Refund"]

    assert len(refunds) > 100
    for refund in refunds:
        sale = sales[refund["Payment ID"]]
        assert refund["Transaction ID"] != sale["Transaction ID"]
        assert refund["Customer ID"] == ""
        assert refund["Notes"]
        assert refund["Qty"].startswith("-")
        assert refund["Date"] >= sale["Date"]


def test_refunds_come_days_later_and_in_part(rows: list[Row]) -> None:
    paid: Counter[str] = Counter()
    given_back: Counter[str] = Counter()
    dates: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        side = given_back if row["Event Type"] == "Refund" else paid
        side[row["Payment ID"]] += cents(row["Net Sales"])
        dates[row["Payment ID"]].add(row["Date"])

    assert all(-back <= paid[payment] for payment, back in given_back.items())
    assert any(-back < paid[payment] for payment, back in given_back.items())
    assert any(len(dates[payment]) == 2 for payment in given_back)


def test_the_dirt_of_real_exports_is_there(rows: list[Row]) -> None:
    names = {row["Item"] for row in rows}
    equal = Counter(tuple(row.values()) for row in rows if row["Event Type"] == "Payment")

    assert {"matcha latte", "Matcha Latte", "Lemon Dream", "Lemon Dream "} <= names
    assert {'12" focaccia', "Baker\u2019s roll", "Caña de piñones", "Custom Amount"} <= names
    assert max(equal.values()) >= 2
    assert any(", " in row["Modifiers Applied"] for row in rows)
    assert any("," in row["Gross Sales"] for row in rows)
    assert len({row["Token"] for row in rows if row["SKU"] == "COF-05"}) == 2
    assert all(row["SKU"] for row in rows if row["Item"] != "Custom Amount")
    assert {row["Time Zone"] for row in rows} == {"Madrid"}


def test_one_customer_appears_with_and_without_a_name(rows: list[Row]) -> None:
    names: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row["Customer ID"]:
            names[row["Customer ID"]].add(row["Customer Name"])

    assert any(len(spellings) == 2 and "" in spellings for spellings in names.values())
    assert 0.35 < sum(bool(row["Customer ID"]) for row in rows) / len(rows) < 0.55


def test_a_receipt_has_the_same_rows_in_every_export(world: World) -> None:
    """Wherever windows overlap, also where late receipts joined."""
    seen: dict[str, list[Row]] = {}
    repeated = 0
    for day in days(date(2025, 10, 20), date(2025, 12, 10)):
        for transaction, members in receipts_of(export_text(world, day)).items():
            repeated += transaction in seen
            assert seen.setdefault(transaction, members) == members

    assert repeated > 1000


def test_late_receipts_are_missing_first_and_appear_in_a_later_export(world: World) -> None:
    late = [r for day in days(START, UNTIL) for r in world.receipts(day) if r.uploaded > r.dated]
    chosen = [r for r in late if r.uploaded <= UNTIL - timedelta(days=4)]
    exported = {day: export_text(world, day) for day in days(START, UNTIL)}

    assert len(chosen) > 30
    for receipt in chosen:
        assert receipt.transaction_id not in exported[receipt.dated]
        assert any(receipt.transaction_id in text for day, text in exported.items() if day > receipt.dated)


@pytest.mark.parametrize("lines", [1, 1999, 50_000])
def test_a_big_export_has_exactly_the_rows_asked_for(tmp_path: Path, lines: int) -> None:
    path = tmp_path / "big.csv"

    totals = big_export(path, lines)

    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == lines
    assert totals_read(rows) == totals


def test_every_file_fault_changes_what_lies_there(tmp_path: Path, world: World) -> None:
    for name in FILE_FAULTS:
        (path,) = write_exports(tmp_path / name, START, START, world)
        good = path.read_bytes()

        files = spoil(path, name)

        assert path.read_bytes() != good or len(files) == 2, name


def test_spoiled_files_are_spoiled_as_said(tmp_path: Path, world: World) -> None:
    def spoilt(name: str) -> bytes:
        (path,) = write_exports(tmp_path / name, START, START, world)
        return spoil(path, name)[-1].read_bytes()

    assert spoilt("pos_empty") == b""
    assert not spoilt("pos_truncated").endswith(b"\n")
    assert spoilt("pos_utf16").startswith(b"\xff\xfe")
    assert spoilt("pos_bom").startswith(b"\xef\xbb\xbfDate")
    assert spoilt("pos_header_only") == f"{HEADER_35}\n".encode()
    assert b"Table Info" in spoilt("pos_unknown_column")
    assert b"Net Sales" in spoilt("pos_other_layout").split(b"\n")[0]
    assert b"SKU" not in spoilt("pos_other_layout").split(b"\n")[0]
    assert b"first line\nsecond" in spoilt("pos_line_breaks")
    with pytest.raises(UnicodeDecodeError):
        spoilt("pos_latin1").decode()


def test_bad_values_spoil_three_rows_and_leave_the_rest(tmp_path: Path, world: World) -> None:
    (path,) = write_exports(tmp_path, START, START, world)
    good = path.read_text(encoding="utf-8").splitlines()

    spoil(path, "pos_bad_values")

    bad = path.read_text(encoding="utf-8").splitlines()
    assert sum(before != after for before, after in zip(good, bad, strict=True)) == 3


def test_a_file_fault_strikes_as_often_as_asked_and_the_next_run_mends_it(tmp_path: Path, world: World) -> None:
    faults = Faults()
    faults.switch("pos_bom", times=1)

    first, second = write_exports(tmp_path, START, date(2025, 10, 2), world, faults)

    assert first.read_bytes().startswith(b"\xef\xbb\xbf")
    assert not second.read_bytes().startswith(b"\xef\xbb\xbf")
    assert write_exports(tmp_path, START, date(2025, 10, 2), world, faults) == [first]


def test_a_second_download_lies_there_under_a_browsers_name(tmp_path: Path, world: World) -> None:
    faults = Faults()
    faults.switch("pos_duplicate_file", times=1)

    first, second = write_exports(tmp_path, START, START, world, faults)

    assert second.name == "items-2025-10-01-2025-10-02 (1).csv"
    assert first.read_bytes() == second.read_bytes()
