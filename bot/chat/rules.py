"""Who may do what, and where: the one table. No command and no button has a rule of its own.

What is not in the table is for nobody. Of what somebody may do at all, handlers act on that person's own accounts and
orders only; people are let in and blocked by those who rank above them.
"""

from __future__ import annotations

from collections.abc import Mapping

from bot.chat.gate import ADMINISTRATORS, ADMINS, ANYWHERE, MEMBERS, OFFICE_IN_GROUPS, PLACING, TRADERS, VIEWERS, Rule

_POSTING = Rule("trader", "anywhere")
_COMMANDS: tuple[tuple[Rule, str], ...] = (
    (ANYWHERE, "start help id price chart panic alert alerts"),
    (VIEWERS, "balance orders order history pnl export accounts status why resume diag forgetme"),
    (TRADERS, "cancel connect keys paper settings ip limits 2fa"),
    (_POSTING, "signal hook"),
    (TRADERS, "signals"),
    (PLACING, "buy sell trade"),
    (ADMINS, "invite users plugins audit"),
    (MEMBERS, "group"),
    (ADMINISTRATORS, "route mute"),
    (OFFICE_IN_GROUPS, "watch"),
)
_ACTIONS: tuple[tuple[Rule, str], ...] = (
    (ANYWHERE, "alert_list alert_show alert_snooze alert_edit alert_delete alert_again"),
    (VIEWERS, "balance balance_picture pnl_picture order refresh default not_wanted surely_forget"),
    (TRADERS, "limits drop cancel late_cancel cancel_many not_placed surely_not_placed"),
    (TRADERS, "connect looked_at_key test_key rotate_key remove_key surely_remove_key"),
    (TRADERS, "settings_default settings_paper ip"),
    (TRADERS, "signal_post signal_cancel"),
    (PLACING, "ask confirm confirm_code scale again override despite"),
    (ADMINS, "users user role take_back approve"),
    (VIEWERS, "fills_stop"),
    (MEMBERS, "group_fills"),
    (ADMINISTRATORS, "group_level group_posters"),
)


def _rows(table: tuple[tuple[Rule, str], ...]) -> Mapping[str, Rule]:
    return {name: rule for rule, names in table for name in names.split()}


COMMANDS = _rows(_COMMANDS)
"""Command, without the slash, to its rule."""

ACTIONS = _rows(_ACTIONS)
"""What a button does to its rule. A press counts for the rule of its action, not of the command that showed it."""
