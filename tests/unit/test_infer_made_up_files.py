"""
Contracts proposed for small files made up for one habit each, and files that are refused with a sentence.

Amounts and receipts are checked by reading the file again with pandas under the proposal's own settings.
"""

from __future__ import annotations

import gzip
import json
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from panpan.errors import ContractError, UsageError
from transforms.contract import Contract, load_contract
from transforms.infer import Options, Proposal, propose
from transforms.infer import reading as reading_module
from transforms.infer.numbers import is_number, mark_evidence

ITEMS = ("Bread", "Croissant", "Coffee", "Tea")


def written(folder: Path, text: str, encoding: str = "utf-8", name: str = "export.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def contract_of(proposal: Proposal) -> Contract:
    return Contract.model_validate(tomllib.loads(proposal.contract_text))


def certainty_of(proposal: Proposal, about: str) -> str:
    return next(d.certainty for d in proposal.decisions if d.about == about)


def sheet(header: str, lines: list[str]) -> str:
    return "\n".join([header, *lines]) + "\n"


def reread(path: Path, proposal: Proposal) -> pd.DataFrame:
    """The file through pandas, under nothing but the settings proposed."""
    entity = contract_of(proposal).entities[0]
    return pd.read_csv(
        path,
        sep=entity.delimiter,
        encoding=entity.encodings[0],
        decimal=entity.decimal_mark,
        thousands="." if entity.decimal_mark == "," else ",",
    )


# --- dates -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dates", "form"),
    [
        (["03/02/2026", "25/02/2026", "28/02/2026"], "%d/%m/%Y"),
        (["02/03/2026", "02/25/2026", "02/28/2026"], "%m/%d/%Y"),
        (["3.2.26", "25.2.26", "28.2.26"], "%d.%m.%y"),
        (["20260203", "20260225", "20260228"], "%Y%m%d"),
        (["2026-02-03", "2026-02-25", "2026-02-28"], "%Y-%m-%d"),
        (["3 Feb 2026", "25 Feb 2026", "28 Feb 2026"], "%d %b %Y"),
        (["Feb 3, 2026", "Feb 25, 2026", "Feb 28, 2026"], "%b %d, %Y"),
    ],
)
def test_a_number_above_12_proves_which_one_is_the_day(tmp_path: Path, dates: list[str], form: str) -> None:
    lines = [f'{i},"{date}",Bread,1.50' for i, date in enumerate(dates, start=7)]
    path = written(tmp_path, sheet("receipt,date,item,total", lines))

    proposal = propose(path, "dates")

    assert contract_of(proposal).entities[0].columns["sold_on"].format == form
    assert certainty_of(proposal, "sold_on") == "proven"
    assert (
        pd.to_datetime(pd.Series(dates), format=form) == pd.to_datetime(["2026-02-03", "2026-02-25", "2026-02-28"])
    ).all()


def test_dates_that_nothing_proves_are_called_ambiguous_and_the_days_in_a_row_win(tmp_path: Path) -> None:
    lines = [f"{i},{i:02d}/03/2026,Bread,1.50" for i in range(1, 13)]

    proposal = propose(written(tmp_path, sheet("receipt,date,item,total", lines)), "dates")

    assert contract_of(proposal).entities[0].columns["sold_on"].format == "%d/%m/%Y"
    assert certainty_of(proposal, "sold_on") == "AMBIGUOUS"
    assert "# AMBIGUOUS" in proposal.contract_text
    assert proposal.open_questions


def test_rows_in_time_order_prove_the_month_first(tmp_path: Path) -> None:
    """Two days in each of twelve months: only month first puts the rows in time order."""
    dates = [f"{month:02d}/{day:02d}/2026" for month in range(1, 13) for day in (2, 11)]
    lines = [f"{i},{date},Bread,1.50" for i, date in enumerate(dates, start=100)]

    proposal = propose(written(tmp_path, sheet("receipt,date,item,total", lines)), "dates")

    assert contract_of(proposal).entities[0].columns["sold_on"].format == "%m/%d/%Y"
    assert certainty_of(proposal, "sold_on") == "proven"


def test_both_orders_in_one_column_are_both_kept_and_told(tmp_path: Path) -> None:
    lines = [f"{i},{d},Bread,1.50" for i, d in enumerate(["25/02/2026", "26/02/2026", "02/27/2026"])]

    proposal = propose(written(tmp_path, sheet("receipt,date,item,total", lines)), "dates")

    assert contract_of(proposal).entities[0].columns["sold_on"].format == ["%d/%m/%Y", "%m/%d/%Y"]
    assert certainty_of(proposal, "sold_on") == "AMBIGUOUS"


def test_moments_with_an_offset_are_timestamps(tmp_path: Path) -> None:
    lines = [f"R{i},2026-05-30T10:0{i}:00+02:00,Bread,1.50" for i in range(5)]

    column = (
        contract_of(propose(written(tmp_path, sheet("order id,created at,item,total", lines)), "iso"))
        .entities[0]
        .columns["sold_at"]
    )

    assert (column.type, column.format) == ("timestamp", "%Y-%m-%dT%H:%M:%S%z")


def test_a_12_hour_clock_is_read_as_one(tmp_path: Path) -> None:
    lines = [f"R{i},10/8/26 {i}:18 PM,Bread,1.50" for i in range(1, 6)]

    proposal = propose(written(tmp_path, sheet("check id,opened date,item,total", lines)), "toast")

    assert contract_of(proposal).entities[0].columns["sold_at"].format == "%m/%d/%y %I:%M %p"
    assert certainty_of(proposal, "sold_at") == "AMBIGUOUS"


# --- how the file is written -------------------------------------------------------------------------------


def german_sheet() -> str:
    lines = [
        f"{100 + i // 2};{1 + i // 2 % 28:02d}.05.2026;{ITEMS[i % 4]};{1 + i % 3};{p};{t}"
        for i, (p, t) in enumerate(german_prices())
    ]
    return sheet("Bonnummer;Datum;Artikel;Menge;Einzelpreis;Gesamtbetrag", lines)


def german_prices() -> list[tuple[str, str]]:
    prices = [1234.5 + i if i % 10 == 0 else 0.9 + i / 10 for i in range(40)]
    return [(german(p), german(round(p * (1 + i % 3), 2))) for i, p in enumerate(prices)]


def german(amount: float) -> str:
    return f"{amount:,.2f}".replace(",", "_").replace(".", ",").replace("_", ".")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_semicolons_comma_decimals_and_thousands_points_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    text = german_sheet().replace("Bread", "Brötchen")
    path = written(tmp_path, text, encoding)

    proposal = propose(path, "german")

    entity = contract_of(proposal).entities[0]
    frame = reread(path if encoding != "utf-16" else written(tmp_path, text, "utf-16-le"), proposal)
    assert (entity.delimiter, entity.decimal_mark) == (";", ",")
    assert entity.columns["net_amount"].source == "Gesamtbetrag"
    assert certainty_of(proposal, "net_amount") == "proven"
    assert frame["Gesamtbetrag"].sum() == pytest.approx((frame["Menge"] * frame["Einzelpreis"]).sum(), abs=0.5)
    assert frame["Gesamtbetrag"].max() > 1000
    assert frame.groupby(entity.columns["receipt_number"].received).ngroups == 20
    assert entity.encodings == [{"utf-8-sig": "utf-8", "utf-16": "utf-16-le"}.get(encoding, encoding)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_every_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    lines = [
        delimiter.join((f"R{i}", "2026-05-30", "Bread, dark" if delimiter != "," else "Bread", "1.50"))
        for i in range(9)
    ]

    entity = contract_of(
        propose(written(tmp_path, sheet(delimiter.join(("ticket", "fecha", "producto", "importe")), lines)), "any")
    ).entities[0]

    assert entity.delimiter == delimiter
    assert {name: value.source for name, value in entity.columns.items() if value.source} == {
        "receipt_number": "ticket",
        "sold_on": "fecha",
        "product_key": "producto",
        "product_name": "producto",
        "net_amount": "importe",
    }


def test_gzip_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "export.csv.gz"
    path.write_bytes(gzip.compress(german_sheet().replace("\n", "\r\n").encode()))

    proposal = propose(path, "zipped")

    assert proposal.row_count == 40
    assert "CRLF" in proposal.contract_text


def test_marks_that_may_be_thousands_or_fractions_are_ambiguous(tmp_path: Path) -> None:
    lines = [f"R{i},2026-05-30,Bread,1.{200 + i}" for i in range(9)]

    proposal = propose(written(tmp_path, sheet("receipt,date,item,total", lines)), "marks")

    assert certainty_of(proposal, "decimal_mark") == "AMBIGUOUS"


@pytest.mark.parametrize(
    "text",
    ["$1,149.00", "($33.62)", "-$2.34", "0,90 €", "0,90\u00a0€", "16", "1.234.567,89", "2,34-", "EUR 5", "'", "1-2"],
)
def test_amounts_in_their_many_spellings(text: str) -> None:
    assert is_number(text) == (text not in ("'", "1-2"))


def test_an_ip_address_is_no_number() -> None:
    assert not is_number("203.0.113.1")
    assert mark_evidence(["203.0.113.1"]).thousands == {}


# --- receipts ----------------------------------------------------------------------------------------------


def test_equal_rows_of_one_receipt_are_two_lines(tmp_path: Path) -> None:
    lines = ["R1,2026-05-30,Coffee,2.00", "R1,2026-05-30,Coffee,2.00", "R2,2026-05-30,Tea,1.50"]
    path = written(tmp_path, sheet("receipt,date,item,total", lines))

    proposal = propose(path, "twice")

    assert proposal.row_count == 3
    assert contract_of(proposal).entities[0].columns["receipt_number"].source == "receipt"


def test_without_any_number_each_row_is_a_receipt_and_equal_rows_are_told(tmp_path: Path) -> None:
    lines = ["2026-05-30,08:00,Coffee,2.00", "2026-05-30,08:00,Coffee,2.00", "2026-05-30,08:01,Tea,1.50"]

    proposal = propose(written(tmp_path, sheet("date,time,item,total", lines)), "rows")

    assert contract_of(proposal).entities[0].columns["receipt_number"].received[:2] == ["date", "time"]
    assert any("equal another one" in d.evidence for d in proposal.open_questions)


def test_a_counter_that_restarts_each_day_is_joined_with_the_date(tmp_path: Path) -> None:
    lines = [f"{n},2026-05-{day:02d},Bread,1.50" for day in range(1, 29) for n in range(1, 21)]
    path = written(tmp_path, sheet("ticket,date,item,total", lines))

    proposal = propose(path, "restarts")

    columns = contract_of(proposal).entities[0].columns["receipt_number"].received
    assert set(columns) == {"ticket", "date"}
    assert reread(path, proposal).groupby(columns).ngroups == 28 * 20


def test_a_total_repeated_on_each_line_is_not_added_up(tmp_path: Path) -> None:
    lines = []
    for n in range(1, 31):
        lines += [
            f"R{n},2026-05-{1 + n % 28:02d},{item},{count},{2 + n}.00,{12 + 6 * n}.00"
            for count, item in enumerate(ITEMS[:3], start=1)
        ]
    path = written(tmp_path, sheet("order id,date,item,quantity,unit price,order total", lines))

    proposal = propose(path, "repeated")

    entity, frame = contract_of(proposal).entities[0], reread(path, proposal)
    assert "net_amount" not in entity.columns and entity.rebuild_amounts
    once = frame.drop_duplicates("order id")["order total"].sum()
    assert (frame["quantity"] * frame["unit price"]).sum() == once
    assert any("repeated" in d.evidence for d in proposal.open_questions)


def test_baskets_of_equal_things_are_no_repeated_total(tmp_path: Path) -> None:
    lines = [f"R{n},2026-05-{1 + n % 28:02d},{ITEMS[n % 4]},{1 + n % 4}.50" for n in range(1, 31) for _ in range(2)]

    proposal = propose(written(tmp_path, sheet("order id,date,item,total", lines)), "equal")

    assert contract_of(proposal).entities[0].columns["net_amount"].source == "total"


def test_a_line_total_beside_an_order_total_is_the_amount(tmp_path: Path) -> None:
    lines = []
    for n in range(1, 31):
        lines += [
            f"R{n},2026-05-{1 + n % 28:02d},{item},{9 + n * 3}.00,{2 + n + i}.00" for i, item in enumerate(ITEMS[:3])
        ]

    proposal = propose(written(tmp_path, sheet("order id,date,item,order total,line total", lines)), "both")

    assert contract_of(proposal).entities[0].columns["net_amount"].source == "line total"


def test_a_total_on_the_first_line_only_is_not_taken_for_a_line(tmp_path: Path) -> None:
    lines = []
    for n in range(1, 21):
        lines += [
            f"#{n},2026-05-30 10:00:00 +0200,{3 * n}.00,{n}.00,1,Bread",
            f"#{n},2026-05-30 10:00:00 +0200,,{2 * n}.00,1,Tea",
        ]
    path = written(tmp_path, sheet("Name,Created at,Total,Lineitem price,Lineitem quantity,Lineitem name", lines))

    proposal = propose(path, "shop")

    entity = contract_of(proposal).entities[0]
    assert entity.columns["receipt_number"].source == "Name"
    assert "net_amount" not in entity.columns and entity.columns["unit_price"].source == "Lineitem price"
    assert any("total" in d.evidence for d in proposal.open_questions)


def test_a_price_that_grows_with_the_quantity_is_the_lines_amount(tmp_path: Path) -> None:
    lines = [f"R{i},2026-05-30,{ITEMS[i % 4]},{1 + i % 3},{(1 + i % 3) * (2 + i % 4)}.50" for i in range(60)]
    text = sheet("receipt,date,item,quantity,price", lines).replace(".50", ".00")

    entity = contract_of(propose(written(tmp_path, text), "lines")).entities[0]

    assert entity.columns["net_amount"].source == "price"
    assert "unit_price" not in entity.columns and not entity.rebuild_amounts


@pytest.mark.parametrize("name", ["Uds.", "Stk.", "zzz"])
def test_a_column_by_which_price_gives_the_amount_is_the_quantity_whatever_its_name(tmp_path: Path, name: str) -> None:
    lines = [f"R{i},2026-05-30,{ITEMS[i % 4]},{1 + i % 3},2.00,0.50,{2 * (1 + i % 3) - 0.5:.2f}" for i in range(30)]
    text = sheet(f"ticket,date,item,{name},unit price,discount,total", lines)

    proposal = propose(written(tmp_path, text), "named")

    entity = contract_of(proposal).entities[0]
    assert entity.columns["quantity"].source == name
    assert entity.columns["net_amount"].source == "total"


@pytest.mark.parametrize("start", [";;;;", "TOTAL;;;;"])
def test_a_row_of_totals_at_the_end_is_told_and_in_no_sum(tmp_path: Path, start: str) -> None:
    lines = [f"R{i};{1 + i % 28:02d}.05.2026;{ITEMS[i % 4]};2;0,75;1,50" for i in range(30)]
    text = sheet("Bon;Datum;Artikel;Menge;Einzelpreis;Summe", [*lines, f"{start}60;;45,00".replace(";;;;60", ";;;60")])

    proposal = propose(written(tmp_path, text), "totals")

    [told] = [decision for decision in proposal.decisions if decision.choice == "a row of totals"]
    assert "row 31 " in told.evidence and "45.00" in told.evidence
    assert any("sum is 45.00" in decision.evidence for decision in proposal.decisions)
    assert contract_of(proposal).entities[0].columns["sold_on"].required
    assert not any("amounts still count" in decision.evidence for decision in proposal.decisions)


def with_totals_of_days(amount: str) -> str:
    lines = []
    for day in range(1, 5):
        lines += [f"R{day}{n};{day:02d}.05.2026;{ITEMS[n]};1;1,50" for n in range(4)]
        lines.append(f";{day:02d}.05.2026;Total del día;4;{amount}")
    return sheet("Bon;Datum;Artikel;Menge;Summe", lines)


def test_totals_of_days_are_told_and_rejected(tmp_path: Path) -> None:
    proposal = propose(written(tmp_path, with_totals_of_days("6,00")), "totals")

    [told] = [decision for decision in proposal.decisions if decision.choice == "rows of totals"]
    assert "'Total del día' on 4 rows" in told.evidence
    columns = contract_of(proposal).entities[0].columns
    assert all(columns[name].missing == ["Total del día"] for name in ("product_key", "product_name"))
    assert columns["product_key"].required


def test_a_product_called_total_is_sold(tmp_path: Path) -> None:
    proposal = propose(written(tmp_path, with_totals_of_days("2,00")), "totals")

    assert not any(decision.choice == "rows of totals" for decision in proposal.decisions)
    assert contract_of(proposal).entities[0].columns["product_key"].missing == []


# --- refunds and discounts ---------------------------------------------------------------------------------


def test_negative_quantities_are_refunds(tmp_path: Path) -> None:
    lines = [f"R{i},2026-05-30,Bread,{-1 if i == 4 else 2},1.50,{-1.5 if i == 4 else 3:.2f}" for i in range(9)]

    entity = contract_of(
        propose(written(tmp_path, sheet("receipt,date,item,qty,price,total", lines)), "refunds")
    ).entities[0]

    assert entity.refunds == "negative_quantity"


def test_amounts_in_parentheses_are_negative(tmp_path: Path) -> None:
    lines = [f"R{i},2026-05-30,Bread,{'($1.50)' if i == 4 else '$1.50'}" for i in range(9)]

    proposal = propose(written(tmp_path, sheet("receipt,date,item,net sales", lines)), "parentheses")

    assert contract_of(proposal).entities[0].refunds == "negative_quantity"
    assert any("10.50" in d.evidence for d in proposal.decisions if d.about == "net_amount")


@pytest.mark.parametrize(
    ("sale", "refund"),
    [("Sale", "Refund"), ("Venta", "Devolución"), ("Verkauf", "Retoure"), ("Vente", "Remboursement")],
)
def test_an_event_column_tells_refunds_in_several_languages(tmp_path: Path, sale: str, refund: str) -> None:
    lines = [f"R{i},2026-05-30,{refund if i == 4 else sale},Bread,{'-' if i == 4 else ''}1.50" for i in range(9)]

    entity = contract_of(
        propose(written(tmp_path, sheet("receipt,date,receipt type,item,total", lines)), "events")
    ).entities[0]

    assert entity.refunds == "event"
    assert entity.columns["event"].map == {sale: "sale", refund: "refund"}


def test_refunds_with_positive_amounts_are_pointed_out(tmp_path: Path) -> None:
    lines = [f"R{i},2026-05-30,{'Refund' if i == 4 else 'Sale'},Bread,1.50" for i in range(9)]

    proposal = propose(written(tmp_path, sheet("receipt,date,receipt type,item,total", lines)), "events")

    assert any("too high" in d.evidence for d in proposal.open_questions)


@pytest.mark.parametrize(("sign", "name"), [(-1, "negative"), (1, "positive")])
def test_the_sign_of_discounts_is_proven_by_arithmetic(tmp_path: Path, sign: int, name: str) -> None:
    lines = [f"R{i},2026-05-30,Bread,{5 + i}.00,{sign * (i % 3)}.00,{5 + i - i % 3}.00" for i in range(20)]

    proposal = propose(
        written(tmp_path, sheet("receipt,date,item,gross sales,discounts,net sales", lines)), "discounts"
    )

    assert contract_of(proposal).entities[0].discount_sign == name
    assert certainty_of(proposal, "discount_sign") == "proven"


def test_tax_on_top_of_the_price_stays_out_of_the_net_amount(tmp_path: Path) -> None:
    bought = [(1 + i % 3, 10 + i) for i in range(20)]
    lines = [f"R{i},2026-05-30,Bread,{q},{p}.00,{q * p * 0.1:.2f},{q * p * 1.1:.2f}" for i, (q, p) in enumerate(bought)]

    entity = contract_of(
        propose(written(tmp_path, sheet("receipt,date,item,qty,unit price,tax,total", lines)), "tax")
    ).entities[0]

    assert entity.rebuild_amounts and "net_amount" not in entity.columns
    assert entity.columns["tax_amount"].source == "tax"


# --- headers, widths, refusals -----------------------------------------------------------------------------


def test_repeated_and_unnamed_columns_are_called_by_their_place(tmp_path: Path) -> None:
    lines = [f"{i},R{i},2026-05-30,Bread,1.50,x{i % 2}" for i in range(9)]

    proposal = propose(written(tmp_path, sheet(",receipt,date,item,total,item", lines)), "repeated")

    entity = contract_of(proposal).entities[0]
    assert entity.columns["product_key"].source == "item"
    assert {"#1", "item#6"} <= set(entity.ignored)
    assert any(d.about == "header" and "item" in d.choice for d in proposal.open_questions)


def test_500_columns_are_no_trouble(tmp_path: Path) -> None:
    names = ",".join(["receipt", "date", "item", "total", *(f"field_{i}" for i in range(496))])
    lines = [",".join([f"R{i}", "2026-05-30", "Bread", "1.50", *["x"] * 496]) for i in range(50)]

    entity = contract_of(propose(written(tmp_path, sheet(names, lines)), "wide")).entities[0]

    assert len(entity.ignored) == 496
    assert entity.columns["net_amount"].source == "total"


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b"  \n\n", "empty"),
        (b"receipt,date,total\n", "no rows"),
        (b"PK\x03\x04\x14\x00\x06\x00xxxx[Content_Types].xml", "Excel"),
        (b"PK\x03\x04other", "zip"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Excel"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "HTML"),
        (b"%PDF-1.7 ...", "PDF"),
        (bytes(range(256)) * 20, "binary"),
        (json.dumps([{"id": 1, "total": "1.50"}]).encode(), "JSON"),
        ("receipt,date\n1,2026-05-30\n".encode("utf-16-le"), "UTF-16"),
        (b"amount\n1.50\n2.50\n", "single column"),
        (b"R1,2026-05-30,1.50\nR2,2026-05-30,2.50\n", "no header"),
        (b"Sales\n" * 31 + b"receipt,date,total\n" + b"R1,2026-05-30,1.50\n" * 40, "begin with its header"),
        (b"\xef\xbb\xbfreceipt,date,total\nR1,2026-05-30,caf\xe9\n", "not utf-8 throughout"),
        (b"member,joined on date\nAda,2026-05-30\nBob,2026-05-31\n", "neither amounts nor products"),
        (b"receipt,item,total\nR1,Bread,1.50\nR2,Tea,2.50\n", "date"),
        (gzip.compress(b"receipt,date,total\nR1,2026-05-30,1.50\n", mtime=0)[:-12], "can't be read"),
    ],
)
def test_what_is_no_table_of_sales_is_refused_with_a_sentence(tmp_path: Path, content: bytes, word: str) -> None:
    path = tmp_path / "export.csv"
    path.write_bytes(content)

    with pytest.raises(ContractError) as refusal:
        propose(path, "refused")

    assert word in f"{refusal.value.message} {refusal.value.explained_cause()}"
    assert refusal.value.next


@pytest.mark.parametrize("titles", ["Sales report\n\n2026-05-30\n", "Sales report,,,\n,,,\nfrom,2026-05-30,,\n"])
def test_titles_empty_rows_and_totals_hide_neither_header_nor_receipts(tmp_path: Path, titles: str) -> None:
    lines = ["R1,2026-05-30,Bread,1.50", "R1,2026-05-30,Tea,2.50", "R2,2026-05-31,Bread,1.50"]
    table = sheet("receipt,date,item,total", [*lines, *[",,,"] * 5, "Total,,,5.50"])

    titled, plain = (
        propose(written(tmp_path, text, name=name), "shop")
        for name, text in (("export.csv", titles + table), ("plain.csv", sheet("receipt,date,item,total", lines)))
    )

    assert contract_of(titled).entities[0].recognised_by == contract_of(plain).entities[0].recognised_by
    assert contract_of(titled).entities[0].columns["receipt_number"].received == ["receipt"]
    assert next(d.evidence for d in titled.decisions if d.about == "header").endswith(
        "; ".join(" ".join(line.replace(",", " ").split()) for line in titles.splitlines() if line.strip(","))
    )


def test_a_short_report_in_spanish_is_read_whole(tmp_path: Path) -> None:
    lines = [
        "Informe de ventas;;;;;",
        "Desde:;01/10/2026;Hasta:;13/10/2026;;",
        "",
        "Fecha;Hora;Nº ticket;Artículo;Uds;Importe",
        "01/10/2026;09:05;1001;Croissant;2;3,70 €",
        "01/10/2026;09:05;1001;Café con leche;1;1,50 €",
        "02/10/2026;10:31;1003;Barra de pan;-1;-1,70 €",
        "13/10/2026;11:15;1004;Croissant;3;1.005,55 €",
        ";;;;;",
        "TOTAL;;;;5;1.009,05 €",
    ]

    entity = contract_of(propose(written(tmp_path, "\r\n".join([*lines, ""]), "cp1252"), "shop")).entities[0]

    assert {name: value.received for name, value in entity.columns.items()} == {
        "receipt_number": ["Nº ticket"],
        "sold_on": ["Fecha"],
        "sold_time": ["Hora"],
        "product_key": ["Artículo"],
        "product_name": ["Artículo"],
        "quantity": ["Uds"],
        "net_amount": ["Importe"],
    }
    assert (entity.decimal_mark, entity.refunds, entity.encodings) == (",", "negative_quantity", ["cp1252"])


def test_rows_of_another_length_are_told(tmp_path: Path) -> None:
    lines = [*(f"R{i},2026-05-30,Bread,1.50" for i in range(30)), "R31,2026-05-30,Bread"]

    proposal = propose(written(tmp_path, sheet("receipt,date,item,total", lines)), "ragged")

    assert any(d.about == "rows" and d.certainty == "warning" for d in proposal.decisions)


def test_a_large_file_is_judged_by_a_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"R{i},2026-05-{1 + i % 28:02d},Bread,1.50" for i in range(20_000)]
    path = written(tmp_path, sheet("receipt,date,item,total", lines))
    monkeypatch.setattr(reading_module, "WHOLE_BYTES", 100_000)
    monkeypatch.setattr(reading_module, "HEAD_BYTES", 50_000)
    monkeypatch.setattr(reading_module, "SPREAD_BYTES", 10_000)

    proposal = propose(path, "large")

    assert proposal.sampled and 1_000 < proposal.row_count < 20_000
    assert contract_of(proposal).entities[0].columns["receipt_number"].source == "receipt"


# --- other systems, options, the text itself ---------------------------------------------------------------


def test_customers_of_a_crm(tmp_path: Path) -> None:
    lines = [f"{i},Ada{i},Abbott,ada{i}@example.org,{i % 28 + 1:02d}/05/2026" for i in range(1, 40)]

    entity = contract_of(
        propose(
            written(tmp_path, sheet("Customer ID,First Name,Last Name,Email,Customer since", lines)),
            "people",
            Options("crm"),
        )
    ).entities[0]

    assert entity.kind == "customers"
    assert entity.columns["customer"].required
    assert entity.columns["customer_since"].format == "%d/%m/%Y"
    assert set(entity.columns) == {"customer", "first_name", "last_name", "email", "customer_since"}


def test_stock_levels_of_an_inventory_system(tmp_path: Path) -> None:
    lines = [f"SKU{i},Flour {i},Central,{i}.5,10" for i in range(1, 20)]

    entity = contract_of(
        propose(
            written(tmp_path, sheet("SKU,Item name,Warehouse,On hand,Reorder point", lines)),
            "stock",
            Options("inventory"),
        )
    ).entities[0]

    assert entity.kind == "stock_levels"
    assert {n: entity.columns[n].source for n in ("product_key", "store", "on_hand_quantity", "reorder_level")} == {
        "product_key": "SKU",
        "store": "Warehouse",
        "on_hand_quantity": "On hand",
        "reorder_level": "Reorder point",
    }


def test_options_win_over_guesses(tmp_path: Path) -> None:
    path = written(tmp_path, sheet("receipt,date,item,total", ["R1,2026-05-30,Bread,$1.50", "R2,2026-05-31,Tea,$1.00"]))

    contract = contract_of(propose(path, "given", Options(time_zone="America/Bogota", currency="COP", owner="Ana")))

    assert (contract.time_zone, contract.currency_code, contract.owner) == ("America/Bogota", "COP", "Ana")


@pytest.mark.parametrize(
    ("name", "options"),
    [("Bad Name", Options()), ("x", Options(time_zone="Mars/Base")), ("x", Options(currency="euro"))],
)
def test_wrong_options_are_wrong_use(tmp_path: Path, name: str, options: Options) -> None:
    with pytest.raises(UsageError):
        propose(tmp_path / "any.csv", name, options)


def test_odd_names_and_values_survive_in_the_toml(tmp_path: Path) -> None:
    payments = ("Back\\slash", "Tab\there")
    lines = [f'R{i};30/05/2026;"Pan ""de\npueblo""";1,50;{payments[i % 2]}' for i in range(9)]
    path = written(tmp_path, sheet('recibo;fecha;"artículo ""vendido""";importe;forma de pago', lines))

    proposal = propose(path, "odd")

    target = written(tmp_path, proposal.contract_text, name="odd.toml")
    columns = load_contract(target).entities[0].columns
    assert columns["product_key"].source == 'artículo "vendido"'
    assert columns["payment_method"].source == "forma de pago"


def test_the_same_file_gives_the_same_text(tmp_path: Path) -> None:
    path = written(tmp_path, german_sheet())

    assert propose(path, "same").contract_text == propose(path, "same").contract_text
