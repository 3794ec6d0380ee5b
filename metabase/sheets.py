"""
Dashboards on paper: the cards of a dashboard laid out as SVG, and drawn as one picture (PNG) or A4 pages (PDF).

Comes in: a DashboardView, which is what the web page shows. Goes out: bytes. vl-convert brings its own letters, so
the paper looks the same on a machine without fonts; fpdf2 only measures words and puts pages together.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

import vl_convert
from fpdf import FPDF

from metabase.catalogue import GRID_COLUMNS, Card
from metabase.charts import FONT, INK, QUIET, TONES, Picture
from metabase.formats import write_moment
from metabase.preview import CardView, DashboardView
from metabase.widths import cut, measured

WIDTH, HEIGHT = 1000, 1414  # one page, in the proportion of A4
MARGIN, GAP, PAD = 36, 16, 14
INNER = WIDTH - 2 * MARGIN
HEADING, LINE, ROW = 34, 16, 22
SMALL, BODY, TITLE, FIGURE = 10.5, 12, 14, 27
LINE_COLOUR, STRIPE, BAR = "#d5dadd", "#f5f7f8", "#d9e8ea"
PNG_SCALE, PDF_SCALE = 1.5, 2.2
SMALLEST = 0.7  # of a chart's own size
VIEW_BOX = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')
# Control characters XML can't hold, and halves of characters.
NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class Block:
    """Something of a known height that is not torn apart: cards that stand side by side, or a heading."""

    height: float
    svg: str  # drawn from (0, 0)


def to_png(view: DashboardView) -> bytes:
    """The whole dashboard as one picture."""
    blocks = list(blocks_of(view))
    height = sum(block.height + GAP for block in blocks) + 2 * MARGIN
    return bytes(vl_convert.svg_to_png(page(blocks, height), scale=PNG_SCALE))


def to_pdf(view: DashboardView) -> bytes:
    """The dashboard as A4 pages."""
    pdf = FPDF(format="A4", unit="pt")
    pdf.set_title(view.dashboard.title)
    pdf.set_creator("PanPan")
    pdf.set_margin(0)
    pdf.set_auto_page_break(False)
    for blocks in paged(list(blocks_of(view))):
        pdf.add_page()
        picture = vl_convert.svg_to_png(page(blocks, HEIGHT), scale=PDF_SCALE)
        words = f"{view.dashboard.title}, page {pdf.page_no()}"
        pdf.image(io.BytesIO(picture), x=0, y=0, w=pdf.w, h=pdf.h, alt_text=words)
    return bytes(pdf.output())


def paged(blocks: Sequence[Block]) -> list[list[Block]]:
    """Blocks page by page; a heading never stands alone at a foot."""
    pages: list[list[Block]] = [[]]
    room = HEIGHT - 2 * MARGIN
    left: float = room
    for place, block in enumerate(blocks):
        following = blocks[place + 1].height + GAP if block.height <= HEADING and place + 1 < len(blocks) else 0
        if pages[-1] and block.height + following > left:
            pages.append([])
            left = room
        pages[-1].append(block)
        left -= block.height + GAP
    return pages


def page(blocks: Sequence[Block], height: float) -> str:
    """Blocks from top to bottom on white."""
    parts, top = [f'<rect width="{WIDTH}" height="{height:.0f}" fill="#ffffff"/>'], float(MARGIN)
    for block in blocks:
        parts.append(f'<g transform="translate({MARGIN},{top:.1f})">{block.svg}</g>')
        top += block.height + GAP
    size = f'width="{WIDTH}" height="{height:.0f}" viewBox="0 0 {WIDTH} {height:.0f}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(parts)}</svg>'


def blocks_of(view: DashboardView) -> Iterator[Block]:
    """Title and what was chosen, then tab by tab its headings and bands of cards."""
    yield opening(view)
    for tab in view.tabs:
        for band in tab.bands:
            words = [card for card in band if isinstance(card, Card)]
            cards = [card for card in band if isinstance(card, CardView)]
            for card in words:
                is_heading = card.heading is not None
                yield Block(
                    HEADING, text(card.heading or card.text or "", 0, 24, 17 if is_heading else BODY, bold=True)
                )
            if cards:
                yield side_by_side(cards)


def opening(view: DashboardView) -> Block:
    """What this is, of which moment, with which filters."""
    given = view.filters.given() if view.dashboard.filters else {}
    chosen = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in given.items())
    moments = [source.last_load_at for source in view.sources if source.last_load_at is not None]
    known = f"Data as of {write_moment(min(moments))}." if moments else "Nothing has arrived yet."
    lines = [view.dashboard.description, f"{known}{f' Shown: {chosen}.' if chosen else ''}"]
    parts = [text(view.dashboard.title, 0, 26, 26, bold=True)]
    parts += [text(line, 0, 50 + 18 * place, BODY, colour=QUIET) for place, line in enumerate(lines)]
    return Block(78, "".join(parts))


def side_by_side(cards: Sequence[CardView]) -> Block:
    """Cards of one band, as wide as their place on the grid says, all as high as the highest."""
    column = (INNER + GAP) / GRID_COLUMNS
    drawn = []
    for card in cards:
        col, span = (card.place.col, card.place.size_x) if card.place else (0, GRID_COLUMNS)
        width = span * column - GAP
        drawn.append((col * column, width, *card_parts(card, width - 2 * PAD)))
    height = max(content for _, _, content, _ in drawn) + 2 * PAD
    parts = [
        f'<g transform="translate({left:.1f},0)">'
        f'<rect width="{width:.1f}" height="{height:.1f}" rx="6" fill="#ffffff" stroke="{LINE_COLOUR}"/>'
        f'<g transform="translate({PAD},{PAD})">{svg}</g></g>'
        for left, width, _, svg in drawn
    ]
    return Block(height, "".join(parts))


def card_parts(card: CardView, width: float) -> tuple[float, str]:
    """Height and drawing of a card: title, scope, answer, what it means, who answers for it, of which moment."""
    parts, top = [text(cut(card.question.title, width, TITLE), 0, TITLE, TITLE, bold=True)], 22.0
    if card.scope:
        parts.append(text(cut(card.scope, width, SMALL), 0, top + 9, SMALL, colour=QUIET))
        top += LINE
    height, answer = answer_parts(card, width)
    parts.append(f'<g transform="translate(0,{top + 4:.1f})">{answer}</g>')
    top += height + 12
    facts = f"Data as of {card.as_of_text}. Responsible: {card.question.owner}."
    for line in [*wrapped(card.question.definition, width, SMALL), *wrapped(facts, width, SMALL)]:
        top += 14
        parts.append(text(line, 0, top, SMALL, colour=QUIET))
    return top + 2, "".join(parts)


def answer_parts(card: CardView, width: float) -> tuple[float, str]:
    """Height and drawing of the answer itself."""
    if card.message is not None:
        return _lines(wrapped(card.message, width, BODY), BODY, QUIET)
    if card.figure is not None:
        colour = TONES["bad"] if card.figure.is_alarming else INK
        drawn = text(card.figure.text, 0, FIGURE, FIGURE, bold=True, colour=colour)
        rest = [line for said in (card.figure.when, card.figure.comparison) for line in wrapped(said, width, BODY)]
        height, lines = _lines(rest, BODY, QUIET)
        return FIGURE + 8 + height, f'{drawn}<g transform="translate(0,{FIGURE + 8})">{lines}</g>'
    if card.picture is not None:
        return picture_parts(card.picture, width)
    return table_parts(card, width)


def picture_parts(picture: Picture, width: float) -> tuple[float, str]:
    """The chart of the page, with its legend above."""
    parts, left, top = [], 0.0, 0.0
    for name, colour in picture.legend:
        label = cut(name, width / 2, SMALL)
        needed = measured(label, SMALL) + 28
        if left and left + needed > width:
            left, top = 0.0, top + LINE
        parts.append(f'<rect x="{left:.1f}" y="{top + 2:.1f}" width="10" height="10" fill={quoteattr(colour)}/>')
        parts.append(text(label, left + 14, top + 11, SMALL))
        left += needed
    top += LINE + 4 if picture.legend else 0
    svg, (own_width, own_height) = picture.wide, size_of(picture.wide)
    if own_width * SMALLEST > width:  # its words would be too small to read
        svg, (own_width, own_height) = picture.narrow, size_of(picture.narrow)
    scale = min(1.0, width / own_width)
    drawn_width, height = own_width * scale, own_height * scale
    placed = f'<svg x="0" y="{top:.1f}" width="{drawn_width:.1f}" height="{height:.1f}"'
    return top + height, "".join([*parts, svg.replace("<svg", placed, 1)])


def size_of(svg: str) -> tuple[float, float]:
    """Width and height of a chart."""
    [(width, height)] = VIEW_BOX.findall(svg.partition(">")[0])
    return float(width), float(height)


def table_parts(card: CardView, width: float) -> tuple[float, str]:
    """The rows the page shows; columns share the width by their longest words."""
    needs = [
        max([measured(title, SMALL), *(measured(row[place].text, BODY) for row in card.rows)]) + 14
        for place, title in enumerate(card.titles)
    ]
    widths = fitted(needs, width)
    parts = [f'<line x1="0" y1="{ROW}" x2="{width:.1f}" y2="{ROW}" stroke="{LINE_COLOUR}"/>']
    left = 0.0
    for place, (title, room) in enumerate(zip(card.titles, widths, strict=True)):
        to_right = bool(card.rows) and card.rows[0][place].css_class == "number"
        x, anchor = (left + room - 7, "end") if to_right else (left + 4, "start")
        parts.append(text(cut(title, room - 10, SMALL), x, 15, SMALL, bold=True, anchor=anchor))
        for number, row in enumerate(card.rows, start=1):
            cell, base = row[place], number * ROW
            if number % 2 == 0 and place == 0:
                parts.append(f'<rect y="{base}" width="{width:.1f}" height="{ROW}" fill="{STRIPE}"/>')
            if cell.share is not None:
                bar = max(0.0, cell.share) * (room - 8)
                parts.append(
                    f'<rect x="{left + 2:.1f}" y="{base + 3}" width="{bar:.1f}" height="{ROW - 6}" fill="{BAR}"/>'
                )
            colour = TONES[cell.tone] if cell.tone else INK
            parts.append(text(cut(cell.text, room - 10, BODY), x, base + 15, BODY, colour=colour, anchor=anchor))
        left += room
    height = ROW * (len(card.rows) + 1.0)
    if card.row_count > len(card.rows):
        said = f"The first {len(card.rows):,} of {card.row_count:,} rows; the spreadsheet has all of them."
        parts.append(text(said, 4, height + 14, SMALL, colour=QUIET))
        height += 20
    return height, "".join(parts)


def fitted(needs: Sequence[float], width: float) -> list[float]:
    """Widths that fill the table; where there is not room for all, the widest give way first."""
    widths = list(needs)
    while sum(widths) > width + 0.5:
        largest = max(widths)
        widest = [place for place, each in enumerate(widths) if each == largest]
        second = max((each for each in widths if each < largest), default=0.0)
        less = min(largest - second, (sum(widths) - width) / len(widest))
        for place in widest:
            widths[place] -= less
    spare = (width - sum(widths)) / len(widths)
    return [each + spare for each in widths]


def text(
    words: str, x: float, y: float, size: float, *, bold: bool = False, colour: str = INK, anchor: str = "start"
) -> str:
    """A line of words; whatever they hold, they are words."""
    weight = ' font-weight="bold"' if bold else ""
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-family="{FONT}" text-anchor="{anchor}"'
    return f'<text {place} fill="{colour}"{weight}>{escape(NO_XML.sub("", words))}</text>'


def wrapped(words: str, width: float, size: float) -> list[str]:
    """Words in lines of a width; a word too long for a line is cut."""
    lines: list[str] = []
    for word in words.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and measured(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(cut(word, width, size))
    return lines


def _lines(lines: Sequence[str], size: float, colour: str) -> tuple[float, str]:
    drawn = [text(line, 0, LINE * (place + 1) - 3, size, colour=colour) for place, line in enumerate(lines)]
    return LINE * len(lines) + 4.0, "".join(drawn)
