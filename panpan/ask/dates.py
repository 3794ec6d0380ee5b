"""
Words for periods, in English and Spanish: `last week`, `en mayo de 2026`, `between 1 and 15 May`, `Q2`.

Comes in: words from a place on, today, the days that are known. Goes out: how many words it took and which days are
meant; several when the words leave it open (May of which year?). Days after today are never part of a period.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from panpan.ask.words import plain
from transforms.periods import COMPARISONS, compared_days

Unit = Literal["day", "week", "month", "quarter", "year", "days", "all"]
MONTH_WORDS = (
    "january enero jan ene",
    "february febrero feb",
    "march marzo mar",
    "april abril apr abr",
    "may mayo",
    "june junio jun",
    "july julio jul",
    "august agosto aug ago",
    "september septiembre setiembre sep sept",
    "october octubre oct",
    "november noviembre nov",
    "december diciembre dec dic",
)
MONTHS = {word: place for place, words in enumerate(MONTH_WORDS, start=1) for word in words.split()}
_NUMBER_WORDS = (
    "one un una",
    "two dos",
    "three tres",
    "four cuatro",
    "five cinco",
    "six seis",
    "seven siete",
    "eight ocho",
    "nine nueve",
    "ten diez",
    "eleven once",
    "twelve doce",
)
NUMBERS = {word: place for place, words in enumerate(_NUMBER_WORDS, start=1) for word in words.split()}
_ORDINALS = {
    word: place
    for place, words in enumerate(
        ("first primer 1st", "second segundo 2nd", "third tercer 3rd", "fourth cuarto 4th"), 1
    )
    for word in words.split()
}
_UNITS: dict[str, Unit] = {
    **dict.fromkeys(("day", "dia"), "day"),
    **dict.fromkeys(("week", "semana"), "week"),
    **dict.fromkeys(("month", "mese", "mes"), "month"),
    **dict.fromkeys(("quarter", "trimestre"), "quarter"),
    **dict.fromkeys(("year", "ano"), "year"),
    **dict.fromkeys(("period", "periodo", "time"), "days"),
}
_DAY_NAMES = (
    "monday lunes",
    "tuesday martes",
    "wednesday miercoles",
    "thursday jueves",
    "friday viernes",
    "saturday sabado",
    "sunday domingo",
)
WEEKDAYS = {plain(word): place for place, words in enumerate(_DAY_NAMES) for word in words.split()}
WORDS = frozenset(
    [*MONTHS, *WEEKDAYS, *_UNITS, "yesterday", "today", "last", "previous", "ayer", "hoy", "pasado", "pasada"]
)
TO_DATE: dict[str, Unit] = {"y": "year", "m": "month", "q": "quarter"}
_M = f"(?:{'|'.join(MONTHS)})"
# Spanish weekdays look alike in singular and plural: only their article tells 'el lunes' from 'los lunes'.
_W_ES, _W_EN = (f"(?P<w>{'|'.join(plain(words.split()[place]) for words in _DAY_NAMES)})" for place in (1, 0))
_D = r"\d{1,2}(?:st|nd|rd|th)?"
_Y = r"(?:19|20)\d\d"
_YEAR = rf"(?P<y>{_Y}|last year|this year|ano pasado|este ano)"
_N = rf"(?:\d{{1,3}}|{'|'.join(NUMBERS)})"
_U = f"(?:{'|'.join(_UNITS)})"
_OF = r"(?:of |de |del |in |en )?"
_LAST, _BEFORE = "(?:last|previous|prior)", "(?:pasad[oa]|anterior|previ[oa])"


@dataclass(frozen=True)
class Period:
    """Days from first to last, both included; the unit says what 'the one before' is."""

    first: date
    last: date
    unit: Unit


@dataclass(frozen=True)
class Found:
    """A period read from `length` words; several options when the words leave it open."""

    length: int
    options: tuple[Period, ...]


@dataclass(frozen=True)
class Calendar:
    """What 'today' is and which days the data know."""

    today: date
    known_first: date
    known_last: date

    def clip(self, period: Period) -> Period:
        """Without the days that have not happened; wholly future periods stay as they are."""
        if period.first <= self.today < period.last:
            return Period(period.first, self.today, period.unit)
        return period


def period_at(words: Sequence[str], start: int, calendar: Calendar) -> Found | None:
    """The longest period that begins at a word; None when none does."""
    text = " ".join(words[start : start + 16])
    best: tuple[int, list[Period]] = (0, [])
    for length, periods in _readings(text, calendar):
        if periods and length > best[0]:
            best = (length, periods)
    length, periods = best
    if not length:
        return None
    options = tuple(dict.fromkeys(calendar.clip(each) for each in periods))
    return Found(text[:length].count(" ") + 1, options)


def before_at(words: Sequence[str], start: int) -> tuple[int, Unit, bool] | None:
    """'the year before', 'last week': how many words, by which unit to go back, and whether it was said as 'last'."""
    text = " ".join(words[start : start + 10])
    found = [(match.end(), match["unit"], is_last) for pattern, is_last in _BACK if (match := pattern.match(text))]
    if not found:
        return None
    end, unit, is_last = max(found)
    return text[:end].count(" ") + 1, _UNITS[unit], is_last


def current(unit: Unit, today: date) -> Period:
    """The calendar week, month, ... that holds today."""
    return _unit_period(unit, 0, today)


def comparison(period: Period, unit: Unit) -> str | None:
    """The catalogue's name for 'the <unit> before' of a period; None where that says nothing clear."""
    whole = period.last == _end_of(period)
    if unit == "days":
        unit = period.unit
    if unit == "year":
        return "same-weekday-last-year" if period.unit == "week" else "same-period-last-year"
    if unit == "week":
        return "same-weekday-last-week" if period.unit in ("day", "week") else None
    if unit in ("month", "day", "days"):  # a month to date is compared with as many days of the month before
        return "previous-period" if period.unit == unit else None
    return "previous-period" if period.unit == unit == "quarter" and whole else None


def comparison_with(period: Period, other: Period) -> str | None:
    """The catalogue's name for comparing with these very days; None when it has none."""
    wanted = (other.first, other.last)
    names = [name for name in COMPARISONS if compared_days(name, period.first, period.last)[0] == wanted]
    return names[0] if names else None


def _end_of(period: Period) -> date:
    if period.unit in ("month", "quarter", "year"):
        months = {"month": 1, "quarter": 3, "year": 12}[period.unit]
        return _month(period.first.year, period.first.month, months).last
    return period.last


def _readings(text: str, calendar: Calendar) -> Iterator[tuple[int, list[Period]]]:
    """Every reading of the beginning of a text: characters taken, periods meant."""
    yield from _single(text, calendar)
    yield from _ranges(text, calendar)
    if match := re.match(r"(?:since|desde)(?: el)? ", text):
        for length, periods in _single(text[match.end() :], calendar):
            options = [Period(each.first, calendar.today, "days") for each in periods if each.first <= calendar.today]
            yield match.end() + length, options
    if match := re.match(r"(?:week of|semana del?)(?: the| el)? ", text):
        for length, periods in _single(text[match.end() :], calendar):
            weeks = [_unit_period("week", 0, each.first) for each in periods if each.unit == "day"]
            yield match.end() + length, weeks


def _single(text: str, calendar: Calendar) -> Iterator[tuple[int, list[Period]]]:
    for pattern, build in _PATTERNS:
        if match := pattern.match(text):
            try:
                yield match.end(), build(match, calendar)
            except (ValueError, OverflowError):  # the 31st of June is no day
                continue


def _ranges(text: str, calendar: Calendar) -> Iterator[tuple[int, list[Period]]]:
    """'from A to B', 'entre A y B', 'del 1 al 15 de mayo'; a year said once holds for both ends."""
    opened = re.match(r"(?:between|from|entre|del|de|desde)(?: el)? ", text)
    start = opened.end() if opened else 0
    if match := re.match(rf"({_D}) (?:and|to|y|al|a|until|hasta|-)(?: el)? (?={_D} {_OF}{_M})", text[start:]):
        yield from _closed(text, start + match.end(), calendar, day=_number(match[1]))
    for length, firsts in _single(text[start:], calendar):
        joint = re.match(r" (?:and|to|y|al|a|until|till|through|hasta)(?: el)? ", text[start + length :])
        if joint and (opened or joint.group().strip() not in ("and", "y")):
            yield from _closed(text, start + length + joint.end(), calendar, firsts=firsts)


def _closed(
    text: str, start: int, calendar: Calendar, *, day: int | None = None, firsts: Sequence[Period] = ()
) -> Iterator[tuple[int, list[Period]]]:
    """The second end of a range, joined with a first one that lies before it in the same or the year before."""
    for length, ends in _single(text[start:], calendar):
        found = []
        for end in ends:
            begins = [end.first.replace(day=day)] if day else _nearest_before(firsts, end)
            found += [Period(begin, end.last, "days") for begin in begins if begin <= end.last]
        yield start + length, found


def _nearest_before(firsts: Sequence[Period], end: Period) -> list[date]:
    """Of the years the first end may mean, the one nearest before the second."""
    possible = [each.first for each in firsts if each.first <= end.last]
    if not possible and len(firsts) == 1:  # the only year known of the first end lies after; take it back
        with_year = _with_year(firsts[0].first, end.last.year)
        possible = [with_year] if with_year <= end.last else []
    return [max(possible)] if possible else []


def _with_year(day: date, year: int) -> date:
    return day.replace(year=year, day=min(day.day, monthrange(year, day.month)[1]))


def _number(word: str) -> int:
    digits = re.match(r"\d+", word)
    return int(digits[0]) if digits else NUMBERS[word]


def _month(year: int, month: int, months: int = 1, unit: Unit = "month") -> Period:
    end = _months_back(date(year, month, 1), -months) - timedelta(days=1)
    return Period(date(year, month, 1), end, unit)


def _months_back(day: date, months: int) -> date:
    place = day.year * 12 + day.month - 1 - months
    year, month = divmod(place, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _of_years(make: Callable[[int], Period], year: str | None, calendar: Calendar) -> list[Period]:
    """The period of the year said, else of each year that holds data of it, else of the last one there was."""
    if year:
        return [make(_year(year, calendar.today))]
    years = range(calendar.known_first.year, calendar.known_last.year + 1)
    made = []
    for each in years:
        try:
            made.append(make(each))
        except ValueError:  # 29 February
            continue
    held = [p for p in made if p.first <= calendar.known_last and p.last >= calendar.known_first]
    if held:
        return held
    this = make(calendar.today.year)
    return [this if this.first <= calendar.today else make(calendar.today.year - 1)]


def _year(said: str, today: date) -> int:
    """2026, or the one that 'last year' and 'este año' mean."""
    return int(said) if said.isdigit() else today.year - (said in ("last year", "ano pasado"))


def _unit_period(unit: Unit, back: int, today: date) -> Period:
    """The calendar week, month, ... that holds today, or one `back` units earlier."""
    if unit == "day":
        day = today - timedelta(days=back)
        return Period(day, day, "day")
    if unit == "week":
        monday = today - timedelta(days=today.weekday() + 7 * back)
        return Period(monday, monday + timedelta(days=6), "week")
    months = {"month": 1, "quarter": 3, "year": 12}[unit]
    first = _months_back(today.replace(day=1, month=(today.month - 1) // months * months + 1), months * back)
    return _month(first.year, first.month, months, unit)


def _last_units(unit: Unit, count: int, today: date) -> Period:
    """The last `count` whole days, weeks, ...: today is not over and not in it."""
    first, last = _unit_period(unit, count, today), _unit_period(unit, 1, today)
    return Period(first.first, last.last, "days")


Build = Callable[[re.Match[str], Calendar], list[Period]]


def _day(year: str, month: str, day: str) -> Period:
    when = date(int(year), int(month), int(day))
    return Period(when, when, "day")


def _named_day(match: re.Match[str], calendar: Calendar) -> list[Period]:
    month, day = MONTHS[match["m"]], _number(match["d"])
    return _of_years(lambda year: Period(date(year, month, day), date(year, month, day), "day"), match["y"], calendar)


def _named_month(match: re.Match[str], calendar: Calendar) -> list[Period]:
    return _of_years(lambda year: _month(year, MONTHS[match["m"]]), match["y"], calendar)


def _named_quarter(match: re.Match[str], calendar: Calendar) -> list[Period]:
    quarter = _ORDINALS.get(match["q"]) or int(match["q"])
    return _of_years(lambda year: _month(year, quarter * 3 - 2, 3, "quarter"), match["y"], calendar)


def _named_half(match: re.Match[str], calendar: Calendar) -> list[Period]:
    is_second = (match["h"] or match["o"]) in ("2", "2nd", "second", "segundo", "segunda")
    return _of_years(lambda year: _month(year, 7 if is_second else 1, 6, "days"), match["y"], calendar)


def _numbered_week(match: re.Match[str], calendar: Calendar) -> list[Period]:
    week = int(match["n"])
    return _of_years(lambda year: _unit_period("week", 0, date.fromisocalendar(year, week, 1)), match["y"], calendar)


def _written_day(match: re.Match[str], calendar: Calendar) -> list[Period]:
    """1/6/2026 is the first of June, or to some the sixth of January."""
    year = match["y"] if len(match["y"]) > 2 else f"20{match['y']}"
    days = []
    for day, month in ((match["a"], match["b"]), (match["b"], match["a"])):
        with suppress(ValueError):
            days.append(_day(year, month, day))
    return days


def _weekday(match: re.Match[str], calendar: Calendar) -> list[Period]:
    """The newest one before today; where it is of this week (or today is one), 'last' may be the one before, too."""
    back = (calendar.today.weekday() - WEEKDAYS[match["w"]]) % 7
    days = [_unit_period("day", back or 7, calendar.today)]
    if back == 0 and not match["last"]:
        days.append(_unit_period("day", 0, calendar.today))
    elif match["last"] and 0 < back <= calendar.today.weekday():
        days.append(_unit_period("day", back + 7, calendar.today))
    return days


def _weekday_of(back: int) -> Build:
    """The one of this week, or of the week so many before."""

    def build(match: re.Match[str], calendar: Calendar) -> list[Period]:
        day = _unit_period("week", back, calendar.today).first + timedelta(days=WEEKDAYS[match["w"]])
        return [Period(day, day, "day")]

    return build


def _last_weekend(match: re.Match[str], calendar: Calendar) -> list[Period]:
    """Saturday and Sunday of the newest weekend that is over."""
    sunday = calendar.today - timedelta(days=calendar.today.weekday() + 1)
    return [Period(sunday - timedelta(days=1), sunday, "days")]


def _ago(match: re.Match[str], calendar: Calendar) -> list[Period]:
    """'3 days ago' is a day; 'two weeks ago' that week, or the day as many weeks back."""
    unit, count = _UNITS[match["u"]], NUMBERS["one"] if match["n"] in ("a", "an") else _number(match["n"])
    if unit == "days":
        return []
    months = {"month": 1, "quarter": 3, "year": 12}.get(unit)
    day = _months_back(calendar.today, months * count) if months else calendar.today - timedelta(days=7 * count)
    whole = _unit_period(unit, count, calendar.today)
    return [whole] if unit == "day" else [whole, Period(day, day, "day")]


def _relative(back: int) -> Build:
    return lambda match, calendar: [_unit_period(_UNITS[match["u"]], back, calendar.today)]


def _open_last(match: re.Match[str], calendar: Calendar) -> list[Period]:
    """'the past week', 'el último mes': the calendar one before, or as many days up to yesterday."""
    unit = _UNITS[match["u"]]
    whole = _unit_period(unit, 1, calendar.today)
    days = {"week": 7, "month": 30, "quarter": 90, "year": 365}.get(unit)
    return [whole, _last_units("day", days, calendar.today)] if days else [whole]


def _everything(match: re.Match[str], calendar: Calendar) -> list[Period]:
    return [Period(calendar.known_first, calendar.known_last, "all")]


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?:{pattern})(?!\S)")


_PATTERNS: tuple[tuple[re.Pattern[str], Build], ...] = tuple(
    (_compiled(pattern), build)
    for pattern, build in (
        (r"(\d{4})-(\d\d)-(\d\d)", lambda m, c: [_day(m[1], m[2], m[3])]),
        (r"(\d{4})-(\d\d)", lambda m, c: [_month(int(m[1]), int(m[2]))]),
        (r"(?P<y>\d{4})-q(?P<q>[1-4])", _named_quarter),
        (rf"(?:year |ano )?({_Y})", lambda m, c: [_month(int(m[1]), 1, 12, "year")]),
        (rf"(?:day |dia )?(?P<d>{_D}) {_OF}(?P<m>{_M})(?: {_OF}{_YEAR})?", _named_day),
        (rf"(?P<m>{_M}) (?:the )?(?P<d>{_D})(?: {_OF}{_YEAR})?", _named_day),
        (rf"(?:month of |mes de )?(?P<m>{_M})(?: {_OF}{_YEAR})?", _named_month),
        (rf"q(?P<q>[1-4])(?: {_OF}{_YEAR})?", _named_quarter),
        (rf"(?P<q>{'|'.join(_ORDINALS)}) (?:quarter|trimestre)(?: {_OF}{_YEAR})?", _named_quarter),
        (rf"(?P<y>{_Y}) (?P<m>{_M})", _named_month),
        (
            rf"(?:h(?P<h>[12])|(?:the )?(?P<o>first|second|1st|2nd|primera?|segund[oa]) (?:half|semestre|mitad))"
            rf"(?: (?:of the year|del ano))?(?: {_OF}{_YEAR})?",
            _named_half,
        ),
        (rf"(?:calendar |iso )?(?:week|semana) (?P<n>\d{{1,2}})(?: {_OF}{_YEAR})?", _numbered_week),
        (rf"(?P<a>\d{{1,2}}) [/-] (?P<b>\d{{1,2}}) [/-] (?P<y>{_Y}|\d\d)", _written_day),
        (rf"(\d\d) (\d\d) ({_Y})", lambda m, c: [_day(m[3], m[2], m[1])]),  # 01.06.2026: dots are no words
        (rf"(?:on |(?P<last>last |past ))?{_W_EN}", _weekday),
        (rf"(?:el |del )(?P<last>pasado )?{_W_ES}", _weekday),
        (rf"(?:el |del ){_W_ES} (?P<last>pasado)", _weekday),
        (rf"this {_W_EN}", _weekday_of(0)),
        (rf"este {_W_ES}", _weekday_of(0)),
        (rf"(?:on )?{_W_EN} (?:of )?last week", _weekday_of(1)),
        (rf"(?:el |del ){_W_ES} de la semana pasada", _weekday_of(1)),
        ("(?:last|past) weekend|fin de semana pasado|(?:ultimo|pasado) fin de semana", _last_weekend),
        ("today|hoy", lambda m, c: [_unit_period("day", 0, c.today)]),
        ("yesterday|ayer", lambda m, c: [_unit_period("day", 1, c.today)]),
        ("day before yesterday|anteayer|antier", lambda m, c: [_unit_period("day", 2, c.today)]),
        ("tomorrow|manana", lambda m, c: [_unit_period("day", -1, c.today)]),
        (rf"(?:so far )?(?:this|est[ea]) (?P<u>{_U})(?: so far)?", _relative(0)),
        (rf"(?P<u>{_U}) to date", _relative(0)),
        (rf"(?:en )?lo que va (?:de|del) (?:este )?(?P<u>{_U})", _relative(0)),
        (r"(?P<u>[ymq])td", lambda m, c: [_unit_period(TO_DATE[m["u"]], 0, c.today)]),
        (rf"(?P<n>an?|{_N}) (?P<u>{_U}) ago", _ago),
        (rf"hace (?P<n>{_N}) (?P<u>{_U})", _ago),
        (rf"{_LAST} (?P<u>{_U})", _relative(1)),
        (rf"(?P<u>{_U}) {_BEFORE}", _relative(1)),
        (rf"(?:next|coming|proxim[oa]) (?P<u>{_U})", _relative(-1)),
        (rf"(?P<u>{_U}) que viene", _relative(-1)),
        (rf"(?:past|ultim[oa]) (?P<u>{_U})", _open_last),
        (
            rf"(?:last|past|previous|ultim[oa]) (?P<n>{_N}) (?P<u>{_U})",
            lambda m, c: [_last_units(_UNITS[m["u"]], _number(m["n"]), c.today)],
        ),
        ("all time|all days?|ever|whole time|todo el tiempo|desde el principio|de siempre", _everything),
    )
)
_SMALL = "(?:(?:the|el|la|of|in|en|de|del) )*"
_LEAD = rf"{_SMALL}(?:(?:same|mism[oa]) (?P<same>{_U}) {_SMALL})?"
_BACK = tuple(
    (_compiled(_LEAD + pattern), is_last)
    for pattern, is_last in (
        (rf"last (?P<unit>{_U})", True),
        (rf"(?P<unit>{_U}) pasad[oa]", True),
        (rf"(?:previous|prior) (?P<unit>{_U})", False),
        (rf"(?:a |one )?(?P<unit>{_U}) (?:before|earlier|ago)", False),
        (rf"(?P<unit>{_U}) (?:anterior|previ[oa])", False),
        (rf"hace un[a]? (?P<unit>{_U})", False),
    )
)
