"""Commands about products and their licenses."""

from __future__ import annotations

from typing import Annotated

import typer

from seatkeeper import columns, routes
from seatkeeper import fields as f
from seatkeeper.framework import command, group
from seatkeeper.session import Session

app = group("product", "Products: licenses (total, assigned, available) and apps.")


@command(app, "list", "product list --short", "product list -o csv")
def list_products(
    session: Session,
    short: Annotated[bool, typer.Option("--short", help="Only products without an available license.")] = False,
) -> None:
    """Products of the tenant with their licenses, and the groups that assign them."""
    found = [each for each in session.names.products if not short or each[f.AVAILABLE] <= 0]
    session.output.rows(found, columns.PRODUCTS, "Every product has available licenses." if short else "No products.")


@command(app, "show", "product show SPE_E3")
def show_product(session: Session, product: Annotated[str, typer.Argument(help="A product.")]) -> None:
    """One product with its groups and apps."""
    names, output = session.names, session.output
    sku_id = names.product(product)
    found = session.client.ask(routes.PRODUCT, sku_id)
    sku = names.skus.get(sku_id, {})
    value = {**found, f.SERVICE_PLANS: sku.get(f.SERVICE_PLANS, [])}

    def lines() -> None:
        output.pairs(
            [
                ("Product", found.get(f.DISPLAY_NAME)),
                ("Part number", found.get(f.PART_NUMBER)),
                ("ID", sku_id),
                ("Status", found.get("capabilityStatus")),
                ("Total", found.get(f.TOTAL)),
                ("Assigned", found.get(f.ASSIGNED)),
                ("Available", found.get(f.AVAILABLE)),
                ("Expired", found.get(f.EXPIRED)),
                ("Waiting", found.get("waiting")),
                ("Errors", found.get("errors")),
                ("Short by", found.get("shortBy")),
                ("Groups", [each[f.DISPLAY_NAME] for each in found.get(f.GROUPS, ())]),
            ]
        )
        output.heading("Apps")
        output.rows(value[f.SERVICE_PLANS], columns.APPS, "No apps.")

    output.one(value, lines)


@command(app, "users", "product users SPE_E3 -o csv")
def product_users(session: Session, product: Annotated[str, typer.Argument(help="A product.")]) -> None:
    """The users who have a product from any source."""
    sku_id = session.names.product(product)
    session.output.rows(session.client.all(routes.PRODUCT_USERS, sku_id), columns.PRODUCT_USERS, "No user has it.")
