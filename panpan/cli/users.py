"""
Commands about the people who may log in to the web pages: users add | list | remove | password.
"""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from panpan.cli import output
from panpan.cli.options import AsJson, Home
from panpan.errors import UsageError
from panpan.settings import load_settings
from panpan.web.accounts import LONGEST, Accounts

commands = typer.Typer(
    name="users", help="Who may log in to the web pages when others can reach them.", no_args_is_help=True
)
Name = Annotated[str, typer.Argument(help="Name to log in with: small letters, digits and . _ @ + -")]


class RoleName(StrEnum):
    """owner sees everything, employee the dashboards made for everyone."""

    owner = "owner"
    employee = "employee"


def register(app: typer.Typer) -> None:
    """Add the commands of this module as `users`."""
    app.add_typer(commands, name="users")


@commands.command("add")
def add(
    name: Name,
    role: Annotated[RoleName, typer.Option("--role", help="What this person may see.")] = RoleName.employee,
    home: Home = None,
) -> None:
    """
    Let a person log in; the password is asked for, or read from the first line of stdin.

    Example: panpan users add ada --role owner
    """
    Accounts.of(load_settings(home=home)).add(name, role.value, ask_password())
    output.results.print(f"{name} may log in as {role.value}", highlight=False)


@commands.command("list")
def list_users(home: Home = None, as_json: AsJson = False) -> None:
    """
    Say who may log in.

    Example: panpan users list --json
    """
    accounts = Accounts.of(load_settings(home=home)).all()
    if as_json:
        output.print_json({"users": [{"name": account.name, "role": account.role} for account in accounts]})
    else:
        output.print_table("users", ["name", "role"], [[account.name, account.role] for account in accounts])


@commands.command("remove")
def remove(name: Name, home: Home = None) -> None:
    """
    Let a person log in no more; their sessions end at once.

    Example: panpan users remove ada
    """
    Accounts.of(load_settings(home=home)).remove(name)
    output.results.print(f"{name} can't log in any more", highlight=False)


@commands.command("password")
def password(name: Name, home: Home = None) -> None:
    """
    Give a person a new password; their sessions end at once.

    Example: panpan users password ada
    """
    Accounts.of(load_settings(home=home)).set_password(name, ask_password())
    output.results.print(f"{name} has a new password", highlight=False)


def ask_password() -> str:
    """A password typed twice without being shown, or one line of stdin; never an argument, which others could read."""
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    line = sys.stdin.readline(LONGEST + 2).rstrip("\r\n")
    if not line:
        raise UsageError("no password was given", next="type it at the prompt, or give it as first line of stdin")
    return line
