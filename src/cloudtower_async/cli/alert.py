"""The commands ``alert …``: list alerts and resolve them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyclopts import App

from .changes import ChangeOptions, ChangeTarget, CommandChange, question, run_change
from .connect import ConnectOptions
from .output_options import OutputOptions
from .reading_commands import add_list
from .resolve_names import Where, select

if TYPE_CHECKING:
    from ..client import Cloudtower

alert: App = App(name="alert", help="List alerts and resolve them.")
add_list(
    alert,
    "alerts",
    "alerts",
    "The list includes alerts that have ended. To omit them, pass --where ended=false.",
)


@alert.command
def resolve(
    *ids: str,
    where: Where = None,
    change: ChangeOptions | None = None,
    output: OutputOptions | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Mark alerts as resolved.

    Args:
        ids: Ids of the alerts.
        where: Filter that selects the alerts, as in `list --where`. Use it instead of ids.
        change: Options such as --yes.
        output: Output options.
        connection: Connection options.
    """

    async def plan(tower: Cloudtower) -> CommandChange:
        found = await select(tower, "alert.get_alerts", ids, where, noun="alert", by_name=False)
        return CommandChange(
            ask=question(
                "Resolve {number} alert on {place}?",
                "Resolve {number} alerts on {place}?",
            ),
            noun="alert",
            kind="Alert",
            step="resolve",
            targets=[ChangeTarget(one.id, one.message or "", one) for one in found],
            send=lambda one: tower.alert.resolve_alert(where={"id": one.resource.id}),
        )

    run_change("alert resolve", plan, change, output, connection)
