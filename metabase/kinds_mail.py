"""
Kinds of things Metabase sends by itself: alerts on our alert questions, dashboards on a schedule.

Whoever may read a card may have an alert of their own on it. Those are never touched: ours are the ones made with an
API key.
"""

from __future__ import annotations

from metabase.actual import Row
from metabase.desired import GROUPS, Content, Wanted
from metabase.plan import Found, World

KEY_USER = "@api-key.invalid"
EVERY = {"day": "daily", "week": "weekly"}
SIMPLE_HOUR = "cron/builder"


class AlertKind:
    """One notification on each alert card. Metabase deletes it with some changes of the card; it comes back here."""

    name = "alert"
    changes: tuple[str, ...] = ()
    is_marked = True

    def wanted(self, world: World) -> dict[str, Wanted]:
        return world.desired.alerts

    def found(self, world: World) -> dict[str, Found]:
        cards = {number: key for number, key in world.actual.card_keys().items() if key.startswith("question/alert-")}
        found: dict[str, Found] = {}
        for row in sorted(world.actual.notifications(), key=lambda row: int(row["id"])):
            card = cards.get(int(row["payload"]["card_id"]))
            if card is None or not is_ours(row, world):
                continue
            key = "alert/" + card.removeprefix("question/alert-")
            wanted = world.desired.alerts.get(key)
            key = f"{key}-again-{row['id']}" if key in found else key
            title = wanted.title if wanted else f"alert on {card}"
            found[key] = Found(key, title, int(row["id"]), alert_content(row, card, world), row)
        return found

    def write(self, world: World, wanted: Wanted, found: Found | None) -> None:
        content = wanted.content
        body: Content = {
            "payload_type": "notification/card",
            "active": True,
            "payload": {
                "card_id": world.actual.cards()[content["question"]]["id"],
                "send_condition": content["condition"],
                "send_once": False,
            },
            "subscriptions": [
                {
                    "type": "notification-subscription/cron",
                    "cron_schedule": content["schedule"],
                    "ui_display_type": SIMPLE_HOUR,
                }
            ],
            "handlers": [
                {"channel_type": "channel/email", "recipients": [recipient_body(each, world) for each in content["to"]]}
            ],
        }
        if found is None:
            world.actual.client.post("/api/notification", body)
        else:
            world.actual.client.put(f"/api/notification/{found.id}", with_ids(body, found.row))

    def remove(self, world: World, found: Found) -> None:
        """There is no deleting: an alert is put to rest."""
        world.actual.client.put(f"/api/notification/{found.id}", found.row | {"active": False})


class ReportKind:
    """Dashboards by mail. Metabase calls them pulses; they have no delete either."""

    name = "report"
    changes: tuple[str, ...] = ()
    is_marked = True

    def wanted(self, world: World) -> dict[str, Wanted]:
        kept = {}
        for key, wanted in world.desired.reports.items():
            people = addresses(wanted.content["to"], world)
            if people:
                kept[key] = Wanted(key, wanted.title, wanted.content | {"to": people})
            else:
                world.note(f"{wanted.title} goes to nobody: name people in PANPAN_METABASE_OWNERS")
        return kept

    def found(self, world: World) -> dict[str, Found]:
        """Also those on our dashboards that a key of ours made for a file that is gone."""
        names = {(each.content["dashboard"], each.content["name"]): each for each in self.wanted(world).values()}
        found: dict[str, Found] = {}
        for dashboard, row in world.actual.dashboards(set(world.desired.dashboards)).items():
            pulses = [] if row.get("archived") else world.actual.pulses(int(row["id"]))
            for pulse in sorted(pulses, key=lambda each: int(each["id"])):
                if not is_ours(pulse, world):
                    continue
                wanted = names.get((dashboard, pulse["name"]))
                key = wanted.key if wanted and wanted.key not in found else f"report/{pulse['id']}"
                content = pulse_content(pulse, dashboard, row, world)
                found[key] = Found(key, f"report {pulse['name']}", int(pulse["id"]), content, pulse)
        return found

    def write(self, world: World, wanted: Wanted, found: Found | None) -> None:
        body = self._body(world, wanted)
        if found is None:
            world.actual.client.post("/api/pulse", body)
        else:
            world.actual.client.put(f"/api/pulse/{found.id}", body | {"archived": False})

    def remove(self, world: World, found: Found) -> None:
        world.actual.client.put(f"/api/pulse/{found.id}", {"archived": True})

    @staticmethod
    def _body(world: World, wanted: Wanted) -> Content:
        content = wanted.content
        dashboard = world.actual.dashboards(set(world.desired.dashboards))[content["dashboard"]]
        keys = world.actual.card_keys()
        cards = [
            {
                "id": dashcard["card_id"],
                "dashboard_card_id": dashcard["id"],
                "include_csv": False,
                "include_xls": False,
            }
            for dashcard in dashboard["dashcards"]
            if keys.get(dashcard.get("card_id") or 0) in content["cards"]
        ]
        channel = {
            "channel_type": "email",
            "enabled": True,
            "schedule_type": EVERY[content["every"]],
            "schedule_hour": content["hour"],
            "schedule_day": content["weekday"],
            "schedule_frame": None,
            "recipients": [pulse_recipient(each, world) for each in content["to"]],
            "details": {},
        }
        return {
            "name": content["name"],
            "dashboard_id": dashboard["id"],
            "cards": cards,
            "channels": [channel],
            "skip_if_empty": False,
            "parameters": [],
        }


def is_ours(row: Row, world: World) -> bool:
    """Whether a key made it, and not a person for themselves; apply works with a key only."""
    email = str((row.get("creator") or {}).get("email") or "").lower()
    return row.get("creator_id") == world.actual.myself().get("id") or email.endswith(KEY_USER)


def alert_content(row: Row, card: str, world: World) -> Content:
    """A notification in our words."""
    crons = [each.get("cron_schedule") for each in row.get("subscriptions") or []]
    recipients = [each for handler in row.get("handlers") or [] for each in handler.get("recipients") or []]
    return {
        "question": card,
        "condition": row["payload"].get("send_condition"),
        "schedule": crons[0] if len(crons) == 1 else crons,
        "to": sorted(recipient_word(each, world) for each in recipients),
        "active": bool(row.get("active", True)),
    }


def recipient_word(row: Row, world: World) -> str:
    """A recipient in our words."""
    if row.get("permissions_group_id") is not None:
        names = {number: name for name, number in world.actual.group_ids().items()}
        return f"group {names.get(int(row['permissions_group_id']), row['permissions_group_id'])}"
    if row.get("user_id") is not None:
        emails = {int(user["id"]): email for email, user in world.actual.users().items()}
        return emails.get(int(row["user_id"]), f"user {row['user_id']}")
    return str((row.get("details") or {}).get("value")).lower()


def recipient_body(word: str, world: World) -> Content:
    """A recipient in Metabase's words: our group, a person it knows, or a bare address."""
    if word.startswith("group "):
        number = world.actual.group_ids()[word.removeprefix("group ")]
        return {"type": "notification-recipient/group", "permissions_group_id": number}
    if word in world.actual.users():
        return {"type": "notification-recipient/user", "user_id": int(world.actual.users()[word]["id"])}
    return {"type": "notification-recipient/raw-value", "details": {"value": word}}


def with_ids(body: Content, row: Row) -> Content:
    """The body with the ids of what is there, which Metabase would else delete and make again."""
    number = int(row["id"])
    subscriptions = [
        each | ({"id": old["id"], "notification_id": number} if old else {})
        for each, old in zip(body["subscriptions"], [*(row.get("subscriptions") or []), None], strict=False)
    ]
    handlers = []
    for each, old in zip(body["handlers"], [*(row.get("handlers") or []), None], strict=False):
        kept = {"id": old["id"], "notification_id": number, "channel_id": old.get("channel_id")} if old else {}
        there = {_recipient_key(r): r for r in (old or {}).get("recipients") or []}
        recipients = [
            each_recipient
            | (
                {"id": there[_recipient_key(each_recipient)]["id"], "notification_handler_id": old["id"]}
                if old and _recipient_key(each_recipient) in there
                else {}
            )
            for each_recipient in each["recipients"]
        ]
        handlers.append(each | kept | {"active": True, "recipients": recipients})
    payload = body["payload"] | {"id": row["payload"].get("id") or row.get("payload_id")}
    known = {name: row.get(name) for name in ("payload_id", "creator_id")}
    return body | {"id": number, **known, "payload": payload, "subscriptions": subscriptions, "handlers": handlers}


def _recipient_key(row: Row) -> tuple[str, ...]:
    value = (row.get("details") or {}).get("value")
    return (str(row["type"]), str(row.get("user_id")), str(row.get("permissions_group_id")), str(value))


def addresses(recipients: list[str], world: World) -> list[str]:
    """Addresses of a report's recipients: groups are not known to Metabase here, so their members are named."""
    found: set[str] = set()
    for each in recipients:
        if each in GROUPS:
            found |= set(world.desired.people.get(each, {}))
            found |= {world.desired.admin_email.lower()} if each == "owners" else set()
        else:
            found.add(each.lower())
    return sorted(found)


def pulse_recipient(email: str, world: World) -> Content:
    """A person Metabase knows by id, others by address."""
    user = world.actual.users().get(email)
    return {"id": int(user["id"]), "email": email} if user else {"email": email}


def pulse_content(row: Row, dashboard: str, board: Row, world: World) -> Content:
    """A dashboard subscription in our words; a card whose place on the dashboard is gone is told as such."""
    keys = world.actual.card_keys()
    places = {int(each["id"]): each.get("card_id") for each in board.get("dashcards") or []}
    channels = row.get("channels") or [{}]
    channel = channels[0] if len(channels) == 1 else {}
    every = {word: ours for ours, word in EVERY.items()}
    cards = [
        keys.get(int(each["id"]), f"card {each['id']}")
        if places.get(each.get("dashboard_card_id") or 0) == each["id"]
        else f"gone from the dashboard: card {each['id']}"
        for each in row.get("cards") or []
    ]
    return {
        "name": row["name"],
        "dashboard": dashboard,
        "cards": sorted(cards),
        "every": every.get(channel.get("schedule_type") or "", channel.get("schedule_type")),
        "hour": channel.get("schedule_hour"),
        "weekday": channel.get("schedule_day"),
        "to": sorted(str(each.get("email", "")).lower() for each in channel.get("recipients") or []),
        "enabled": bool(channel.get("enabled")) and not row.get("archived"),
    }


def no_recipients(world: World) -> None:
    """Say it when an alert would reach nobody."""
    counts = {row["name"]: row.get("member_count") for row in world.actual.groups()}
    for group in GROUPS.values():
        used = any(f"group {group}" in wanted.content["to"] for wanted in world.desired.alerts.values())
        if used and counts.get(group) == 0:
            world.note(f"alerts go to group {group}, which has no members")
    if not world.actual.properties().get("email-configured?"):
        world.note("Metabase can send no mail: set PANPAN_SMTP_HOST, or its own MB_EMAIL_ variables")
