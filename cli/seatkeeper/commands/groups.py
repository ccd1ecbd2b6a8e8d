"""Commands about groups."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from seatkeeper import columns, routes
from seatkeeper import fields as f
from seatkeeper.errors import CliError
from seatkeeper.framework import command, group
from seatkeeper.operations import change, follow, show
from seatkeeper.output import Column
from seatkeeper.session import Session

app = group("group", "Groups: their products, status, members and errors.")

Group = Annotated[str, typer.Argument(help="Name or ID of a group.")]
Products = Annotated[list[str], typer.Argument(help="Part numbers, friendly names or IDs of products.")]
Without = Annotated[str, typer.Option("--without", help="Apps to turn off, separated by commas.")]
Preview = Annotated[bool, typer.Option("--preview", help="Only show the plan and its ID.")]
Error = Annotated[str, typer.Option("--error", help="Only this error, such as CountViolation.")]
Product = Annotated[str, typer.Option("--product", help="Only this product.")]
Name = Annotated[str, typer.Option("--name", help="Only members whose name begins with this.")]

STATUSES = {"ok": "All licenses assigned", "running": "In progress", "error": "Errors and issues"}


@command(app, "list", "group list", "group list --status error -o json")
def list_groups(
    session: Session,
    status: Annotated[str, typer.Option("--status", help="Only groups in this status: ok, running or error.")] = "",
) -> None:
    """Groups that assign licenses, with their status."""
    if status and status not in STATUSES:
        raise CliError(f"Unknown status {status!r}. Allowed: {', '.join(STATUSES)}.")
    found = [each for each in session.names.managed if not status or each[f.STATUS] == STATUSES[status]]
    session.output.rows(
        found, columns.groups(session.names), "No group has this status." if status else "No group assigns licenses."
    )


@command(app, "search", "group search SG-LIC")
def search_groups(session: Session, words: Annotated[str, typer.Argument(help="Words of the name, or an ID.")]) -> None:
    """Find groups of the directory, also those that assign nothing."""
    session.output.rows(session.names.find_groups(words), columns.FOUND_GROUPS)


@command(app, "show", "group show SG-LIC-E3")
def show_group(session: Session, group: Group) -> None:
    """The products and options of a group, and the number of members in each state."""
    names = session.names
    group_id = names.group(group)
    assignment = session.client.ask(routes.ASSIGNMENT, group_id)
    status = session.client.ask(routes.GROUP_STATUS, group_id)
    value = {"assignment": assignment, "status": status}

    def lines() -> None:
        options = assignment[f.OPTIONS]
        allowance = status["removalAllowance"]
        is_direct = assignment[f.ENGINE] == f.DIRECT
        of_direct = [
            ("Removals today", f"{allowance['used']} of {allowance['limit']}"),
            ("Held because", allowance["heldBecause"]),
            ("Usage location", options[f.USAGE_LOCATION]),
            ("Excluded groups", [names.group_label(each) for each in options[f.EXCLUDED]]),
            ("Guests", options[f.GUESTS]),
            ("Disabled accounts", options[f.DISABLED_ACCOUNTS]),
            ("Keep after leaving", options[f.GRACE] if options[f.GRACE] != "P0D" else None),
        ]
        session.output.pairs(
            [
                ("Group", assignment[f.DISPLAY_NAME]),
                ("ID", group_id),
                ("Engine", assignment[f.ENGINE]),
                ("Status", status[f.STATUS]),
                ("Members", status[f.MEMBERS]),
                *((name, count) for name, count in status[f.COUNTS].items()),
                ("Version", assignment[f.VERSION]),
                ("Changed by", assignment["changedBy"]),
                ("Changed", assignment["changedDateTime"]),
                ("Operation", assignment[f.OPERATION_ID]),
                ("Open approval", assignment[f.OPEN_APPROVAL]),
                *(of_direct if is_direct else ()),
            ]
        )
        session.output.heading("Products")
        counts = {each[f.SKU_ID]: each for each in status["products"]}
        assigned = assignment[f.ASSIGNED_LICENSES if is_direct else f.NATIVE_LICENSES]
        rows = [{**each, **counts.get(each[f.SKU_ID], {})} for each in assigned]
        session.output.rows(rows, columns.assigned_products(names))

    session.output.one(value, lines)


@command(app, "members", "group members SG-LIC-E3 --state Waiting", "group members SG-LIC-E3 -o csv")
def members(
    session: Session,
    group: Group,
    state: Annotated[str, typer.Option("--state", help="Only members in this state, such as Waiting.")] = "",
    name: Name = "",
) -> None:
    """Members of a group with their state."""
    group_id = session.names.group(group)
    if name:
        body = {f.SEARCH: name, **({f.STATE: state} if state else {})}
        found = session.client.search(routes.FIND_MEMBERS, group_id, body=body)
    else:
        found = session.client.all(routes.MEMBERS, group_id, query={f.STATE: state or None})
    session.output.rows(found, columns.members(session.names))


@command(
    app,
    "errors",
    "group errors SG-LIC-E3 --error MutuallyExclusiveViolation -o csv",
    "group errors --product SPE_E5",
)
def errors(
    session: Session,
    group: Annotated[str, typer.Argument(help="Name or ID of a group; all groups without it.")] = "",
    error: Error = "",
    product: Product = "",
    name: Name = "",
) -> None:
    """Members in error or waiting for a license, each with the remedy."""
    sku_id = session.names.product(product) if product else None
    if name and not group:
        raise CliError("--name needs a group.")
    group_id = session.names.group(group) if group else ""
    if name:
        body = {f.SEARCH: name, **{key: each for key, each in ((f.ERROR, error), (f.SKU_ID, sku_id)) if each}}
        found = session.client.search(routes.FIND_MEMBER_ERRORS, group_id, body=body)
    else:
        query = {f.ERROR: error or None, f.SKU_ID: sku_id}
        route, ids = (routes.MEMBER_ERRORS, (group_id,)) if group else (routes.ALL_ERRORS, ())
        found = session.client.all(route, *ids, query=query)
    rows = ({**row, **problem} for row in found for problem in row[f.PROBLEMS])
    shown = columns.errors(session.names)
    if not group:
        shown = [Column("Group", lambda row: session.names.group_label(row[f.GROUP_ID])), *shown]
    session.output.rows(rows, shown, "No errors.")


@command(
    app, "assign", "group assign SG-LIC-E3 SPE_E3 --without Sway", "group assign SG-LIC-E3 SPE_E3 --yes", writes=True
)
def assign(session: Session, group: Group, products: Products, without: Without = "", preview: Preview = False) -> int:
    """Assign products to the members of a group. Shows the plan first."""
    group_id = session.names.group(group)
    body = {f.ADD: licenses(session, products, without), f.REMOVE: []}
    return change(session, routes.ASSIGN_GROUP, (group_id,), body, only_preview=preview)


def licenses(session: Session, products: list[str], without: str) -> list[dict[str, Any]]:
    """Products with the apps to turn off, as the API takes them. An app counts for each product that has it. Raises
    CliError for an app that no product has."""
    names = session.names
    skus = [names.product(each) for each in products]
    off: dict[str, list[str]] = {each: [] for each in skus}
    for app_name in filter(None, (each.strip() for each in without.split(","))):
        faults: list[CliError] = []
        for sku_id in skus:
            try:
                off[sku_id].append(names.app(sku_id, app_name))
            except CliError as fault:
                faults.append(fault)
        if len(faults) == len(skus):
            raise faults[0]
    return [{f.SKU_ID: sku_id, f.DISABLED_PLANS: sorted(plans)} for sku_id, plans in off.items()]


@command(app, "remove", "group remove SG-LIC-E3 SPE_E3", writes=True)
def remove(session: Session, group: Group, products: Products, preview: Preview = False) -> int:
    """Stop assigning products to a group. Members lose them unless another group assigns them."""
    group_id = session.names.group(group)
    body = {f.ADD: [], f.REMOVE: [session.names.product(each) for each in products]}
    return change(session, routes.ASSIGN_GROUP, (group_id,), body, only_preview=preview)


@command(app, "stop-managing", "group stop-managing SG-LIC-E3", writes=True)
def stop_managing(session: Session, group: Group, preview: Preview = False) -> int:
    """Stop managing a group. Its members keep their licenses, and new members get none."""
    group_id = session.names.group(group)
    assigned = session.client.ask(routes.ASSIGNMENT, group_id)[f.ASSIGNED_LICENSES]
    if not assigned:
        raise CliError(f"{session.names.group_label(group_id)} assigns no product.")
    body = {f.ADD: [], f.REMOVE: [each[f.SKU_ID] for each in assigned], f.KEEP: True}
    return change(session, routes.ASSIGN_GROUP, (group_id,), body, only_preview=preview)


@command(app, "swap", "group swap SG-LIC-E3 SPE_E3 SPE_E5", writes=True)
def swap(
    session: Session,
    group: Group,
    old: Annotated[str, typer.Argument(help="The product to remove.")],
    new: Annotated[str, typer.Argument(help="The product that takes its place.")],
    without: Without = "",
    preview: Preview = False,
) -> int:
    """Assign a product in the place of another one. Members keep the old product until they have the new one."""
    group_id = session.names.group(group)
    body = {f.ADD: licenses(session, [new], without), f.REMOVE: [session.names.product(old)]}
    return change(session, routes.ASSIGN_GROUP, (group_id,), body, only_preview=preview)


@command(app, "reprocess", "group reprocess SG-LIC-E3 --yes", writes=True)
def reprocess(session: Session, group: Group) -> int:
    """Reconcile every member of a group again. Earlier rejections do not count."""
    group_id = session.names.group(group)
    session.confirm(f"Reprocess all members of {session.names.group_label(group_id)}?")
    return show(session, follow(session, session.client.ask(routes.REPROCESS_GROUP, group_id)))


@command(app, "read", "group read SG-LIC-E5")
def read_now(session: Session, group: Group) -> None:
    """Read all members of a group that Microsoft's licensing licenses, now. It writes nothing to Graph."""
    group_id = session.names.group(group)
    session.client.ask(routes.WATCH_GROUP, group_id)
    session.output.note(f"The members of {session.names.group_label(group_id)} are read now.")


@command(app, "manage-natively", "group manage-natively SG-LIC-E5 --yes", writes=True)
def manage_natively(session: Session, group: Group) -> None:
    """Let this app change what Microsoft's licensing assigns to a group. No license changes by this command."""
    group_id = session.names.group(group)
    session.confirm(f"Manage {session.names.group_label(group_id)} natively?")
    after = session.client.ask(routes.MANAGE_NATIVELY, group_id)
    session.output.one(after, lambda: session.output.say(f"{after[f.DISPLAY_NAME]} is managed natively."))


@command(app, "stop-managing-natively", "group stop-managing-natively SG-LIC-E5 --yes", writes=True)
def stop_managing_natively(session: Session, group: Group) -> None:
    """Only watch a group again. Its licenses stay as they are."""
    group_id = session.names.group(group)
    session.confirm(f"Only watch {session.names.group_label(group_id)} from now on?")
    after = session.client.ask(routes.STOP_MANAGING_NATIVELY, group_id)
    session.output.one(after, lambda: session.output.say(f"{after[f.DISPLAY_NAME]} is only watched."))


@command(app, "diagnose", "group diagnose SG-LIC-E5 tara.thiel@contoso.com --yes", writes=True)
def diagnose(
    session: Session, group: Group, user: Annotated[str, typer.Argument(help="User principal name or ID.")]
) -> None:
    """Have Microsoft's licensing process one member again, and show the reason that Graph gives for an error."""
    group_id, user_id = session.names.group(group), session.names.user(user)
    session.confirm(f"Have Microsoft's licensing process {user} again?")
    row = session.client.ask(routes.DIAGNOSE, group_id, user_id)

    def lines() -> None:
        session.output.pairs([("User", user), ("State", row[f.STATE])])
        session.output.say((row[f.DIAGNOSIS] or {}).get(f.MESSAGE) or "Graph gave no reason.")

    session.output.one(row, lines)


@command(app, "reprocess-errors", "group reprocess-errors SG-LIC-E5 --error CountViolation --yes", writes=True)
def reprocess_errors(session: Session, group: Group, error: Error = "", product: Product = "") -> None:
    """Have Microsoft's licensing process the members in error again, or those with one error or product."""
    group_id = session.names.group(group)
    sku_id = session.names.product(product) if product else None
    session.confirm(
        f"Have Microsoft's licensing process the members in error of {session.names.group_label(group_id)}?"
    )
    started = session.client.ask(routes.REPROCESS_ERRORS, group_id, body={f.ERROR: error or None, f.SKU_ID: sku_id})
    session.output.one(started, lambda: session.output.say("Started. See: seatkeeper group errors"))


@command(app, "manage", "group manage SG-LIC-E3 SPE_E3", writes=True)
def manage(session: Session, group: Group, products: Products, preview: Preview = False) -> int:
    """Manage unmanaged licenses of members that the group also assigns. Apps that are on stay on."""
    group_id = session.names.group(group)
    body = {"skuIds": [session.names.product(each) for each in products]}
    return change(session, routes.MANAGE_GROUP, (group_id,), body, only_preview=preview)


@command(app, "turn-on-apps", "group turn-on-apps SG-LIC-E3 SPE_E3", writes=True)
def turn_on_apps(session: Session, group: Group, products: Products, preview: Preview = False) -> int:
    """Turn on missing apps in unmanaged licenses of members. The licenses stay unmanaged."""
    group_id = session.names.group(group)
    body = {"skuIds": [session.names.product(each) for each in products]}
    return change(session, routes.ENABLE_GROUP, (group_id,), body, only_preview=preview)


@command(
    app,
    "set",
    "group set SG-LIC-E3 --usage-location DE --keep-for 30",
    "group set SG-LIC-E3 --exclude SG-LIC-E5 --no-guests --yes",
    writes=True,
)
def set_options(
    session: Session,
    group: Group,
    usage_location: Annotated[str, typer.Option(help="Two letters for members without one, or none.")] = "",
    guests: Annotated[bool | None, typer.Option("--guests/--no-guests", help="License guests.")] = None,
    disabled: Annotated[
        bool | None, typer.Option("--disabled-accounts/--no-disabled-accounts", help="License disabled accounts.")
    ] = None,
    keep_for: Annotated[int | None, typer.Option(min=0, max=365, help="Days to keep licenses after leaving.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Groups whose members get nothing; repeat it.")] = None,
    priority: Annotated[
        int | None, typer.Option(help="The default usage location of the group with the highest number counts.")
    ] = None,
    allowance: Annotated[int | None, typer.Option(min=0, help="Removals a day without an approval.")] = None,
    allowance_reason: Annotated[str, typer.Option(help="The reason for this allowance.")] = "",
    allow_native_overlap: Annotated[
        bool | None, typer.Option("--allow-native-overlap/--no-native-overlap", help="Allow native licenses beside it.")
    ] = None,
) -> None:
    """Change options of a group. Options that are not named stay. Reprocess the group to apply them to everyone."""
    names = session.names
    group_id = names.group(group)
    named: dict[str, Any] = {
        f.GUESTS: guests,
        f.DISABLED_ACCOUNTS: disabled,
        f.GRACE: None if keep_for is None else f"P{keep_for}D",
        f.EXCLUDED: [names.group(each) for each in exclude] if exclude else None,
        "priority": priority,
        f.ALLOWANCE: allowance,
        f.ALLOWANCE_REASON: allowance_reason or None,
        "allowNativeOverlap": allow_native_overlap,
    }
    body = {name: value for name, value in named.items() if value is not None}
    if usage_location:
        body[f.USAGE_LOCATION] = None if usage_location == "none" else usage_location.upper()
    if not body:
        raise CliError("No option was named.", "Try: seatkeeper group set --help")
    before = session.client.ask(routes.ASSIGNMENT, group_id)
    shown = ", ".join(f"{name} = {value}" for name, value in body.items())
    session.confirm(f"Set {shown} for {before[f.DISPLAY_NAME]}?")
    after = session.client.ask(routes.SET_OPTIONS, group_id, body=body, headers={"if-match": before[f.ETAG]})
    session.output.one(after, lambda: session.output.say(f"Options of {after[f.DISPLAY_NAME]} are set."))
